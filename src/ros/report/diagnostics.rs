//! The node's state as `diagnostic_msgs/DiagnosticArray`, published once a second.

use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};

use super::histogram::Histogram;
use super::telemetry::{CommandState, Telemetry};
use crate::ros::ros_time::stamp;
use df_planning::{FallbackLevel, Reason, ShadowScore};

/// The number of shown digits of the checkpoint's hash: enough to tell checkpoints apart.
const HASH_DIGITS: usize = 12;
/// The life cycle state in which the node drives.
const ACTIVE: &str = "active";

/// What does not change while the node is configured.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The device that plans, such as `cpu`.
    pub device: String,
    /// The checkpoint's directory.
    pub checkpoint: String,
    /// The SHA-256 hash of the checkpoint's files, hexadecimal.
    pub checkpoint_digest: String,
    /// Ticks per second as configured.
    pub configured_rate_hz: f64,
    /// Names of the observation groups in the contract's order.
    pub groups: Vec<String>,
    /// Labels of the action's channels.
    pub channels: Vec<String>,
}

/// What a report is made from.
pub(crate) struct NodeState<'a> {
    /// The node's full name.
    pub node: &'a str,
    /// The life cycle state as `get_state` names it.
    pub lifecycle: &'a str,
    /// ROS time, nanoseconds.
    pub now_ns: i64,
    /// None while the node is not configured.
    pub work: Option<Work<'a>>,
}

/// What a configured node does.
pub(crate) struct Work<'a> {
    /// What does not change.
    pub identity: &'a Identity,
    /// What was measured.
    pub telemetry: &'a mut Telemetry,
    /// The newest stamp of each group in nanoseconds, or None.
    pub newest_ns: &'a [Option<i64>],
    /// The largest distance of the newest observation from the training data, in standard
    /// deviations. None if it is not monitored.
    pub ood_score: Option<f64>,
    /// In shadow mode: the comparison with the commands of another driver.
    pub shadow: Option<ShadowScore>,
}

/// Makes reports. Remembers the counts of the last one, to report what happened since.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    last: Counts,
}

/// Events that do not happen to a healthy node.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    deadline_misses: u64,
    skipped_ticks: u64,
    plan_failures: u64,
}

impl Diagnostics {
    /// The message for the state of the node.
    pub(crate) fn report(&mut self, state: NodeState<'_>) -> DiagnosticArray {
        let command = state.work.as_ref().and_then(|work| work.telemetry.last_command.clone());
        let reason = command.as_ref().and_then(|c| c.reason.as_ref()).map(ToString::to_string).unwrap_or_default();
        let is_shadow = state.work.as_ref().is_some_and(|work| work.shadow.is_some());
        let (name, mut level) = match state.lifecycle {
            ACTIVE => match name_and_level(command.as_ref()) {
                ("driving", level) if is_shadow => ("shadowing", level),
                other => other,
            },
            other => (other, DiagnosticStatus::OK as u8),
        };
        let mut message =
            if reason.is_empty() || state.lifecycle != ACTIVE { name.to_string() } else { format!("{name}: {reason}") };
        let mut pairs = vec![("lifecycle".into(), state.lifecycle.into()), ("state".into(), name.to_string())];
        if let Some(work) = state.work {
            let events = self.events_since_last(work.telemetry);
            if !events.is_empty() {
                level = level.max(DiagnosticStatus::WARN as u8);
                message = format!("{message}; since the last report {events}");
            }
            let fallback_level = command.as_ref().map_or("none", |command| command.level.name());
            pairs.extend([("fallback_level".to_string(), fallback_level.to_string()), ("reason".into(), reason)]);
            pairs.extend(work.pairs(state.now_ns));
        }
        let mut array = DiagnosticArray::default();
        array.header.stamp = stamp(state.now_ns);
        array.status = vec![DiagnosticStatus {
            level,
            name: format!("{}: planner", state.node),
            message,
            hardware_id: hardware_id(state.node),
            values: key_values(pairs),
        }];
        array
    }

    /// The events since the last report in words; empty if there were none.
    fn events_since_last(&mut self, telemetry: &Telemetry) -> String {
        let Telemetry { deadline_misses, skipped_ticks, plan_failures, .. } = *telemetry;
        let last = std::mem::replace(&mut self.last, Counts { deadline_misses, skipped_ticks, plan_failures });
        // After a new `configure` the counts begin at 0 again.
        let since = |now: u64, last: u64| now.checked_sub(last).unwrap_or(now);
        let events = [
            (since(deadline_misses, last.deadline_misses), "missed deadlines"),
            (since(skipped_ticks, last.skipped_ticks), "skipped ticks"),
            (since(plan_failures, last.plan_failures), "failed plans"),
        ];
        let events = events.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        events.collect::<Vec<_>>().join(", ")
    }
}

