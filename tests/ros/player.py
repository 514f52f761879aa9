#!python
"""Replaces `ros2 bag play` in tests/launch.rs: takes the arguments of launch/replay.launch.py and plays 6 s of a robot that does
not move while its commands are 0. Then it waits until the planner reports enough compared commands; reports come once a
second. At the end it prints the numbers of plans, of publishers of commands, and of compared commands."""

import argparse
import os
import threading
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, WrenchStamped
from nav_msgs.msg import Odometry, Path
from rclpy.executors import SingleThreadedExecutor
from rclpy.time import Time
from rosgraph_msgs.msg import Clock

START_NS = 1_700_000_000 * 10**9
DURATION_S = 6.0
STEP_NS = 10**7
# The number of compared commands to wait for, and the longest wait.
ENOUGH = 10
PATIENCE_S = 10.0


def arguments():
    """As ros2bag of Jazzy has them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=["bag"])
    parser.add_argument("what", choices=["play"])
    parser.add_argument("bag", choices=["drive"])
    parser.add_argument("--clock", type=float, nargs="?", const=40, default=0)
    parser.add_argument("--rate", type=float, default=1.0)
    parser.add_argument("--start-offset", type=float, default=0.0)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--exclude-regex", default="")
    parser.add_argument("--disable-keyboard-controls", action="store_true")
    return parser.parse_args()


def main():
    given = arguments()
    assert given.clock > 0 and given.disable_keyboard_controls, given
    time.sleep(given.delay)
    rclpy.init(args=["player"])
    node = rclpy.create_node("player")
    clock = node.create_publisher(Clock, "/clock", 10)
    odom = node.create_publisher(Odometry, "odom", 10)
    goal = node.create_publisher(PoseStamped, "goal", 10)
    force = node.create_publisher(WrenchStamped, "force", 10)
    plans = []
    compared = []

    def on_diagnostics(message):
        for status in message.status:
            if status.name == "/df_planner: planner":
                values = {pair.key: pair.value for pair in status.values}
                compared.append(int(values.get("shadow.compared", 0)))

    node.create_subscription(Path, "df_planner/plan", plans.append, 10)
    node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    threading.Thread(target=executor.spin, daemon=True).start()
    until = time.monotonic() + 10.0
    while (odom.get_subscription_count() == 0 or not compared) and time.monotonic() < until:
        time.sleep(0.05)

    begin = time.monotonic()
    for step in range(int(DURATION_S * 10**9 / STEP_NS)):
        stamp = Time(nanoseconds=START_NS + step * STEP_NS).to_msg()
        due = begin + step * STEP_NS * 1e-9 / given.rate
        time.sleep(max(0.0, due - time.monotonic()))
        clock.publish(Clock(clock=stamp))
        message = Odometry()
        message.header.stamp, message.header.frame_id = stamp, "map"
        message.pose.pose.position.x = message.pose.pose.position.y = 3.5
        message.pose.pose.orientation.w = 1.0
        odom.publish(message)
        if step % 5 == 0:
            command = WrenchStamped()
            command.header.stamp = stamp
            force.publish(command)
        if step % 50 == 0:
            message = PoseStamped()
            message.header.stamp, message.header.frame_id = stamp, "map"
            message.pose.position.x, message.pose.position.y, message.pose.orientation.w = 5.5, 3.5, 1.0
            goal.publish(message)
    publishers = node.count_publishers("force")
    until = time.monotonic() + PATIENCE_S
    while compared[-1] < ENOUGH and time.monotonic() < until:
        time.sleep(0.05)
    print(f"player: {len(plans)} plans, {publishers} publishers, {compared[-1]} compared", flush=True)
    # Shuts DDS down in order, so that it removes its shared memory; then ends without waiting for threads.
    executor.shutdown(timeout_sec=1.0)
    node.destroy_node()
    rclpy.try_shutdown()
    os._exit(0)


main()
