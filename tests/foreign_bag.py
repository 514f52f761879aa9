"""Writes and reads bags with the third-party PyPI package `rosbags`, for tests/foreign_bag.rs.

    foreign_bag.py write BAG [STORAGE [MODE]]    writes a bag of random messages, and its numbers as JSON to standard output;
                                                 STORAGE: mcap or sqlite3; MODE of compression: none, file, message, storage
    foreign_bag.py read BAG                      reads a bag, and writes its numbers as JSON to standard output

Numbers are written as text in Python's shortest exact form, because JSON readers may round.
"""

import json
import random
import sys
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

BEAMS = 360
JOINTS = ["shoulder_pan", "elbow", "wrist/left 1", "gripper.finger"]
MESSAGES = 25


def number(rng):
    """A random float64 of a random size, within float32."""
    return rng.uniform(-1, 1) * 10.0 ** rng.randint(-30, 30)


def single(rng):
    """A random float64 that float32 holds exactly."""
    return float(np.float32(number(rng)))


def write(path, storage="mcap", mode="none"):
    rng = random.Random(7)
    store = get_typestore(Stores.ROS2_JAZZY)
    kinds = {kind: store.types[name] for kind, name in [
        ("Time", "builtin_interfaces/msg/Time"), ("Header", "std_msgs/msg/Header"), ("Point", "geometry_msgs/msg/Point"),
        ("Quaternion", "geometry_msgs/msg/Quaternion"), ("Pose", "geometry_msgs/msg/Pose"), ("Vector3", "geometry_msgs/msg/Vector3"),
        ("PoseWithCovariance", "geometry_msgs/msg/PoseWithCovariance"), ("Twist", "geometry_msgs/msg/Twist"),
        ("TwistWithCovariance", "geometry_msgs/msg/TwistWithCovariance"), ("Odometry", "nav_msgs/msg/Odometry"),
        ("Wrench", "geometry_msgs/msg/Wrench"), ("WrenchStamped", "geometry_msgs/msg/WrenchStamped"),
        ("LaserScan", "sensor_msgs/msg/LaserScan"), ("JointState", "sensor_msgs/msg/JointState"),
    ]}
    make = lambda kind, *values: kinds[kind](*values)
    numbers = lambda count: [number(rng) for _ in range(count)]
    array = lambda values, kind=np.float64: np.array(values, dtype=kind)

    def odometry(header):
        p, q, cp, v, w, cv = numbers(3), numbers(4), numbers(36), numbers(3), numbers(3), numbers(36)
        pose = make("PoseWithCovariance", make("Pose", make("Point", *p), make("Quaternion", *q)), array(cp))
        twist = make("TwistWithCovariance", make("Twist", make("Vector3", *v), make("Vector3", *w)), array(cv))
        return make("Odometry", header, "child" * rng.randint(0, 3), pose, twist), p + q + cp + v + w + cv

    def wrench(header):
        f, t = numbers(3), numbers(3)
        return make("WrenchStamped", header, make("Wrench", make("Vector3", *f), make("Vector3", *t))), f + t

    def scan(header):
        head = [single(rng) for _ in range(7)]
        ranges, intensities = [single(rng) for _ in range(BEAMS)], [single(rng) for _ in range(BEAMS)]
        message = make("LaserScan", header, *head, array(ranges, np.float32), array(intensities, np.float32))
        return message, head + ranges[::10] + ranges[90:180:7] + [ranges[7]] + intensities

    def joints(header):
        names = rng.sample(JOINTS, len(JOINTS))  # Another order in every message.
        position, velocity = numbers(len(JOINTS)), numbers(len(JOINTS))
        message = make("JointState", header, names, array(position), array(velocity), array([]))
        return message, [position[names.index(n)] for n in JOINTS] + [velocity[names.index("elbow")], position[0]]

    dump = []
    writer = Writer(Path(path), version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[mode.upper()], CompressionFormat.ZSTD)
    with writer:
        for topic, kind, build in [
            ("/odom", "nav_msgs/msg/Odometry", odometry), ("/wrench", "geometry_msgs/msg/WrenchStamped", wrench),
            ("/scan", "sensor_msgs/msg/LaserScan", scan), ("/joints", "sensor_msgs/msg/JointState", joints),
        ]:
            connection = writer.add_connection(topic, kind, typestore=store)
            for _ in range(MESSAGES):
                stamp, log = rng.randint(1, 2**31 * 10**9 - 1), rng.randint(0, 2**62)
                frame = rng.choice(["", "map", "base_link", "frame/ö"])
                header = make("Header", make("Time", stamp // 10**9, stamp % 10**9), frame)
                message, values = build(header)
                writer.write(connection, log, store.serialize_cdr(message, kind))
                dump.append({"topic": topic, "log_ns": log, "stamp_ns": stamp, "frame_id": frame, "values": [repr(v) for v in values]})
    return dump


def flat(value):
    """Every number of a message, in the order of its fields; without the header."""
    if isinstance(value, np.ndarray):
        return [float(v) for v in value]
    if isinstance(value, (int, float)):
        return [float(value)]
    if isinstance(value, (str, list)):
        return []
    fields = [f for f in value.__dataclass_fields__ if f not in ("header", "__msgtype__")]
    return [number for field in fields for number in flat(getattr(value, field))]


def read(path):
    with Reader(path) as reader:
        facts = {
            "start_ns": reader.start_time, "end_ns": reader.end_time, "messages": reader.message_count,
            "topics": {name: [info.msgtype, info.msgcount] for name, info in reader.topics.items()},
        }
    dump = []
    # Without a type store: the types come from the definitions in the bag.
    with AnyReader([Path(path)]) as reader:
        for connection, log, data in reader.messages():
            message = reader.deserialize(data, connection.msgtype)
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            dump.append({
                "topic": connection.topic, "log_ns": log, "stamp_ns": stamp, "frame_id": message.header.frame_id,
                "values": [repr(v) for v in flat(message)],
            })
    return {"facts": facts, "messages": dump}


if __name__ == "__main__":
    json.dump({"write": write, "read": read}[sys.argv[1]](*sys.argv[2:]), sys.stdout)
