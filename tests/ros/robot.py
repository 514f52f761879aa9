"""A robot made with rclpy for tests/ros_node.rs. Reads commands as lines on stdin; answers with JSON lines on stdout.

    odom X Y        publish nav_msgs/Odometry at 50 Hz, standing at X Y
    move            from now on the robot moves by the forces that it receives, in the corridor of PLACE in the tests
    where           the position of the robot
    silent          stop publishing odometry; answers with the stamp of the last one
    nan N           publish N odometry messages with NaN in the position, at 50 Hz
    truncated N     publish N odometry messages cut in the middle, at 50 Hz
    burst S         publish S seconds of odometry at 5 kHz, in groups; answers with the messages a second that were reached
    jump S          publish odometry for S seconds whose stamps jump back and forth by 6 s, at 50 Hz, in place of the other
    covariance V    from now on odometry has the variance V in x
    wrong_type N    publish N std_msgs/String on the odometry topic, at 50 Hz; the publisher stays until the end
    goal X Y        publish a goal, again and again until the node listens
    nan_goal        publish a goal that is not a number
    record S        collect actions for S seconds; answers with stamps, arrivals (s) and values
    actions         every action since the last call of record or actions, in the same form
    diagnostics     the newest report of the planner as a dictionary
    plan            the newest plan as a list of points
    quit
"""

import math
import sys
import threading
import time

import rclpy
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from peer import Robot, seconds
from rclpy.qos import qos_profile_sensor_data
from rclpy.serialization import serialize_message
from std_msgs.msg import String

ODOMETRY_PERIOD_S = 0.02
BURST_HZ = 5000.0
# Messages between two sleeps: each sleep costs more than a message.
BURST_GROUP = 25
# The demo's robot (src/sim/world.rs), and the corridor's walls less its radius.
MASS_KG = 1.0
DAMPING_N_S_PER_M = 2.0
CORRIDOR = ((1.15, 5.85), (3.15, 3.85))


class DemoRobot(Robot):
    def __init__(self):
        super().__init__()
        self.position = None
        self.last_stamp = None
        self.stranger, self.wrong = None, None
        self.variance, self.jump_s = 0.0, 0.0
        self.moves, self.velocity = False, [0.0, 0.0]
        self.odom = self.node.create_publisher(Odometry, "odom", qos_profile_sensor_data)
        self.goal = self.node.create_publisher(PoseStamped, "goal", 1)
        self.spin()
        threading.Thread(target=self.drive, daemon=True).start()

    def drive(self):
        """Odometry at 50 Hz by absolute deadlines."""
        due = time.monotonic()
        while True:
            due += ODOMETRY_PERIOD_S
            time.sleep(max(0.0, due - time.monotonic()))
            with self.lock:
                if self.position is not None:
                    if self.moves:
                        self.step(self.values[-1] if self.values else [0.0, 0.0])
                    message = self.odometry(*self.position)
                    self.last_stamp = seconds(message.header.stamp)
                    self.odom.publish(message)

    def step(self, force):
        """One period under a force; a wall stops the robot."""
        position = list(self.position)
        for axis, (low, high) in enumerate(CORRIDOR):
            acceleration = (force[axis] - DAMPING_N_S_PER_M * self.velocity[axis]) / MASS_KG
            self.velocity[axis] += acceleration * ODOMETRY_PERIOD_S
            moved = position[axis] + self.velocity[axis] * ODOMETRY_PERIOD_S
            position[axis] = min(max(moved, low), high)
            if position[axis] != moved:
                self.velocity[axis] = 0.0
        self.position = tuple(position)

    def leave(self):
        with self.lock:
            self.position = None
        if self.stranger is not None:
            self.stranger.destroy_node()
            rclpy.shutdown(context=self.stranger.context)
        super().leave()

    def odometry(self, x, y):
        message = self.odometry_at("odom", x, y)
        message.twist.twist.linear.x, message.twist.twist.linear.y = self.velocity
        message.pose.covariance[0] = message.pose.covariance[7] = self.variance
        if self.jump_s:
            self.jump_s = -self.jump_s
            message.header.stamp.sec += int(self.jump_s)
        return message

    def burst(self, seconds):
        """Publishes at up to 5 kHz. Sends serialized bytes, because making messages takes longer. Each group has a new stamp."""
        start, total = time.monotonic(), int(seconds * BURST_HZ)
        for count in range(total):
            if count % BURST_GROUP == 0:
                time.sleep(max(0.0, start + count / BURST_HZ - time.monotonic()))
                message = serialize_message(self.odometry(*self.position))
            self.odom.publish(message)
        return total / (time.monotonic() - start)

    def taken(self):
        with self.lock:
            taken = {"stamps": self.stamps, "arrivals": self.arrivals, "values": self.values}
            self.stamps, self.arrivals, self.values = [], [], []
        # JSON has no NaN; as text it stays visible.
        taken["finite"] = all(math.isfinite(v) for values in taken["values"] for v in values)
        taken["values"] = [[v if math.isfinite(v) else str(v) for v in values] for values in taken["values"]]
        return taken

    def repeat(self, count, publish):
        for _ in range(count):
            publish()
            time.sleep(ODOMETRY_PERIOD_S)

    def publish_wrong_type(self, count):
        """Uses a participant of its own, because DDS allows one type per topic and participant. It lives until the end."""
        if self.stranger is None:
            context = rclpy.Context()
            rclpy.init(args=sys.argv, context=context)
            self.stranger = rclpy.create_node("stranger", context=context)
            self.wrong = self.stranger.create_publisher(String, "odom", qos_profile_sensor_data)
        self.repeat(count, lambda: self.wrong.publish(String(data="not an odometry")))

    def do(self, command, arguments):
        if command == "odom":
            with self.lock:
                self.position = tuple(map(float, arguments))
        elif command == "move":
            self.moves = True
        elif command == "where":
            return self.position
        elif command == "silent":
            with self.lock:
                self.position = None
            return self.last_stamp
        elif command == "nan":
            self.repeat(int(arguments[0]), lambda: self.odom.publish(self.odometry(math.nan, 0.0)))
        elif command == "truncated":
            self.repeat(int(arguments[0]), lambda: self.odom.publish(serialize_message(self.odometry(1.0, 1.0))[:40]))
        elif command == "burst":
            return self.burst(float(arguments[0]))
        elif command == "jump":
            self.jump_s = 6.0
            time.sleep(float(arguments[0]))
            self.jump_s = 0.0
        elif command == "covariance":
            self.variance = float(arguments[0])
        elif command == "wrong_type":
            self.publish_wrong_type(int(arguments[0]))
        elif command == "goal":
            self.publish_goal(self.goal, "odom", *map(float, arguments))
        elif command == "nan_goal":
            self.publish_goal(self.goal, "odom", math.nan, 0.0)
        elif command == "record":
            self.taken()
            time.sleep(float(arguments[0]))
            return self.taken()
        elif command == "actions":
            return self.taken()
        elif command == "diagnostics":
            return self.report
        elif command == "plan":
            return self.path
        else:
            raise ValueError(f"unknown command {command}")
        return "done"


DemoRobot().serve()
