#!/usr/bin/env bash
# Episodes of Maze2D over ROS 2: MuJoCo (robot.py) and df_planner_node in lock step over /clock.
#
#   benches/maze2d_ros/run.sh --maze medium --task single --episodes 100     one cell of the table
#   benches/maze2d_ros/run.sh --maze medium --episodes 1 --seed 3            one episode
#   ... --standing N                                                   ticks at the start, for the history (8)
#
#   DF_CONFIG, DF_MODEL   configuration and checkpoint (config/maze2d_MAZE.yaml, models/maze2d_MAZE)
#   DF_BIN                folder of the programs (target/release, or below CARGO_TARGET_DIR)
#   DF_OUT                folder of logs and results (out/maze2d)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[ -n "${DF_TEST_PYTHON:-}" ] || . .ros/env.sh
eval "$(benches/maze2d_ros/setup.sh)"

maze=medium task=single
previous=''
for argument in "$@"; do
    case "$previous" in
    --maze) maze=$argument ;;
    --task) task=$argument ;;
    esac
    previous=$argument
done
config=${DF_CONFIG:-config/maze2d_$maze.yaml}
model=${DF_MODEL:-models/maze2d_$maze}
bin=${DF_BIN:-${CARGO_TARGET_DIR:-target}/release}
out=${DF_OUT:-out/maze2d}
mkdir -p "$out"

# Packets stay on this machine, in a domain that no second run shares.
export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
export ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-$((1 + $$ % 100))}
export ROS_LOG_DIR=${ROS_LOG_DIR:-$(realpath "$out")/ros_log}

planner=''
stop() {
    [ -n "$planner" ] || return 0
    kill -TERM "$planner" 2>/dev/null || true
    wait "$planner" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

log="$out/planner_${maze}_$task.log"
"$bin/df_planner_node" --config "$config" --model "$model" --ros-args -p use_sim_time:=true >"$log" 2>&1 &
planner=$!
if ! "$DF_TEST_PYTHON" benches/maze2d_ros/robot.py --maze "$maze" "$@" --out "$out/${maze}_$task.json"; then
    echo "the last lines of $log:" >&2
    tail -n 20 "$log" >&2
    exit 1
fi
