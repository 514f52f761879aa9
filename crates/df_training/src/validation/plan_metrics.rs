//! Plan metrics: unguided plans from recorded windows beside what was recorded.
//!
//! Plans are sampled by [`df_planning::inference`], as the planner samples them:
//!
//! - The recorded history is known. Its actions are hidden where `planner.history_actions` is false.
//! - With compensated latency the first recorded action after the history is known as the committed action. The planned action
//!   is the one after it.
//! - With a goal in the contract and `planner.goal_as_observation`, the goal is known. It is the value of the goal's group in
//!   the last frame of the window that holds one, with the recorded rate.
//!
//! No cost guides, and all tokens are denoised together in `planner.denoising_steps` rows. Only sampled values are compared.

use df_core::Frame;
use df_diffusion::{ConditioningMask, DenoiserError, MatrixKind, SolverKind, Tokens};
use df_engine::{CpuDenoiser, CpuNetwork};
use df_planning::inference::{GuidedSampler, SeededNoise, SlidingWindow};
use df_planning::{Budget, Latency, PlannerConfig, SamplingError};
use serde::{Deserialize, Serialize};

use super::Validator;
use crate::native_network::named_tensors;
use crate::{Network, TrainError};

/// Recorded windows that are planned for.
const WINDOWS: usize = 32;
/// Sampled rollouts of each window. If the network is right, the recorded value is one more draw of the same distribution. It
/// then lies between the smallest and the largest sample with probability `(ROLLOUTS - 1) / (ROLLOUTS + 1)` = 0.8.
const ROLLOUTS: usize = 9;
/// The coverage of a network that is right.
pub(crate) const NOMINAL_COVERAGE: f64 = (ROLLOUTS - 1) as f64 / (ROLLOUTS + 1) as f64;
/// Seed of the noise: every validation samples with the same noise.
const SEED: u64 = 0;

/// How well unguided plans from recorded pasts agree with what was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanMetrics {
    /// Recorded windows that were planned for.
    pub windows: usize,
    /// The first planned action, one entry per channel.
    pub first_action: Vec<ActionError>,
    /// The fraction of recorded values that lie within the sampled rollouts. 0.8 is right, less is too narrow, more is too wide.
    pub coverage: f64,
}

/// The error of the first planned action, which is the mean over the rollouts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionError {
    /// Label of the channel.
    pub channel: String,
    /// Root mean square of planned minus recorded, units.
    pub error: f64,
    /// The error of planning the mean action throughout, units.
    pub std: f64,
}

/// The recorded windows, and their place in the sampled tokens.
struct Windows {
    /// `[window][frame]`, in units.
    frames: Vec<Vec<Frame>>,
    /// Tokens of the history.
    history: usize,
    /// Tokens of a window.
    tokens: usize,
    /// The frame of a window that holds the first planned action.
    acting_frame: usize,
}

