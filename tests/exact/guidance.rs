//! Monte Carlo guidance against finite differences, against the known tilted distribution, and its variance over
//! rollouts.

use df_core::{Frame, History};
use df_diffusion::NoiseScheduleKind;
use df_diffusion::{Denoiser, Levels, NoiseSchedule, TokenSpec, Tokens};
use df_planning::PlanningConfig;
use df_planning::costs::bind_costs;
use df_planning::guidance::{CostSpan, Guidance, average_shared_tokens};
use df_planning::{Budget, PlanRequest, Planner};
use nalgebra::{DMatrix, DVector};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::planner::{config, layout, normaliser, scaled};
use super::process::Process;
use super::statistics::against_normal;

const SCHEDULE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);
const CHANNELS: usize = 3;

fn spec() -> TokenSpec {
    TokenSpec::new(&[0, 1, 1], 1)
}

fn guidance(config: &PlanningConfig) -> Guidance {
    let costs = bind_costs(&config.costs, Some("obs"), &layout()).unwrap();
    Guidance::new(costs, normaliser(), &spec(), config.contract.period_s)
}

/// The gradient of the cost through the denoiser agrees with finite differences of cost(denoise(x)).
#[test]
fn the_exact_guidance_gradient_agrees_with_finite_differences() {
    let process = Process::draw(4, CHANNELS, 5);
    let config = config("costs: [{kind: goal, weight: 3.0}, {kind: effort, weight: 0.5, of: action}]");
    let costs = bind_costs(&config.costs, Some("obs"), &layout()).unwrap();
    let guidance = Guidance::new(costs, scaled(), &spec(), config.contract.period_s);
    let mut denoiser = process.denoiser(SCHEDULE, &spec());
    let mut levels = Levels::filled(1, 4, 2, 0.0);
    levels.data.copy_from_slice(&[0.0, 0.0, 0.3, 0.5, 0.6, 0.6, 0.9, 1.0]);
    let x = Tokens { batch: 1, tokens: 4, channels: 3, data: (0..12).map(|i| (i as f32 * 0.9).sin()).collect() };
    let span = CostSpan { first_future: 1, skipped: 0, frames: &[4], newest: None };
    let goal = [0.7, -0.4];
    let mut cost = |x: &Tokens| {
        let clean = denoiser.denoise(x, &levels).unwrap();
        guidance.evaluate(&clean, &span, &goal).0.totals[0]
    };
    let differences: Vec<f64> = (0..12)
        .map(|i| {
            let mut moved = |by: f32| {
                let mut x = x.clone();
                x.data[i] += by;
                cost(&x)
            };
            (moved(5e-3) - moved(-5e-3)) / 1e-2
        })
        .collect();
    let of_clean = &mut |clean: &Tokens| guidance.evaluate(clean, &span, &goal).1;
    let (_, gradient) = denoiser.denoise_with_gradient(&x, &levels, of_clean).unwrap();
    for (i, difference) in differences.iter().enumerate() {
        let got = f64::from(gradient.data[i]);
        assert!((difference - got).abs() < 2e-3 * (1.0 + difference.abs()), "value {i}: {difference} and {got}");
    }
}

