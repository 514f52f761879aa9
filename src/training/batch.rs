//! Noisy training batches: windows, levels, forward process, target and weight per value.

use rand::Rng;
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
}

/// How windows become batches.
pub struct BatchMaker {
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
    pub fn new(spec: TokenSpec, model: &ModelConfig, training: &TrainingConfig, goal: Option<usize>) -> Self {
        Self {
            spec,
            schedule: NoiseSchedule(model.noise_schedule),
            objective: Objective(model.objective),
            mix: training.noise_mix.clone(),
            weight: LossWeight::new(training),
            goal,
            tokens: training.window,
        }
    }

    /// `size` random windows, each with its own levels and noise; sometimes all cut to one shorter length.
    ///
    /// A modality that is missing in a frame enters at level 1 and weighs nothing.
    pub fn draw(&self, dataset: &Dataset, size: usize, rng: &mut impl Rng) -> Batch {
        let cut = mix::cut(&self.mix, self.tokens, rng);
        let (tokens, channels, slots) = (cut.unwrap_or(self.tokens), self.spec.channels(), self.spec.slots());
        let mut batch = Batch {
            noisy: Tokens::zeros(size, tokens, channels),
            levels: Levels::filled(size, tokens, slots, 1.0),
            target: Tokens::zeros(size, tokens, channels),
            weight: Tokens::zeros(size, tokens, channels),
        };
        let mut total = 0.0f64;
        for b in 0..size {
            let (values, present) = dataset.draw(rng);
            let mut levels = mix::levels(mix::pick(&self.mix, rng), &self.spec, self.goal, tokens, rng);
            for (level, &present) in levels.iter_mut().zip(present) {
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
        let scale = 1.0 / total.max(1.0) as f32;
        batch.weight.data.iter_mut().for_each(|w| *w *= scale);
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Episode;
    use crate::signal::{Frame, Layout};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn batches_are_cut_in_their_share_and_missing_values_weigh_nothing() {
        let layout =
            Layout::new(2, [("action".into(), vec!["a".into()]), ("pose".into(), vec!["x".into(), "y".into()])]);
        // The pose is missing in every third frame.
        let frame = |k: usize| Frame {
            values: vec![k as f32; 3],
            present: vec![true, !k.is_multiple_of(3)],
            deviation: Vec::new(),
        };
        let episode = Episode { weight: 1.0, start_ns: 0, frames: (0..40).map(frame).collect() };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let (dataset, ..) = Dataset::split(vec![episode], &layout, 10, 0.1, 0.0, &mut rng).unwrap();
        let mix = NoiseMix { variable_length: 0.5, planning: 0.25, questions: 0.25, ..NoiseMix::default() };
        let training = TrainingConfig { window: 5, noise_mix: mix, ..TrainingConfig::default() };
        let spec = TokenSpec::new(&layout.modality_of_channel(), 2);
        let maker = BatchMaker::new(spec, &ModelConfig::default(), &training, Some(1));
        let mut cut = 0;
        for _ in 0..200 {
            let batch = maker.draw(&dataset, 8, &mut rng);
            assert!((2..=5).contains(&batch.noisy.tokens) && batch.levels.tokens == batch.noisy.tokens);
            cut += usize::from(batch.noisy.tokens < 5);
            let sum: f32 = batch.weight.data.iter().sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
            // Two frames a token; of the frames of any window at least a third, rounded down, lacks its pose.
            for b in 0..8 {
                let hidden = (0..batch.noisy.tokens).flat_map(|t| [(t, 0), (t, 1)]).filter(|(t, f)| {
                    batch.levels.at(b, *t)[2 * f + 1] == 1.0 && batch.weight.at(b, *t)[3 * f + 1..3 * f + 3] == [0.0; 2]
                });
                assert!(hidden.count() >= 2 * batch.noisy.tokens / 3);
            }
        }
        // Half of 200 batches: deviation 7.
        assert!((72..128).contains(&cut), "{cut}");
    }
}
