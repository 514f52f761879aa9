//! Training batches: windows with noise levels, noisy values, targets and loss weights.
//!
//! The forward process is `noisy = alpha(level) clean + sigma(level) noise`, with a level of its own per token and
//! modality (Chen et al. 2024, "Diffusion Forcing", section 3).

use std::ops::Range;

use df_core::{Layout, Normaliser};
use df_diffusion::{
    ConditioningSpec, Levels, LossWeight, NoiseLevelSampler, NoiseLevelSamplerConfig, NoiseSchedule, Objective,
    RecentLevels, TokenSpec, Tokens,
};
use df_engine::{ConditioningFeatures, ModelConfig};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::dwell_augmentation::DwellAugmentation;
use crate::rng::RngStream;
use crate::{Dataset, TrainerConfig, TrainingConfig};

/// A batch of windows on the host, or a part of one.
pub struct Batch {
    /// The noisy values, `[batch, token, channel]`.
    pub noisy: Tokens,
    /// The noise levels, `[batch, token, noise group]`.
    pub levels: Levels,
    /// The target of the prediction, `[batch, token, channel]`.
    pub target: Tokens,
    /// The weight of each squared error, `[batch, token, channel]`.
    pub weight: Tokens,
    /// The sum of `weight` before [`Batch::normalise`].
    pub total_weight: f64,
}

impl Batch {
    /// Divides the weights by `total_weight`, the sum over all windows of the step. A part of a batch does not know
    /// this sum. A sum below 1 counts as 1, so that a step with hardly any weight does not get a large gradient.
    pub fn normalise(&mut self, total_weight: f64) {
        let scale = 1.0 / total_weight.max(1.0) as f32;
        self.weight.data.iter_mut().for_each(|weight| *weight *= scale);
    }
}

/// Makes batches of windows.
pub struct BatchMaker {
    pub(crate) spec: TokenSpec,
    pub(crate) normaliser: Normaliser,
    pub(crate) schedule: NoiseSchedule,
    pub(crate) objective: Objective,
    /// True if the network gets clean values as additional inputs.
    pub(crate) condition_on_clean_values: bool,
    pub(crate) noise_levels: NoiseLevelSamplerConfig,
    pub(crate) weight: LossWeight,
    /// The conditions that planning sets.
    pub(crate) conditioning: ConditioningSpec,
    /// Tokens of a window of full length.
    pub(crate) tokens: usize,
    pub(crate) seed: u64,
    pub(crate) dwell: Option<DwellAugmentation>,
}

impl BatchMaker {
    /// A maker without dwell augmentation.
    pub fn new(
        spec: TokenSpec,
        normaliser: Normaliser,
        model: &ModelConfig,
        training: &TrainingConfig,
        conditioning: ConditioningSpec,
    ) -> Self {
        Self {
            spec,
            normaliser,
            schedule: NoiseSchedule(model.noise_schedule),
            objective: Objective(model.objective),
            condition_on_clean_values: model.condition_on_clean_values,
            noise_levels: training.noise_levels.clone(),
            weight: training.loss_weight(),
            conditioning,
            tokens: training.window,
            seed: training.seed,
            dwell: None,
        }
    }

    /// The inputs of the network besides the noisy values.
    pub fn features(&self) -> ConditioningFeatures {
        ConditioningFeatures {
            spec: self.spec.clone(),
            schedule: self.schedule,
            condition_on_clean_values: self.condition_on_clean_values,
        }
    }

    /// The conditions that planning sets under a configuration. Training uses them as patterns of noise levels.
    pub fn conditioning_spec(config: &TrainerConfig, layout: &Layout) -> ConditioningSpec {
        let groups = config.contract.goal.iter().flat_map(|goal| [Some(&goal.group), goal.rate.as_ref()]).flatten();
        ConditioningSpec {
            goal: groups.filter_map(|group| layout.modality(group)).collect(),
            history_actions: config.planner.history_actions,
        }
    }

