//! Logs why the robot gets something other than a fresh plan.

use super::throttled_log::{Severity, ThrottledLog};
use df_planning::{Command, FallbackLevel, Reason};

/// Logs the reason of `command`, if it does not come from a fresh plan. Each reason has its own
/// key, so that the log throttles it.
pub(crate) fn log_command(log: &ThrottledLog, command: &Command) {
    let Some(reason) = &command.reason else { return };
    let consequence = match command.level {
        FallbackLevel::Plan => return,
        FallbackLevel::RestOfPlan => "the rest of an older plan is driven",
        FallbackLevel::Hold => "the last command is held",
        FallbackLevel::Ramp => "the command goes to the safe action",
        FallbackLevel::Safe => "the safe action is published",
    };
    let (severity, key) = match reason {
        Reason::NoGoal => (Severity::Info, "no goal".to_string()),
        Reason::FillingHistory => (Severity::Info, "filling history".to_string()),
        Reason::NeverObserved { group } => (Severity::Warning, format!("never observed {group}")),
        Reason::Stale { group, .. } => (Severity::Warning, format!("stale {group}")),
        Reason::DeadlineMissed => (Severity::Warning, "deadline missed".to_string()),
        Reason::OutOfDistribution { group, .. } => (Severity::Warning, format!("out of distribution {group}")),
        Reason::Stopping => (Severity::Info, "stopping".to_string()),
        Reason::PlannerFailed(_) | Reason::PlannerPanicked(_) | Reason::NotFinite | Reason::WrongLength { .. } => {
            (Severity::Error, "planner failed".to_string())
        }
    };
    log.log(severity, key, format!("{consequence}: {reason}"));
}

#[cfg(test)]
mod tests {
    use super::super::throttled_log::log_channel;
    use super::*;

    #[test]
    fn a_command_is_logged_with_its_consequence_and_reason_unless_it_is_a_fresh_plan() {
        let (log, mut entries) = log_channel();
        let command = |level, reason| Command { tick_ns: 0, values: vec![0.0], level, reason };
        log_command(&log, &command(FallbackLevel::Plan, None));
        assert!(entries.try_recv().is_err());
        log_command(&log, &command(FallbackLevel::Hold, Some(Reason::DeadlineMissed)));
        let entry = entries.try_recv().unwrap();
        assert_eq!(entry.severity, Severity::Warning);
        assert_eq!(entry.text, "the last command is held: no plan was ready at the tick");
    }
}
