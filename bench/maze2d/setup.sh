#!/usr/bin/env bash
# MuJoCo for bench/maze2d and tests/maze2d_mujoco.rs: from PyPI into out/maze2d/site, beside the Python that has rclpy
# (.ros/env.sh) and without touching it. Prints what to export.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=${DF_TEST_PYTHON:-python3}
site=$PWD/out/maze2d/site
if ! PYTHONPATH=$site "$python" -c 'import mujoco, numpy' 2>/dev/null; then
    mkdir -p "$site"
    # Without dependencies: the viewer's are of no use here, and another numpy would stand before that of rclpy.
    "$python" -m pip install --quiet --no-deps --target "$site" mujoco==4.0.0 mujoco-core==4.0.0
    PYTHONPATH=$site "$python" -c 'import numpy' 2>/dev/null ||
        "$python" -m pip install --quiet --target "$site" numpy
    PYTHONPATH=$site "$python" -c 'import mujoco, numpy'
fi
echo "export PYTHONPATH=$site\${PYTHONPATH:+:\$PYTHONPATH} DF_MUJOCO_PYTHON=$python"
