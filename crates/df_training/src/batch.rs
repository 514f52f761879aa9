//! Noisy training batches: windows, levels, forward process, target and weight per value.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::Dataset;
use super::rng::{RngStream, generator};
use super::dwell_augmentation::DwellAugmentation;
use crate::TrainerConfig;
use df_engine::{ConditioningFeatures, ModelConfig};
use df_diffusion::NoiseLevelSamplerConfig;
use crate::TrainingConfig;
use df_diffusion::{ConditioningSpec, NoiseLevelSampler};
use df_diffusion::{Levels, LossWeight, NoiseSchedule, Objective, RecentLevels, TokenSpec, Tokens};
use df_core::{Layout, Normaliser};

/// What one step needs, on the host; or a part of it.
pub struct Batch {
    pub noisy: Tokens,
    pub levels: Levels,
    pub target: Tokens,
    /// Weight of each squared error.
    pub weight: Tokens,
    /// The sum of the weights, before [`Batch::normalise`].
    pub total: f64,
}

impl Batch {
    /// Divides the weights by `total`: their sum over all windows of the step, which a rank or a part of a batch cannot know
    /// by itself. A step in which next to nothing has a weight is not blown up.
    pub fn normalise(&mut self, total: f64) {
        let scale = 1.0 / total.max(1.0) as f32;
        self.weight.data.iter_mut().for_each(|weight| *weight *= scale);
    }
}

/// How windows become batches.
pub struct BatchMaker {
    pub spec: TokenSpec,
    pub normaliser: Normaliser,
    pub schedule: NoiseSchedule,
    pub objective: Objective,
    /// Whether clean values are inputs a second time.
    pub condition_on_clean_values: bool,
    pub mix: NoiseLevelSamplerConfig,
    pub weight: LossWeight,
    pub asked: ConditioningSpec,
    /// Tokens of a window that is not cut.
    pub tokens: usize,
    pub seed: u64,
    /// Puts stays into training windows.
    pub stays: Option<DwellAugmentation>,
}

impl BatchMaker {
    pub fn new(
        spec: TokenSpec,
        normaliser: Normaliser,
        model: &ModelConfig,
        training: &TrainingConfig,
        asked: ConditioningSpec,
    ) -> Self {
        Self {
            spec,
            normaliser,
            schedule: NoiseSchedule(model.noise_schedule),
            objective: Objective(model.objective),
            condition_on_clean_values: model.condition_on_clean_values,
            mix: training.noise_levels.clone(),
            weight: training.loss_weight(),
            asked,
            tokens: training.window,
            seed: training.seed,
            stays: None,
        }
    }

    /// What the network is conditioned on beside the values of its tokens.
    pub fn features(&self) -> ConditioningFeatures {
        ConditioningFeatures {
            spec: self.spec.clone(),
            schedule: self.schedule,
            condition_on_clean_values: self.condition_on_clean_values,
        }
    }

    /// What planning asks under a configuration.
    pub fn asked(config: &TrainerConfig, layout: &Layout) -> ConditioningSpec {
        let groups = config.contract.goal.iter().flat_map(|goal| [Some(&goal.group), goal.rate.as_ref()]).flatten();
        ConditioningSpec {
            goal: groups.filter_map(|group| layout.modality(group)).collect(),
            history_actions: config.planner.history_actions,
        }
    }

    /// The windows at these positions of the run, which belong to this step, each with its own levels and noise; in some steps
    /// all cut to one shorter length. The same windows make the same numbers, however a step is divided.
    ///
    /// A modality that is missing in a frame enters at level 1 and weighs nothing.
    pub fn batch(&self, dataset: &Dataset, step: u64, positions: Range<u64>) -> Batch {
        let cut = NoiseLevelSampler::new(&self.mix, &self.asked, &self.spec).sample_length(self.tokens, &mut generator(self.seed, RngStream::Length, step));
        self.noisy(dataset, cut.unwrap_or(self.tokens), positions, RngStream::Window)
    }

    /// A batch for validation, the same whenever it is asked for: windows of full length.
    pub fn validation_batch(&self, dataset: &Dataset, number: u64, size: usize) -> Batch {
        let positions = number * size as u64..(number + 1) * size as u64;
        self.noisy(dataset, self.tokens, positions, RngStream::Validation)
    }

