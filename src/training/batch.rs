//! Noisy training batches: windows, levels, forward process, target and weight per value.

use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Dataset;
use crate::config::{ModelConfig, NoiseMix};
use crate::diffusion::{Levels, LossWeight, NoiseSchedule, Objective, TokenSpec, Tokens, mix};

/// What one step needs, on the host.
pub struct Batch {
    pub noisy: Tokens,
    pub levels: Levels,
    pub target: Tokens,
    /// Weight of each squared error; sums to 1.
    pub weight: Tokens,
}

/// How windows become batches.
pub struct BatchMaker {
    pub spec: TokenSpec,
    pub schedule: NoiseSchedule,
    pub objective: Objective,
    pub mix: NoiseMix,
    /// The modality that planning may take as known in the future.
    pub goal: Option<usize>,
    pub tokens: usize,
}

impl BatchMaker {
    pub fn new(spec: TokenSpec, model: &ModelConfig, mix: NoiseMix, goal: Option<usize>, tokens: usize) -> Self {
        Self {
            spec,
            schedule: NoiseSchedule(model.noise_schedule),
            objective: Objective(model.objective),
            mix,
            goal,
            tokens,
        }
    }

    /// `size` random windows, each with its own levels and noise.
    ///
    /// A modality that is missing in a frame enters at level 1 and weighs nothing.
    pub fn draw(&self, dataset: &Dataset, size: usize, rng: &mut impl Rng) -> Batch {
        let (tokens, channels, slots) = (self.tokens, self.spec.channels(), self.spec.slots());
        let mut batch = Batch {
            noisy: Tokens::zeros(size, tokens, channels),
            levels: Levels::filled(size, tokens, slots, 1.0),
            target: Tokens::zeros(size, tokens, channels),
            weight: Tokens::zeros(size, tokens, channels),
        };
        let mut total = 0.0f64;
        for b in 0..size {
            let (values, present) = dataset.draw(rng);
            let mut levels = mix::draw(&self.mix, &self.spec, self.goal, tokens, rng);
            for (level, &present) in levels.iter_mut().zip(present) {
                if !present {
                    *level = 1.0;
                }
            }
            for t in 0..tokens {
                let of_slot: Vec<(f32, f32, f32)> = (0..slots)
                    .map(|slot| {
                        let (alpha, sigma) = self.schedule.alpha_sigma(levels[t * slots + slot]);
                        let weight = LossWeight::default().of(self.objective.0, alpha, sigma);
                        (alpha, sigma, if present[t * slots + slot] { weight } else { 0.0 })
                    })
                    .collect();
                batch.levels.at_mut(b, t).copy_from_slice(&levels[t * slots..(t + 1) * slots]);
                for c in 0..channels {
                    let (alpha, sigma, weight) = of_slot[self.spec.slot_of_channel[c]];
                    let clean = values[t * channels + c];
                    let noise: f32 = StandardNormal.sample(rng);
                    batch.noisy.at_mut(b, t)[c] = alpha * clean + sigma * noise;
                    batch.target.at_mut(b, t)[c] = self.objective.target(clean, noise, alpha, sigma);
                    batch.weight.at_mut(b, t)[c] = weight;
                    total += f64::from(weight);
                }
            }
        }
        let scale = 1.0 / total.max(1.0) as f32;
        batch.weight.data.iter_mut().for_each(|w| *w *= scale);
        batch
    }
}