impl Validator<'_> {
    /// Plans for the same windows with the same noise every time. `None`: the network's predictions are not finite.
    ///
    /// # Errors
    /// Sampling fails.
    pub(super) fn plan(&self, network: &Network) -> Result<Option<PlanMetrics>, TrainError> {
        let backend = |message: String| TrainError::Backend(message);
        let network =
            CpuNetwork::new(&named_tensors(network), self.sizes).map_err(|error| backend(error.to_string()))?;
        let denoiser = Box::new(CpuDenoiser::new(network, self.maker.features(), self.maker.objective));
        let (layout, normaliser) = (self.layout.clone(), self.normaliser.clone());
        let mut sampler = GuidedSampler::without_costs(denoiser, layout, normaliser, self.maker.schedule);
        let windows = self.windows();
        match self.sample(&mut sampler, &windows) {
            Ok((x, mask)) => Ok(Some(self.compare(&windows, &x, &mask))),
            Err(SamplingError::Denoiser(DenoiserError::NotFinite)) => Ok(None),
            Err(error) => Err(backend(error.to_string())),
        }
    }

    /// Windows spread evenly over the data.
    fn windows(&self) -> Windows {
        let stack = self.layout.frame_stack;
        let history = self.planner.history.clamp(1, self.maker.tokens - 1);
        let tokens = self.maker.tokens.min(history + self.planner.horizon);
        let count = WINDOWS.min(self.dataset.windows());
        let frame = |(values, present): (&[f32], &[u8])| Frame {
            values: values.to_vec(),
            present: present.iter().map(|&present| present != 0).collect(),
            std: Vec::new(),
        };
        let window = |i: usize| self.dataset.window((i * self.dataset.windows() / count) as u64);
        let frames = (0..count).map(|i| window(i).frames().take(tokens * stack).map(frame).collect()).collect();
        // A window of one future frame has no room for an action behind the committed one.
        let commits = self.planner.latency == Latency::Compensated && (tokens - history) * stack > 1;
        Windows { frames, history, tokens, acting_frame: history * stack + usize::from(commits) }
    }

    /// Conditions every rollout as planning does.
    fn mask(&self, sampler: &GuidedSampler, windows: &Windows) -> Result<ConditioningMask, SamplingError> {
        let first = windows.history * self.layout.frame_stack;
        let batch = windows.frames.len() * ROLLOUTS;
        let conditioning = sampler.conditioning(self.planner.history_actions);
        let mut mask = ConditioningMask::unconditioned(batch, windows.tokens, sampler.spec());
        for b in 0..batch {
            let frames = &windows.frames[b / ROLLOUTS];
            conditioning.condition_history(&mut mask, b, frames[..first].iter())?;
            if windows.acting_frame > first && frames[first].present[df_core::ACTION_MODALITY] {
                let action = &frames[first].values[self.layout.action()];
                conditioning.condition_committed_action(&mut mask, b, first, action)?;
            }
            let (true, Some(&goal)) = (self.planner.goal_as_observation, self.maker.conditioning.goal.first()) else {
                continue;
            };
            let Some(arrival) = (first..frames.len()).rev().find(|&k| frames[k].present[goal]) else { continue };
            // The goal's group, and the group of its rate where there is one.
            for &m in self.maker.conditioning.goal.iter().filter(|&&m| frames[arrival].present[m]) {
                conditioning.condition_frame(&mut mask, b, arrival, m, &frames[arrival])?;
            }
        }
        Ok(mask)
    }

    /// Samples every rollout of every window: the tokens, `[window * ROLLOUTS, token, channel]`, and what of them was known.
    fn sample(
        &self,
        sampler: &mut GuidedSampler,
        windows: &Windows,
    ) -> Result<(Tokens, ConditioningMask), SamplingError> {
        let mask = self.mask(sampler, windows)?;
        let mut noise = SeededNoise::new(SEED, 0, 1.0);
        let mut x = sampler.zeros(mask.batch(), mask.tokens());
        noise.fill(&mut x);
        let config = PlannerConfig { rollouts: 1, solver: SolverKind::Ddim, eta: 0.0, ..self.planner.clone() };
        let whole = SlidingWindow {
            mask: &mask,
            first: windows.history,
            overlap: windows.history,
            acting: windows.acting_frame / self.layout.frame_stack - windows.history,
            matrix: MatrixKind::FullSequence,
            cost_horizon: &[],
            goal: &[],
            config: &config,
            budget: &Budget::unlimited(),
        };
        sampler.sample_sliding_window(&mut x, &whole, &mut |x| noise.fill(x))?;
        Ok((x, mask))
    }

    /// Compares sampled values with recorded ones. What is missing or known is not compared.
    fn compare(&self, windows: &Windows, x: &Tokens, mask: &ConditioningMask) -> PlanMetrics {
        let (stack, channels) = (self.layout.frame_stack, self.layout.frame_channels());
        let modality_of = self.layout.modality_of_channel();
        // The normalised recorded value of channel `c` in frame `k` of window `w`, if it was recorded and sampled.
        let recorded = |w: usize, k: usize, c: usize| {
            let (frame, m) = (&windows.frames[w][k], modality_of[c]);
            let noise_group = k % stack * self.layout.modalities.len() + m;
            let compared = frame.present[m] && mask.is_sampled(w * ROLLOUTS, k / stack, noise_group);
            let value = self.normaliser.apply(c, frame.values[c]);
            (compared && value.is_finite()).then_some(value)
        };
        let samples =
            |w: usize, k: usize, c: usize| (0..ROLLOUTS).map(move |f| x.sequence(w * ROLLOUTS + f)[k * channels + c]);
        let count = windows.frames.len();
        let first_action = self.layout.action().map(|c| {
            let errors = (0..count).filter_map(|w| {
                let recorded = recorded(w, windows.acting_frame, c)?;
                let mean = samples(w, windows.acting_frame, c).sum::<f32>() / ROLLOUTS as f32;
                Some(f64::from(mean - recorded).powi(2))
            });
            let (sum, n) = errors.fold((0.0, 0), |(sum, n), error| (sum + error, n + 1));
            let std = f64::from(self.normaliser.std[c]);
            let error = f64::from(self.normaliser.noise_scale[c]) * (sum / f64::from(n.max(1))).sqrt();
            ActionError { channel: self.layout.labels[c].clone(), error, std }
        });
        let first_action = first_action.collect();
        let (mut inside, mut compared) = (0u64, 0u64);
        for w in 0..count {
            for k in windows.history * stack..windows.tokens * stack {
                for c in 0..channels {
                    let Some(recorded) = recorded(w, k, c) else { continue };
                    let (low, high) = samples(w, k, c)
                        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
                    inside += u64::from((low..=high).contains(&recorded));
                    compared += 1;
                }
            }
        }
        PlanMetrics { windows: count, first_action, coverage: inside as f64 / compared.max(1) as f64 }
    }
}
