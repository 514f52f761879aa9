"""Maze2D in MuJoCo, built from its published facts (Fu et al. 2020, D4RL).

As a program it is the reference of tests/maze2d_mujoco.rs. It reads a JSON list of runs from stdin, each with the rows of a
maze, a start (position and velocity of the joints) and controls. It writes the states after each step, run by run.
"""

import json
import sys

import mujoco
import numpy as np

STEP_S = 0.01
SPEED_LIMIT = 5.0
REACHED_M = 0.5

ROWS = {
    "u": ["#####", "#GOO#", "###O#", "#OOO#", "#####"],
    "medium": ["########", "#OO##OO#", "#OO#OOO#", "##OOO###", "#OO#OOO#", "#O#OO#O#", "#OOO#OG#", "########"],
    "large": ["############", "#OOOO#OOOOO#", "#O##O#O#O#O#", "#OOOOOO#OOO#", "#O####O###O#", "#OO#O#OOOOO#",
              "##O#O#O#O###", "#OO#OOO#OGO#", "############"],
}
EPISODE_STEPS = {"u": 300, "medium": 600, "large": 800}
SCORES = {"u": (23.85, 161.86), "medium": (13.13, 277.39), "large": (6.7, 273.99)}

MODEL = """
<mujoco>
  <compiler inertiafromgeom="true" angle="radian"/>
  <option timestep="0.01" gravity="0 0 0" iterations="20" integrator="Euler"/>
  <default>
    <joint damping="1" limited="false"/>
    <geom friction=".5 .1 .1" density="1000" margin="0.002" condim="1" contype="2" conaffinity="1"/>
  </default>
  <worldbody>
    <body pos="1.2 1.2 0">
      <geom type="sphere" size="0.1" contype="1"/>
      <joint name="x" type="slide" axis="1 0 0"/>
      <joint name="y" type="slide" axis="0 1 0"/>
    </body>
    {walls}
  </worldbody>
  <actuator>
    <motor joint="x" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
    <motor joint="y" ctrlrange="-1 1" ctrllimited="true" gear="100"/>
  </actuator>
</mujoco>
"""


class World:
    """Point mass and walls; positions are those of the joints."""

    def __init__(self, rows):
        wall = '<geom type="box" pos="{} {} 0" size="0.5 0.5 0.2"/>'
        walls = [wall.format(r + 1, c + 1) for r, row in enumerate(rows) for c, s in enumerate(row) if s == "#"]
        self.model = mujoco.MjModel.from_xml_string(MODEL.format(walls="".join(walls)))
        self.data = mujoco.MjData(self.model)

    def place(self, position, velocity):
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = position
        self.data.qvel[:] = velocity
        mujoco.mj_forward(self.model, self.data)

    def step(self, control):
        """One step of 10 ms under a control in [-1, 1] per axis; the position afterwards."""
        self.data.qvel[:] = np.clip(self.data.qvel, -SPEED_LIMIT, SPEED_LIMIT)
        self.data.ctrl[:] = control
        mujoco.mj_step(self.model, self.data)
        return self.data.qpos

    def state(self):
        return [*self.data.qpos, *self.data.qvel]


def main():
    answers = []
    for run in json.load(sys.stdin):
        world = World(run["rows"])
        world.place(run["position"], run["velocity"])
        states = []
        for control in run["controls"]:
            world.step(control)
            states.append(world.state())
        answers.append(states)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
