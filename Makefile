# df_planner: set-up, build, demo, checks. `make` alone lists the targets.
# Every ROS build runs inside .ros/env.sh (scripts/ros_env.sh): r2r is compiled anew whenever that environment changes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build robot programs demo demo-10 test test-without-ros test-mpi check-cuda check-features lint docs book examples bench bench-mpi soak fuzz clean

in_ros := . .ros/env.sh &&
# Without ROS: everything that a machine without ROS can build.
without_ros := --no-default-features --features sim,training,formats

# What the packages below the root can read; their tests need it named.
all_formats := --features df_data/formats,df_training/import

help:
	@echo "df_planner: a ROS 2 planner that learns from recorded demonstrations."
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target what; do \
		printf '  make %-18s%s\n' "$$target" "$$what"; done

setup: ## a ROS 2 to build against: the sourced one, else Jazzy from wheels into .ros/ (no root)
	@scripts/ros_env.sh

setup-tests: setup ## what tests need beside that: MuJoCo and the launch tools, where a registry has them
	@scripts/test_tools.sh

build: setup ## the four programs: df_planner_node, df_train, df_replay, df_sim
	@$(in_ros) cargo build --release --bins

robot: setup ## the node alone, without Burn and without what only training reads: what a robot compiles
	@$(in_ros) cargo build --release --no-default-features --features ros --bin df_planner_node

# Without Burn, and without the formats that only training reads.
programs: setup
	@$(in_ros) cargo build --release --no-default-features --features ros,sim --bin df_planner_node --bin df_sim

demo: programs ## drives a robot through a maze over ROS 2 topics with the shipped model; ends with demo.png
	@$(in_ros) scripts/demo.sh

demo-10: programs ## the demo with ten seeds, without pictures; counts the goals reached
	@$(in_ros) scripts/demo.sh --runs 10

test: setup-tests ## every test of every crate, those over ROS 2 topics included
	@$(in_ros) cargo test --release --workspace $(all_formats)

test-without-ros: ## the tests that a machine that has never seen ROS can run
	@cargo test --release --workspace $(without_ros)

test-mpi: setup ## training as an MPI program; needs OpenMPI (openmpi-bin, libopenmpi-dev)
	@command -v mpirun > /dev/null && command -v mpicc > /dev/null || { echo "no MPI here: apt-get install openmpi-bin libopenmpi-dev" >&2; exit 1; }
	@$(in_ros) cargo test --release --no-default-features --features sim,mpi --test mpi

# As on docs.rs: without the LLVM that cubecl would download to build.
check-cuda: ## checks the types of what runs on CUDA devices; needs no CUDA
	@DOCS_RS=1 cargo check --release --no-default-features --features cuda --lib --bin df_train

check-features: setup ## each feature alone compiles, and the robot's build holds no Burn
	@cargo check --release --no-default-features --bins
	@$(in_ros) cargo check --release --no-default-features --features ros --bins
	@cargo check --release --no-default-features --features training --bins
	@cargo check --release --no-default-features --features formats --bins
	@! cargo tree -e no-dev --no-default-features --features ros --prefix none | grep -i '^burn' || { echo "the robot's build holds Burn" >&2; exit 1; }

lint: setup ## formatting and lints, with and without ROS
	@cargo fmt --all --check
	@$(in_ros) cargo clippy --release --workspace --all-targets $(all_formats) -- -D warnings
	@cargo clippy --release --all-targets $(without_ros) -- -D warnings

docs: setup ## the documentation of the code, without warnings
	@$(in_ros) RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps $(all_formats)

book: ## the book in docs/: reference and tables are those of code and data, links exist, sentences are short
	@scripts/book.sh

# `config_reference` is left out: it writes a page of the book.
examples: setup ## builds and runs every program in examples/
	@$(in_ros) cargo build --release --workspace $(all_formats) --examples
	@for example in $(filter-out config_reference,$(basename $(notdir $(wildcard examples/*.rs)))); do \
		echo "example: $$example"; "target/release/examples/$$example"; done

soak: setup ## an hour of simulated time in lock step: one action per tick, flat memory; takes about 15 minutes
	@$(in_ros) DF_SOAK_S=3600 cargo test --release --test ros_lock_step -- --nocapture every_tick

bench: setup ## how long planning, training and decoding take here; training beside PyTorch where LIBTORCH and DF_TORCH_PYTHON say where it is
	@$(in_ros) cargo bench $(if $(LIBTORCH),--features tch)

fuzz: ## every decoder on bytes that nobody wrote, FUZZ_S seconds each (600); needs `cargo install cargo-fuzz`
	@scripts/fuzz.sh $(or $(FUZZ_S),600)

bench-mpi: setup ## weak scaling of training over MPI, on a machine with nothing else to do
	@$(in_ros) cargo build --release --no-default-features --features sim,mpi --bin df_train --bin df_sim
	@benches/mpi_scaling.sh

clean: ## removes what was built, provisioned and written
	rm -rf target .ros demo.png out docs/book
