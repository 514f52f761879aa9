"""A robot made with rclpy for tests/ros_frames.rs: it publishes in the coordinate frames that the test names. Reads commands
as lines on stdin; answers with JSON lines on stdout.

    odom FRAME X Y                    publish nav_msgs/Odometry at 50 Hz, standing at X Y of FRAME ("-": no name)
    tf_static PARENT CHILD X Y YAW    publish the pose of CHILD in PARENT once, latched
    tf PARENT CHILD X Y YAW           the same at 20 Hz, stamped, from now on
    goal FRAME X Y                    publish a goal, stamp 0, once the node listens
    goal_now FRAME X Y                publish a goal, stamped with the time
    map FRAME X Y W H RESOLUTION WALL publish W x H cells from X Y of FRAME on, transient local; columns from WALL on are
                                      occupied
    offer TOPIC TYPE QOS...           be a publisher of TYPE (Odometry, PoseStamped, OccupancyGrid); QOS: best_effort, latched
    record S                          collect actions for S seconds; answers with their values
    plan                              the newest plan as a list of points
    diagnostics                       the newest report of the planner as a dictionary
    quit
"""

import ctypes
import math
import threading
import time

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import OccupancyGrid, Odometry
from peer import Robot
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from rosbags.typesys import Stores, get_typestore

ODOMETRY_PERIOD_S = 0.02
TF_PERIOD_S = 0.05
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def tf_message_class():
    """tf2_msgs.msg.TFMessage. If only its C type support exists (scripts/tf2_msgs.py), returns a class that rclpy accepts
    in its place: the script publishes serialized messages only."""
    try:
        from tf2_msgs.msg import TFMessage
        return TFMessage
    except ImportError:
        pass
    library = ctypes.CDLL("libtf2_msgs__rosidl_typesupport_c.so")
    handle = library.rosidl_typesupport_c__get_message_type_support_handle__tf2_msgs__msg__TFMessage
    handle.restype = ctypes.c_void_p
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype, capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]

    class Meta(type):
        _TYPE_SUPPORT = capsule(handle(), None, None)
        _CREATE_ROS_MESSAGE = _CONVERT_FROM_PY = _CONVERT_TO_PY = _DESTROY_ROS_MESSAGE = 0

    return Meta("TFMessage", (), {})


class FramesRobot(Robot):
    def __init__(self):
        super().__init__()
        self.place, self.moving = None, {}
        self.static = []
        self.offers = []
        self.types = get_typestore(Stores.ROS2_JAZZY)
        tf_message = tf_message_class()
        self.tf = self.node.create_publisher(tf_message, "/tf", 100)
        self.tf_static = self.node.create_publisher(tf_message, "/tf_static", LATCHED)
        self.odom, self.goal, self.map = None, None, None
        self.spin()
        threading.Thread(target=self.every, args=(ODOMETRY_PERIOD_S, self.publish_odometry), daemon=True).start()
        threading.Thread(target=self.every, args=(TF_PERIOD_S, self.publish_tf), daemon=True).start()

    def every(self, period_s, publish):
        due = time.monotonic()
        while True:
            due += period_s
            time.sleep(max(0.0, due - time.monotonic()))
            with self.lock:
                publish()

    def publish_odometry(self):
        if self.place is None:
            return
        self.odom.publish(self.odometry_at(*self.place))

    def publish_tf(self):
        if self.moving:
            self.tf.publish(self.transforms([(*names, *place) for names, place in self.moving.items()]))

    def transforms(self, entries):
        kinds = self.types.types
        stamp = self.node.get_clock().now().to_msg()
        listed = []
        for parent, child, x, y, yaw in entries:
            time_ = kinds["builtin_interfaces/msg/Time"](stamp.sec, stamp.nanosec)
            header = kinds["std_msgs/msg/Header"](time_, parent)
            translation = kinds["geometry_msgs/msg/Vector3"](x, y, 0.0)
            rotation = kinds["geometry_msgs/msg/Quaternion"](0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
            place = kinds["geometry_msgs/msg/Transform"](translation, rotation)
            listed.append(kinds["geometry_msgs/msg/TransformStamped"](header, child, place))
        message = kinds["tf2_msgs/msg/TFMessage"](listed)
        return bytes(self.types.serialize_cdr(message, "tf2_msgs/msg/TFMessage"))

    def give_goal(self, frame, x, y, stamped):
        if self.goal is None:
            self.goal = self.node.create_publisher(PoseStamped, "goal", 1)
        self.publish_goal(self.goal, frame, x, y, stamped)

    def give_map(self, frame, x, y, width, height, resolution, wall):
        if self.map is None:
            self.map = self.node.create_publisher(OccupancyGrid, "map", LATCHED)
        message = OccupancyGrid()
        message.header.frame_id = frame
        message.info.resolution, message.info.width, message.info.height = resolution, width, height
        message.info.origin.position.x, message.info.origin.position.y = x, y
        message.info.origin.orientation.w = 1.0
        message.data = [100 if column >= wall else 0 for _ in range(height) for column in range(width)]
        self.map.publish(message)

    def offer(self, topic, kind, qos):
        profile = QoSProfile(depth=1)
        if "best_effort" in qos:
            profile.reliability = ReliabilityPolicy.BEST_EFFORT
        if "latched" in qos:
            profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
        kinds = {"Odometry": Odometry, "PoseStamped": PoseStamped, "OccupancyGrid": OccupancyGrid}
        self.offers.append(self.node.create_publisher(kinds[kind], topic, profile))

    def do(self, command, arguments):
        name = lambda text: "" if text == "-" else text
        if command == "odom":
            frame, x, y = arguments
            if self.odom is None:
                self.odom = self.node.create_publisher(Odometry, "odom", qos_profile_sensor_data)
            with self.lock:
                self.place = (name(frame), float(x), float(y))
        elif command == "tf_static":
            parent, child, *place = arguments
            self.static.append((parent, child, *map(float, place)))
            self.tf_static.publish(self.transforms(self.static))
        elif command == "tf":
            parent, child, *place = arguments
            with self.lock:
                self.moving[parent, child] = tuple(map(float, place))
        elif command in ("goal", "goal_now"):
            frame, x, y = arguments
            self.give_goal(name(frame), float(x), float(y), command == "goal_now")
        elif command == "map":
            frame, x, y, width, height, resolution, wall = arguments
            self.give_map(name(frame), float(x), float(y), int(width), int(height), float(resolution), int(wall))
        elif command == "offer":
            self.offer(arguments[0], arguments[1], arguments[2:])
        elif command == "record":
            with self.lock:
                self.values = []
            time.sleep(float(arguments[0]))
            with self.lock:
                return self.values
        elif command == "plan":
            return self.path
        elif command == "diagnostics":
            return self.report
        else:
            raise ValueError(f"unknown command {command}")
        return "done"

    def leave(self):
        with self.lock:
            self.place, self.moving = None, {}
        super().leave()


FramesRobot().serve()
