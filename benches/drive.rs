//! Drives the embedded world with the shipped model, in process, setting by setting: success, time to the goal,
//! planning time. Whole drives with the control loop, one plan a tick. The table is in
//! docs/src/reference/results/planning-time.md.
//!
//! `cargo bench --no-default-features --features sim --bench drive [-- NAME...]`
//!
//! `DF_DRIVES`: drives per setting (20). `DF_CONFIG`, `DF_MODEL`: another configuration, another checkpoint.

use std::path::{Path, PathBuf};
use std::time::Instant;

use df_core::{Layout, bind};
use df_diffusion::SolverKind;
use df_planner::config::Config;
use df_planner::load_planner;
use df_planner::sim::{Maze, STEP_S, Trial, definitions};
use df_planning::{Budget, ControlLoop, GuidanceStep, Latency, Planner, PlannerConfig, PlannerMode};
use nalgebra::Vector2;

/// Maximum length of a drive, seconds of simulated time.
const MAX_DRIVE_S: f64 = 40.0;

type Change = fn(&mut PlannerConfig);

const SETTINGS: &[(&str, Change)] = &[
    ("shipped", |_| ()),
    ("immediate", |p| p.latency = Latency::Immediate),
    ("horizon_15", |p| p.horizon = 15),
    ("horizon_15_candidates_8", |p| (p.horizon, p.candidates) = (15, 8)),
    ("horizon_15_candidates_12", |p| (p.horizon, p.candidates) = (15, 12)),
    ("horizon_15_candidates_8_steps_8", |p| (p.horizon, p.candidates, p.denoising_steps) = (15, 8, 8)),
    ("horizon_15_candidates_12_rollouts_1", |p| (p.horizon, p.candidates, p.rollouts) = (15, 12, 1)),
    ("horizon_15_streaming_05_2", |p| {
        (p.horizon, p.candidates) = (15, 8);
        stream(p, 0.5, 2);
    }),
    ("candidates_8", |p| p.candidates = 8),
    ("candidates_12", |p| p.candidates = 12),
    ("rollouts_1", |p| p.rollouts = 1),
    ("rollouts_4", |p| p.rollouts = 4),
    ("steps_8", |p| p.denoising_steps = 8),
    ("steps_8_candidates_8", |p| (p.denoising_steps, p.candidates) = (8, 8)),
    ("line_search", |p| p.guidance.step = GuidanceStep::LineSearch),
    ("line_search_scale_1", |p| (p.guidance.step, p.guidance.scale) = (GuidanceStep::LineSearch, 1.0)),
    ("unguided", |p| p.guidance.scale = 0.0),
    ("dpm_solver", |p| p.solver = SolverKind::DpmSolver),
    ("streaming_03_2", |p| stream(p, 0.3, 2)),
    ("streaming_05_1", |p| stream(p, 0.5, 1)),
    ("streaming_05_2", |p| stream(p, 0.5, 2)),
    ("streaming_05_3", |p| stream(p, 0.5, 3)),
    ("streaming_07_3", |p| stream(p, 0.7, 3)),
];

fn stream(planner: &mut PlannerConfig, renoise_level: f64, steps_per_tick: usize) {
    planner.mode = PlannerMode::Streaming;
    planner.streaming.renoise_level = renoise_level;
    planner.streaming.steps_per_tick = steps_per_tick;
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = std::env::var_os("DF_CONFIG").map_or_else(|| root.join("config/point_maze.yaml"), PathBuf::from);
    let config = Config::load(&file).expect("a configuration");
    let bound = bind(&config.contract, &definitions()).expect("the world's messages");
    let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config.contract));
    let model = std::env::var_os("DF_MODEL").map_or_else(|| root.join("models/point_maze"), PathBuf::from);
    let drives: u64 = std::env::var("DF_DRIVES").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    println!(
        "{:<36} {:>8} {:>10} {:>9} {:>9} {:>9}   not reached",
        "setting", "reached", "median s", "p50 ms", "p99 ms", "max OOD"
    );
    for (name, change) in SETTINGS.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name)) {
        let mut config = config.clone();
        change(&mut config.planner);
        let mut planner = load_planner(&model, &config, &layout, "cpu").expect("the checkpoint");
        let (mut latencies_ms, mut max_ood_score) = (Vec::new(), 0.0);
        let runs: Vec<Option<f64>> = (0..drives)
            .map(|seed| drive(&config, &layout, &mut planner, seed, &mut latencies_ms, &mut max_ood_score))
            .collect();
        let mut times: Vec<f64> = runs.iter().flatten().copied().collect();
        let lost: Vec<usize> = runs.iter().enumerate().filter_map(|(s, run)| run.is_none().then_some(s)).collect();
        println!(
            "{name:<36} {:>3} of {drives} {:>10.2} {:>9.1} {:>9.1} {max_ood_score:>9.2}   {lost:?}",
            times.len(),
            quantile(&mut times, 0.5),
            quantile(&mut latencies_ms, 0.5),
            quantile(&mut latencies_ms, 0.99)
        );
    }
}

/// Seconds to the goal; `None`: not reached.
///
/// As in the node, the action planned in one period is published at the next tick, or with immediate latency at the
/// same tick. `max_ood_score` is raised to the largest OOD score, in standard deviations of the training data.
fn drive(
    config: &Config,
    layout: &Layout,
    planner: &mut Planner,
    seed: u64,
    latencies_ms: &mut Vec<f64>,
    max_ood_score: &mut f64,
) -> Option<f64> {
    planner.reset();
    let mut control = ControlLoop::new(&config.planning(), layout, planner.normaliser());
    let mut trial = Trial::draw(Maze::demo(), seed);
    control.set_goal(trial.goal().as_slice());
    let steps_per_tick = (config.contract.period_s / STEP_S).round() as i64;
    let step_ns = config.contract.period_ns() / steps_per_tick;
    let mut force = Vector2::zeros();
    let mut step = 0;
    while trial.elapsed_s() < MAX_DRIVE_S {
        // The robot rests until its first plan: the history fills before the first force.
        let state = trial.state();
        control.observe(0, step * step_ns, state.position.as_slice());
        control.observe(1, step * step_ns, state.velocity.as_slice());
        if step % steps_per_tick == 0 {
            let (command, request) = match control.latency() {
                Latency::Compensated => {
                    let tick = control.tick(step * step_ns);
                    (Some(tick.command), tick.request)
                }
                Latency::Immediate => (None, control.open(step * step_ns)),
            };
            if let Some(request) = request {
                let started = Instant::now();
                let plan = planner.plan(&request, &Budget::unlimited());
                latencies_ms.push(started.elapsed().as_secs_f64() * 1e3);
                control.accept(plan);
            }
            let command = command.unwrap_or_else(|| control.close());
            force = Vector2::from_column_slice(&command.values);
            *max_ood_score = control.ood_score().unwrap_or(0.0).max(*max_ood_score);
        }
        if trial.step(force) {
            return trial.reached_at_s();
        }
        step += 1;
    }
    None
}

/// A quantile in [0, 1]; NaN without values.
fn quantile(values: &mut [f64], quantile: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len().saturating_sub(1) as f64 * quantile).round() as usize;
    values.get(at).copied().unwrap_or(f64::NAN)
}
