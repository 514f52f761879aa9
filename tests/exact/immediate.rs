//! Plans with immediate latency: no action is committed, the newest observation counts, and the first action is for the
//! current tick.

use df_core::{Frame, History};
use df_planning::{Budget, PlanRequest, Planner};
use df_planning::{PlannerConfig, PlannerMode};
use nalgebra::DVector;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::guidance::request;
use super::planner::{exact, flat, layout, planner};
use super::process::Process;
use super::statistics::against_normal;

const CHANNELS: usize = 3;
const TICKS: usize = 3;
const MEMORY: usize = 1 + TICKS;
const PERIOD_NS: i64 = 100_000_000;

fn settings(mode: &str, candidates: usize) -> String {
    format!(
        "planner: {{mode: {mode}, latency: immediate, history: {MEMORY}, horizon: 3, matrix: pyramid, solver: dpm_solver,
          denoising_steps: 60, uncertainty_scale: 20.0, candidates: {candidates}, rollouts: 1}}"
    )
}

/// The planner mode `streaming` with a level to which the last plan is re-noised.
fn plan_streaming(renoise_level: f64) -> String {
    format!("streaming, streaming: {{renoise_level: {renoise_level}, steps_per_tick: 24}}")
}

fn warm_started(renoise_level: f64) -> String {
    format!("full, warm_start: {{candidates: 1, renoise_level: {renoise_level}}}")
}

fn frame(values: impl IntoIterator<Item = f64>) -> Frame {
    let values = values.into_iter().map(|v| v as f32).collect();
    Frame { values, present: vec![true; 2], std: Vec::new() }
}

/// A request of run `run` whose history holds the first `frames` tokens of `of`.
fn request_after(of: &DVector<f64>, frames: usize, run: i64) -> PlanRequest {
    let mut history = History::new(&layout(), MEMORY);
    (0..frames).for_each(|k| history.push(frame(of.rows(k * CHANNELS, CHANNELS).iter().copied())));
    PlanRequest { tick_ns: run * 1_000_000_000_000, history, committed: None, goal: vec![] }
}

#[test]
fn plans_have_the_exact_distribution_given_the_history() {
    let process = Process::draw(6, CHANNELS, 3);
    let truth = process.sample(&mut ChaCha8Rng::seed_from_u64(1));
    let settings = "planner: {history: 2, horizon: 4, solver: dpm_solver, denoising_steps: 40, uncertainty_scale: 10.0,
      candidates: 2000, rollouts: 1}";
    let request = PlanRequest { tick_ns: 7 * PERIOD_NS, committed: None, ..request(&truth, 2) };
    let plan = planner(exact(&process), settings).plan(&request, &Budget::unlimited()).unwrap();
    let known: Vec<(usize, f64, f64)> = (0..6).map(|i| (i, truth[i], 0.0)).collect();
    let (mean, covariance) = process.given(&known, &(6..18).collect::<Vec<_>>());
    let samples: Vec<DVector<f64>> = plan.rollouts.iter().map(|f| flat(f)).collect();
    let (of_mean, of_covariance) = against_normal(&samples, &mean, &covariance);
    assert!(of_mean < 1.0 && of_covariance < 1.0, "mean {of_mean:.2}, covariance {of_covariance:.2}");
    // The first future frame is that of the next tick; it holds the action of this tick.
    assert_eq!((plan.first_tick_ns, plan.first_frame_ns), (7 * PERIOD_NS, 8 * PERIOD_NS));
    let first: Vec<f32> = plan.rollouts[plan.chosen].iter().map(|frame| frame[0]).collect();
    assert_eq!(plan.actions.iter().map(|a| a[0] as f32).collect::<Vec<_>>(), first);
}

/// Drives in a world that follows each plan. Returns the actions and the resulting observations, tick by tick.
fn rollout(planner: &mut Planner, start: &DVector<f64>, run: i64) -> DVector<f64> {
    planner.reset();
    let mut request = request_after(start, 1, run);
    let mut drive = Vec::new();
    for _ in 0..TICKS {
        let plan = planner.plan(&request, &Budget::unlimited()).unwrap();
        assert_eq!(plan.first_tick_ns, request.tick_ns);
        let next = [plan.actions[0][0], f64::from(plan.rollouts[0][0][1]), f64::from(plan.rollouts[0][0][2])];
        drive.extend(next);
        request.history.push(frame(next));
        request.tick_ns += PERIOD_NS;
    }
    DVector::from_vec(drive)
}

