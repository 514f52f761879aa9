# df_planner: set-up, build, demo, checks. `make` alone lists the targets.
# Every ROS build runs inside .ros/env.sh (scripts/ros_env.sh): r2r is compiled anew whenever that environment changes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build programs demo demo-10 test test-without-ros test-mpi check-cuda lint bench bench-mpi soak fuzz clean

# One profile (dev, with optimised dependencies) for demo, tests and benches: everything is compiled once.
in_ros := . .ros/env.sh &&

help:
	@echo "df_planner: a ROS 2 planner that learns from recorded demonstrations."
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target what; do \
		printf '  make %-18s%s\n' "$$target" "$$what"; done

setup: ## a ROS 2 to build against: the sourced one, else Jazzy from wheels into .ros/ (no root)
	@scripts/ros_env.sh

build: setup ## the four programs: df_planner_node, df_train, df_replay, df_sim
	@$(in_ros) cargo build --bins

# Without the formats that only training reads: each brings a dependency that takes its time to compile.
programs: setup
	@$(in_ros) cargo build --bins --no-default-features --features ros

demo: programs ## drives a robot through a maze over ROS 2 topics with the shipped model; ends with demo.png
	@$(in_ros) scripts/demo.sh

demo-10: programs ## the demo with ten seeds, without pictures; counts the goals reached
	@$(in_ros) scripts/demo.sh --runs 10

test: setup ## every test, those over ROS 2 topics included
	@$(in_ros) cargo test

test-without-ros: ## the library, df_train and df_replay as on a machine that has never seen ROS
	@cargo test --no-default-features --features formats

test-mpi: setup ## training as an MPI program; needs OpenMPI (openmpi-bin, libopenmpi-dev)
	@command -v mpirun > /dev/null && command -v mpicc > /dev/null || { echo "no MPI here: apt-get install openmpi-bin libopenmpi-dev" >&2; exit 1; }
	@$(in_ros) cargo test --no-default-features --features mpi --test mpi

# As on docs.rs: without the LLVM that cubecl would download to build.
check-cuda: ## checks the types of what runs on CUDA devices; needs no CUDA
	@DOCS_RS=1 cargo check --no-default-features --features cuda --lib --bin df_train

lint: setup ## formatting and lints, with and without ROS
	@cargo fmt --check
	@$(in_ros) cargo clippy --all-targets -- -D warnings
	@cargo clippy --all-targets --no-default-features --features formats -- -D warnings
	@cargo clippy --all-targets --no-default-features -- -D warnings

soak: setup ## an hour of simulated time in lock step: one action per tick, flat memory; takes about 15 minutes
	@$(in_ros) DF_SOAK_S=3600 cargo test --test ros_lock_step -- --nocapture every_tick

bench: setup ## how long planning, training and decoding take here; training beside PyTorch where LIBTORCH and DF_TORCH_PYTHON say where it is
	@$(in_ros) cargo bench --profile dev $(if $(LIBTORCH),--features tch)

fuzz: ## every decoder on bytes that nobody wrote, FUZZ_S seconds each (600); needs `cargo install cargo-fuzz`
	@scripts/fuzz.sh $(or $(FUZZ_S),600)

bench-mpi: setup ## weak scaling of training over MPI, on a machine with nothing else to do
	@$(in_ros) cargo build --no-default-features --features mpi --bin df_train --bin df_sim
	@benches/mpi_scaling.sh

clean: ## removes what was built, provisioned and written
	rm -rf target .ros demo.png out