    fn noisy(&self, dataset: &Dataset, tokens: usize, positions: Range<u64>, purpose: RngStream) -> Batch {
        let size = positions.clone().count();
        let (channels, noise_groups) = (self.spec.channels(), self.spec.noise_groups());
        let mut batch = Batch {
            noisy: Tokens::zeros(size, tokens, channels),
            levels: Levels::filled(size, tokens, noise_groups, 1.0),
            target: Tokens::zeros(size, tokens, channels),
            weight: Tokens::zeros(size, tokens, channels),
            total: 0.0,
        };
        let rows =
            batch.noisy.data.par_chunks_mut(tokens * channels).zip(batch.levels.data.par_chunks_mut(tokens * noise_groups));
        let rows = rows.zip(batch.target.data.par_chunks_mut(tokens * channels));
        let rows = rows.zip(batch.weight.data.par_chunks_mut(tokens * channels));
        let totals: Vec<f64> = rows
            .enumerate()
            .map(|(b, (((noisy, levels), target), weight))| {
                let position = positions.start + b as u64;
                let rng = &mut generator(self.seed, purpose, position);
                let window = dataset.window(position);
                let stays = self.stays.as_ref().filter(|_| matches!(purpose, RngStream::Window));
                let stay =
                    stays.and_then(|stays| stays.draw(&window, &mut generator(self.seed, RngStream::Stay, position)));
                let frames: Vec<_> = match &stay {
                    Some(stay) => stay.iter().collect(),
                    None => window.frames().collect(),
                };
                self.noisy_window(&frames, Row { noisy, levels, target, weight }, rng)
            })
            .collect();
        // In the order of windows, whoever made which.
        batch.total = totals.iter().sum();
        batch
    }

    /// Tells the sum of the weights.
    fn noisy_window(&self, frames: &[(&[f32], &[u8])], row: Row, rng: &mut ChaCha8Rng) -> f64 {
        let (modalities, channels) = (self.spec.modalities, self.spec.channels() / self.spec.frame_stack);
        let tokens = row.levels.len() / self.spec.noise_groups();
        row.levels.copy_from_slice(&NoiseLevelSampler::new(&self.mix, &self.asked, &self.spec).sample_levels(tokens, rng));
        for (levels, &(_, present)) in row.levels.chunks_mut(modalities).zip(frames) {
            levels.iter_mut().zip(present).filter(|(_, present)| **present == 0).for_each(|(level, _)| *level = 1.0);
        }
        let weights = self.weight.of_window(row.levels, &self.spec, self.schedule, self.objective.0);
        let (mut total, mut schedule) = (0.0, RecentLevels::new(self.schedule));
        // The frames of a token lie one after the other, and so do tokens: frame by frame is the order of the row.
        for (k, &(values, present)) in frames.iter().take(tokens * self.spec.frame_stack).enumerate() {
            let amplitudes =
                row.levels[k * modalities..][..modalities].iter().map(|&level| schedule.alpha_sigma(level));
            let of_modality: Vec<(f32, f32, f32)> = amplitudes
                .zip(&weights[k * modalities..])
                .zip(present)
                .map(|(((alpha, sigma), &weight), &present)| (alpha, sigma, if present == 0 { 0.0 } else { weight }))
                .collect();
            for (c, &value) in values.iter().enumerate() {
                let modality = self.spec.noise_group_of_channel[c];
                let (alpha, sigma, weight) = of_modality[modality];
                let clean = if present[modality] == 0 { 0.0 } else { self.normaliser.apply(c, value) };
                let noise: f32 = StandardNormal.sample(rng);
                let at = k * channels + c;
                row.noisy[at] = alpha * clean + sigma * noise;
                row.target[at] = self.objective.target(clean, noise, alpha, sigma);
                row.weight[at] = weight;
                total += f64::from(weight);
            }
        }
        total
    }
}

