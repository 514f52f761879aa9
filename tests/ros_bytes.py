"""Serializes and deserializes messages with rclpy, for tests/ros_bytes.rs.

    ros_bytes.py serialize      random messages of many layouts: type, bytes, fields and their numbers, as JSON
    ros_bytes.py deserialize    reads [[type, hex], ...] from standard input, and writes stamp, frame id and numbers

Numbers are written as text in Python's shortest exact form, because JSON readers may round.
"""

import json
import random
import sys
from importlib import import_module

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import BatteryState, JointState, LaserEcho, LaserScan, MultiEchoLaserScan, NavSatFix
from std_msgs.msg import Empty, Float64MultiArray, MultiArrayDimension
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint


def serialize():
    rng = random.Random(3)
    number = rng.random
    single = lambda: float(np.float32(rng.random()))
    dump = []

    def add(kind, message, fields, numbers):
        values = [repr(float(n)) for n in numbers]
        dump.append({"type": kind, "hex": serialize_message(message).hex(), "fields": fields, "values": values})

    for k in range(30):  # Strings and arrays of growing lengths, so that the fields after them have every alignment.
        m = Odometry(child_frame_id="y" * (k % 7))
        m.header.frame_id = "x" * k
        m.pose.pose.position.x, m.twist.twist.angular.z = number(), number()
        m.pose.covariance = [number() for _ in range(36)]
        fields = ["pose.pose.position.x", "pose.covariance", "twist.twist.angular.z", "pose.pose.orientation.w"]
        add("nav_msgs/msg/Odometry", m, fields,
            [m.pose.pose.position.x, *m.pose.covariance, m.twist.twist.angular.z, m.pose.pose.orientation.w])

        names = ["a", "bb", "ccc", "dddd"][: 1 + k % 4]
        rng.shuffle(names)
        m = JointState(name=names, position=[number() for _ in names], effort=[number() for _ in names])
        m.header.frame_id = "z" * (k % 5)
        place = names.index("a")
        add("sensor_msgs/msg/JointState", m, ["position[name=a]", "effort[name=a]"], [m.position[place], m.effort[place]])

        m = LaserScan(range_max=single(), ranges=[single() for _ in range(36)], intensities=[single() for _ in range(k)])
        m.header.frame_id = "s" * k
        add("sensor_msgs/msg/LaserScan", m, ["range_max", "ranges[0:36:5]", f"ranges[{k}]"],
            [m.range_max, *m.ranges[::5], m.ranges[k]])

        m = DiagnosticArray()
        for i in range(3):
            values = [KeyValue(key="k" * j, value="v" * k) for j in range(i + k % 3)]
            m.status.append(DiagnosticStatus(level=bytes([i]), name="n" * (k + i), values=values))
        add("diagnostic_msgs/msg/DiagnosticArray", m, ["status[0:3].level", "status[2].level"], [0, 1, 2, 2])

        echoes = [LaserEcho(echoes=[single() for _ in range(j % 4)]) for j in range(6)]
        m = MultiEchoLaserScan(angle_max=0.5, ranges=echoes, intensities=[LaserEcho(echoes=[0.25])])
        add("sensor_msgs/msg/MultiEchoLaserScan", m, ["angle_max", "ranges[3].echoes[2]", "intensities[0].echoes[0]"],
            [0.5, echoes[3].echoes[2], 0.25])

        m = BatteryState(voltage=1.5, present=True, cell_voltage=[0.5] * k, location="l" * k, power_supply_status=3)
        add("sensor_msgs/msg/BatteryState", m, ["voltage", "present", "power_supply_status"], [1.5, 1, 3])

        m = Float64MultiArray(data=[number() for _ in range(k % 3 + 1)])
        m.layout.dim = [MultiArrayDimension(label="d" * j, size=j, stride=7) for j in range(k % 4)]
        m.layout.data_offset = 9
        add("std_msgs/msg/Float64MultiArray", m, ["layout.data_offset", "data[0]"], [9, m.data[0]])

        m = JointTrajectory(joint_names=["q", "w"])
        for j in range(k % 3 + 1):
            point = JointTrajectoryPoint(positions=[number(), number()])
            point.time_from_start.sec, point.time_from_start.nanosec = j, 99
            m.points.append(point)
        add("trajectory_msgs/msg/JointTrajectory", m, ["points[0].positions[1]", "points[0].time_from_start.nanosec"],
            [m.points[0].positions[1], 99])

        m = NavSatFix(latitude=number(), position_covariance=[number() for _ in range(9)])
        m.status.service = 65535
        add("sensor_msgs/msg/NavSatFix", m, ["latitude", "position_covariance", "status.service"],
            [m.latitude, *m.position_covariance, 65535])

        add("std_msgs/msg/Empty", Empty(), ["structure_needs_at_least_one_member"], [0])
    return dump


def flat(value):
    """Every number of a message, in the order of its fields; without the header."""
    if isinstance(value, (bool, int, float)):
        return [float(value)]
    if isinstance(value, str):
        return []
    if hasattr(value, "get_fields_and_field_types"):
        fields = [field for field in value.get_fields_and_field_types() if field != "header"]
        return [number for field in fields for number in flat(getattr(value, field))]
    return [number for element in value for number in flat(element)]


def deserialize():
    dump = []
    for kind, data in json.load(sys.stdin):
        package, _, name = kind.split("/")
        message = deserialize_message(bytes.fromhex(data), getattr(import_module(f"{package}.msg"), name))
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        values = [repr(v) for v in flat(message)]
        dump.append({"stamp_ns": stamp, "frame_id": message.header.frame_id, "values": values})
    return dump


if __name__ == "__main__":
    json.dump({"serialize": serialize, "deserialize": deserialize}[sys.argv[1]](), sys.stdout)
