"""An operator made with rclpy for tests/ros_lifecycle.rs: drives the node's life cycle by service calls.

Commands are lines on stdin, answers JSON lines on stdout; NODE is the node's full name.

    state                    the label of the current state
    change ID LABEL          requests a transition (LABEL `-`: by id); answers whether it succeeded
    states                   labels and ids of the available states
    transitions              ids, labels, start and goal of the transitions that start in the current state
    graph                    all transitions
    publishers TOPIC         the number of publishers
    events                   the transition events since the last call, as `start > goal`
    quit
"""

import threading

from lifecycle_msgs.msg import TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetAvailableStates, GetAvailableTransitions, GetState
from peer import Peer

NODE = "df_planner"
PATIENCE_S = 60.0


class Operator(Peer):
    def __init__(self):
        super().__init__("operator")
        self.seen = []
        self.node.create_subscription(TransitionEvent, f"{NODE}/transition_event", self.on_event, 100)
        self.clients = {
            name: self.node.create_client(kind, f"{NODE}/{name}")
            for name, kind in {
                "change_state": ChangeState,
                "get_state": GetState,
                "get_available_states": GetAvailableStates,
                "get_available_transitions": GetAvailableTransitions,
                "get_transition_graph": GetAvailableTransitions,
            }.items()
        }
        self.spin()
        for client in self.clients.values():
            assert client.wait_for_service(timeout_sec=PATIENCE_S), client.srv_name

    def on_event(self, event):
        with self.lock:
            self.seen.append(f"{event.start_state.label} > {event.goal_state.label}")

    def call(self, name, request):
        future = self.clients[name].call_async(request)
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        assert done.wait(PATIENCE_S), f"{name} does not answer"
        return future.result()

    def described(self, name):
        answer = self.call(name, GetAvailableTransitions.Request())
        return [
            [t.transition.id, t.transition.label, t.start_state.label, t.goal_state.label]
            for t in answer.available_transitions
        ]

    def do(self, command, arguments):
        if command == "state":
            return self.call("get_state", GetState.Request()).current_state.label
        if command == "change":
            request = ChangeState.Request()
            request.transition.id = int(arguments[0])
            request.transition.label = "" if arguments[1] == "-" else arguments[1]
            return self.call("change_state", request).success
        if command == "states":
            answer = self.call("get_available_states", GetAvailableStates.Request())
            return [[state.id, state.label] for state in answer.available_states]
        if command == "transitions":
            return self.described("get_available_transitions")
        if command == "graph":
            return self.described("get_transition_graph")
        if command == "publishers":
            return self.node.count_publishers(arguments[0])
        if command == "events":
            with self.lock:
                seen, self.seen = self.seen, []
            return seen
        raise ValueError(f"unknown command {command}")


Operator().serve()
