//! Noisy training batches: windows, levels, forward process, target and weight per value.

use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::Dataset;
use crate::config::{ModelConfig, NoiseMix, TrainingConfig};
use crate::diffusion::{Levels, LossWeight, NoiseSchedule, Objective, TokenSpec, Tokens, mix};

/// What one step needs, on the host.
pub struct Batch {
    pub noisy: Tokens,
    pub levels: Levels,
    pub target: Tokens,
    /// Weight of each squared error; sums to 1.
    pub weight: Tokens,
    pub total: f64,
}

/// How windows become batches.
pub struct BatchMaker {
    seed: u64,
    normaliser: crate::signal::Normaliser,
    pub spec: TokenSpec,
    pub schedule: NoiseSchedule,
    pub objective: Objective,
    pub mix: NoiseMix,
    pub weight: LossWeight,
    /// The modality that planning may take as known in the future.
    pub goal: Option<usize>,
    /// Tokens of a window that is not cut.
    pub tokens: usize,
}

impl BatchMaker {
    pub fn new(
        spec: TokenSpec,
        normaliser: crate::signal::Normaliser,
        model: &ModelConfig,
        training: &TrainingConfig,
        goal: Option<usize>,
    ) -> Self {
        Self {
            spec,
            seed: training.seed,
            normaliser,
            schedule: NoiseSchedule(model.noise_schedule),
            objective: Objective(model.objective),
            mix: training.noise_mix.clone(),
            weight: LossWeight::new(training),
            goal,
            tokens: training.window,
        }
    }

    pub fn batch(&self, dataset: &Dataset, _step: u64, positions: std::ops::Range<u64>) -> Batch {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(positions.start);
        self.draw(dataset, positions.start, (positions.end - positions.start) as usize, &mut rng)
    }
    pub fn validation_batch(&self, dataset: &Dataset, number: u64, size: usize) -> Batch {
        self.draw(dataset, number * size as u64, size, &mut rand_chacha::ChaCha8Rng::seed_from_u64(number))
    }
    /// `size` random windows, each with its own levels and noise; sometimes all cut to one shorter length.
    ///
    /// A modality that is missing in a frame enters at level 1 and weighs nothing.
    fn draw(&self, dataset: &Dataset, at: u64, size: usize, rng: &mut impl Rng) -> Batch {
        let cut = mix::cut(&self.mix, self.tokens, rng);
        let (tokens, channels, slots) = (cut.unwrap_or(self.tokens), self.spec.channels(), self.spec.slots());
        let mut batch = Batch {
            noisy: Tokens::zeros(size, tokens, channels),
            levels: Levels::filled(size, tokens, slots, 1.0),
            target: Tokens::zeros(size, tokens, channels),
            weight: Tokens::zeros(size, tokens, channels),
            total: 0.0,
        };
        let mut total = 0.0f64;
        for b in 0..size {
            let window = dataset.window(at + b as u64);
            let mut values: Vec<f32> = Vec::new();
            let mut present: Vec<bool> = Vec::new();
            for (v, p) in window.frames() {
                values.extend(v.iter().enumerate().map(|(c, v)| self.normaliser.apply(c, *v)));
                present.extend(p.iter().map(|p| *p != 0));
            }
            let present = &present[..tokens * slots];
            let mut levels = mix::levels(mix::pick(&self.mix, rng), &self.spec, self.goal, tokens, rng);
            for (level, present) in levels.iter_mut().zip(present.iter().copied()) {
                if !present {
                    *level = 1.0;
                }
            }
            let weights = self.weight.of_window(&levels, &self.spec, self.schedule, self.objective.0);
            for t in 0..tokens {
                let of_slot: Vec<(f32, f32, f32)> = (t * slots..(t + 1) * slots)
                    .map(|slot| {
                        let (alpha, sigma) = self.schedule.alpha_sigma(levels[slot]);
                        (alpha, sigma, if present[slot] { weights[slot] } else { 0.0 })
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
        batch.total = total;
        batch
    }
}