impl Work<'_> {
    fn pairs(self, now_ns: i64) -> Vec<(String, String)> {
        let Self { identity, telemetry, newest_ns, ood_score, shadow } = self;
        let mut pairs = vec![
            ("configured_rate_hz".to_string(), format!("{:.3}", identity.configured_rate_hz)),
            ("achieved_rate_hz".into(), format!("{:.3}", telemetry.achieved_rate_hz())),
            ("recent_rate_hz".into(), format!("{:.3}", telemetry.recent_rate_hz())),
        ];
        pairs.extend(distribution("tick_jitter_ms", &telemetry.tick_jitter));
        pairs.extend(distribution("period_error_ms", &telemetry.period_error));
        pairs.extend(distribution("planning_latency_ms", &telemetry.planning_latency));
        pairs.extend([
            ("ticks".into(), telemetry.ticks.to_string()),
            ("skipped_ticks".into(), telemetry.skipped_ticks.to_string()),
            ("plans".into(), telemetry.plans.to_string()),
            ("plan_failures".into(), telemetry.plan_failures.to_string()),
            ("plans_cut_short".into(), telemetry.plans_cut_short.to_string()),
            ("deadline_misses".into(), telemetry.deadline_misses.to_string()),
        ]);
        for (group, newest) in identity.groups.iter().zip(newest_ns) {
            let age = newest.map_or("never".into(), |ns| format!("{:.3}", now_ns.saturating_sub(ns) as f64 * 1e-9));
            pairs.push((format!("age_s.{group}"), age));
        }
        pairs.extend(ood_score.map(|score| ("ood_score".into(), format!("{score:.2}"))));
        if let Some(score) = shadow {
            pairs.push(("shadow.compared".into(), score.compared.to_string()));
            pairs.push(("shadow.unplanned".into(), score.unplanned.to_string()));
            let rmse = identity.channels.iter().zip(score.rmse());
            pairs.extend(rmse.map(|(channel, rmse)| (format!("shadow.rmse.{channel}"), format!("{rmse:.4}"))));
        }
        pairs.push(("device".into(), identity.device.clone()));
        pairs.push(("checkpoint".into(), identity.checkpoint.clone()));
        let digits = identity.checkpoint_digest.get(..HASH_DIGITS).unwrap_or(&identity.checkpoint_digest);
        pairs.push(("checkpoint_hash".into(), digits.into()));
        pairs
    }
}

/// The `hardware_id` of a node's diagnostics: its full name without the first slash.
pub(super) fn hardware_id(node: &str) -> String {
    node.trim_start_matches('/').into()
}

/// Converts pairs to message fields.
pub(super) fn key_values<K: Into<String>>(pairs: impl IntoIterator<Item = (K, String)>) -> Vec<KeyValue> {
    pairs.into_iter().map(|(key, value)| KeyValue { key: key.into(), value }).collect()
}

fn distribution(name: &str, histogram: &Histogram) -> [(String, String); 3] {
    let pair = |suffix: &str, seconds: f64| (format!("{name}_{suffix}"), format!("{:.3}", seconds * 1e3));
    [pair("p50", histogram.quantile_s(0.5)), pair("p99", histogram.quantile_s(0.99)), pair("max", histogram.max_s())]
}