#[test]
fn every_planner_mode_samples_from_the_process_tick_by_tick() {
    let process = Process::draw(MEMORY + 3, CHANNELS, 3);
    let truth = process.sample(&mut ChaCha8Rng::seed_from_u64(1));
    let known: Vec<(usize, f64, f64)> = (0..3).map(|i| (i, truth[i], 0.0)).collect();
    let (mean, covariance) = process.given(&known, &(3..3 + 3 * TICKS).collect::<Vec<_>>());
    let beside_fresh = "streaming, streaming: {renoise_level: 0.3, steps_per_tick: 60, num_fresh: 1}".into();
    // 0.3 is a row of the matrix. From a level slightly above, the first step down to that row is tiny.
    let alone = ["full".into(), plan_streaming(0.3), warm_started(0.3), warm_started(0.3000001)].map(|mode| (mode, 1));
    for (mode, candidates) in alone.into_iter().chain([(beside_fresh, 2)]) {
        let mut planner = planner(exact(&process), &settings(&mode, candidates));
        let samples: Vec<DVector<f64>> = (0..1500).map(|run| rollout(&mut planner, &truth, run)).collect();
        let (of_mean, of_covariance) = against_normal(&samples, &mean, &covariance);
        println!("{mode}: mean {of_mean:.2}, covariance {of_covariance:.2} of what is allowed");
        assert!(of_mean < 1.0 && of_covariance < 1.0, "{mode}: mean {of_mean:.2}, covariance {of_covariance:.2}");
    }
}

/// In a world that deviates from the plan, measures how far the action of a tick follows the observation of that tick.
#[test]
fn the_action_of_a_tick_follows_the_observation_of_that_tick() {
    let process = Process::draw(MEMORY + 3, CHANNELS, 3);
    let pushed = |push: f64| {
        let mut values = process.mean.clone();
        (4..6).for_each(|i| values[i] += push);
        values
    };
    let exactly = |push: f64| {
        let known: Vec<_> = (0..6).map(|i| (i, pushed(push)[i], 0.0)).collect();
        process.given(&known, &[6]).0[0]
    };
    let mut followed = Vec::new();
    for mode in ["full".into(), plan_streaming(1.0), warm_started(1.0), plan_streaming(0.8), warm_started(0.8)] {
        let mut planner = planner(exact(&process), &settings(&mode, 1));
        let mut mean_action = |push: f64| {
            let mut action = |run| {
                planner.reset();
                planner.plan(&request_after(&process.mean, 1, run), &Budget::unlimited()).unwrap();
                let mut request = request_after(&pushed(push), 2, run);
                request.tick_ns += PERIOD_NS;
                planner.plan(&request, &Budget::unlimited()).unwrap().actions[0][0]
            };
            (0..600).map(&mut action).sum::<f64>() / 600.0
        };
        followed.push((mean_action(2.0) - mean_action(-2.0)) / (exactly(2.0) - exactly(-2.0)));
    }
    println!(
        "share of the new observation followed at once: full; streaming, warm-started with renoise_level 1, with 0.8: {followed:.2?}"
    );
    // 600 runs leave an error of about 0.05.
    assert!(followed[..3].iter().all(|share| (share - 1.0).abs() < 0.15), "{followed:?}");
    assert!(followed[3..].iter().all(|share| *share > 0.2 && *share < 0.85), "{followed:?}");
}

/// With a `renoise_level` of 0 the warm start is the last plan itself, shifted by the frames that have passed.
fn kept(candidates: usize, rollouts: usize) -> Planner {
    let settings = format!(
        "planner: {{history: 1, horizon: 4, candidates: {candidates}, rollouts: {rollouts}, goal_as_observation: false,
          warm_start: {{candidates: {}, renoise_level: 0.0}}, streaming: {{renoise_level: 0.0}}}}
costs: [{{kind: target, weight: 1.0, of: obs, value: 1.0}}]",
        candidates.div_ceil(2)
    );
    planner(exact(&Process::draw(5, CHANNELS, 3)), &settings)
}

