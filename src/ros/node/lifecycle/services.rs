//! The five services and the topic of the life cycle.

use std::pin::Pin;

use futures::stream::{SelectAll, select_all};
use futures::{Stream, StreamExt};
use r2r::lifecycle_msgs::msg::{
    State as StateMessage, Transition as TransitionMessage, TransitionDescription, TransitionEvent,
};
use r2r::lifecycle_msgs::srv::{ChangeState, GetAvailableStates, GetAvailableTransitions, GetState};
use r2r::{Publisher, QosProfile, ServiceRequest, WrappedServiceTypeSupport};

use super::machine::{Machine, State, Transition};
use crate::ros::node_handle::{NodeHandle, RosError};

/// The state id 0 of the message. No node is ever in it.
const UNKNOWN: (u8, &str) = (0, "unknown");

/// A request of one of the services. It needs a response.
pub(crate) enum LifecycleRequest {
    /// Change the state.
    Change(ServiceRequest<ChangeState::Service>),
    /// Return the present state.
    State(ServiceRequest<GetState::Service>),
    /// Return all states.
    States(ServiceRequest<GetAvailableStates::Service>),
    /// Return the transitions from the present state.
    Transitions(ServiceRequest<GetAvailableTransitions::Service>),
    /// Return all transitions.
    Graph(ServiceRequest<GetAvailableTransitions::Service>),
}

type Requests = Pin<Box<dyn Stream<Item = LifecycleRequest> + Send>>;

/// Receives the requests and publishes the transitions.
pub(crate) struct Lifecycle {
    requests: SelectAll<Requests>,
    events: Publisher<TransitionEvent>,
}

impl Lifecycle {
    /// Creates the services and the topic.
    ///
    /// # Errors
    /// rcl refuses a name.
    pub(crate) fn serve(handle: &mut NodeHandle) -> Result<Self, RosError> {
        let requests = vec![
            service::<ChangeState::Service>(handle, "~/change_state", LifecycleRequest::Change)?,
            service::<GetState::Service>(handle, "~/get_state", LifecycleRequest::State)?,
            service::<GetAvailableStates::Service>(handle, "~/get_available_states", LifecycleRequest::States)?,
            service::<GetAvailableTransitions::Service>(
                handle,
                "~/get_available_transitions",
                LifecycleRequest::Transitions,
            )?,
            service::<GetAvailableTransitions::Service>(handle, "~/get_transition_graph", LifecycleRequest::Graph)?,
        ];
        let events = handle.typed_publisher::<TransitionEvent>("~/transition_event", QosProfile::default())?;
        Ok(Self { requests: select_all(requests), events })
    }

    /// The next request.
    pub(crate) async fn next(&mut self) -> Option<LifecycleRequest> {
        self.requests.next().await
    }

    /// Publishes that the state has changed. `now_ns`: ROS time.
    pub(crate) fn announce(&self, transition: &Transition, now_ns: i64) {
        let event = TransitionEvent {
            timestamp: u64::try_from(now_ns).unwrap_or(0),
            transition: named(transition),
            start_state: state(transition.from),
            goal_state: state(transition.to),
        };
        // Publishing fails only while the node is being destroyed.
        let _ = self.events.publish(&event);
    }
}

impl LifecycleRequest {
    /// Responds to all requests but a change of state, which it returns: the caller carries it out.
    pub(crate) fn respond(self, machine: &Machine) -> Option<ServiceRequest<ChangeState::Service>> {
        // Responding fails if the caller or the node is gone.
        let _ = match self {
            Self::Change(request) => return Some(request),
            Self::State(request) => request.respond(GetState::Response { current_state: state(machine.state()) }),
            Self::States(request) => {
                let unknown = StateMessage { id: UNKNOWN.0, label: UNKNOWN.1.into() };
                let available_states = std::iter::once(unknown).chain(State::ALL.map(state)).collect();
                request.respond(GetAvailableStates::Response { available_states })
            }
            Self::Transitions(request) => request.respond(described(machine.available())),
            Self::Graph(request) => request.respond(described(Machine::graph())),
        };
        None
    }
}

fn service<T>(
    handle: &mut NodeHandle,
    name: &str,
    request: fn(ServiceRequest<T>) -> LifecycleRequest,
) -> Result<Requests, RosError>
where
    T: WrappedServiceTypeSupport + 'static,
{
    Ok(Box::pin(handle.service::<T>(name, QosProfile::services_default())?.map(request)))
}

fn described(transitions: Vec<Transition>) -> GetAvailableTransitions::Response {
    let describe = |transition: &Transition| TransitionDescription {
        transition: named(transition),
        start_state: state(transition.from),
        goal_state: state(transition.to),
    };
    GetAvailableTransitions::Response { available_transitions: transitions.iter().map(describe).collect() }
}

fn named(transition: &Transition) -> TransitionMessage {
    TransitionMessage { id: transition.id, label: transition.label.into() }
}

fn state(state: State) -> StateMessage {
    StateMessage { id: state.id(), label: state.label().into() }
}
