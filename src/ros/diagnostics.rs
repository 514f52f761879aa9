//! The node's state as `diagnostic_msgs/DiagnosticArray`, once a second.

use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus, KeyValue};

use super::telemetry::{Histogram, Telemetry};
use crate::planning::{Reason, Rung};

/// What does not change while the node runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The node's full name.
    pub node: String,
    pub device: String,
    pub checkpoint: String,
    /// Names of the observation groups in the contract's order.
    pub groups: Vec<String>,
}

/// The message for now. `newest_ns`: the newest stamp per group, or none.
pub fn report(
    identity: &Identity,
    telemetry: &mut Telemetry,
    newest_ns: &[Option<i64>],
    now_ns: i64,
) -> DiagnosticArray {
    let (state, level) = state(telemetry.command.as_ref());
    let rung = telemetry.command.as_ref().map_or("none", |(rung, _)| rung.name());
    let reason = telemetry.command.as_ref().and_then(|(_, r)| r.as_ref()).map(ToString::to_string).unwrap_or_default();
    let mut pairs = vec![
        ("state".to_string(), state.to_string()),
        ("achieved_rate_hz".into(), format!("{:.3}", telemetry.achieved_rate_hz())),
        ("recent_rate_hz".into(), format!("{:.3}", telemetry.recent_rate_hz())),
    ];
    pairs.extend(distribution("tick_jitter_ms", &telemetry.tick_jitter));
    pairs.extend(distribution("planning_latency_ms", &telemetry.planning_latency));
    pairs.extend([
        ("ticks".into(), telemetry.ticks.to_string()),
        ("skipped_ticks".into(), telemetry.skipped_ticks.to_string()),
        ("plans".into(), telemetry.plans.to_string()),
        ("plan_failures".into(), telemetry.plan_failures.to_string()),
        ("plans_cut_short".into(), telemetry.plans_cut_short.to_string()),
        ("deadline_misses".into(), telemetry.deadline_misses.to_string()),
        ("rung".into(), rung.into()),
        ("reason".into(), reason.clone()),
    ]);
    for (group, newest) in identity.groups.iter().zip(newest_ns) {
        let age = newest.map_or("never".into(), |ns| format!("{:.3}", now_ns.saturating_sub(ns) as f64 * 1e-9));
        pairs.push((format!("age_s.{group}"), age));
    }
    pairs.push(("device".into(), identity.device.clone()));
    pairs.push(("checkpoint".into(), identity.checkpoint.clone()));

    let mut array = DiagnosticArray::default();
    array.header.stamp = stamp(now_ns);
    array.status = vec![DiagnosticStatus {
        level,
        name: format!("{}: planner", identity.node),
        message: if reason.is_empty() { state.into() } else { format!("{state}: {reason}") },
        hardware_id: String::new(),
        values: pairs.into_iter().map(|(key, value)| KeyValue { key, value }).collect(),
    }];
    array
}

/// Nanoseconds as a ROS time.
pub fn stamp(ns: i64) -> r2r::builtin_interfaces::msg::Time {
    // Seconds beyond i32 (the year 2038) cannot be said in this message.
    let sec = i32::try_from(ns.div_euclid(1_000_000_000)).unwrap_or(i32::MAX);
    r2r::builtin_interfaces::msg::Time { sec, nanosec: ns.rem_euclid(1_000_000_000) as u32 }
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

    #[test]
    fn the_report_says_state_reason_and_ages() {
        let identity = Identity {
            node: "/planner".into(),
            device: "cpu".into(),
            checkpoint: "models/m".into(),
            groups: vec!["pose".into(), "scan".into()],
        };
        let mut telemetry = Telemetry::default();
        let reason = Reason::Stale { group: "pose".into(), age_s: 0.4, max_age_s: 0.1 };
        let command = Command { tick_ns: 0, values: vec![], rung: Rung::Safe, reason: Some(reason) };
        let start = Instant::now();
        telemetry.ticked(start, start + Duration::from_millis(2), 0, &command);
        let now_ns = 5_250_000_000;
        let array = report(&identity, &mut telemetry, &[Some(5_000_000_000), None], now_ns);
        let status = &array.status[0];
        let value = |key: &str| status.values.iter().find(|pair| pair.key == key).unwrap().value.clone();
        assert_eq!(status.level, DiagnosticStatus::ERROR as u8);
        assert_eq!((value("state"), value("rung")), ("safe".to_string(), "safe".to_string()));
        assert!(value("reason").contains("0.400 s old"), "{}", value("reason"));
        // 5.25 s - 5 s = 0.25 s.
        assert_eq!((value("age_s.pose"), value("age_s.scan")), ("0.250".to_string(), "never".to_string()));
        assert_eq!(value("tick_jitter_ms_max"), "2.000");
        assert_eq!((array.header.stamp.sec, array.header.stamp.nanosec), (5, 250_000_000));
    }
}
