//! PlanMetrics beside what was recorded: the first planned action, and whether the sampled futures cover what came.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::Validator;
use df_diffusion::{Denoiser, DenoiserError, ConditioningMask, SchedulingMatrix, Solver, SolverConfig, Tokens, sample};
use crate::Network;
use crate::native_network::named_tensors;
use df_engine::{CpuDenoiser, CpuNetwork};
use df_core::ACTION_MODALITY;
use crate::TrainError;

/// Windows that are planned for.
const WINDOWS: usize = 32;
/// Futures of each. What came is one more draw of the same kind if the network is right: then it lies between the least and
/// the largest of them with probability `(FUTURES - 1) / (FUTURES + 1)` = 0.8.
const FUTURES: usize = 9;
pub const NOMINAL_COVERAGE: f64 = (FUTURES - 1) as f64 / (FUTURES + 1) as f64;

/// What unguided plans from the recorded past are worth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanMetrics {
    pub windows: usize,
    /// The first planned action, one entry per channel.
    pub first_action: Vec<ActionError>,
    /// The share of recorded values that lie within the sampled futures; 0.8 is right, less is too sure, more is too vague.
    pub coverage: f64,
}

/// How far the first planned action, the mean over the futures, is from the recorded one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionError {
    pub channel: String,
    /// Root mean square, units.
    pub error: f64,
    /// What always planning the mean action would give, units.
    pub std: f64,
}

impl Validator<'_> {
    /// PlanMetrics for the same windows with the same noise each time: history known, all else sampled, all frames descending
    /// together in `planner.denoising_steps` rows.
    pub(super) fn plan(&self, network: &Network) -> Result<Option<PlanMetrics>, TrainError> {
        let (spec, maker) = (&self.maker.spec, self.maker);
        let (stack, per_frame) = (spec.frame_stack, self.layout.frame_channels());
        let history = self.planner.history.clamp(1, maker.tokens - 1);
        let tokens = maker.tokens.min(history + self.planner.horizon);
        let count = WINDOWS.min(self.dataset.windows());
        let modality_of = self.layout.modality_of_channel();

        // The recorded windows, normalised: [window][frame][channel]; what is missing is not a number.
        let mut recorded = Vec::with_capacity(count * tokens * spec.channels());
        for i in 0..count {
            let window = self.dataset.window((i * self.dataset.windows() / count) as u64);
            for (values, present) in window.frames().take(tokens * stack) {
                let value = |c: usize| {
                    if present[modality_of[c]] != 0 { self.normaliser.apply(c, values[c]) } else { f32::NAN }
                };
                recorded.extend((0..per_frame).map(value));
            }
        }
        let of_window = tokens * spec.channels();

        let batch = count * FUTURES;
        let mut known = ConditioningMask::unconditioned(batch, tokens, spec);
        for b in 0..batch {
            let window = &recorded[b / FUTURES * of_window..][..of_window];
            for t in 0..history {
                for noise_group in 0..spec.noise_groups() {
                    let values = (0..spec.channels()).filter(|&c| spec.noise_group_of_channel[c] == noise_group);
                    let values: Vec<f32> = values.map(|c| window[t * spec.channels() + c]).collect();
                    let hidden = noise_group % spec.modalities == ACTION_MODALITY && !self.planner.history_actions;
                    let level = if hidden || values.iter().any(|v| v.is_nan()) { 1.0 } else { 0.0 };
                    let values = values.into_iter().map(|v| if v.is_nan() { 0.0 } else { v });
                    known.condition((b, t, noise_group), level, values).map_err(|e| TrainError::Backend(e.to_string()))?;
                }
            }
        }
        let matrix = SchedulingMatrix::new(
            df_diffusion::MatrixKind::FullSequence,
            tokens - history,
            self.planner.denoising_steps,
            0.0,
        )
        .map_err(|e| TrainError::Backend(e.to_string()))?;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut x = Tokens::zeros(batch, tokens, spec.channels());
        x.data.iter_mut().for_each(|value| *value = StandardNormal.sample(&mut rng));
        known.apply(&mut x, maker.schedule);
        let network = CpuNetwork::new(&named_tensors(network), self.sizes).map_err(|e| TrainError::Backend(e.to_string()))?;
        let mut denoiser = CpuDenoiser::new(network, maker.features(), maker.objective);
        let mut solver = Solver::new(SolverConfig::ddim(0.0), maker.schedule, spec);
        let sampled = sample(&mut x, &known, &matrix, &mut solver, &mut |_| (), &mut |step| {
            denoiser.denoise(step.x, step.levels).map(Some)
        });
        match sampled {
            Err(DenoiserError::NotFinite) => return Ok(None),
            other => other.map_err(|e| TrainError::Backend(e.to_string()))?,
        };

        let first = history * spec.channels();
        let rollouts = |w: usize, i: usize| (0..FUTURES).map(move |f| (w * FUTURES + f) * of_window + i);
        let action = self.layout.modalities[ACTION_MODALITY].channels.clone();
        let first_action = action
            .map(|c| {
                let errors = (0..count).filter_map(|w| {
                    let recorded = recorded[w * of_window + first + c];
                    let mean = rollouts(w, first + c).map(|i| x.data[i]).sum::<f32>() / FUTURES as f32;
                    recorded.is_finite().then(|| f64::from(mean - recorded).powi(2))
                });
                let (sum, n) = errors.fold((0.0, 0), |(sum, n), error| (sum + error, n + 1));
                let std = f64::from(self.normaliser.std[c]);
                let error = f64::from(self.normaliser.noise_scale[c]) * (sum / f64::from(n.max(1))).sqrt();
                ActionError { channel: self.layout.labels[c].clone(), error, std }
            })
            .collect();
        let (mut inside, mut of) = (0u64, 0u64);
        for w in 0..count {
            for i in first..of_window {
                let recorded = recorded[w * of_window + i];
                if recorded.is_finite() {
                    let (low, high) = rollouts(w, i)
                        .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), i| (l.min(x.data[i]), h.max(x.data[i])));
                    inside += u64::from((low..=high).contains(&recorded));
                    of += 1;
                }
            }
        }
        Ok(Some(PlanMetrics { windows: count, first_action, coverage: inside as f64 / of.max(1) as f64 }))
    }
}
