//! The planner with the ideal denoiser: plans, streamed plans, queries and long horizons have the exact distribution.
//! The planner keeps its time budget, and settings change between ticks.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use df_core::{Frame, History, Layout, Normaliser};
use df_diffusion::NoiseScheduleKind;
use df_diffusion::{Denoiser, DenoiserError, Levels, NoiseSchedule, TokenSpec, Tokens};
use df_planning::PlanningConfig;
use df_planning::{Budget, PlanError, PlanRequest, Planner, Query, SamplingError, Skipped};
use df_planning::{PlannerConfig, PlannerMode};
use nalgebra::DVector;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::guidance::request;
use super::process::{Exact, Process};
use super::statistics::{against_normal, two_samples};
use super::support::contract::ContractYaml;

const SCHEDULE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);
const CHANNELS: usize = 3;

/// One action, two observed channels, one frame per token, ten ticks per second.
pub fn config(settings: &str) -> PlanningConfig {
    let yaml = ContractYaml::point_robot().and(settings);
    PlanningConfig::parse(yaml.text(), Path::new("test.yaml")).unwrap_or_else(|error| panic!("{error}"))
}

pub fn layout() -> Layout {
    Layout::new(1, [("action".into(), vec!["u".into()]), ("obs".into(), vec!["x".into(), "y".into()])])
}

pub fn normaliser() -> Normaliser {
    Normaliser::new(vec![0.0; CHANNELS], vec![1.0; CHANNELS])
}

/// Noise scales that differ from the standard deviations of the data, so that a confusion of the two fails the tests.
pub const NOISE_SCALE: [f32; CHANNELS] = [1.0, 0.5, 2.0];

pub fn scaled() -> Normaliser {
    Normaliser { noise_scale: NOISE_SCALE.into(), ..Normaliser::new(vec![0.0; CHANNELS], vec![9.0; CHANNELS]) }
}

pub fn exact(process: &Process) -> Exact {
    process.denoiser(SCHEDULE, &TokenSpec::new(&[0, 1, 1], 1))
}

pub fn planner(denoiser: impl Denoiser + Send + 'static, settings: &str) -> Planner {
    Planner::new(Box::new(denoiser), &config(settings), layout(), normaliser(), SCHEDULE).unwrap()
}

pub fn flat(frames: &[Vec<f32>]) -> DVector<f64> {
    DVector::from_iterator(frames.len() * CHANNELS, frames.iter().flatten().map(|&v| f64::from(v)))
}

#[test]
fn plans_have_the_exact_distribution_given_history_and_committed_action() {
    let process = Process::draw(6, CHANNELS, 3);
    let truth = process.sample(&mut ChaCha8Rng::seed_from_u64(1));
    for matrix in ["full_sequence", "pyramid"] {
        let settings = format!(
            "planner: {{history: 2, horizon: 4, matrix: {matrix}, solver: dpm_solver, denoising_steps: 40,
              uncertainty_scale: 10.0, candidates: 2000, rollouts: 1}}"
        );
        let plan = planner(exact(&process), &settings).plan(&request(&truth, 2), &Budget::unlimited()).unwrap();
        // Two tokens and the committed action are known: 7 values.
        let known: Vec<(usize, f64, f64)> = (0..7).map(|i| (i, truth[i], 0.0)).collect();
        let (mean, covariance) = process.given(&known, &(7..18).collect::<Vec<_>>());
        let samples: Vec<DVector<f64>> = plan.rollouts.iter().map(|f| flat(f).rows(1, 11).clone_owned()).collect();
        let (of_mean, of_covariance) = against_normal(&samples, &mean, &covariance);
        assert!(of_mean < 1.0 && of_covariance < 1.0, "{matrix}: mean {of_mean:.2}, covariance {of_covariance:.2}");
    }
}

