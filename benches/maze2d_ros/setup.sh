#!/usr/bin/env bash
# Installs MuJoCo for benches/maze2d_ros and tests/maze2d_mujoco.rs from PyPI into out/maze2d/site, for the Python that has
# rclpy (.ros/env.sh), which stays unchanged. Prints the variables to export.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=${DF_TEST_PYTHON:-python3}
site=$PWD/out/maze2d/site
if ! PYTHONPATH=$site "$python" -c 'import mujoco, numpy' 2>/dev/null; then
    mkdir -p "$site"
    # Without dependencies: the viewer is not used, and a second numpy would hide that of rclpy.
    "$python" -m pip install --quiet --no-deps --target "$site" mujoco==4.0.0 mujoco-core==4.0.0
    PYTHONPATH=$site "$python" -c 'import numpy' 2>/dev/null ||
        "$python" -m pip install --quiet --target "$site" numpy
    PYTHONPATH=$site "$python" -c 'import mujoco, numpy'
fi
echo "export PYTHONPATH=$site\${PYTHONPATH:+:\$PYTHONPATH} DF_MUJOCO_PYTHON=$python"
