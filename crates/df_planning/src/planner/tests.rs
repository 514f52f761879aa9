//! The planner with a denoiser that predicts 0: streaming across changes, weights, refused changes, the stay at the goal.

use std::path::Path;

use super::*;
use crate::inference::TooLong;
use df_core::History;
use df_core::settings::Setting;
use df_diffusion::{DenoiserError, Levels, NoiseScheduleKind};

/// Predicts 0 everywhere, in normalised units. Its window has 6 tokens.
struct ZeroDenoiser;

impl Denoiser for ZeroDenoiser {
    fn denoise(&mut self, x: &Tokens, _: &Levels) -> Result<Tokens, DenoiserError> {
        Ok(Tokens::zeros(x.batch, x.tokens, x.channels))
    }

    fn max_tokens(&self) -> Option<usize> {
        Some(6)
    }

    fn denoise_with_gradient(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        _: &mut dyn FnMut(&Tokens) -> Tokens,
    ) -> Result<(Tokens, Tokens), DenoiserError> {
        Ok((self.denoise(x, levels)?, Tokens::zeros(x.batch, x.tokens, x.channels)))
    }
}

const STREAMING_CONFIG: &str = "
period_s: 0.1
frame_stack: 1
observations: {x: {topic: x, type: p/msg/X, fields: [x], max_age_s: 60}}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
planner: {mode: streaming, history: 1, horizon: 4, denoising_steps: 5, uncertainty_scale: 1.0, candidates: 2, rollouts: 1,
  streaming: {renoise_level: 0.2, steps_per_tick: 2}, guidance: {gradient: none}}
costs: [{kind: target, weight: 2.0, of: x, value: 1}, {kind: target, weight: 0.0, of: x, value: 3}]
";

/// A planner and the clock of its requests.
struct Run {
    planner: Planner,
    config: PlanningConfig,
    request: PlanRequest,
}

impl Run {
    fn new() -> Self {
        let config = PlanningConfig::parse(STREAMING_CONFIG, Path::new("c.yaml")).unwrap();
        let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
        let request =
            PlanRequest { tick_ns: 0, history: History::new(&layout, 1), committed: Some(vec![0.0]), goal: Vec::new() };
        let normaliser = Normaliser::new(vec![0.0; 2], vec![1.0; 2]);
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        let planner = Planner::new(Box::new(ZeroDenoiser), &config, layout, normaliser, schedule).unwrap();
        Self { planner, config, request }
    }

    fn set(&mut self, changes: &[(&str, Setting)]) -> Result<(), PlannerConfigError> {
        let changes: Vec<_> = changes.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
        let config = self.config.changed(&changes)?;
        self.planner.set_config(config.planner.clone())?;
        self.planner.set_weights(&config.costs);
        self.config = config;
        Ok(())
    }

    fn plan(&mut self) -> Plan {
        self.request.tick_ns += 100_000_000;
        self.planner.plan(&self.request, &Budget::unlimited()).unwrap()
    }
}

#[test]
fn a_streamed_plan_goes_on_through_changes_that_keep_its_sizes() {
    let mut run = Run::new();
    // From noise: 5 rows a token, one more for the acting token behind the first.
    assert_eq!(run.plan().denoising_steps, 6);
    assert_eq!(run.plan().denoising_steps, 2);
    for (key, value) in [
        ("planner.temperature", Setting::Number(0.5)),
        ("planner.eta", Setting::Number(0.5)),
        ("planner.guidance.gradient", Setting::Text("exact".into())),
        // Flatter, then steeper than the rows of the buffer.
        ("planner.uncertainty_scale", Setting::Number(0.2)),
        ("planner.uncertainty_scale", Setting::Number(4.0)),
        ("planner.denoising_steps", Setting::Integer(9)),
        ("planner.shared_tokens", Setting::Integer(1)),
        // The request still comes with the shorter history.
        ("planner.history", Setting::Integer(2)),
    ] {
        run.set(&[(key, value)]).unwrap();
        assert_eq!(run.plan().denoising_steps, 2, "{key}: the streamed plan has started anew");
    }
    run.set(&[("planner.streaming.steps_per_tick", Setting::Integer(3))]).unwrap();
    assert_eq!(run.plan().denoising_steps, 3);
    // Other sizes: anew from noise, once. 9 rows and 4 more for the acting token.
    run.set(&[("planner.horizon", Setting::Integer(3))]).unwrap();
    assert_eq!([run.plan().denoising_steps, run.plan().denoising_steps], [13, 3]);
    assert_eq!(run.plan().rollouts[0].len(), 3);
}