#[test]
fn hidden_actions_of_the_history_do_not_condition_the_plan() {
    let process = Process::draw(6, CHANNELS, 3);
    let truth = process.sample(&mut ChaCha8Rng::seed_from_u64(1));
    // The actions of the two tokens of the history; the committed one is value 6.
    let others =
        DVector::from_fn(truth.len(), |i, _| if [0, CHANNELS].contains(&i) { truth[i] + 5.0 } else { truth[i] });
    let rollouts = |truth: &DVector<f64>, history_actions: bool| {
        let settings = format!("planner: {{history: 2, horizon: 4, history_actions: {history_actions}}}");
        planner(exact(&process), &settings).plan(&request(truth, 2), &Budget::unlimited()).unwrap().rollouts
    };
    assert_eq!(rollouts(&truth, false), rollouts(&others, false));
    assert_ne!(rollouts(&truth, true), rollouts(&others, true));
    // Observations condition the plan, and so do committed actions.
    for i in [1, CHANNELS + 2, 2 * CHANNELS] {
        let moved = DVector::from_fn(truth.len(), |k, _| truth[k] + if k == i { 5.0 } else { 0.0 });
        assert_ne!(rollouts(&truth, false), rollouts(&moved, false), "value {i}");
    }
}

const TICKS: usize = 4;
const RUNS: usize = 1500;
/// History tokens of the streaming test: enough for all ticks, so that full planning uses all of them too.
const MEMORY: usize = 1 + TICKS;

/// Drives `TICKS` ticks in a world that follows each plan. Returns the observations and the actions.
fn rollout(planner: &mut Planner, start: &Frame, committed: f64, run: i64) -> DVector<f64> {
    planner.reset();
    let mut request = PlanRequest {
        tick_ns: run * 1_000_000_000_000,
        history: History::new(&layout(), MEMORY),
        committed: Some(vec![committed]),
        goal: vec![],
    };
    request.history.push(start.clone());
    let mut seen = Vec::new();
    for _ in 0..TICKS {
        let plan = planner.plan(&request, &Budget::unlimited()).unwrap();
        let mut frame = Frame { values: plan.rollouts[0][0].clone(), present: vec![true; 2], std: Vec::new() };
        frame.values[0] = request.committed.take().unwrap()[0] as f32;
        seen.extend([f64::from(frame.values[1]), f64::from(frame.values[2]), plan.actions[0][0]]);
        request.history.push(frame);
        request.committed = Some(plan.actions[0].clone());
        request.tick_ns += 100_000_000;
    }
    DVector::from_vec(seen)
}

#[test]
fn streamed_plans_have_the_distribution_of_full_plans() {
    let process = Process::draw(MEMORY + 4, CHANNELS, 3);
    let truth = process.sample(&mut ChaCha8Rng::seed_from_u64(1));
    let start = Frame { values: (0..3).map(|c| truth[c] as f32).collect(), present: vec![true; 2], std: vec![] };
    let sampled = |mode: &str| -> Vec<DVector<f64>> {
        let settings = format!(
            "planner: {{mode: {mode}, history: {MEMORY}, horizon: 4, matrix: pyramid, solver: dpm_solver, denoising_steps: 24,
              uncertainty_scale: 8.0, candidates: 1, rollouts: 1, streaming: {{renoise_level: 0.3, steps_per_tick: 12}}}}"
        );
        let mut planner = planner(exact(&process), &settings);
        (0..RUNS as i64).map(|run| rollout(&mut planner, &start, truth[3], run)).collect()
    };
    let (full, streaming) = (sampled("full"), sampled("streaming"));
    // Ancestral sampling, tick by tick, is sampling from the process: values 4 (obs of token 1) to 3 + 3 TICKS (action
    // of the last).
    let known: Vec<(usize, f64, f64)> = (0..4).map(|i| (i, truth[i], 0.0)).collect();
    let (mean, covariance) = process.given(&known, &(4..4 + 3 * TICKS).collect::<Vec<_>>());
    for (name, samples) in [("full", &full), ("streaming", &streaming)] {
        let (of_mean, of_covariance) = against_normal(samples, &mean, &covariance);
        println!("{name}: mean {of_mean:.2}, covariance {of_covariance:.2} of what is allowed");
        assert!(of_mean < 1.0 && of_covariance < 1.0, "{name}: mean {of_mean:.2}, covariance {of_covariance:.2}");
    }
    let actions = |samples: &[DVector<f64>]| -> Vec<DVector<f64>> {
        samples.iter().map(|s| DVector::from_fn(TICKS, |k, _| s[3 * k + 2])).collect()
    };
    let (of_mean, of_covariance) = two_samples(&actions(&full), &actions(&streaming));
    assert!(of_mean < 1.0 && of_covariance < 1.0, "actions: mean {of_mean:.2}, covariance {of_covariance:.2}");
}

