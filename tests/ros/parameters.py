"""A parameter client made with rclpy for tests/ros_parameters.rs. Reads lines on stdin, each a command and one JSON value;
answers with JSON lines on stdout.

    at NODE                     select this node; waits for its services
    list [PREFIXES, DEPTH]      answers with names and prefixes
    describe NAMES              answers with descriptors
    types NAMES                 answers with type numbers
    get NAMES                   answers with [type, value] pairs
    set {NAME: VALUE}           one call for all; answers with [successful, reason] for each
    set_atomically {NAME: VALUE}    answers with [successful, reason]
    events null                 [node, new, changed] for each event since the last call, names and values
    quit

Numbers without a point are integers, others doubles; null is NOT_SET. {"yaml": TEXT} is sent as `ros2 param set NODE NAME TEXT`
sends it, because JSON has no infinity.
"""

import json
import threading

from peer import Peer
from rcl_interfaces.msg import Parameter, ParameterEvent, ParameterValue
from rclpy.parameter import get_parameter_value, parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import qos_profile_parameter_events

PATIENCE_S = 20.0


class Client(Peer):
    def __init__(self):
        super().__init__("parameter_client")
        self.client = None
        self.events = []
        self.node.create_subscription(
            ParameterEvent, "/parameter_events", self.events.append, qos_profile_parameter_events
        )
        self.spin()

    def parse(self, rest):
        return json.loads(rest)

    def result(self, future):
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(PATIENCE_S):
            raise TimeoutError("no answer")
        return future.result()

    def do(self, command, value):
        if command == "at":
            self.client = AsyncParameterClient(self.node, value)
            return self.client.wait_for_services(timeout_sec=PATIENCE_S)
        if command == "list":
            result = self.result(self.client.list_parameters(*value)).result
            return {"names": list(result.names), "prefixes": list(result.prefixes)}
        if command == "describe":
            return [described(d) for d in self.result(self.client.describe_parameters(value)).descriptors]
        if command == "types":
            return list(self.result(self.client.get_parameter_types(value)).types)
        if command == "get":
            values = self.result(self.client.get_parameters(value)).values
            return [[v.type, plain(v)] for v in values]
        if command == "set":
            results = self.result(self.client.set_parameters(messages(value))).results
            return [[r.successful, r.reason] for r in results]
        if command == "set_atomically":
            result = self.result(self.client.set_parameters_atomically(messages(value))).result
            return [result.successful, result.reason]
        if command == "events":
            events, self.events[:] = self.events[:], []
            return [[e.node, named(e.new_parameters), named(e.changed_parameters)] for e in events]
        raise ValueError(f"unknown command {command}")


def plain(value):
    value = parameter_value_to_python(value)
    return list(value) if hasattr(value, "__len__") and not isinstance(value, str) else value


def named(parameters):
    return {p.name: plain(p.value) for p in parameters}


def described(d):
    ranges = [[r.from_value, r.to_value] for r in [*d.integer_range, *d.floating_point_range]]
    # JSON has no infinity; as text it stays visible.
    ranges = [[v if abs(v) < float("inf") else str(v) for v in r] for r in ranges]
    return {
        "name": d.name,
        "type": d.type,
        "description": d.description,
        "constraints": d.additional_constraints,
        "read_only": d.read_only,
        "dynamic_typing": d.dynamic_typing,
        "ranges": ranges,
    }


def messages(values):
    # As `ros2 param set` makes them of text.
    def message(value):
        text = value["yaml"] if isinstance(value, dict) else json.dumps(value)
        return ParameterValue() if value is None else get_parameter_value(text)

    return [Parameter(name=name, value=message(value)) for name, value in values.items()]


Client().serve()
