"""Shared by the rclpy scripts of this folder: a node that spins on its own thread, answers lines of stdin with JSON lines on
stdout, and shuts DDS down in order. tests/ros/harness.rs starts them.
"""

import json
import os
import sys
import threading
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, WrenchStamped
from nav_msgs.msg import Odometry, Path
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy


def seconds(stamp):
    return stamp.sec + stamp.nanosec * 1e-9


class Peer:
    """A node; a subclass makes its topics, calls `spin` and has `do(command, arguments)`."""

    def __init__(self, name):
        rclpy.init(args=sys.argv)
        self.node = rclpy.create_node(name)
        self.lock = threading.Lock()
        self.executor = SingleThreadedExecutor()

    def spin(self):
        """Starts calling callbacks, on a thread of their own."""
        self.executor.add_node(self.node)
        threading.Thread(target=self._spin, daemon=True).start()

    def _spin(self):
        try:
            self.executor.spin()
        except ExternalShutdownException:
            pass

    def serve(self):
        """Answers lines until `quit` or the end of stdin."""
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            command, _, rest = line.strip().partition(" ")
            if command == "quit":
                break
            print(json.dumps(self.do(command, self.parse(rest))), flush=True)
        self.leave()

    def parse(self, rest):
        """The arguments of a line."""
        return rest.split()

    def leave(self):
        """Shuts DDS down in order, so that it removes its shared memory; then ends without waiting for threads."""
        self.executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.try_shutdown()
        os._exit(0)


class Robot(Peer):
    """A node beside the planner: receives its actions, reports and plans, and makes the messages of a robot."""

    def __init__(self):
        super().__init__("robot")
        self.stamps, self.arrivals, self.values = [], [], []
        self.report, self.path = None, None
        all_actions = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
        self.node.create_subscription(WrenchStamped, "force", self._on_action, all_actions)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.node.create_subscription(Path, "df_planner/plan", self._on_plan, 1)

    def _on_action(self, message):
        with self.lock:
            self.arrivals.append(time.time())
            self.stamps.append(seconds(message.header.stamp))
            self.values.append([message.wrench.force.x, message.wrench.force.y])

    def _on_diagnostics(self, message):
        for status in message.status:
            if status.name.endswith(": planner"):
                self.report = {pair.key: pair.value for pair in status.values}

    def _on_plan(self, message):
        self.path = [[pose.pose.position.x, pose.pose.position.y] for pose in message.poses]

    def odometry_at(self, frame, x, y):
        """A message, stamped now."""
        message = Odometry()
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.header.frame_id = frame
        message.pose.pose.position.x, message.pose.pose.position.y = x, y
        message.pose.pose.orientation.w = 1.0
        return message

    def publish_goal(self, publisher, frame, x, y, stamped=False):
        """Waits until there is a subscriber."""
        message = PoseStamped()
        message.header.frame_id = frame
        if stamped:
            message.header.stamp = self.node.get_clock().now().to_msg()
        message.pose.position.x, message.pose.position.y = x, y
        message.pose.orientation.w = 1.0
        until = time.monotonic() + 10.0
        while publisher.get_subscription_count() == 0 and time.monotonic() < until:
            time.sleep(0.02)
        publisher.publish(message)