/// In a world that deviates from the plan, measures how far the next action of a streamed plan follows the new
/// observation.
#[test]
fn a_streamed_plan_follows_new_observations_more_at_a_higher_renoise_level() {
    let process = Process::draw(MEMORY + 4, CHANNELS, 3);
    let mut followed = Vec::new();
    for renoise_level in [0.05, 0.5, 0.7, 0.8, 0.9, 1.0] {
        let settings = format!(
            "planner: {{mode: streaming, history: {MEMORY}, horizon: 4, matrix: pyramid, solver: dpm_solver, denoising_steps: 24,
              uncertainty_scale: 8.0, candidates: 1, rollouts: 1, streaming: {{renoise_level: {renoise_level}, steps_per_tick: 12}}}}"
        );
        let mut planner = planner(exact(&process), &settings);
        // The mean action two ticks later, with the observation in between shifted up and shifted down.
        let mut mean_action = |push: f32| {
            (0..600)
                .map(|run| {
                    planner.reset();
                    let mut request = request(&process.mean, 1);
                    request.history = History::new(&layout(), MEMORY);
                    let frame = |values: Vec<f32>| Frame { values, present: vec![true; 2], std: vec![] };
                    request.history.push(frame(process.mean.rows(0, 3).iter().map(|&v| v as f32).collect()));
                    request.tick_ns = run * 1_000_000_000_000;
                    let plan = planner.plan(&request, &Budget::unlimited()).unwrap();
                    let observed = [1, 2].map(|c| process.mean[c] as f32 + push);
                    let committed = request.committed.as_ref().unwrap()[0];
                    request.history.push(frame(vec![committed as f32, observed[0], observed[1]]));
                    // Both cases take the same action, whatever the plan says.
                    request.committed = Some(vec![process.mean[0]]);
                    request.tick_ns += 100_000_000;
                    drop(plan);
                    planner.plan(&request, &Budget::unlimited()).unwrap().actions[0][0]
                })
                .sum::<f64>()
                / 600.0
        };
        let response = mean_action(2.0) - mean_action(-2.0);
        // The exact response: the conditional mean of the action of token 3 for the two histories.
        let mean = |push: f64| {
            let values = [0.0, 0.0, 0.0, 0.0, push, push, 0.0];
            let known: Vec<_> = values.iter().enumerate().map(|(i, v)| (i, process.mean[i % 3] + v, 0.0)).collect();
            process.given(&known, &[9]).0[0]
        };
        followed.push(response / (mean(2.0) - mean(-2.0)));
    }
    println!(
        "share of the new observation followed at once, by renoise_level 0.05, 0.5, 0.7, 0.8, 0.9, 1: {followed:.2?}"
    );
    // 600 runs leave an error of about 0.05.
    assert!(followed.is_sorted_by(|a, b| *a < b + 0.1) && followed[0] < 0.5, "{followed:?}");
    assert!((followed[5] - 1.0).abs() < 0.15, "a renoise_level of 1 is planning anew: {followed:?}");
}

/// Called after each evaluation with the clean tokens and the cost of the evaluation: 1, or 3 with a gradient.
type After = Box<dyn FnMut(&mut Tokens, u64) + Send>;

/// The ideal denoiser with a hook, optionally with the window of a network.
struct WatchingDenoiser {
    exact: Exact,
    window: Option<usize>,
    after: After,
}

impl WatchingDenoiser {
    fn new(exact: Exact, after: impl FnMut(&mut Tokens, u64) + Send + 'static) -> Self {
        Self { exact, window: None, after: Box::new(after) }
    }

    fn windowed(exact: Exact, window: usize) -> Self {
        Self { window: Some(window), ..Self::new(exact, |_, _| ()) }
    }
}

impl Denoiser for WatchingDenoiser {
    fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError> {
        assert!(self.window.is_none_or(|max| x.tokens <= max));
        let mut clean = self.exact.denoise(x, levels)?;
        (self.after)(&mut clean, 1);
        Ok(clean)
    }

