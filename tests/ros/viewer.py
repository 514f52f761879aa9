"""A viewer for tests/ros_display.rs: subscribes as RViz or Foxglove do. Reads commands as lines on stdin; answers with JSON
lines on stdout.

    watch           subscribe to the planner's plan, rollouts, guidance and diagnostics
    look S          collect for S seconds; answers with the received messages, per topic
    topics          what the planner publishes and subscribes to: topic -> type
    services        the names of the planner's services
    field TYPE PATH whether messages of TYPE have the field
    quit
"""

import importlib
import time

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Path
from peer import Peer, seconds
from visualization_msgs.msg import MarkerArray


def path(message):
    return {
        "frame": message.header.frame_id,
        "stamp": seconds(message.header.stamp),
        "stamps": [seconds(pose.header.stamp) for pose in message.poses],
        "points": [[pose.pose.position.x, pose.pose.position.y] for pose in message.poses],
    }


def markers(message):
    return [
        {
            "action": marker.action,
            "type": marker.type,
            "id": marker.id,
            "frame": marker.header.frame_id,
            "lifetime": seconds(marker.lifetime),
            "color": [marker.color.r, marker.color.g, marker.color.a],
            "width": marker.scale.x,
            "points": [[point.x, point.y] for point in marker.points],
        }
        for marker in message.markers
    ]


def statuses(message):
    return [
        {
            "name": status.name,
            "level": int.from_bytes(status.level, "little"),
            "message": status.message,
            "hardware_id": status.hardware_id,
            "values": {pair.key: pair.value for pair in status.values},
        }
        for status in message.status
    ]


WATCHED = {
    "plan": (Path, "df_planner/plan", path),
    "rollouts": (MarkerArray, "df_planner/rollouts", markers),
    "guidance": (DiagnosticArray, "df_planner/guidance", statuses),
    "diagnostics": (DiagnosticArray, "/diagnostics", statuses),
}


class Viewer(Peer):
    def __init__(self):
        super().__init__("viewer")
        self.seen = {name: [] for name in WATCHED}
        self.spin()

    def watch(self):
        for name, (kind, topic, _) in WATCHED.items():
            self.node.create_subscription(kind, topic, lambda message, name=name: self.keep(name, message), 10)
        return "done"

    def keep(self, name, message):
        with self.lock:
            self.seen[name].append(message)

    def look(self, duration_s):
        with self.lock:
            self.seen = {name: [] for name in WATCHED}
        time.sleep(float(duration_s))
        with self.lock:
            return {name: [WATCHED[name][2](message) for message in seen] for name, seen in self.seen.items()}

    def planner(self):
        """Name and namespace, once it is known."""
        planner = "df_planner", self.node.get_namespace()
        until = time.monotonic() + 10.0
        while planner not in self.node.get_node_names_and_namespaces() and time.monotonic() < until:
            time.sleep(0.05)
        return planner

    def services(self):
        return [service for service, _ in self.node.get_service_names_and_types_by_node(*self.planner())]

    def topics(self):
        name, namespace = self.planner()
        pairs = self.node.get_publisher_names_and_types_by_node(name, namespace)
        pairs += self.node.get_subscriber_names_and_types_by_node(name, namespace)
        return {topic: types[0] for topic, types in pairs}

    def field(self, kind, name):
        package, _, name_of_type = kind.partition("/msg/")
        message = getattr(importlib.import_module(f"{package}.msg"), name_of_type)()
        for part in name.split("."):
            if not hasattr(message, part):
                return False
            message = getattr(message, part)
        return True

    def do(self, command, arguments):
        return getattr(self, command)(*arguments)


Viewer().serve()