/// One window of a batch while it is made: `[token, channel]`, levels `[token, noise_group]`.
struct Row<'a> {
    noisy: &'a mut [f32],
    levels: &'a mut [f32],
    target: &'a mut [f32],
    weight: &'a mut [f32],
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_data::Recording;
    use df_core::Frame;

    fn house() -> (Dataset, BatchMaker) {
        let layout =
            Layout::new(2, [("action".into(), vec!["a".into()]), ("pose".into(), vec!["x".into(), "y".into()])]);
        // The pose is missing in every third frame.
        let frame = |k: usize| Frame {
            values: if k.is_multiple_of(3) { vec![k as f32, 0.0, 0.0] } else { vec![k as f32; 3] },
            present: vec![true, !k.is_multiple_of(3)],
            std: Vec::new(),
        };
        let recording = Recording::of(&layout, vec![((0..40).map(frame).collect(), 1.0)]).unwrap();
        let (dataset, _, normaliser) = Dataset::split(&recording, 10, 0.1, 0.0, 4).unwrap();
        let mix = NoiseLevelSamplerConfig { variable_length: 0.5, planning: 0.25, queries: 0.25, ..NoiseLevelSamplerConfig::default() };
        let training = TrainingConfig { window: 5, noise_levels: mix, seed: 4, ..TrainingConfig::default() };
        let spec = TokenSpec::new(&layout.modality_of_channel(), 2);
        let asked = ConditioningSpec { goal: vec![1], history_actions: true };
        (dataset, BatchMaker::new(spec, normaliser, &ModelConfig::default(), &training, asked))
    }

    fn numbers(batch: &Batch) -> Vec<&[f32]> {
        let mut windows = Vec::new();
        for b in 0..batch.noisy.batch {
            let levels = batch.levels.tokens * batch.levels.noise_groups;
            windows.extend([&batch.noisy, &batch.target, &batch.weight].map(|tokens| tokens.sequence(b)));
            windows.push(&batch.levels.data[b * levels..(b + 1) * levels]);
        }
        windows
    }

    #[test]
    fn batches_are_cut_in_their_share_and_missing_values_weigh_nothing() {
        let (dataset, maker) = house();
        let mut cut = 0;
        for step in 0..200 {
            let mut batch = maker.batch(&dataset, step, 8 * step..8 * (step + 1));
            assert!((2..=5).contains(&batch.noisy.tokens) && batch.levels.tokens == batch.noisy.tokens);
            cut += usize::from(batch.noisy.tokens < 5);
            let sum: f64 = batch.weight.data.iter().map(|&w| f64::from(w)).sum();
            assert!((sum - batch.total).abs() < 1e-9, "{sum} is not {}", batch.total);
            batch.normalise(batch.total);
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

    /// Clean values come through where the level is 0: normalised, of the window that the order says.
    #[test]
    fn known_values_are_those_of_the_window() {
        let (dataset, maker) = house();
        let mut known = 0;
        for step in 0..50 {
            let batch = maker.batch(&dataset, step, step..step + 1);
            let frames: Vec<_> = dataset.window(step).frames().collect();
            for t in 0..batch.noisy.tokens {
                for (c, &noise_group) in maker.spec.noise_group_of_channel.iter().enumerate() {
                    let (values, present) = frames[2 * t + c / 3];
                    if batch.levels.at(0, t)[noise_group] == 0.0 {
                        assert!(present[noise_group % 2] != 0);
                        let expected =
                            (values[c % 3] - maker.normaliser.mean[c % 3]) / maker.normaliser.noise_scale[c % 3];
                        assert_eq!(batch.noisy.at(0, t)[c], expected);
                        known += 1;
                    }
                }
            }
        }
        assert!(known > 100, "{known}");
    }

    #[test]
    fn parts_of_a_step_are_the_step() {
        let (dataset, maker) = house();
        for step in 0..20 {
            let whole = maker.batch(&dataset, step, 8 * step..8 * (step + 1));
            let parts =
                [0..3, 3..4, 4..8].map(|part| maker.batch(&dataset, step, 8 * step + part.start..8 * step + part.end));
            assert_eq!(parts.iter().flat_map(numbers).collect::<Vec<_>>(), numbers(&whole));
            let total: f64 = parts.iter().map(|part| part.total).sum();
            assert!((total - whole.total).abs() < 1e-9 * whole.total.max(1.0));
        }
    }

    #[test]
    fn noise_differs_between_windows_epochs_and_uses_and_is_the_same_again() {
        let (dataset, maker) = house();
        let windows = dataset.windows() as u64;
        let one = |position: u64| maker.batch(&dataset, 0, position..position + 1);
        assert_eq!(numbers(&one(7)), numbers(&one(7)));
        // Targets of the first token, which every length has.
        let noise = |batch: &Batch| batch.target.at(0, 0).to_vec();
        assert_ne!(noise(&one(7)), noise(&one(8)));
        // The same window in the next epoch.
        let first = |position: u64| dataset.window(position).first;
        let again = (windows..2 * windows).find(|&position| first(position) == first(7)).unwrap();
        assert_ne!(noise(&one(7)), noise(&one(again)));
        let validation = |number| maker.validation_batch(&dataset, number, 4);
        assert_eq!(numbers(&validation(1)), numbers(&validation(1)));
        assert_eq!(validation(1).noisy.tokens, 5);
        let (all, second) = (maker.validation_batch(&dataset, 0, 8), validation(1));
        assert_eq!(numbers(&all)[16..], numbers(&second)[..]);
        assert_ne!(noise(&second), noise(&one(4)));
    }
}