    fn max_tokens(&self) -> Option<usize> {
        self.window
    }

    fn denoise_with_gradient(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        cotangent: &mut dyn FnMut(&Tokens) -> Tokens,
    ) -> Result<(Tokens, Tokens), DenoiserError> {
        assert!(self.window.is_none_or(|max| x.tokens <= max));
        let (mut clean, gradient) = self.exact.denoise_with_gradient(x, levels, cotangent)?;
        (self.after)(&mut clean, 3);
        Ok((clean, gradient))
    }
}

const QUERY_SETTINGS: &str = "planner: {history: 2, horizon: 3, solver: dpm_solver, denoising_steps: 40}";

fn frames(truth: &DVector<f64>) -> Vec<Frame> {
    let of = |k: usize| (0..CHANNELS).map(|c| truth[k * CHANNELS + c] as f32).collect();
    (0..truth.len() / CHANNELS).map(|k| Frame { values: of(k), present: vec![true; 2], std: Vec::new() }).collect()
}

#[test]
fn one_denoiser_predicts_observations_infers_actions_and_fills_gaps() {
    let process = Process::draw(5, CHANNELS, 3);
    let truth = process.sample(&mut ChaCha8Rng::seed_from_u64(6));
    type IsQueried = fn(usize, usize) -> bool;
    let queries: [(&str, IsQueried); 3] = [
        ("observations from actions", |k, m| k >= 1 && m == 1),
        ("actions from observations", |_, m| m == 0),
        ("a gap", |k, _| k == 2 || k == 3),
    ];
    for (name, is_queried) in queries {
        let mut planner = planner(exact(&process), QUERY_SETTINGS);
        let sampled =
            planner.sample_query(&Query { frames: &frames(&truth), is_queried: &is_queried }, 2000, 1).unwrap();
        let wanted: Vec<usize> = (0..15).filter(|i| is_queried(i / 3, usize::from(i % 3 > 0))).collect();
        let known: Vec<_> = (0..15).filter(|i| !wanted.contains(i)).map(|i| (i, truth[i], 0.0)).collect();
        let (mean, covariance) = process.given(&known, &wanted);
        let value = |frames: &[Frame], i: usize| f64::from(frames[i / 3].values[i % 3]);
        let samples: Vec<DVector<f64>> = sampled
            .iter()
            .map(|frames| DVector::from_iterator(wanted.len(), wanted.iter().map(|&i| value(frames, i))))
            .collect();
        let (of_mean, of_covariance) = against_normal(&samples, &mean, &covariance);
        assert!(of_mean < 1.0 && of_covariance < 1.0, "{name}: mean {of_mean:.2}, covariance {of_covariance:.2}");
        // The known values are returned unchanged.
        assert!(known.iter().all(|&(i, v, _)| (value(&sampled[0], i) - v).abs() < 1e-6), "{name}");
    }
}

#[test]
fn a_noisy_measurement_counts_by_its_standard_deviation() {
    let process = Process::draw(4, CHANNELS, 3);
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let truth = process.sample(&mut rng);
    let mut frames = frames(&truth);
    // obs of frame 1 is measured with a standard deviation of 0.7; frames 2 and 3 are queried.
    let noise: [f64; 2] = std::array::from_fn(|_| StandardNormal.sample(&mut rng));
    (0..2).for_each(|c| frames[1].values[1 + c] += 0.7 * noise[c] as f32);
    let known: Vec<_> =
        (0..6).map(|i| (i, f64::from(frames[i / 3].values[i % 3]), if i > 3 { 0.49 } else { 0.0 })).collect();
    // The process is that of the normalised values.
    frames[1].std = vec![0.0, 0.7 * NOISE_SCALE[1], 0.7 * NOISE_SCALE[2]];
    frames.iter_mut().for_each(|frame| frame.values.iter_mut().zip(NOISE_SCALE).for_each(|(value, s)| *value *= s));
    let is_queried = |k: usize, _: usize| k >= 2;
    let mut planner =
        Planner::new(Box::new(exact(&process)), &config(QUERY_SETTINGS), layout(), scaled(), SCHEDULE).unwrap();
    let sampled = planner.sample_query(&Query { frames: &frames, is_queried: &is_queried }, 2000, 1).unwrap();
    let (mean, covariance) = process.given(&known, &(6..12).collect::<Vec<_>>());
    let normalised = |frame: &Frame| frame.values.iter().zip(NOISE_SCALE).map(|(value, s)| value / s).collect();
    let flat = |frames: &[Frame]| flat(&frames[2..].iter().map(normalised).collect::<Vec<_>>());
    let samples: Vec<DVector<f64>> = sampled.iter().map(|f| flat(f)).collect();
    let (of_mean, of_covariance) = against_normal(&samples, &mean, &covariance);
    assert!(of_mean < 1.0 && of_covariance < 1.0, "mean {of_mean:.2}, covariance {of_covariance:.2}");
}

