"""What the rclpy scripts of this folder share: a node that spins on its own, answers lines of stdin with JSON lines on stdout, and
leaves DDS in order. tests/ros/stage.rs starts them.
"""

import json
import os
import sys
import threading

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor


class Peer:
    """A node; a subclass makes its topics, calls `spin` and has `do(command, arguments)`."""

    def __init__(self, name):
        rclpy.init(args=sys.argv)
        self.node = rclpy.create_node(name)
        self.lock = threading.Lock()
        self.executor = SingleThreadedExecutor()

    def spin(self):
        """From now on callbacks are called, on a thread of their own."""
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
        """Leaves DDS in order, so that no shared memory stays behind; then ends without waiting for threads."""
        self.executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        rclpy.try_shutdown()
        os._exit(0)
