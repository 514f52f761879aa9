#!/usr/bin/env bash
# The demo: the embedded world (df_sim) and the planner (df_planner_node) as separate processes that talk over ROS 2
# topics on this machine only. `make demo` and `make demo-10` call it inside .ros/env.sh after a build.
#
#   scripts/demo.sh [--seed S]          one drive; ends with a summary and demo.png
#   scripts/demo.sh --runs N [--seed S] N drives with the seeds S, S+1, ...; fails if fewer than 90 % reach their goals
#
#   DF_CONFIG, DF_MODEL   the configuration and the checkpoint (config/point_maze_mapped.yaml, models/point_maze)
#   DF_BIN                the folder of the programs (release/ of the target folder)
#   DF_OUT                the folder for logs and reports (out/demo)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs=1 seed=0 picture=demo.png
while [ $# -gt 0 ]; do
    case "$1" in
    --runs) runs=$2 picture='' && shift 2 ;;
    --seed) seed=$2 && shift 2 ;;
    *) echo "demo: unknown argument $1; usage: scripts/demo.sh [--runs N] [--seed S]" >&2 && exit 2 ;;
    esac
done
config=${DF_CONFIG:-config/point_maze_mapped.yaml}
model=${DF_MODEL:-models/point_maze}
bin=${DF_BIN:-${CARGO_TARGET_DIR:-target}/release}
out=${DF_OUT:-out/demo}
mkdir -p "$out"

# Keeps packets on this machine, in a domain of its own, so that the demo cannot command another robot.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-$((1 + $$ % 100))}
export ROS_LOG_DIR=${ROS_LOG_DIR:-$(realpath "$out")/ros_log}

planner='' world=''
stop() { # pid: ends the process with SIGTERM, after 5 s with SIGKILL
    [ -n "$1" ] || return 0
    kill -TERM "$1" 2>/dev/null || true
    for _ in $(seq 50); do
        kill -0 "$1" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
}
trap 'stop "$world"; stop "$planner"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

drive() { # seed, picture or nothing: returns 0 if the goal is reached, 1 if not, 2 and above on an error. Prints the summary
    local log="$out/planner_$1.log" code=0
    "$bin/df_planner_node" --config "$config" --model "$model" >"$log" 2>&1 &
    planner=$!
    "$bin/df_sim" run --config "$config" --seed "$1" --report "$out/report_$1.json" ${2:+--picture "$2"} &
    world=$!
    # Ends early if the planner refuses to start.
    while kill -0 "$world" 2>/dev/null; do
        if ! kill -0 "$planner" 2>/dev/null; then
            echo "demo: the planner ended; the last lines of $log:" >&2
            tail -n 20 "$log" >&2
            return 3
        fi
        sleep 0.2
    done
    wait "$world" || code=$?
    world=''
    stop "$planner"
    planner=''
    return "$code"
}

if [ "$runs" = 1 ]; then
    code=0
    drive "$seed" "$picture" || code=$?
    [ "$code" = 0 ] || echo "demo: the planner's log is $out/planner_$seed.log" >&2
    exit "$code"
fi

reached=0
for s in $(seq "$seed" $((seed + runs - 1))); do
    code=0
    drive "$s" '' >"$out/summary_$s.txt" || code=$?
    [ "$code" -lt 2 ] || exit "$code"
    [ "$code" != 0 ] || reached=$((reached + 1))
    echo "seed $s: $(tr '\n' ' ' <"$out/summary_$s.txt" | tr -s ' ')"
done
echo "$reached of $runs goals reached"
[ $((reached * 10)) -ge $((runs * 9)) ]