#[test]
fn sequences_longer_than_the_window_are_sampled_by_sliding_it() {
    // 8 frames with a window of 5 tokens that slides with 2 known tokens. The last 5 are one window, so they have the
    // distribution of any 5 tokens of the stationary process.
    let process = Process::draw(5, CHANNELS, 3);
    let missing = vec![Frame::missing(&layout()); 8];
    let mut planner = planner(WatchingDenoiser::windowed(exact(&process), 5), QUERY_SETTINGS);
    let sampled = planner.sample_query(&Query { frames: &missing, is_queried: &|_, _| true }, 2000, 1).unwrap();
    for range in [0..5, 3..8] {
        let samples: Vec<DVector<f64>> = sampled
            .iter()
            .map(|frames| flat(&frames[range.clone()].iter().map(|f| f.values.clone()).collect::<Vec<_>>()))
            .collect();
        let (of_mean, of_covariance) = against_normal(&samples, &process.mean, &process.covariance);
        assert!(of_mean < 1.0 && of_covariance < 1.0, "{range:?}: mean {of_mean:.2}, covariance {of_covariance:.2}");
    }
    // A plan with a horizon beyond the window.
    let mut settings = planner.config().clone();
    settings.horizon = 9;
    planner.set_config(settings).unwrap();
    let plan =
        planner.plan(&request(&process.sample(&mut ChaCha8Rng::seed_from_u64(1)), 2), &Budget::unlimited()).unwrap();
    assert_eq!((plan.rollouts[0].len(), plan.skipped), (9, Skipped::default()));
}

#[test]
fn a_plan_keeps_its_time_budget_and_reports_what_it_skipped() {
    let process = Process::draw(6, CHANNELS, 3);
    let spent_ms = Arc::new(AtomicU64::new(0));
    let spent = spent_ms.clone();
    let settings = "planner: {history: 2, horizon: 4, matrix: pyramid, denoising_steps: 6, uncertainty_scale: 1.0,
      candidates: 2, rollouts: 2, goal_as_observation: false}
costs: [{kind: goal, weight: 1.0}]";
    let mut planner = planner(
        WatchingDenoiser::new(exact(&process), move |_, ms| {
            spent.fetch_add(ms, Ordering::Relaxed);
        }),
        settings,
    );
    let mut request = request(&process.sample(&mut ChaCha8Rng::seed_from_u64(1)), 2);
    request.goal = vec![1.0, 1.0];
    let mut plan = |total_ms: u64| {
        let before = spent_ms.load(Ordering::Relaxed);
        let clock = || Duration::from_millis(spent_ms.load(Ordering::Relaxed) - before);
        request.tick_ns += 100_000_000;
        // Allows a tenth more for rounding of the sums.
        let total = Duration::from_millis(total_ms) + Duration::from_micros(100);
        let plan = planner.plan(&request, &Budget::new(total, &clock));
        (plan, clock().as_millis() as u64)
    };
    // Rows: 6 + 3 = 9. The action is in token 1, which is noisy in rows 2 to 6: 5 guided steps of 3 ms and 4 plain
    // ones, 19 ms.
    let (complete, took) = plan(100);
    let complete = complete.unwrap();
    assert_eq!((took, complete.skipped, complete.statistics.guided_steps), (19, Skipped::default(), 5));
    assert_eq!(complete.denoising_steps, 9);
    for total in [1, 2, 5, 9, 12, 18] {
        let (plan, took) = plan(total);
        let plan = plan.unwrap();
        assert!(took <= total, "{took} of {total} ms");
        assert!(!plan.skipped.is_nothing());
        assert_eq!(plan.denoising_steps + plan.skipped.denoising_steps, 9);
        assert!(plan.actions.iter().flatten().all(|a| a.is_finite()));
    }
    let (none, _) = plan(0);
    assert!(matches!(none, Err(PlanError::Sampling(SamplingError::OutOfTime))));
    // 9 ms: a plain step, a guided one of 3 ms, five plain ones, then the action is clean: two rows of the far tokens
    // and four guidances are left out.
    let (short, _) = plan(9);
    assert_eq!(short.unwrap().skipped, Skipped { denoising_steps: 2, guided_steps: 4, tokens: 0 });
}

