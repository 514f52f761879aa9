//! What guidance did to a plan, as `diagnostic_msgs/DiagnosticArray`: a status per cost and one for
//! the whole plan. Every ROS tool can show and plot this message.

use r2r::diagnostic_msgs::msg::{DiagnosticArray, DiagnosticStatus};

use super::diagnostics::{hardware_id, key_values};
use crate::ros::ros_time::stamp;
use df_planning::{Plan, Skipped};

/// The statistics of `plan`. `node` is the node's full name.
pub(super) fn guidance_report(plan: &Plan, node: &str) -> DiagnosticArray {
    let costs = &plan.statistics.costs;
    let total: f64 = costs.iter().map(|cost| cost.mean).sum();
    let mut status: Vec<_> = costs
        .iter()
        .enumerate()
        .map(|(i, cost)| {
            // Status names must be unique, but a kind of cost may be configured several times.
            let nth = 1 + costs[..i].iter().filter(|before| before.name == cost.name).count();
            let name = if nth > 1 { format!("{} {nth}", cost.name) } else { cost.name.to_string() };
            let share = if total > 0.0 { cost.mean / total } else { 0.0 };
            DiagnosticStatus {
                level: DiagnosticStatus::OK as u8,
                name: format!("{node}: cost {name}"),
                message: format!("{:.4}, {:.0} % of the plan's cost", cost.mean, 100.0 * share),
                hardware_id: hardware_id(node),
                values: key_values([
                    ("mean", format!("{:.6}", cost.mean)),
                    ("std", format!("{:.6}", cost.std_dev)),
                    ("share", format!("{share:.4}")),
                ]),
            }
        })
        .collect();
    status.push(plan_status(plan, node));
    let mut array = DiagnosticArray { status, ..DiagnosticArray::default() };
    array.header.stamp = stamp(plan.first_tick_ns);
    array
}

fn plan_status(plan: &Plan, node: &str) -> DiagnosticStatus {
    let statistics = &plan.statistics;
    let Skipped { denoising_steps, guided_steps, tokens } = plan.skipped;
    let chosen_cost = plan.candidate_costs.get(plan.chosen).copied().unwrap_or(0.0);
    let (level, message) = if plan.skipped.is_nothing() {
        (DiagnosticStatus::OK as u8, "nothing was skipped".to_string())
    } else {
        let skipped = [(denoising_steps, "denoising steps"), (guided_steps, "guided steps"), (tokens, "tokens")];
        let skipped = skipped.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        (DiagnosticStatus::WARN as u8, format!("skipped to be in time: {}", skipped.collect::<Vec<_>>().join(", ")))
    };
    DiagnosticStatus {
        level,
        name: format!("{node}: guidance"),
        message,
        hardware_id: hardware_id(node),
        values: key_values([
            ("candidates", plan.candidate_costs.len().to_string()),
            ("rollouts_per_candidate", plan.rollouts_per_candidate.to_string()),
            ("chosen", plan.chosen.to_string()),
            ("chosen_cost", format!("{chosen_cost:.6}")),
            ("denoising_steps", plan.denoising_steps.to_string()),
            ("guided_steps", statistics.guided_steps.to_string()),
            ("gradient_norm", format!("{:.6}", statistics.gradient_norm)),
            ("gradient_variance", format!("{:.6}", statistics.gradient_variance)),
            ("skipped.denoising_steps", denoising_steps.to_string()),
            ("skipped.guided_steps", guided_steps.to_string()),
            ("skipped.tokens", tokens.to_string()),
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_planning::{CostStatistics, Statistics};

    fn value(status: &DiagnosticStatus, key: &str) -> String {
        status.values.iter().find(|pair| pair.key == key).unwrap().value.clone()
    }

    #[test]
    fn there_is_a_status_for_each_cost_and_one_for_the_plan() {
        let cost = |name, mean, std_dev| CostStatistics { name, mean, std_dev };
        let plan = Plan {
            first_tick_ns: 2_500_000_000,
            candidate_costs: vec![9.0, 4.0],
            rollouts_per_candidate: 2,
            chosen: 1,
            denoising_steps: 3,
            skipped: Skipped { guided_steps: 2, ..Skipped::default() },
            statistics: Statistics {
                costs: vec![cost("goal", 3.0, 0.5), cost("keep_out", 0.0, 0.0), cost("goal", 1.0, 0.25)],
                guided_steps: 1,
                gradient_norm: 0.75,
                gradient_variance: 0.125,
            },
            ..Plan::default()
        };
        let array = guidance_report(&plan, "/robot/planner");
        assert_eq!((array.header.stamp.sec, array.header.stamp.nanosec), (2, 500_000_000));
        let names: Vec<&str> = array.status.iter().map(|status| status.name.as_str()).collect();
        let cost = |name: &str| format!("/robot/planner: {name}");
        assert_eq!(names, [cost("cost goal"), cost("cost keep_out"), cost("cost goal 2"), cost("guidance")]);
        // 3 of 3 + 0 + 1.
        assert_eq!(
            (value(&array.status[0], "mean"), value(&array.status[0], "share")),
            ("3.000000".into(), "0.7500".into())
        );
        assert_eq!(array.status[0].message, "3.0000, 75 % of the plan's cost");
        assert_eq!(
            (value(&array.status[2], "std"), value(&array.status[1], "share")),
            ("0.250000".into(), "0.0000".into())
        );
        let whole = &array.status[3];
        assert_eq!(
            (whole.level, whole.message.as_str()),
            (DiagnosticStatus::WARN as u8, "skipped to be in time: 2 guided steps")
        );
        assert_eq!(
            (value(whole, "gradient_norm"), value(whole, "gradient_variance")),
            ("0.750000".into(), "0.125000".into())
        );
        assert_eq!((value(whole, "chosen_cost"), whole.hardware_id.as_str()), ("4.000000".into(), "robot/planner"));
    }

    #[test]
    fn a_plan_whose_costs_are_zero_has_zero_shares() {
        let free = Plan {
            statistics: Statistics {
                costs: vec![CostStatistics { name: "goal", mean: 0.0, std_dev: 0.0 }],
                ..Statistics::default()
            },
            ..Plan::default()
        };
        assert_eq!(value(&guidance_report(&free, "/p").status[0], "share"), "0.0000");
        let none = guidance_report(&Plan::default(), "/p");
        assert_eq!((none.status.len(), none.status[0].level), (1, DiagnosticStatus::OK as u8));
    }
}
