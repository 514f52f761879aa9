//! The states and transitions of a managed node, as a table. Independent of ROS.
//!
//! The design: <https://design.ros2.org/articles/node_lifecycle.html>. Ids and labels are those of
//! `lifecycle_msgs`. The table is that of `rcl_lifecycle/src/default_state_machine.c` with one more
//! row: an error in the active state. The design has it; rcl leaves it to the client libraries.
//!
//! ```text
//!                configure           activate
//! unconfigured ------------> inactive ------> active
//!       ^      <------------          <------   |
//!       |         cleanup            deactivate | error
//!       +------------- error processing <-------+
//! shutdown leads from each of the three to finalized
//! ```
//! Each arrow goes through a transition state, in which the work is done. Success leads on, failure
//! leads back, an error leads to error processing.

use State::{
    Activating, Active, CleaningUp, Configuring, Deactivating, ErrorProcessing, Finalized, Inactive, ShuttingDown,
    Unconfigured,
};

/// A state of the life cycle: primary states first, then transition states.
#[allow(missing_docs, reason = "the names are those of the design document")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Unconfigured = 1,
    Inactive = 2,
    Active = 3,
    Finalized = 4,
    Configuring = 10,
    CleaningUp = 11,
    ShuttingDown = 12,
    Activating = 13,
    Deactivating = 14,
    ErrorProcessing = 15,
}

impl State {
    /// All states.
    pub(crate) const ALL: [Self; 10] = [
        Unconfigured,
        Inactive,
        Active,
        Finalized,
        Configuring,
        CleaningUp,
        ShuttingDown,
        Activating,
        Deactivating,
        ErrorProcessing,
    ];

    /// The id in `lifecycle_msgs/msg/State`.
    pub(crate) fn id(self) -> u8 {
        self as u8
    }

    /// The label of rcl_lifecycle.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Unconfigured => "unconfigured",
            Inactive => "inactive",
            Active => "active",
            Finalized => "finalized",
            Configuring => "configuring",
            CleaningUp => "cleaningup",
            ShuttingDown => "shuttingdown",
            Activating => "activating",
            Deactivating => "deactivating",
            ErrorProcessing => "errorprocessing",
        }
    }
}

/// How the work of a transition state ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The work is done.
    Success,
    /// Refused; nothing has changed.
    Failure,
    /// The work failed half way.
    Error,
}

/// An arrow of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transition {
    /// The id in `lifecycle_msgs/msg/Transition`.
    pub id: u8,
    /// The label of rcl_lifecycle.
    pub label: &'static str,
    /// Where it starts.
    pub from: State,
    /// Where it ends.
    pub to: State,
}

/// Smaller ids are requests; this one and larger ids are outcomes.
const FIRST_OUTCOME: u8 = 10;

/// A transition state. Its outcomes have the ids `first_id` to `first_id + 2`.
struct Working {
    state: State,
    first_id: u8,
    /// The next state after success, failure and error.
    leads_to: [State; 3],
}

const WORKING: [Working; 6] = [
    Working { state: Configuring, first_id: 10, leads_to: [Inactive, Unconfigured, ErrorProcessing] },
    Working { state: CleaningUp, first_id: 20, leads_to: [Unconfigured, Inactive, ErrorProcessing] },
    Working { state: Activating, first_id: 30, leads_to: [Active, Inactive, ErrorProcessing] },
    Working { state: Deactivating, first_id: 40, leads_to: [Inactive, Active, ErrorProcessing] },
    Working { state: ShuttingDown, first_id: 50, leads_to: [Finalized, Finalized, ErrorProcessing] },
    Working { state: ErrorProcessing, first_id: 60, leads_to: [Unconfigured, Finalized, Finalized] },
];

const REQUESTS: [Transition; 7] = [
    Transition { id: 1, label: "configure", from: Unconfigured, to: Configuring },
    Transition { id: 2, label: "cleanup", from: Inactive, to: CleaningUp },
    Transition { id: 3, label: "activate", from: Inactive, to: Activating },
    Transition { id: 4, label: "deactivate", from: Active, to: Deactivating },
    Transition { id: 5, label: "shutdown", from: Unconfigured, to: ShuttingDown },
    Transition { id: 6, label: "shutdown", from: Inactive, to: ShuttingDown },
    Transition { id: 7, label: "shutdown", from: Active, to: ShuttingDown },
];