/// The state of an active node as one word and as a level of diagnostics.
fn name_and_level(command: Option<&CommandState>) -> (&'static str, u8) {
    let (ok, warn, error) = (DiagnosticStatus::OK as u8, DiagnosticStatus::WARN as u8, DiagnosticStatus::ERROR as u8);
    let Some(CommandState { level, reason }) = command else { return ("starting", ok) };
    match (level, reason) {
        (FallbackLevel::Plan, _) => ("driving", ok),
        (_, Some(Reason::NoGoal)) => ("waiting_for_goal", ok),
        (_, Some(Reason::FillingHistory)) => ("filling_history", ok),
        (FallbackLevel::RestOfPlan | FallbackLevel::Hold | FallbackLevel::Ramp, _) => ("degraded", warn),
        (FallbackLevel::Safe, _) => ("safe", error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use df_planning::Command;

    fn identity() -> Identity {
        Identity {
            device: "cpu".into(),
            checkpoint: "models/m".into(),
            checkpoint_digest: "0123456789abcdef".into(),
            configured_rate_hz: 20.0,
            groups: vec!["pose".into(), "scan".into()],
            channels: vec!["u".into()],
        }
    }

    fn value(status: &DiagnosticStatus, key: &str) -> String {
        status.values.iter().find(|pair| pair.key == key).unwrap_or_else(|| panic!("no {key}")).value.clone()
    }

    fn command(level: FallbackLevel, reason: Option<Reason>) -> Command {
        Command { tick_ns: 0, values: vec![], level, reason }
    }

    #[test]
    fn a_report_names_state_reason_and_age_of_each_group() {
        let mut telemetry = Telemetry::default();
        let reason = Reason::Stale { group: "pose".into(), age_s: 0.4, max_age_s: 0.1 };
        let start = Instant::now();
        telemetry.record_tick(start, start + Duration::from_millis(2), 0, &command(FallbackLevel::Safe, Some(reason)));
        let newest_ns = [Some(5_000_000_000), None];
        let work = Work {
            identity: &identity(),
            telemetry: &mut telemetry,
            newest_ns: &newest_ns,
            ood_score: None,
            shadow: None,
        };
        let state = NodeState { node: "/robot/planner", lifecycle: "active", now_ns: 5_250_000_000, work: Some(work) };
        let array = Diagnostics::default().report(state);
        let status = &array.status[0];
        let value = |key: &str| value(status, key);
        assert_eq!(status.level, DiagnosticStatus::ERROR as u8);
        assert_eq!((status.name.as_str(), status.hardware_id.as_str()), ("/robot/planner: planner", "robot/planner"));
        assert_eq!(
            (value("lifecycle"), value("state"), value("fallback_level")),
            ("active".into(), "safe".into(), "safe".into())
        );
        assert!(value("reason").contains("0.400 s old"), "{}", value("reason"));
        assert_eq!(status.message, format!("safe: {}", value("reason")));
        // 5.25 s - 5 s = 0.25 s.
        assert_eq!((value("age_s.pose"), value("age_s.scan")), ("0.250".to_string(), "never".to_string()));
        assert_eq!(value("tick_jitter_ms_max"), "2.000");
        assert_eq!((value("configured_rate_hz"), value("checkpoint_hash")), ("20.000".into(), "0123456789ab".into()));
        assert_eq!((array.header.stamp.sec, array.header.stamp.nanosec), (5, 250_000_000));
    }

    #[test]
    fn an_event_between_two_reports_is_a_warning_in_one_report() {
        let (identity, mut telemetry, mut diagnostics) = (identity(), Telemetry::default(), Diagnostics::default());
        let mut report = |telemetry: &mut Telemetry| {
            let work = Work { identity: &identity, telemetry, newest_ns: &[], ood_score: None, shadow: None };
            let state = NodeState { node: "/p", lifecycle: "active", now_ns: 0, work: Some(work) };
            let status = diagnostics.report(state).status.remove(0);
            (status.level, status.message)
        };
        let (ok, warn) = (DiagnosticStatus::OK as u8, DiagnosticStatus::WARN as u8);
        let now = Instant::now();
        telemetry.record_tick(now, now, 0, &command(FallbackLevel::Plan, None));
        assert_eq!(report(&mut telemetry), (ok, "driving".into()));
        // A deadline is missed and a tick skipped. At the time of the report the node drives again.
        telemetry.record_tick(now, now, 1, &command(FallbackLevel::RestOfPlan, Some(Reason::DeadlineMissed)));
        telemetry.record_tick(now, now, 0, &command(FallbackLevel::Plan, None));
        let expected = "driving; since the last report 1 missed deadlines, 1 skipped ticks";
        assert_eq!(report(&mut telemetry), (warn, expected.into()));
        assert_eq!(report(&mut telemetry), (ok, "driving".into()));
        // After a new `configure` the counts begin at 0: the report shows both failures.
        let mut anew = Telemetry::default();
        anew.record_tick(now, now, 0, &command(FallbackLevel::Plan, None));
        anew.plan_failures = 2;
        assert_eq!(report(&mut anew), (warn, "driving; since the last report 2 failed plans".into()));
    }

    #[test]
    fn a_node_in_shadow_mode_reports_its_comparison() {
        let mut telemetry = Telemetry::default();
        let now = Instant::now();
        telemetry.record_tick(now, now, 0, &command(FallbackLevel::Plan, None));
        let mut score = ShadowScore::default();
        (0..3).for_each(|_| score.compare(&[0.5], &[0.0]));
        let shadow = Some(score);
        let work = Work { identity: &identity(), telemetry: &mut telemetry, newest_ns: &[], ood_score: None, shadow };
        let state = NodeState { node: "/p", lifecycle: "active", now_ns: 0, work: Some(work) };
        let status = Diagnostics::default().report(state).status.remove(0);
        assert_eq!((value(&status, "state"), value(&status, "shadow.compared")), ("shadowing".into(), "3".into()));
    }

    #[test]
    fn an_inactive_node_reports_its_life_cycle_state() {
        let state = NodeState { node: "/p", lifecycle: "unconfigured", now_ns: 0, work: None };
        let status = Diagnostics::default().report(state).status.remove(0);
        assert_eq!((status.level, status.message.as_str()), (DiagnosticStatus::OK as u8, "unconfigured"));
        let mut telemetry = Telemetry::default();
        let now = Instant::now();
        telemetry.record_tick(now, now, 0, &command(FallbackLevel::Safe, Some(Reason::NoGoal)));
        let work =
            Work { identity: &identity(), telemetry: &mut telemetry, newest_ns: &[], ood_score: None, shadow: None };
        let state = NodeState { node: "/p", lifecycle: "inactive", now_ns: 0, work: Some(work) };
        let status = Diagnostics::default().report(state).status.remove(0);
        assert_eq!((value(&status, "state"), status.message.as_str()), ("inactive".into(), "inactive"));
    }
}
