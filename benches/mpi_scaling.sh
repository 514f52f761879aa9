#!/usr/bin/env bash
# Weak scaling of training over MPI: 1 rank and 2 ranks (RANKS), one thread a rank, the same number of windows a rank, the
# network of the shipped point maze. Then the cost on 64 nodes, computed from the measured gradient and step. Run it on an idle
# machine: `make bench-mpi`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ranks=${RANKS:-"1 2"}
windows=${WINDOWS:-64}
steps=${STEPS:-200}
programs=${PROGRAMS:-target/release}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
export RAYON_NUM_THREADS=1 XDG_CACHE_HOME=$place/cache OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

"$programs/df_sim" record --minutes 10 --episode-s 30 --seed 5 --out "$place/demos" > "$place/said"
for n in $ranks; do
    # No validation and no save within the run; a line of the log for every step.
    sed -e "s/batch: 64/batch: $((windows * n))\n  log_every: 1\n  validate_every: 1000000/" \
        -e "s/checkpoint_every_s: 300/checkpoint_every_s: 1.0e6/" config/point_maze.yaml > "$place/config.yaml"
    launch=(mpirun --oversubscribe -n "$n")
    [ "$n" = 1 ] && launch=()
    "${launch[@]}" "$programs/df_train" --config "$place/config.yaml" --bag "$place/demos" --out "$place/of_$n" \
        --steps "$steps" > "$place/said_$n"
done

python3 - "$place" "$windows" $ranks << 'PYTHON'
import json, math, re, statistics, sys

place, windows, ranks = sys.argv[1], int(sys.argv[2]), [int(n) for n in sys.argv[3:]]
SKIPPED = 20  # steps until caches are warm
parameters = int(re.search(r"(\d+) parameters", open(f"{place}/said_{ranks[0]}").read())[1])
gradient = 4 * parameters
print(f"{parameters} parameters: {gradient / 1e6:.2f} MB of gradient; {windows} windows a rank and step\n")
print("| ranks | step, ms (median; 10 % and 90 % of steps) | windows/s | efficiency | in sums, ms (waiting included) |")
print("|---|---|---|---|---|")
step_s = {}
for n in ranks:
    lines = [json.loads(line) for line in open(f"{place}/of_{n}.run/log.jsonl")]
    at = [line["seconds"] for line in lines if line.get("training")]
    steps = sorted(b - a for a, b in zip(at[SKIPPED:], at[SKIPPED + 1:]))
    step_s[n] = statistics.median(steps)
    said = open(f"{place}/said_{n}").read()
    waited = re.search(r"spent ([\d.]+) s on sums", said)
    sums = f"{1e3 * float(waited[1]) / len(at):.2f}" if waited else "-"
    low, high = steps[len(steps) // 10], steps[len(steps) * 9 // 10]
    print(f"| {n} | {1e3 * step_s[n]:.2f} ({1e3 * low:.2f}, {1e3 * high:.2f}) | {windows * n / step_s[n]:.0f} "
          f"| {step_s[ranks[0]] / step_s[n]:.0%} | {sums} |")

# Ring all-reduce of S bytes over n ranks (Thakur, Rabenseifner, Gropp 2005, section 4.4, without the additions):
# 2 (n - 1) (latency + S / (n B)). Small sums: recursive doubling, log2(n) latency; four of them a step, two flags, weights, losses.
nodes, small = 64, 4
step = step_s[ranks[0]]
print(f"\nOn {nodes} nodes, on paper: a step of {1e3 * step:.1f} ms and then the exchange, nothing overlapped\n")
print("| network (assumed) | latency, us (assumed) | exchange, ms | efficiency |\n|---|---|---|---|")
for name, gbit_s, latency_us in [("10 Gbit/s Ethernet, TCP", 10, 30), ("100 Gbit/s Ethernet, TCP", 100, 30),
                                 ("200 Gbit/s InfiniBand", 200, 1.5)]:
    latency = 1e-6 * latency_us
    ring = 2 * (nodes - 1) * (latency + gradient / (nodes * gbit_s * 1e9 / 8))
    exchange = ring + small * math.log2(nodes) * latency
    print(f"| {name} | {latency_us} | {1e3 * exchange:.2f} | {step / (step + exchange):.0%} |")
PYTHON
