#!/bin/bash
# Runs every fuzz target for some seconds, one after the other. Inputs that break a decoder are kept in fuzz/artifacts; the
# other targets still run. fuzz/README.md describes the folders.
#
#     scripts/fuzz.sh SECONDS [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
cargo fuzz --version >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
# Without a sanitizer, because the code is safe Rust and the targets count memory themselves. The stable compiler suffices.
options=(--dev --sanitizer none)
# Above the limit of a target (256 MiB per input), to allow for the memory of zstd and sqlite.
limits=(-timeout=20 -rss_limit_mb=512)
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list)
# The first inputs of every target, made by the same code that makes the recordings of the tests.
cargo run --manifest-path fuzz/Cargo.toml --example seeds -- fuzz/work
failed=()
for target in "${targets[@]}"; do
    echo "== $target"
    mkdir -p "fuzz/work/$target" "fuzz/corpus/$target"
    # New inputs go into the first folder; the tracked one is only read.
    cargo fuzz run "${options[@]}" "$target" "fuzz/work/$target" "fuzz/corpus/$target" -- \
        "${limits[@]}" -max_total_time="$seconds" -print_final_stats=1 || failed+=("$target")
done
[ ${#failed[@]} -eq 0 ] || { echo "broken: ${failed[*]} (fuzz/artifacts)" >&2; exit 1; }
