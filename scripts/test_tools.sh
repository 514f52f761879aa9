#!/usr/bin/env bash
# Brings the Python packages that tests compare with into .ros/test-tools, from PyPI, pinned.
#
#   scripts/test_tools.sh       installs what is missing; a second call takes well under a second
#   make setup-tests            the same, with the Python of .ros/env.sh
#
# Tests look there by themselves (tests/support/tools.rs). The environment is apart from that of ROS, and needs no ROS.
# About 70 MB are downloaded.
#
#   PYTHON=...                  the interpreter to use (CPython 3.10 to 3.13); else DF_TEST_PYTHON, else python3
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
dest="$root/.ros/test-tools"

# Without the dependencies that a viewer needs: nothing here opens a window.
packages='
mujoco==4.0.0; python_version >= "3.11"
mujoco-core==4.0.0; python_version >= "3.11"
h5py==3.16.0
pyarrow==25.0.1
numpy==2.2.6; python_version < "3.11"
numpy==2.4.6; python_version >= "3.11"'
# With its dependencies, at the versions of scripts/ros_constraints.txt.
readers='
rosbags==0.11.9'

say() { printf 'test_tools: %s\n' "$*"; }
die() {
    printf 'test_tools: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '            %s\n' "$line" >&2; done
    exit 1
}

# What no registry has, or what is too large to be fetched for one test. `cargo test` names each of them again.
say_left_out() {
    local python=${DF_TEST_PYTHON:-$dest/bin/python}
    if ! "$python" -c 'import launch, launch_ros' 2>/dev/null; then
        say "left out: three tests of tests/launch.rs. launch and launch_ros are in no package registry; a sourced ROS 2 has them."
    fi
    if ! "$dest/bin/python" -c 'import mujoco' 2>/dev/null; then
        say "left out: tests/maze2d_mujoco.rs. MuJoCo 4 needs CPython 3.11 or newer; PYTHON=/path/to/python3.12 names one."
    fi
    if [ -z "${DF_TEST_TORCH:-}" ]; then
        say "left out: one test of tests/foreign_weights. torch is a download of 0.9 GB; DF_TEST_TORCH names a Python that has it."
    fi
}

base=${PYTHON:-${DF_TEST_PYTHON:-python3}}
fingerprint=$({
    echo "$root $base"
    cat "${BASH_SOURCE[0]}"
} | sha256sum | cut -c1-16)

up_to_date() {
    [ -f "$dest/stamp" ] && [ "$(cat "$dest/stamp")" = "$fingerprint" ] && "$dest/bin/python" -c '' 2>/dev/null
}

if up_to_date; then
    say "up to date (.ros/test-tools)"
    say_left_out
    exit 0
fi

mkdir -p "$root/.ros"
exec 9>"$root/.ros/test-tools.lock"
flock 9 # two make calls at once: the second waits, then finds everything done
if up_to_date; then exit 0; fi

"$base" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null \
    || die "$base is not CPython 3.10 to 3.13. Name one: PYTHON=/path/to/python3.12 scripts/test_tools.sh"

say "installing mujoco, h5py, pyarrow and rosbags from PyPI into .ros/test-tools, with $base"
rm -rf "$dest"
if "$base" -c 'import ensurepip' 2>/dev/null; then
    "$base" -m venv "$dest"
    pip=("$dest/bin/python" -m pip)
else
    # Debian and Ubuntu without python3-venv: the pip of the interpreter itself, if it has one.
    "$base" -m venv --without-pip "$dest"
    pip=("$base" -m pip --python "$dest/bin/python")
fi
install() { "${pip[@]}" install --quiet --disable-pip-version-check --only-binary=:all: "$@"; }
hint="They need access to pypi.org; without ensurepip (python3-venv) they need pip 22.3 or newer."
printf '%s\n' "$packages" >"$dest/packages.txt"
printf '%s\n' "$readers" >"$dest/readers.txt"
install --no-deps -r "$dest/packages.txt" || die "pip could not install the packages (above)." "$hint"
install -c "$root/scripts/ros_constraints.txt" -r "$dest/readers.txt" || die "pip could not install the packages (above)." "$hint"
"$dest/bin/python" -c 'import h5py, numpy, pyarrow.parquet, rosbags.highlevel' \
    || die "the packages were installed, but Python cannot import them (above)."
echo "$fingerprint" >"$dest/stamp"
say "ready: .ros/test-tools"
say_left_out
