//! The node's state as `diagnostic_msgs/DiagnosticArray`, once a second.

use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};

use super::telemetry::{Histogram, Telemetry};
use super::timing::stamp;
use crate::planning::{Reason, Rung, ShadowScore};

/// Digits of the checkpoint's hash that are shown: enough to tell checkpoints apart.
const HASH_DIGITS: usize = 12;
/// The state of the life cycle in which the node drives.
const ACTIVE: &str = "active";

/// What does not change while the node is configured.
#[derive(Clone, Debug)]
pub struct Identity {
    pub device: String,
    /// The checkpoint's directory.
    pub checkpoint: String,
    /// The hash of its files.
    pub checkpoint_digest: String,
    pub configured_rate_hz: f64,
    /// Names of the observation groups in the contract's order.
    pub groups: Vec<String>,
    /// Labels of the action's channels.
    pub channels: Vec<String>,
}

/// What a report is made from.
pub struct Facts<'a> {
    /// The node's full name.
    pub node: &'a str,
    /// The state of the life cycle, as `get_state` names it.
    pub lifecycle: &'a str,
    pub now_ns: i64,
    /// None while the node is not configured.
    pub work: Option<Work<'a>>,
}

/// What a configured node does.
pub struct Work<'a> {
    pub identity: &'a Identity,
    pub telemetry: &'a mut Telemetry,
    /// The newest stamp per group, or none.
    pub newest_ns: &'a [Option<i64>],
    /// How unlike the training data the newest observation is, in its deviations.
    pub strangeness: Option<f64>,
    /// In the shadow mode: how it goes.
    pub shadow: Option<ShadowScore>,
}

/// Makes reports; remembers the last one, so that what happened between two is seen.
#[derive(Debug, Default)]
pub struct Diagnostics {
    last: Counts,
}

/// What a healthy node does not do.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    deadline_misses: u64,
    skipped_ticks: u64,
    plan_failures: u64,
}

impl Diagnostics {
    /// The message for now.
    pub fn report(&mut self, facts: Facts<'_>) -> DiagnosticArray {
        let command = facts.work.as_ref().and_then(|work| work.telemetry.command.clone());
        let reason = command.as_ref().and_then(|(_, r)| r.as_ref()).map(ToString::to_string).unwrap_or_default();
        let (state, mut level) = match facts.lifecycle {
            ACTIVE => match (state(command.as_ref()), facts.work.as_ref().is_some_and(|work| work.shadow.is_some())) {
                (("driving", level), true) => ("shadowing", level),
                (state, _) => state,
            },
            other => (other, DiagnosticStatus::OK as u8),
        };
        let mut message = if reason.is_empty() || facts.lifecycle != ACTIVE {
            state.to_string()
        } else {
            format!("{state}: {reason}")
        };
        let mut pairs = vec![("lifecycle".into(), facts.lifecycle.into()), ("state".into(), state.to_string())];
        if let Some(work) = facts.work {
            let events = self.events(work.telemetry);
            if !events.is_empty() {
                level = level.max(DiagnosticStatus::WARN as u8);
                message = format!("{message}; since the last report {events}");
            }
            let rung = command.as_ref().map_or("none", |(rung, _)| rung.name());
            pairs.extend([("rung".to_string(), rung.to_string()), ("reason".into(), reason)]);
            pairs.extend(work.pairs(facts.now_ns));
        }
        let mut array = DiagnosticArray::default();
        array.header.stamp = stamp(facts.now_ns);
        array.status = vec![DiagnosticStatus {
            level,
            name: format!("{}: planner", facts.node),
            message,
            hardware_id: hardware_id(facts.node),
            values: key_values(pairs),
        }];
        array
    }