#[test]
fn weights_change_between_two_plans() {
    let mut run = Run::new();
    let costs = |plan: &Plan| plan.statistics.costs.iter().map(|cost| cost.mean).collect::<Vec<_>>();
    // Everything is 0, five frames of 0.1 s (the newest of the history and four): 2 * 0.5 * (0 - 1)^2 and nothing.
    let near = |got: Vec<f64>, expected: [f64; 2]| {
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{got:?}, not {expected:?}");
    };
    near(costs(&run.plan()), [1.0, 0.0]);
    run.set(&[("costs.target.weight", Setting::Number(0.5)), ("costs.target_2.weight", Setting::Number(1.0))]).unwrap();
    near(costs(&run.plan()), [0.25, 4.5]);
}

#[test]
fn a_refused_change_keeps_the_configuration_and_the_streamed_plan() {
    let mut run = Run::new();
    run.plan();
    let before = run.planner.config().clone();
    for (changes, why) in [
        (
            vec![("planner.eta", Setting::Number(0.5)), ("planner.horizon", Setting::Integer(6))],
            "1 history tokens and a horizon of 6 do not fit into the 6 tokens",
        ),
        (
            vec![("planner.eta", Setting::Number(0.5)), ("planner.matrix", Setting::Text("trapezoid".into()))],
            "must be pyramid in the streaming mode",
        ),
        (vec![("planner.eta", Setting::Number(0.5)), ("planner.eta", Setting::Number(1.5))], "must lie in [0, 1]"),
    ] {
        let refusal = run.set(&changes).unwrap_err().to_string();
        assert!(refusal.contains(why), "{refusal}");
        assert_eq!(*run.planner.config(), before);
        assert_eq!(run.plan().denoising_steps, 2, "the streamed plan has started anew");
    }
    // The limit refuses the same without the planner.
    let limit = run.planner.token_limit();
    let long = |config: PlannerConfig| limit.check(&PlannerConfig { horizon: 6, ..config });
    assert!(matches!(long(before.clone()), Err(PlannerConfigError::TooLong(TooLong { max: 6, .. }))));
    assert!(long(PlannerConfig { mode: PlannerMode::Full, ..before }).is_ok());
}

const GOAL_CONFIG: &str = "
period_s: 0.1
frame_stack: 1
observations:
  place: {topic: x, type: p/msg/X, fields: [x], max_age_s: 60}
  speed: {topic: x, type: p/msg/X, fields: [v], max_age_s: 60}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
goal: {topic: g, type: p/msg/X, fields: [x], group: place, rate: speed, tolerance: 0.1}
planner: {history: 1, horizon: 5, candidates: 2, rollouts: 1, guidance: {gradient: none}, goal_hold_s: 0.2, goal_free: false}
";

/// At the goal, 7, for two frames, and at rest. Before and after that the denoiser's means, 3 and 1.
#[test]
fn rates_are_0_during_the_stay_at_the_goal() {
    for (rate, at_rest) in [("rate: speed, ", 0.0), ("", 1.0)] {
        let text = GOAL_CONFIG.replace("rate: speed, ", rate);
        let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap();
        let groups = ["action", "place", "speed"].map(|name| (name.to_string(), vec![name.to_string()]));
        let layout = Layout::new(1, groups);
        let normaliser = Normaliser::new(vec![0.0, 3.0, 1.0], vec![1.0, 2.0, 0.5]);
        let history = History::new(&layout, 1);
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        let mut planner = Planner::new(Box::new(ZeroDenoiser), &config, layout, normaliser, schedule).unwrap();
        let request = PlanRequest { tick_ns: 0, history, committed: None, goal: vec![7.0] };
        let plan = planner.plan(&request, &Budget::unlimited()).unwrap();
        for (rollout, active_frames) in plan.rollouts.iter().zip(&plan.active_frames) {
            // The stay may be cut off by the end of the horizon.
            let stay = rollout.iter().position(|frame| frame[1] == 7.0).unwrap();
            assert_eq!(*active_frames, (stay + 2).min(5));
            for (k, frame) in rollout.iter().enumerate() {
                let expected = if (stay..stay + 2).contains(&k) { [7.0, at_rest] } else { [3.0, 1.0] };
                assert_eq!(frame[1..], expected, "frame {k}, stay from {stay}");
            }
        }
    }
}
