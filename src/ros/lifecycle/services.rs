//! The five services and the topic by which others see and steer the life cycle.

use std::pin::Pin;

use futures::stream::{SelectAll, select_all};
use futures::{Stream, StreamExt};
use r2r::lifecycle_msgs::msg::{
    State as StateMessage, Transition as TransitionMessage, TransitionDescription, TransitionEvent,
};
use r2r::lifecycle_msgs::srv::{ChangeState, GetAvailableStates, GetAvailableTransitions, GetState};
use r2r::{Publisher, QosProfile, ServiceRequest, WrappedServiceTypeSupport};

use super::machine::{Machine, State, Transition};
use crate::ros::bridge::{Bridge, RosError};

/// A state that a message can name and no node is in.
const UNKNOWN: (u8, &str) = (0, "unknown");

/// A call of one of the services, to be answered.
pub enum Question {
    Change(ServiceRequest<ChangeState::Service>),
    State(ServiceRequest<GetState::Service>),
    States(ServiceRequest<GetAvailableStates::Service>),
    Transitions(ServiceRequest<GetAvailableTransitions::Service>),
    Graph(ServiceRequest<GetAvailableTransitions::Service>),
}

/// The services' calls and the topic.
pub struct Lifecycle {
    questions: SelectAll<Pin<Box<dyn Stream<Item = Question> + Send>>>,
    events: Publisher<TransitionEvent>,
}

impl Lifecycle {
    /// Creates the services and the topic.
    ///
    /// # Errors
    /// As rcl says.
    pub fn serve(bridge: &mut Bridge) -> Result<Self, RosError> {
        let questions = vec![
            service::<ChangeState::Service>(bridge, "~/change_state", Question::Change)?,
            service::<GetState::Service>(bridge, "~/get_state", Question::State)?,
            service::<GetAvailableStates::Service>(bridge, "~/get_available_states", Question::States)?,
            service::<GetAvailableTransitions::Service>(bridge, "~/get_available_transitions", Question::Transitions)?,
            service::<GetAvailableTransitions::Service>(bridge, "~/get_transition_graph", Question::Graph)?,
        ];
        let events = bridge.typed_publisher::<TransitionEvent>("~/transition_event", QosProfile::default())?;
        Ok(Self { questions: select_all(questions), events })
    }

    /// The next call.
    pub async fn next(&mut self) -> Option<Question> {
        self.questions.next().await
    }

    /// Tells those who listen that the state has changed. `now_ns`: ROS time.
    pub fn announce(&self, transition: &Transition, now_ns: i64) {
        let event = TransitionEvent {
            timestamp: u64::try_from(now_ns).unwrap_or(0),
            transition: named(transition),
            start_state: state(transition.from),
            goal_state: state(transition.to),
        };
        // Fails only where the node is being destroyed: nobody listens any more.
        let _ = self.events.publish(&event);
    }
}

impl Question {
    /// Answers what only asks; a change is given back, to be carried out.
    pub fn answer(self, machine: &Machine) -> Option<ServiceRequest<ChangeState::Service>> {
        // An answer that cannot be sent: the caller, or the node, is gone.
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

type Questions = Pin<Box<dyn Stream<Item = Question> + Send>>;

fn service<T>(
    bridge: &mut Bridge,
    name: &str,
    question: fn(ServiceRequest<T>) -> Question,
) -> Result<Questions, RosError>
where
    T: WrappedServiceTypeSupport + 'static,
{
    Ok(Box::pin(bridge.service::<T>(name, QosProfile::services_default())?.map(question)))
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
