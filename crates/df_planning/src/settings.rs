//! Settings that change between two plans: what the network allows, and how a planner takes them over.

use super::{PlanError, Planner};
use crate::costs::CostConfig;
use crate::{PlannerConfig, PlannerMode};
use df_core::Normaliser;

/// The longest window of the network: with it settings can be checked where the planner is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLimit(pub(super) Option<usize>);

impl TokenLimit {
    /// Whether a planner of this limit takes the settings: [`Planner::set`] refuses for no other reason.
    ///
    /// # Errors
    /// [`PlanError::Setting`] naming key, value and rule; [`PlanError::TooLong`].
    pub fn check(self, settings: &PlannerConfig) -> Result<(), PlanError> {
        settings.check()?;
        let (history, horizon) = (settings.history, settings.horizon);
        let Some(max) = self.0.filter(|max| history + horizon > *max) else { return Ok(()) };
        // A streamed plan is one window; a full one slides it, and needs room for something new.
        if settings.mode == PlannerMode::Streaming || history.max(1) >= max {
            return Err(PlanError::TooLong { history, horizon, max });
        }
        Ok(())
    }
}

impl Planner {
    pub fn settings(&self) -> &PlannerConfig {
        &self.settings
    }

    /// How the network sees units.
    pub fn normaliser(&self) -> &Normaliser {
        &self.normaliser
    }

    pub fn limit(&self) -> TokenLimit {
        TokenLimit(self.generator.denoiser.max_tokens())
    }

    /// Changes settings between two plans; a refused change leaves them as they were. Where sizes change, a streamed plan starts
    /// anew; otherwise it goes on.
    ///
    /// # Errors
    /// As [`TokenLimit::check`].
    pub fn set(&mut self, settings: PlannerConfig) -> Result<(), PlanError> {
        self.limit().check(&settings)?;
        if settings.mode != self.settings.mode {
            self.buffer = None;
        }
        self.settings = settings;
        Ok(())
    }

    /// Gives the costs the weights of `costs`, which are those that the planner was made with.
    pub fn set_weights(&mut self, costs: &[CostConfig]) {
        self.generator.guidance.set_weights(costs.iter().map(|cost| cost.weight));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::PlanningConfig;
    use crate::{Budget, Plan, PlanRequest};
    use df_core::settings::Setting;
    use df_core::{History, Layout, Normaliser};
    use df_diffusion::NoiseScheduleKind;
    use df_diffusion::{Denoiser, DenoiserError, Levels, NoiseSchedule, Tokens};

    /// Believes that everything is 0, in normalised units; takes 6 tokens.
    pub(crate) struct ZeroDenoiser;

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

    const CONFIG: &str = "
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
            let config = PlanningConfig::parse(CONFIG, std::path::Path::new("c.yaml")).unwrap();
            let layout = Layout::new(1, [("action".into(), vec!["u".into()]), ("x".into(), vec!["x".into()])]);
            let request = PlanRequest {
                tick_ns: 0,
                history: History::new(&layout, 1),
                committed: Some(vec![0.0]),
                goal: Vec::new(),
            };
            let normaliser = Normaliser::new(vec![0.0; 2], vec![1.0; 2]);
            let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
            let planner = Planner::new(Box::new(ZeroDenoiser), &config, layout, normaliser, schedule).unwrap();
            Self { planner, config, request }
        }

        fn set(&mut self, changes: &[(&str, Setting)]) -> Result<(), PlanError> {
            let changes: Vec<_> = changes.iter().map(|(key, value)| (key.to_string(), value.clone())).collect();
            let config = self.config.changed(&changes)?;
            self.planner.set(config.planner.clone())?;
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
    fn a_stream_goes_on_through_changes_that_leave_its_sizes() {
        let mut run = Run::new();
        // From noise: 5 rows a token, one more for the acting token behind the first.
        assert_eq!(run.plan().denoising_steps, 6);
        assert_eq!(run.plan().denoising_steps, 2);
        for (key, value) in [
            ("planner.temperature", Setting::Number(0.5)),
            ("planner.eta", Setting::Number(0.5)),
            ("planner.guidance.gradient", Setting::Text("exact".into())),
            // Flatter, then steeper than what the buffer holds.
            ("planner.uncertainty_scale", Setting::Number(0.2)),
            ("planner.uncertainty_scale", Setting::Number(4.0)),
            ("planner.denoising_steps", Setting::Integer(9)),
            ("planner.shared_tokens", Setting::Integer(1)),
            // The request still comes with the shorter history.
            ("planner.history", Setting::Integer(2)),
        ] {
            run.set(&[(key, value)]).unwrap();
            assert_eq!(run.plan().denoising_steps, 2, "{key}: the stream has started anew");
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
        run.set(&[("costs.target.weight", Setting::Number(0.5)), ("costs.target_2.weight", Setting::Number(1.0))])
            .unwrap();
        near(costs(&run.plan()), [0.25, 4.5]);
    }

    #[test]
    fn a_refused_change_leaves_everything_as_it_was() {
        let mut run = Run::new();
        run.plan();
        let before = run.planner.settings().clone();
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
            assert_eq!(*run.planner.settings(), before);
            assert_eq!(run.plan().denoising_steps, 2, "the stream has started anew");
        }
        // What the planner refuses is known without it.
        let limit = run.planner.limit();
        let long = |settings: PlannerConfig| limit.check(&PlannerConfig { horizon: 6, ..settings });
        assert!(matches!(long(before.clone()), Err(PlanError::TooLong { max: 6, .. })));
        assert!(long(PlannerConfig { mode: PlannerMode::Full, ..before }).is_ok());
    }
}