    /// The windows at these positions of the shuffled order, which belong to this step. Each window has its own levels
    /// and noise. In some steps all windows are cut to one shorter length. The numbers of a window do not depend on the
    /// division of the step.
    ///
    /// A modality that is missing in a frame has level 1 and weight 0.
    pub fn batch(&self, dataset: &Dataset, step: u64, positions: Range<u64>) -> Batch {
        let mut rng = RngStream::Length.generator(self.seed, step);
        let shorter = self.noise_level_sampler().sample_length(self.tokens, &mut rng);
        self.noisy(dataset, shorter.unwrap_or(self.tokens), positions, RngStream::Window)
    }

    /// A batch of windows of full length for validation. Equal arguments give equal numbers.
    pub fn validation_batch(&self, dataset: &Dataset, number: u64, size: usize) -> Batch {
        let positions = number * size as u64..(number + 1) * size as u64;
        self.noisy(dataset, self.tokens, positions, RngStream::Validation)
    }

    fn noise_level_sampler(&self) -> NoiseLevelSampler<'_> {
        NoiseLevelSampler::new(&self.noise_levels, &self.conditioning, &self.spec)
    }

    fn noisy(&self, dataset: &Dataset, tokens: usize, positions: Range<u64>, stream: RngStream) -> Batch {
        let size = positions.clone().count();
        let (channels, noise_groups) = (self.spec.channels(), self.spec.noise_groups());
        let mut batch = Batch {
            noisy: Tokens::zeros(size, tokens, channels),
            levels: Levels::filled(size, tokens, noise_groups, 1.0),
            target: Tokens::zeros(size, tokens, channels),
            weight: Tokens::zeros(size, tokens, channels),
            total_weight: 0.0,
        };
        let rows = batch
            .noisy
            .data
            .par_chunks_mut(tokens * channels)
            .zip(batch.levels.data.par_chunks_mut(tokens * noise_groups));
        let rows = rows.zip(batch.target.data.par_chunks_mut(tokens * channels));
        let rows = rows.zip(batch.weight.data.par_chunks_mut(tokens * channels));
        let totals: Vec<f64> = rows
            .enumerate()
            .map(|(b, (((noisy, levels), target), weight))| {
                let position = positions.start + b as u64;
                let rng = &mut stream.generator(self.seed, position);
                let window = dataset.window(position);
                let dwell = self.dwell.as_ref().filter(|_| matches!(stream, RngStream::Window));
                let augmented =
                    dwell.and_then(|dwell| dwell.draw(&window, &mut RngStream::Dwell.generator(self.seed, position)));
                let frames: Vec<_> = match &augmented {
                    Some(augmented) => augmented.iter().collect(),
                    None => window.frames().collect(),
                };
                self.noisy_window(&frames, Row { noisy, levels, target, weight }, rng)
            })
            .collect();
        // The order of the sum is that of the windows, whichever thread made them.
        batch.total_weight = totals.iter().sum();
        batch
    }

    /// Fills the row of one window and returns the sum of its weights. `frames` holds values `[channel]` and presence
    /// bytes `[modality]`.
    fn noisy_window(&self, frames: &[(&[f32], &[u8])], row: Row, rng: &mut ChaCha8Rng) -> f64 {
        let (modalities, channels) = (self.spec.modalities, self.spec.channels() / self.spec.frame_stack);
        let tokens = row.levels.len() / self.spec.noise_groups();
        row.levels.copy_from_slice(&self.noise_level_sampler().sample_levels(tokens, rng));
        for (levels, &(_, present)) in row.levels.chunks_mut(modalities).zip(frames) {
            levels.iter_mut().zip(present).filter(|(_, present)| **present == 0).for_each(|(level, _)| *level = 1.0);
        }
        let weights = self.weight.of_window(row.levels, &self.spec, self.schedule, self.objective.0);
        let (mut total, mut schedule) = (0.0, RecentLevels::new(self.schedule));
        // A row is in the order of frames: tokens follow each other, and so do the frames of a token.
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
                let i = k * channels + c;
                row.noisy[i] = alpha * clean + sigma * noise;
                row.target[i] = self.objective.target(clean, noise, alpha, sigma);
                row.weight[i] = weight;
                total += f64::from(weight);
            }
        }
        total
    }
}