/// Far tokens are sampled given the near tokens. The variance of the mean gradient falls as 1 / rollouts.
#[test]
fn the_variance_of_the_shared_gradient_falls_with_the_number_of_rollouts() {
    const TOKENS: usize = 5;
    const NEAR: usize = 2;
    const REPEATS: usize = 400;
    let process = Process::draw(TOKENS, CHANNELS, 5);
    let guidance = guidance(&config("costs: [{kind: goal, weight: 3.0}]"));
    let mut denoiser = process.denoiser(SCHEDULE, &spec());
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    // The distribution of noisy tokens: A S A + Sigma^2. Near at level 0.3, far at 0.8.
    let level = |i: usize| if i / CHANNELS < NEAR { 0.3f32 } else { 0.8 };
    let size = TOKENS * CHANNELS;
    let amplitude = |i: usize| SCHEDULE.alpha_sigma(level(i));
    let noisy = Process {
        mean: DVector::from_fn(size, |i, _| f64::from(amplitude(i).0) * process.mean[i]),
        covariance: DMatrix::from_fn(size, size, |i, j| {
            let own = if i == j { f64::from(amplitude(i).1).powi(2) } else { 0.0 };
            f64::from(amplitude(i).0) * process.covariance[(i, j)] * f64::from(amplitude(j).0) + own
        }),
        ..process.clone()
    };
    let near: Vec<f64> = noisy.sample(&mut rng).iter().take(NEAR * CHANNELS).copied().collect();
    let known: Vec<(usize, f64, f64)> = near.iter().enumerate().map(|(i, &v)| (i, v, 0.0)).collect();
    let far: Vec<usize> = (NEAR * CHANNELS..size).collect();
    let (mean, covariance) = noisy.given(&known, &far);
    let root = covariance.cholesky().unwrap().l();

    let mut points = Vec::new();
    for rollouts in [1usize, 2, 4, 8, 16, 32, 64] {
        let batch = REPEATS * rollouts;
        let mut x = Tokens::zeros(batch, TOKENS, CHANNELS);
        let mut levels = Levels::filled(batch, TOKENS, 2, 0.8);
        for b in 0..batch {
            let drawn = &mean + &root * DVector::from_fn(far.len(), |_, _| StandardNormal.sample(&mut rng));
            let values = near.iter().chain(drawn.iter());
            x.sequence_mut(b).iter_mut().zip(values).for_each(|(to, from)| *to = *from as f32);
            (0..NEAR).for_each(|t| levels.at_mut(b, t).fill(0.3));
        }
        let frames = vec![TOKENS; batch];
        let span = CostSpan { first_future: 0, skipped: 0, frames: &frames, newest: None };
        let of_clean = &mut |clean: &Tokens| guidance.evaluate(clean, &span, &[0.5, 0.5]).1;
        let (_, mut gradient) = denoiser.denoise_with_gradient(&x, &levels, of_clean).unwrap();
        average_shared_tokens(&mut gradient, rollouts, 0, NEAR);
        // One shared gradient per repeat; its variance over repeats is summed over the shared values.
        let shared: Vec<DVector<f64>> = (0..REPEATS)
            .map(|r| DVector::from_fn(NEAR * CHANNELS, |i, _| f64::from(gradient.sequence(r * rollouts)[i])))
            .collect();
        let centre = shared.iter().sum::<DVector<f64>>() / REPEATS as f64;
        let variance = shared.iter().map(|g| (g - &centre).norm_squared()).sum::<f64>() / (REPEATS - 1) as f64;
        points.push(((rollouts as f64).ln(), variance.ln()));
    }
    let n = points.len() as f64;
    let (mx, my) = (points.iter().map(|p| p.0).sum::<f64>() / n, points.iter().map(|p| p.1).sum::<f64>() / n);
    let slope = points.iter().map(|(x, y)| (x - mx) * (y - my)).sum::<f64>()
        / points.iter().map(|(x, _)| (x - mx).powi(2)).sum::<f64>();
    println!("slope of log variance over log rollouts: {slope:.3}");
    // Each variance has a relative error of about sqrt(2 / 400) = 7 %: over 4.2 e-folds some 0.03 in the slope.
    assert!((slope + 1.0).abs() < 0.1, "{slope}");
}

/// Plans under a quadratic cost: `p(x) exp(-scale cost(x))` is again normal with a known mean.
#[test]
fn the_guided_distribution_converges_to_the_tilted_one_as_steps_grow() {
    const SCALE: f64 = 4.0;
    const TARGET: f64 = 1.5;
    // 2 history tokens, the committed action, 4 future tokens; the cost has its minimum where obs.0 of the third future
    // frame is TARGET.
    let process = Process::draw(6, CHANNELS, 11);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let truth = process.sample(&mut rng);
    let known: Vec<(usize, f64, f64)> = (0..7).map(|i| (i, truth[i], 0.0)).collect();
    let wanted: Vec<usize> = (7..18).collect();
    let (mean, covariance) = process.given(&known, &wanted);
    // cost = period (obs.0 - target)^2 = 0.1 (...)^2: a measurement of obs.0 with variance 1 / (2 scale 0.1). The third
    // future frame is token 4; obs.0 its channel 1, value 13, wanted index 6.
    let measured = 13 - 7;
    let variance = 1.0 / (2.0 * SCALE * 0.1);
    let gain = covariance.column(measured) / (covariance[(measured, measured)] + variance);
    let tilted_mean = &mean + &gain * (TARGET - mean[measured]);
    let tilted_covariance = &covariance - &gain * covariance.row(measured);

    let run = |steps: usize, step: &str| {
        let config = config(&format!(
            "planner: {{history: 2, horizon: 4, matrix: full_sequence, denoising_steps: {steps}, candidates: 1500, rollouts: 1,
              guidance: {{gradient: exact, step: {step}, scale: {SCALE}, max_norm: 1.0e9}}, goal_as_observation: false}}
costs: [{{kind: target, weight: 1.0, of: obs.0, value: {TARGET}, gate: {{from_s: 0.3, until_s: 0.3}}}}]"
        ));
        let denoiser = Box::new(process.denoiser(SCHEDULE, &spec()));
        let mut planner = Planner::new(denoiser, &config, layout(), normaliser(), SCHEDULE).unwrap();
        let plan = planner.plan(&request(&truth, 2), &Budget::unlimited()).unwrap();
        let samples: Vec<DVector<f64>> = plan
            .rollouts
            .iter()
            .map(|f| DVector::from_iterator(11, f.iter().flatten().skip(1).map(|&v| f64::from(v))))
            .collect();
        let centre = samples.iter().sum::<DVector<f64>>() / samples.len() as f64;
        let off = (centre[measured] - tilted_mean[measured]) / (tilted_mean[measured] - mean[measured]);
        (off, against_normal(&samples, &tilted_mean, &tilted_covariance))
    };
    let coarse = run(4, "line_search");
    let fine = run(160, "line_search");
    let plain = run(160, "plain");
    println!(
        "relative error of the tilted mean: {:+.3} with 4 steps, {:+.3} with 160; plain gradient {:+.3}",
        coarse.0, fine.0, plain.0
    );
    assert!(fine.1.0 < 1.0 && fine.1.1 < 1.0, "mean {:.2}, covariance {:.2}", fine.1.0, fine.1.1);
    assert!(fine.0.abs() < 0.03 && fine.0.abs() < coarse.0.abs());
    // The plain step follows the gradient at the predicted mean and overshoots, because it ignores the uncertainty of
    // the mean. The line search corrects this.
    assert!(plain.0 > 0.05, "{}", plain.0);
}

