//! One row of the table, as Markdown; with every episode, as JSON.

use std::fmt;

use df_planner::sim::maze2d::{Maze2d, Task};
use serde::Serialize;

use super::drive::Outcome;
use super::plans::Coherence;

pub const HEADER: &str = "\
| maze | task | setting | N | return | score | of the expert's | success | steps to the goal | plan ms p50 / p99 | jump m, worst | in walls |
|---|---|---|---|---|---|---|---|---|---|---|---|";

#[derive(Serialize)]
pub struct Row {
    maze: &'static str,
    task: &'static str,
    setting: String,
    changes: Vec<(String, String)>,
    raw_return: Mean,
    normalised_score: Mean,
    /// Mean return as a share of that of the expert on the same episodes.
    share_of_the_expert: f64,
    expert_return: Mean,
    /// Share of the episodes in which the goal was reached.
    success: f64,
    /// Over the episodes that reached the goal.
    steps_to_goal: Mean,
    plan_ms_p50: f64,
    plan_ms_p99: f64,
    jump_m: f64,
    worst_jump_m: f64,
    in_walls: f64,
    /// Seed, return and steps to the goal of each episode.
    episodes: Vec<(u64, usize, Option<usize>)>,
}

/// A mean with its standard error; NaN without values.
#[derive(Serialize)]
struct Mean {
    mean: f64,
    error: f64,
}

impl Mean {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        Self { mean, error: (squares / (count - 1.0).max(1.0) / count).sqrt() }
    }
}

impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.mean.is_nan() {
            return write!(f, "-");
        }
        write!(f, "{:.1} ± {:.1}", self.mean, self.error)
    }
}

impl Row {
    pub fn new(
        maze: Maze2d,
        task: Task,
        setting: String,
        changes: Vec<(String, String)>,
        outcomes: Vec<Outcome>,
        expert: &[Outcome],
    ) -> Self {
        let returns = |of: &[Outcome]| of.iter().map(|o| o.raw_return as f64).collect::<Vec<_>>();
        let (raw_return, expert_return) =
            (Mean::of(returns(&outcomes).into_iter()), Mean::of(returns(expert).into_iter()));
        let mut plan_ms: Vec<f64> = outcomes.iter().flat_map(|o| o.plan_ms.iter().copied()).collect();
        let coherence = outcomes.iter().fold(Coherence::default(), |all, o| all.and(&o.coherence));
        let reached = outcomes.iter().filter(|o| o.steps_to_goal.is_some()).count();
        Self {
            maze: maze.name(),
            task: match task {
                Task::Single => "single",
                Task::Multi => "multi",
            },
            setting,
            changes,
            normalised_score: Mean::of(outcomes.iter().map(|o| maze.normalised_score(o.raw_return as f64))),
            share_of_the_expert: raw_return.mean / expert_return.mean,
            raw_return,
            expert_return,
            success: reached as f64 / outcomes.len() as f64,
            steps_to_goal: Mean::of(outcomes.iter().filter_map(|o| o.steps_to_goal).map(|steps| steps as f64)),
            plan_ms_p50: quantile(&mut plan_ms, 0.5),
            plan_ms_p99: quantile(&mut plan_ms, 0.99),
            jump_m: coherence.jump_m(),
            worst_jump_m: coherence.worst_m(),
            in_walls: coherence.in_walls(),
            episodes: outcomes.iter().map(|o| (o.seed, o.raw_return, o.steps_to_goal)).collect(),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} | {:.3} | {:.2} | {} | {:.1} / {:.1} | {:.3}, {:.2} | {:.3} |",
            self.maze,
            self.task,
            self.setting,
            self.episodes.len(),
            self.raw_return,
            self.normalised_score,
            self.share_of_the_expert,
            self.success,
            self.steps_to_goal,
            self.plan_ms_p50,
            self.plan_ms_p99,
            self.jump_m,
            self.worst_jump_m,
            self.in_walls
        )
    }
}

/// A quantile in [0, 1]; NaN without values.
fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len().saturating_sub(1) as f64 * quantile).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}