/// `TRANSITION_CALLBACK_ERROR`: an error while the node was active.
const ERROR_WHILE_ACTIVE: Transition =
    Transition { id: 99, label: "transition_error", from: Active, to: ErrorProcessing };

/// The request with this label that starts in `from`, if it is allowed there.
pub(crate) fn find_request(from: State, label: &str) -> Option<Transition> {
    REQUESTS.into_iter().find(|t| t.from == from && t.label == label)
}

/// The state machine of a node.
#[derive(Debug)]
pub(crate) struct Machine {
    state: State,
}

impl Default for Machine {
    fn default() -> Self {
        Self { state: Unconfigured }
    }
}

impl Machine {
    /// The present state.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// All transitions, as `get_transition_graph` returns them.
    pub(crate) fn graph() -> Vec<Transition> {
        REQUESTS.into_iter().chain(WORKING.iter().flat_map(outcomes)).collect()
    }

    /// The transitions from the present state, as `get_available_transitions` returns them.
    pub(crate) fn available(&self) -> Vec<Transition> {
        Self::graph().into_iter().filter(|t| t.from == self.state).collect()
    }

    /// The request with this label or, if the label is empty, with this id. Returns None if it is
    /// not allowed in the present state.
    pub(crate) fn find(&self, id: u8, label: &str) -> Option<Transition> {
        let matches = |t: &Transition| if label.is_empty() { t.id == id } else { t.label == label };
        self.available().into_iter().find(|t| t.id < FIRST_OUTCOME && matches(t))
    }

    /// Enters the transition state of `transition`, which comes from [`Machine::find`].
    pub(crate) fn start(&mut self, transition: &Transition) {
        self.state = transition.to;
    }

    /// Leaves the transition state. Returns the taken transition; None in a primary state.
    pub(crate) fn finish(&mut self, outcome: Outcome) -> Option<Transition> {
        let working = WORKING.iter().find(|working| working.state == self.state)?;
        let taken = outcomes(working)[outcome as usize];
        self.state = taken.to;
        Some(taken)
    }

    /// Leads an active node to error processing. Returns None in all other states.
    pub(crate) fn fail(&mut self) -> Option<Transition> {
        (self.state == Active).then(|| {
            self.state = ErrorProcessing;
            ERROR_WHILE_ACTIVE
        })
    }
}