#[test]
fn the_first_candidates_warm_start_from_the_chosen_plan_and_the_others_do_not() {
    let mut planner = kept(4, 2);
    let mut request = request_after(&Process::draw(5, CHANNELS, 3).mean, 1, 1);
    let mut last = planner.plan(&request, &Budget::unlimited()).unwrap();
    for ticks in [1, 3] {
        request.tick_ns += ticks as i64 * PERIOD_NS;
        let plan = planner.plan(&request, &Budget::unlimited()).unwrap();
        let left = &last.rollouts[2 * last.chosen][ticks..];
        let same: Vec<bool> = plan.rollouts.iter().map(|rollout| rollout[..left.len()] == *left).collect();
        assert_eq!(same, [true, true, true, true, false, false, false, false], "after {ticks} ticks");
        last = plan;
    }
}

/// With a `renoise_level` of 1 no candidate depends on the last plan.
#[test]
fn the_last_candidates_of_a_stream_start_from_fresh_noise_if_so_configured() {
    let process = Process::draw(MEMORY + 3, CHANNELS, 3);
    let second = |streaming: &str| {
        let settings = settings(&format!("streaming, streaming: {{steps_per_tick: 6, {streaming}}}"), 3);
        let mut planner = planner(exact(&process), &settings);
        let mut request = request_after(&process.mean, 1, 1);
        planner.plan(&request, &Budget::unlimited()).unwrap();
        request.tick_ns += PERIOD_NS;
        planner.plan(&request, &Budget::unlimited()).unwrap().rollouts
    };
    let (anew, living, some) =
        (second("renoise_level: 1"), second("renoise_level: 0.3"), second("renoise_level: 0.3, num_fresh: 1"));
    let apart = |a: &[Vec<f32>], b: &[Vec<f32>]| (flat(a) - flat(b)).amax();
    assert!(apart(&some[2], &anew[2]) < 1e-4, "{}", apart(&some[2], &anew[2]));
    // Warm-started candidates differ from them by far more, and from a stream with `num_fresh: 0` by the size of its
    // steps.
    for c in 0..2 {
        let (from_anew, from_living) = (apart(&some[c], &anew[c]), apart(&some[c], &living[c]));
        assert!(from_anew > 0.3 && from_living < 0.5 * from_anew, "candidate {c}: {from_anew}, {from_living}");
    }
    // At least one candidate is always warm-started.
    let all = second("renoise_level: 0.3, num_fresh: 7");
    assert!(apart(&all[0], &anew[0]) > 0.3 && apart(&all[1], &anew[1]) < 1e-4);
}

/// True if the second plan equals that of a planner without a first plan.
#[test]
fn a_new_goal_a_reset_and_a_new_mode_end_the_warm_start() {
    let in_mode = |planner: &mut Planner, mode| {
        planner.set_config(PlannerConfig { mode, ..planner.config().clone() }).unwrap();
    };
    let forgets = |first: PlannerMode, between: &dyn Fn(&mut Planner, &mut PlanRequest)| {
        let (mut planner, mut fresh) = (kept(1, 1), kept(1, 1));
        in_mode(&mut planner, first);
        let mut request = request_after(&Process::draw(5, CHANNELS, 3).mean, 1, 1);
        request.goal = vec![1.0, 1.0];
        planner.plan(&request, &Budget::unlimited()).unwrap();
        request.tick_ns += PERIOD_NS;
        between(&mut planner, &mut request);
        in_mode(&mut fresh, planner.config().mode);
        let [after, anew] = [planner, fresh].map(|mut p| p.plan(&request, &Budget::unlimited()).unwrap().rollouts);
        after == anew
    };
    let (full, streaming) = (PlannerMode::Full, PlannerMode::Streaming);
    assert!(!forgets(full, &|_, _| ()) && !forgets(streaming, &|_, _| ()));
    assert!(forgets(full, &|_, request| request.goal = vec![9.0, 9.0]));
    assert!(forgets(full, &|planner, _| planner.reset()));
    assert!(forgets(full, &|planner, _| in_mode(planner, streaming)));
    assert!(forgets(streaming, &|planner, _| in_mode(planner, full)));
}
