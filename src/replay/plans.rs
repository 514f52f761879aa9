//! Replayed plans: the action that the planner would have taken at each tick, beside the recorded one.
//!
//! The recorded command is always the one in effect, so each tick is planned in the recorded situation.

use std::time::Instant;

use df_core::{ACTION_MODALITY, Frame, History, Layout};
use df_data::Episode;
use df_planning::{Budget, PlanError, PlanRequest, Planner};
use serde::Serialize;

use crate::config::Config;

/// One tick of a replay, as it is written to the output. No value depends on the clock.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplayRow {
    /// Number of the episode, from 0.
    pub episode: usize,
    /// The tick that both actions are for, nanoseconds.
    pub tick_ns: i64,
    /// The planned action, in units, within the limits of the contract; one value per channel.
    pub planned: Vec<f64>,
    /// The mean of the recorded commands over the period after the tick, in units; one value per channel.
    pub recorded: Vec<f64>,
    /// Expected cost of the chosen candidate.
    pub cost: f64,
}

/// The result of a replay.
#[derive(Clone, Debug, Default)]
pub struct ReplayReport {
    /// Ticks with a plan and a recorded action.
    pub ticks: usize,
    /// Ticks that were not planned: an action is missing, a required group is missing in the newest token, or no goal
    /// was recorded yet.
    pub skipped: usize,
    /// Why plans failed, one error per failed tick.
    pub failed: Vec<PlanError>,
    squares: Vec<f64>,
    latencies_s: Vec<f64>,
}

impl ReplayReport {
    /// Root mean square of planned minus recorded action, in units; one value per channel.
    pub fn rmse(&self) -> Vec<f64> {
        self.squares.iter().map(|s| (s / self.ticks.max(1) as f64).sqrt()).collect()
    }

    /// A quantile in [0, 1] of the measured planning latency, seconds; 0 without plans.
    pub fn latency_s(&self, quantile: f64) -> f64 {
        let mut sorted = self.latencies_s.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * quantile).round() as usize).copied().unwrap_or(0.0)
    }
}

/// Replays episodes and passes every row to `each`, in order.
///
/// `goals`: stamp in nanoseconds and value in units, by ascending stamp. The newest goal that is not later than a tick
/// applies. `max_ticks`: maximum number of plans.
///
/// At tick k the history ends with frame k. The action of frame k + 1, in effect since tick k, is committed. The plan's
/// first action, for tick k + 1, is compared with that of frame k + 2.
pub fn replay(
    config: &Config,
    layout: &Layout,
    planner: &mut Planner,
    episodes: &[Episode],
    goals: &[(i64, Vec<f64>)],
    max_ticks: usize,
    each: &mut dyn FnMut(&ReplayRow),
) -> ReplayReport {
    let period_ns = config.contract.period_ns();
    let mut report = ReplayReport { squares: vec![0.0; layout.action().len()], ..ReplayReport::default() };
    for (number, episode) in episodes.iter().enumerate() {
        planner.reset();
        let mut history = History::new(layout, config.planner.history);
        for k in 0..episode.frames.len().saturating_sub(2) {
            if report.ticks >= max_ticks {
                return report;
            }
            history.push(episode.frames[k].clone());
            let tick_ns = episode.start_ns + k as i64 * period_ns;
            let goal =
                goals[..goals.partition_point(|(stamp, _)| *stamp <= tick_ns)].last().map(|(_, goal)| goal.clone());
            let (committed, next) = (action(&episode.frames[k + 1], layout), action(&episode.frames[k + 2], layout));
            let (Some(committed), Some(recorded), true) =
                (committed, next, history.is_known(layout.frame_stack, &config.contract.observations))
            else {
                report.skipped += 1;
                continue;
            };
            if goal.is_none() && config.contract.goal.is_some() && !goals.is_empty() {
                report.skipped += 1;
                continue;
            }
            let request = PlanRequest {
                tick_ns,
                history: history.clone(),
                committed: Some(committed),
                goal: goal.unwrap_or_default(),
            };
            let started = Instant::now();
            let plan = planner.plan(&request, &Budget::unlimited());
            report.latencies_s.push(started.elapsed().as_secs_f64());
            match plan {
                Ok(plan) => {
                    let planned = config.contract.action.limited(&plan.actions[0]);
                    for (sum, (p, r)) in report.squares.iter_mut().zip(planned.iter().zip(&recorded)) {
                        *sum += (p - r).powi(2);
                    }
                    report.ticks += 1;
                    let cost = plan.candidate_costs[plan.chosen];
                    each(&ReplayRow { episode: number, tick_ns: plan.first_tick_ns, planned, recorded, cost });
                }
                Err(error) => report.failed.push(error),
            }
        }
    }
    report
}

/// The action of a frame, if it is present.
fn action(frame: &Frame, layout: &Layout) -> Option<Vec<f64>> {
    frame.present[ACTION_MODALITY].then(|| frame.values[layout.action()].iter().map(|&v| f64::from(v)).collect())
}