fn outcomes(working: &Working) -> [Transition; 3] {
    let labels = ["transition_success", "transition_failure", "transition_error"];
    [0, 1, 2].map(|i| Transition {
        id: working.first_id + i as u8,
        label: labels[i],
        from: working.state,
        to: working.leads_to[i],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use r2r::lifecycle_msgs::msg::{State as Ids, Transition as Named};

    /// The table of the design document and of rcl_lifecycle: state, request, and the next state
    /// after success, failure and error.
    const DESIGN: [(State, i64, State, State, State); 7] = [
        (Unconfigured, Named::TRANSITION_CONFIGURE as i64, Inactive, Unconfigured, ErrorProcessing),
        (Inactive, Named::TRANSITION_CLEANUP as i64, Unconfigured, Inactive, ErrorProcessing),
        (Inactive, Named::TRANSITION_ACTIVATE as i64, Active, Inactive, ErrorProcessing),
        (Active, Named::TRANSITION_DEACTIVATE as i64, Inactive, Active, ErrorProcessing),
        (Unconfigured, Named::TRANSITION_UNCONFIGURED_SHUTDOWN as i64, Finalized, Finalized, ErrorProcessing),
        (Inactive, Named::TRANSITION_INACTIVE_SHUTDOWN as i64, Finalized, Finalized, ErrorProcessing),
        (Active, Named::TRANSITION_ACTIVE_SHUTDOWN as i64, Finalized, Finalized, ErrorProcessing),
    ];

    #[test]
    fn exactly_the_transitions_of_the_design_are_allowed() {
        let mut legal = 0;
        for from in [Unconfigured, Inactive, Active, Finalized] {
            for id in 0..=255u8 {
                let row = DESIGN.iter().find(|row| row.0 == from && row.1 == i64::from(id));
                assert_eq!(Machine { state: from }.find(id, "").is_some(), row.is_some(), "{from:?} {id}");
                let Some(row) = row else { continue };
                legal += 1;
                for (outcome, to) in [(Outcome::Success, row.2), (Outcome::Failure, row.3), (Outcome::Error, row.4)] {
                    let mut machine = Machine { state: from };
                    let transition = machine.find(id, "").unwrap();
                    machine.start(&transition);
                    // No request is allowed in a transition state.
                    assert!((0..=255).all(|id| machine.find(id, "").is_none()));
                    machine.finish(outcome).unwrap();
                    assert_eq!(machine.state(), to, "{from:?} {id} {outcome:?}");
                }
            }
        }
        assert_eq!(legal, 7);
    }

    #[test]
    fn a_label_names_the_transition_from_the_present_state() {
        let id = |state, label: &str| Machine { state }.find(0, label).map(|t| t.id);
        assert_eq!([Unconfigured, Inactive, Active].map(|s| id(s, "shutdown")), [Some(5), Some(6), Some(7)]);
        assert_eq!((id(Active, "configure"), id(Active, "deactivate")), (None, Some(4)));
        // Outcomes are not requests.
        assert_eq!((id(Configuring, "transition_success"), id(Finalized, "shutdown")), (None, None));
    }

    #[test]
    fn an_error_while_active_leads_through_error_processing() {
        let mut machine = Machine { state: Active };
        assert_eq!(machine.fail().unwrap().to, ErrorProcessing);
        machine.finish(Outcome::Success).unwrap();
        assert_eq!(machine.state(), Unconfigured);
        assert!(machine.fail().is_none() && machine.finish(Outcome::Error).is_none());
        for outcome in [Outcome::Failure, Outcome::Error] {
            let mut machine = Machine { state: ErrorProcessing };
            machine.finish(outcome).unwrap();
            assert_eq!(machine.state(), Finalized);
        }
    }

    #[test]
    fn ids_are_those_of_lifecycle_msgs() {
        let ids = [
            Ids::PRIMARY_STATE_UNCONFIGURED as u8,
            Ids::PRIMARY_STATE_INACTIVE as u8,
            Ids::PRIMARY_STATE_ACTIVE as u8,
            Ids::PRIMARY_STATE_FINALIZED as u8,
            Ids::TRANSITION_STATE_CONFIGURING as u8,
            Ids::TRANSITION_STATE_CLEANINGUP as u8,
            Ids::TRANSITION_STATE_SHUTTINGDOWN as u8,
            Ids::TRANSITION_STATE_ACTIVATING as u8,
            Ids::TRANSITION_STATE_DEACTIVATING as u8,
            Ids::TRANSITION_STATE_ERRORPROCESSING as u8,
        ];
        assert_eq!(State::ALL.map(State::id), ids);
        let graph = Machine::graph();
        let id_of = |from, to| graph.iter().find(|t| t.from == from && t.to == to).unwrap().id;
        assert_eq!(id_of(Configuring, ErrorProcessing), Named::TRANSITION_ON_CONFIGURE_ERROR as u8);
        assert_eq!(id_of(CleaningUp, Unconfigured), Named::TRANSITION_ON_CLEANUP_SUCCESS as u8);
        assert_eq!(id_of(Activating, Inactive), Named::TRANSITION_ON_ACTIVATE_FAILURE as u8);
        assert_eq!(id_of(Deactivating, Inactive), Named::TRANSITION_ON_DEACTIVATE_SUCCESS as u8);
        assert_eq!(id_of(ShuttingDown, ErrorProcessing), Named::TRANSITION_ON_SHUTDOWN_ERROR as u8);
        assert_eq!(id_of(ErrorProcessing, Unconfigured), Named::TRANSITION_ON_ERROR_SUCCESS as u8);
        // 7 requests and 3 outcomes of each of the 6 transition states.
        assert_eq!(graph.len(), 25);
    }
}