/// A failed plan must not warm-start the next one.
#[test]
fn a_plan_that_is_not_finite_is_refused_and_does_not_warm_start_the_next() {
    let process = Process::draw(5, CHANNELS, 3);
    for mode in ["mode: streaming", "warm_start: {candidates: 1}"] {
        let fault = Arc::new(AtomicBool::new(false));
        let settings = format!(
            "planner: {{{mode}, history: 2, horizon: 3, candidates: 2, rollouts: 1, guidance: {{gradient: none}}}}"
        );
        let faulty = fault.clone();
        let denoiser = WatchingDenoiser::new(exact(&process), move |clean, _| {
            if faulty.load(Ordering::Relaxed) {
                clean.data.fill(f32::NAN);
            }
        });
        let mut planner = planner(denoiser, &settings);
        let mut request = request(&process.mean, 2);
        let mut plan = |faulty| {
            fault.store(faulty, Ordering::Relaxed);
            request.tick_ns += 100_000_000;
            planner.plan(&request, &Budget::unlimited())
        };
        plan(false).unwrap();
        assert!(matches!(plan(true), Err(PlanError::NotFinite)), "{mode}");
        assert!(plan(false).unwrap().rollouts.iter().flatten().flatten().all(|value| value.is_finite()), "{mode}");
    }
}

#[test]
fn settings_change_between_ticks_and_bad_ones_are_refused_by_name() {
    let process = Process::draw(5, CHANNELS, 3);
    let mut planner = planner(
        WatchingDenoiser::windowed(exact(&process), 5),
        "planner: {history: 2, horizon: 3, candidates: 2, rollouts: 1}",
    );
    let mut request = request(&process.mean, 2);
    let mut change = |planner: &mut Planner, change: &dyn Fn(&mut PlannerConfig)| {
        let mut settings = planner.config().clone();
        change(&mut settings);
        planner.set_config(settings)?;
        request.tick_ns += 100_000_000;
        planner.plan(&request, &Budget::unlimited())
    };
    let sizes = |plan: &df_planning::Plan| (plan.rollouts.len(), plan.rollouts[0].len());
    assert_eq!(sizes(&change(&mut planner, &|_| ()).unwrap()), (2, 3));
    let plan_streaming = |s: &mut PlannerConfig| s.mode = PlannerMode::Streaming;
    assert_eq!(sizes(&change(&mut planner, &plan_streaming).unwrap()), (2, 3));
    assert_eq!(change(&mut planner, &|_| ()).unwrap().denoising_steps, planner.config().streaming.steps_per_tick);
    // With other sizes the streamed plan starts from noise.
    assert_eq!(sizes(&change(&mut planner, &|s| (s.candidates, s.horizon) = (3, 2)).unwrap()), (3, 2));
    let mut refused =
        |planner: &mut Planner, c: &dyn Fn(&mut PlannerConfig)| change(planner, c).unwrap_err().to_string();
    assert!(refused(&mut planner, &|s| s.horizon = 0).contains("planner.horizon: 0: must be at least 1"));
    assert!(refused(&mut planner, &|s| s.horizon = 65).contains("planner.horizon: 65: must be at most"));
    assert!(refused(&mut planner, &|s| s.horizon = 4).contains("do not fit into the 5 tokens"));
    assert!(refused(&mut planner, &|s| s.eta = 2.0).contains("planner.eta: 2: must lie in [0, 1]"));
    // The planner still works.
    assert_eq!(planner.config().horizon, 2);
}
