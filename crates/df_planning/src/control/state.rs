//! The state of the control loop: whether a plan is requested, and whether plans are followed at all.

use super::command::Reason;

/// What the control loop waits for.
///
/// ```text
///             request(Ok)                      accept(error)
///  Waiting ----------------> Planning(no failure) ----------> Planning(failure)
///     ^   <----------------      ^                                  |
///     |      request(Err)        '------------ request(Ok) ---------'
///     '-- clear -- Stopped <-- stop -- any state
/// ```
#[derive(Clone, Debug)]
pub(super) enum ControlState {
    /// No plan is requested.
    Waiting {
        /// Why.
        reason: Reason,
    },
    /// A plan is requested.
    Planning {
        /// The tick of its first action, nanoseconds.
        first_tick_ns: i64,
        /// Why it does not come.
        failure: Option<Reason>,
    },
    /// No plan is followed. Commands lead to the safe action.
    Stopped,
}

impl ControlState {
    /// Nothing has been observed yet.
    pub(super) fn initial() -> Self {
        Self::Waiting { reason: Reason::FillingHistory }
    }

    /// The state after a request: the first tick of the requested plan, or why none is requested. `Stopped` lasts.
    pub(super) fn request(&mut self, request: Result<i64, Reason>) {
        *self = match (&self, request) {
            (Self::Stopped, _) => Self::Stopped,
            (_, Ok(first_tick_ns)) => Self::Planning { first_tick_ns, failure: None },
            (_, Err(reason)) => Self::Waiting { reason },
        };
    }

    /// The plan that was requested last does not come.
    pub(super) fn fail(&mut self, cause: Reason) {
        match self {
            Self::Waiting { reason } => *reason = cause,
            Self::Planning { failure, .. } => *failure = Some(cause),
            Self::Stopped => (),
        }
    }

    /// The requested plan has come.
    pub(super) fn succeed(&mut self) {
        if let Self::Planning { failure, .. } = self {
            *failure = None;
        }
    }

    /// The tick of the first action of the requested plan, nanoseconds.
    pub(super) fn requested_tick_ns(&self) -> Option<i64> {
        match self {
            Self::Planning { first_tick_ns, .. } => Some(*first_tick_ns),
            Self::Waiting { .. } | Self::Stopped => None,
        }
    }

    /// Why there is no new plan.
    pub(super) fn missing_plan_reason(&self) -> Reason {
        match self {
            Self::Waiting { reason } => reason.clone(),
            Self::Planning { failure, .. } => failure.clone().unwrap_or(Reason::DeadlineMissed),
            Self::Stopped => Reason::Stopping,
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        matches!(self, Self::Stopped)
    }
}