/// The row of one window in a batch: `[token, channel]`, levels `[token, noise group]`.
struct Row<'a> {
    noisy: &'a mut [f32],
    levels: &'a mut [f32],
    target: &'a mut [f32],
    weight: &'a mut [f32],
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_core::Frame;
    use df_data::Recording;

    fn fixture() -> (Dataset, BatchMaker) {
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
        let noise_levels = NoiseLevelSamplerConfig {
            variable_length: 0.5,
            planning: 0.25,
            queries: 0.25,
            ..NoiseLevelSamplerConfig::default()
        };
        let training = TrainingConfig { window: 5, noise_levels, seed: 4, ..TrainingConfig::default() };
        let spec = TokenSpec::new(&layout.modality_of_channel(), 2);
        let conditioning = ConditioningSpec { goal: vec![1], history_actions: true };
        (dataset, BatchMaker::new(spec, normaliser, &ModelConfig::default(), &training, conditioning))
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
    fn windows_are_cut_in_the_configured_share_of_steps_and_missing_values_have_no_weight() {
        let (dataset, maker) = fixture();
        let mut cut = 0;
        for step in 0..200 {
            let mut batch = maker.batch(&dataset, step, 8 * step..8 * (step + 1));
            assert!((2..=5).contains(&batch.noisy.tokens) && batch.levels.tokens == batch.noisy.tokens);
            cut += usize::from(batch.noisy.tokens < 5);
            let sum: f64 = batch.weight.data.iter().map(|&w| f64::from(w)).sum();
            assert!((sum - batch.total_weight).abs() < 1e-9, "{sum} is not {}", batch.total_weight);
            batch.normalise(batch.total_weight);
            let sum: f32 = batch.weight.data.iter().sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
            // A token has two frames. At least a third of a window's frames, rounded down, have no pose.
            for b in 0..8 {
                let hidden = (0..batch.noisy.tokens).flat_map(|t| [(t, 0), (t, 1)]).filter(|(t, f)| {
                    batch.levels.at(b, *t)[2 * f + 1] == 1.0 && batch.weight.at(b, *t)[3 * f + 1..3 * f + 3] == [0.0; 2]
                });
                assert!(hidden.count() >= 2 * batch.noisy.tokens / 3);
            }
        }
        // Half of 200 batches: standard deviation 7.
        assert!((72..128).contains(&cut), "{cut}");
    }

    /// At level 0 the noisy values are the normalised values of the window at that position.
    #[test]
    fn values_at_level_0_are_those_of_the_window() {
        let (dataset, maker) = fixture();
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
    fn the_parts_of_a_step_hold_the_numbers_of_the_whole_step() {
        let (dataset, maker) = fixture();
        for step in 0..20 {
            let whole = maker.batch(&dataset, step, 8 * step..8 * (step + 1));
            let parts =
                [0..3, 3..4, 4..8].map(|part| maker.batch(&dataset, step, 8 * step + part.start..8 * step + part.end));
            assert_eq!(parts.iter().flat_map(numbers).collect::<Vec<_>>(), numbers(&whole));
            let total: f64 = parts.iter().map(|part| part.total_weight).sum();
            assert!((total - whole.total_weight).abs() < 1e-9 * whole.total_weight.max(1.0));
        }
    }

    #[test]
    fn noise_is_reproducible_and_differs_between_windows_epochs_and_validation() {
        let (dataset, maker) = fixture();
        let windows = dataset.windows() as u64;
        let one = |position: u64| maker.batch(&dataset, 0, position..position + 1);
        assert_eq!(numbers(&one(7)), numbers(&one(7)));
        // The targets of the first token: windows of every length have it.
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