    /// In words; empty where all is well.
    fn events(&mut self, telemetry: &Telemetry) -> String {
        let Telemetry { deadline_misses, skipped_ticks, plan_failures, .. } = *telemetry;
        let last = std::mem::replace(&mut self.last, Counts { deadline_misses, skipped_ticks, plan_failures });
        // A node that is configured anew counts from 0.
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
        let Self { identity, telemetry, newest_ns, strangeness, shadow } = self;
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
        pairs.extend(strangeness.map(|distance| ("strangeness".into(), format!("{distance:.2}"))));
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

/// What diagnostics of a node are about: the node itself, whose full name is one of its kind.
pub fn hardware_id(node: &str) -> String {
    node.trim_start_matches('/').into()
}

/// Pairs as the message wants them.
pub fn key_values<K: Into<String>>(pairs: impl IntoIterator<Item = (K, String)>) -> Vec<KeyValue> {
    pairs.into_iter().map(|(key, value)| KeyValue { key: key.into(), value }).collect()
}

fn distribution(name: &str, histogram: &Histogram) -> [(String, String); 3] {
    let pair = |suffix: &str, seconds: f64| (format!("{name}_{suffix}"), format!("{:.3}", seconds * 1e3));
    [pair("p50", histogram.quantile_s(0.5)), pair("p99", histogram.quantile_s(0.99)), pair("max", histogram.max_s())]
}

/// In one word, and as a level of diagnostics.
fn state(command: Option<&(Rung, Option<Reason>)>) -> (&'static str, u8) {
    let (ok, warn, error) = (DiagnosticStatus::OK as u8, DiagnosticStatus::WARN as u8, DiagnosticStatus::ERROR as u8);
    match command {
        None => ("starting", ok),
        Some((Rung::Plan, _)) => ("driving", ok),
        Some((_, Some(Reason::NoGoal))) => ("waiting_for_goal", ok),
        Some((_, Some(Reason::FillingHistory))) => ("filling_history", ok),
        Some((Rung::RestOfPlan | Rung::Hold | Rung::Ramp, _)) => ("degraded", warn),
        Some((Rung::Safe, _)) => ("safe", error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::planning::Command;

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

    fn command(rung: Rung, reason: Option<Reason>) -> Command {
        Command { tick_ns: 0, values: vec![], rung, reason }
    }

    #[test]
    fn the_report_says_state_reason_and_ages() {
        let mut telemetry = Telemetry::default();
        let reason = Reason::Stale { group: "pose".into(), age_s: 0.4, max_age_s: 0.1 };
        let start = Instant::now();
        telemetry.ticked(start, start + Duration::from_millis(2), 0, &command(Rung::Safe, Some(reason)));
        let newest_ns = [Some(5_000_000_000), None];
        let work = Work {
            identity: &identity(),
            telemetry: &mut telemetry,
            newest_ns: &newest_ns,
            strangeness: None,
            shadow: None,
        };
        let facts = Facts { node: "/robot/planner", lifecycle: "active", now_ns: 5_250_000_000, work: Some(work) };
        let array = Diagnostics::default().report(facts);
        let status = &array.status[0];
        let value = |key: &str| value(status, key);
        assert_eq!(status.level, DiagnosticStatus::ERROR as u8);
        assert_eq!((status.name.as_str(), status.hardware_id.as_str()), ("/robot/planner: planner", "robot/planner"));
        assert_eq!(
            (value("lifecycle"), value("state"), value("rung")),
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
    fn what_went_wrong_between_two_reports_is_a_warning_once() {
        let (identity, mut telemetry, mut diagnostics) = (identity(), Telemetry::default(), Diagnostics::default());
        let mut report = |telemetry: &mut Telemetry| {
            let work = Work { identity: &identity, telemetry, newest_ns: &[], strangeness: None, shadow: None };
            let facts = Facts { node: "/p", lifecycle: "active", now_ns: 0, work: Some(work) };
            let status = diagnostics.report(facts).status.remove(0);
            (status.level, status.message)
        };
        let (ok, warn) = (DiagnosticStatus::OK as u8, DiagnosticStatus::WARN as u8);
        let now = Instant::now();
        telemetry.ticked(now, now, 0, &command(Rung::Plan, None));
        assert_eq!(report(&mut telemetry), (ok, "driving".into()));
        // A deadline is missed, a tick skipped; by the time of the report it drives again.
        telemetry.ticked(now, now, 1, &command(Rung::RestOfPlan, Some(Reason::DeadlineMissed)));
        telemetry.ticked(now, now, 0, &command(Rung::Plan, None));
        let told = "driving; since the last report 1 missed deadlines, 1 skipped ticks";
        assert_eq!(report(&mut telemetry), (warn, told.into()));
        assert_eq!(report(&mut telemetry), (ok, "driving".into()));
        // Configured anew, it counts from 0: two failures in this report, although the last count was higher than 0.
        let mut anew = Telemetry::default();
        anew.ticked(now, now, 0, &command(Rung::Plan, None));
        anew.plan_failures = 2;
        assert_eq!(report(&mut anew), (warn, "driving; since the last report 2 failed plans".into()));
    }

    #[test]
    fn a_node_that_looks_on_says_how_it_would_have_done() {
        let mut telemetry = Telemetry::default();
        let now = Instant::now();
        telemetry.ticked(now, now, 0, &command(Rung::Plan, None));
        let mut score = ShadowScore::default();
        (0..3).for_each(|_| score.compare(&[0.5], &[0.0]));
        let shadow = Some(score);
        let work = Work { identity: &identity(), telemetry: &mut telemetry, newest_ns: &[], strangeness: None, shadow };
        let facts = Facts { node: "/p", lifecycle: "active", now_ns: 0, work: Some(work) };
        let status = Diagnostics::default().report(facts).status.remove(0);
        assert_eq!((value(&status, "state"), value(&status, "shadow.compared")), ("shadowing".into(), "3".into()));
    }

    #[test]
    fn a_node_that_does_not_drive_says_its_state_of_life() {
        let facts = Facts { node: "/p", lifecycle: "unconfigured", now_ns: 0, work: None };
        let status = Diagnostics::default().report(facts).status.remove(0);
        assert_eq!((status.level, status.message.as_str()), (DiagnosticStatus::OK as u8, "unconfigured"));
        let mut telemetry = Telemetry::default();
        let now = Instant::now();
        telemetry.ticked(now, now, 0, &command(Rung::Safe, Some(Reason::NoGoal)));
        let work =
            Work { identity: &identity(), telemetry: &mut telemetry, newest_ns: &[], strangeness: None, shadow: None };
        let facts = Facts { node: "/p", lifecycle: "inactive", now_ns: 0, work: Some(work) };
        let status = Diagnostics::default().report(facts).status.remove(0);
        assert_eq!((value(&status, "state"), status.message.as_str()), ("inactive".into(), "inactive"));
    }
}
