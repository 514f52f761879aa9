"""Maze2D in MuJoCo as a robot of ROS 2, in lock step with the planner over /clock: one row of the table per call.

At each step of 10 ms it publishes odometry and the clock. At each tick of the planner it waits for the action stamped with the
tick. Each episode sets the clock back, which resets the node; the robot stands at its start until the history of the node is
full. benches/maze2d_ros/run.sh starts it beside the node.
"""

import argparse
import json
import math
import sys
import time

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped, WrenchStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rosgraph_msgs.msg import Clock

from world import EPISODE_STEPS, REACHED_M, ROWS, SCORES, World

STEP_NS = 10_000_000
# Each episode starts at this stamp: a stamp of 0 means none.
START_NS = 1_000_000_000
PATIENCE_S = 60.0


def stamp_of(message, ns):
    message.sec, message.nanosec = divmod(ns, 10**9)


class Robot:
    def __init__(self, period_ns):
        rclpy.init(args=sys.argv)
        self.node = rclpy.create_node("robot")
        self.period_ns = period_ns
        self.actions = {}
        reliable = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        self.odom = self.node.create_publisher(Odometry, "odom", qos_profile_sensor_data)
        self.goal = self.node.create_publisher(PoseStamped, "goal", 1)
        self.clock = self.node.create_publisher(Clock, "/clock", reliable)
        self.node.create_subscription(WrenchStamped, "force", self.on_action, reliable)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def on_action(self, message):
        stamp = message.header.stamp
        self.actions[stamp.sec * 10**9 + stamp.nanosec] = [message.wrench.force.x, message.wrench.force.y]

    def wait(self, what, done):
        until = time.monotonic() + PATIENCE_S
        while not done():
            if time.monotonic() > until:
                raise SystemExit(f"no {what} within {PATIENCE_S} s: is the planner running?")
            self.executor.spin_once(timeout_sec=0.05)

    def until_heard(self):
        publishers = (self.odom, self.goal, self.clock)
        self.wait("listener", lambda: all(publisher.get_subscription_count() > 0 for publisher in publishers))
        self.wait("publisher", lambda: self.node.count_publishers("force") > 0)

    def say(self, now_ns, state, goal):
        """Odometry first, then the clock that reaches it."""
        message = Odometry()
        stamp_of(message.header.stamp, now_ns)
        message.header.frame_id, message.child_frame_id = "map", "base_link"
        message.pose.pose.position.x, message.pose.pose.position.y = state[0], state[1]
        message.pose.pose.orientation.w = 1.0
        message.twist.twist.linear.x, message.twist.twist.linear.y = state[2], state[3]
        self.odom.publish(message)
        if now_ns % self.period_ns == 0:
            message = PoseStamped()
            stamp_of(message.header.stamp, now_ns)
            message.header.frame_id = "map"
            message.pose.position.x, message.pose.position.y = goal
            message.pose.orientation.w = 1.0
            self.goal.publish(message)
        message = Clock()
        stamp_of(message.clock, now_ns)
        self.clock.publish(message)

    def action(self, tick_ns):
        self.wait(f"action for the tick at {tick_ns} ns", lambda: tick_ns in self.actions)
        return self.actions.pop(tick_ns)

    def synchronise(self, state, goal):
        """The clock goes on without waiting until the node answers; the next tick, which may be waited for."""
        self.actions.clear()
        now_ns, until = START_NS, time.monotonic() + PATIENCE_S
        while not self.actions:
            if time.monotonic() > until:
                raise SystemExit(f"no action within {PATIENCE_S} s")
            self.say(now_ns, state, goal)
            now_ns += STEP_NS
            self.executor.spin_once(timeout_sec=0.02)
        # The clock may be ahead of the answer: what comes until the next tick is not waited for.
        while now_ns % self.period_ns:
            self.say(now_ns, state, goal)
            now_ns += STEP_NS
        return now_ns

    def episode(self, world, goal, length, standing):
        """Stands for so many ticks, then drives: whether each step ended at the goal."""
        now_ns = self.synchronise(world.state(), goal)
        for _ in range(standing):
            for k in range(self.period_ns // STEP_NS):
                self.say(now_ns, world.state(), goal)
                if k == 0:
                    self.action(now_ns)
                now_ns += STEP_NS
        rewards, control = [], [0.0, 0.0]
        while len(rewards) < length:
            self.say(now_ns, world.state(), goal)
            if now_ns % self.period_ns == 0:
                control = self.action(now_ns)
            rewards.append(bool(np.linalg.norm(world.step(control) - goal) <= REACHED_M))
            now_ns += STEP_NS
        return rewards

    def leave(self):
        self.executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.try_shutdown()


def draw(rows, task, rng):
    """A random start (position, velocity) and the goal."""
    cells = [(r, c) for r, row in enumerate(rows) for c, symbol in enumerate(row) if symbol != "#"]

    def place():
        return np.array(cells[rng.integers(len(cells))]) + rng.uniform(-0.1, 0.1, 2)

    start, velocity = place(), rng.normal(0.0, 0.1, 2)
    marked = [np.array([r, c], float) for r, c in cells if rows[r][c] == "G"]
    return start, velocity, marked[0] if task == "single" else place()


def mean_and_error(values):
    count = len(values)
    mean = sum(values) / count if count else math.nan
    variance = sum((v - mean) ** 2 for v in values) / max(count - 1, 1)
    return mean, math.sqrt(variance / max(count, 1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maze", choices=sorted(ROWS), required=True)
    parser.add_argument("--task", choices=["single", "multi"], default="single")
    parser.add_argument("--episodes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--period-ms", type=int, default=50)
    parser.add_argument("--standing", type=int, default=8, help="ticks at the start of an episode, for the history")
    parser.add_argument("--out", help="write the episodes as JSON")
    given = parser.parse_args()
    robot = Robot(given.period_ms * 1_000_000)
    robot.until_heard()
    world, length, episodes = World(ROWS[given.maze]), EPISODE_STEPS[given.maze], []
    least, most = SCORES[given.maze]
    for seed in range(given.seed, given.seed + given.episodes):
        start, velocity, goal = draw(ROWS[given.maze], given.task, np.random.default_rng(seed))
        world.place(start, velocity)
        rewards = robot.episode(world, goal, length, given.standing)
        first = rewards.index(True) + 1 if any(rewards) else None
        episodes.append({"seed": seed, "raw_return": sum(rewards), "steps_to_goal": first})
        print(f"episode {seed}: return {sum(rewards)}, steps to the goal {first}", flush=True)
    robot.leave()
    raw, error = mean_and_error([episode["raw_return"] for episode in episodes])
    score, score_error = 100 * (raw - least) / (most - least), 100 * error / (most - least)
    reached = [episode["steps_to_goal"] for episode in episodes if episode["steps_to_goal"]]
    steps, steps_error = mean_and_error(reached)
    print("| maze | task | N | return | score | success | steps to the goal |\n|---|---|---|---|---|---|---|")
    print(
        f"| {given.maze} | {given.task} | {len(episodes)} | {raw:.1f} ± {error:.1f} | {score:.1f} ± {score_error:.1f} "
        f"| {len(reached) / len(episodes):.2f} | {steps:.1f} ± {steps_error:.1f} |"
    )
    if given.out:
        with open(given.out, "w") as file:
            json.dump(episodes, file, indent=1)


if __name__ == "__main__":
    main()