/// Two goals are equally good: the far token may end on either side, and the near tokens lie a little to the right. The
/// gradient of one rollout points to the side of that rollout, which changes with every tick. The mean over many points
/// to the right.
#[test]
fn guidance_by_one_rollout_alternates_between_two_goals_and_by_many_does_not() {
    const TICKS: usize = 200;
    let process = Process { mean: DVector::zeros(2 * CHANNELS), ..Process::draw(2, CHANNELS, 5) };
    // obs.0 of the far token must leave [-1, 1].
    let guidance = guidance(&config(
        "costs: [{kind: keep_out, weight: 1.0, of: obs, margin: 0.0,
  polygons: [[[-1.0, -50.0], [1.0, -50.0], [1.0, 50.0], [-1.0, 50.0]]]}]",
    ));
    let mut denoiser = process.denoiser(SCHEDULE, &spec());
    let (alpha, sigma) = SCHEDULE.alpha_sigma(0.5);
    // Near values along which obs.0 of the far token grows: its regression on them.
    let wish = process.covariance.view((0, 4), (CHANNELS, 1)).normalize();
    let near = &wish * 3.0;
    let known: Vec<(usize, f64, f64)> = near.iter().enumerate().map(|(i, &v)| (i, v, 0.0)).collect();
    let (mean, covariance) = process.given(&known, &[3, 4, 5]);
    assert!(mean[1] > 0.1 && mean[1] < 1.0, "a little to the right: {}", mean[1]);
    let root = covariance.cholesky().unwrap().l();
    let mut wrong = |rollouts: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let mut count = 0;
        for _ in 0..TICKS {
            let mut x = Tokens::zeros(rollouts, 2, CHANNELS);
            let mut levels = Levels::filled(rollouts, 2, 2, 0.5);
            for b in 0..rollouts {
                let mut normal = || DVector::<f64>::from_fn(CHANNELS, |_, _| StandardNormal.sample(&mut rng));
                let far = (&mean + &root * normal()) * f64::from(alpha) + normal() * f64::from(sigma);
                let values = near.iter().chain(far.iter());
                x.sequence_mut(b).iter_mut().zip(values).for_each(|(to, from)| *to = *from as f32);
                levels.at_mut(b, 0).fill(0.0);
            }
            let frames = vec![1; rollouts];
            // Only the far token costs.
            let span = CostSpan { first_future: 2, skipped: 0, frames: &frames, newest: None };
            let of_clean = &mut |clean: &Tokens| guidance.evaluate(clean, &span, &[]).1;
            let (_, mut gradient) = denoiser.denoise_with_gradient(&x, &levels, of_clean).unwrap();
            average_shared_tokens(&mut gradient, rollouts, 0, 1);
            let step = (0..CHANNELS).map(|i| -f64::from(gradient.sequence(0)[i]) * wish[i]).sum::<f64>();
            count += usize::from(step < 0.0);
        }
        count
    };
    let (one, many) = (wrong(1), wrong(64));
    println!("ticks of {TICKS} that pull to the wrong side: {one} with one rollout, {many} with 64");
    assert!(one >= TICKS / 10, "{one}");
    assert!(many * 4 <= one, "{many} of {one}");
}

/// History from the process's first `frames` tokens, the next action committed.
pub fn request(truth: &DVector<f64>, frames: usize) -> PlanRequest {
    let layout = layout();
    let mut history = History::new(&layout, frames);
    for k in 0..frames {
        let values = (0..CHANNELS).map(|c| truth[k * CHANNELS + c] as f32).collect();
        history.push(Frame { values, present: vec![true; 2], std: Vec::new() });
    }
    PlanRequest { tick_ns: 0, history, committed: Some(vec![truth[frames * CHANNELS]]), goal: vec![] }
}

#[test]
fn a_gradient_that_is_not_finite_is_a_named_error() {
    let process = Process::draw(4, CHANNELS, 5);
    let config = config(
        "planner: {history: 1, horizon: 3, candidates: 1, rollouts: 1, goal_as_observation: false, guidance: {scale: 1.0}}
costs: [{kind: target, weight: 1.0e300, of: obs.0, value: 1.0e300}]",
    );
    let denoiser = Box::new(process.denoiser(SCHEDULE, &spec()));
    let mut planner = Planner::new(denoiser, &config, layout(), normaliser(), SCHEDULE).unwrap();
    let error = planner.plan(&request(&DVector::zeros(12), 1), &Budget::unlimited()).unwrap_err();
    assert!(error.to_string().contains("gradient of cost `target` is"), "{error}");
}
