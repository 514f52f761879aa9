//! The transformer of the method's reference code (Chen et al. 2024, github.com/buoyancy99/diffusion-forcing): post-norm, with
//! sinusoidal embeddings of the time and of one noise step per token. For weights that were trained there; evaluated by Burn
//! backends only.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, TensorData, activation};
use serde::{Deserialize, Serialize};

use super::NetworkConfig;
use df_diffusion::{Levels, NoiseSchedule};

/// The fastest frequency of an embedding over the slowest (Vaswani et al. 2017).
const SLOWEST: f64 = 10_000.0;

/// What the reference transformer is, beside the sizes that both architectures have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceConfig {
    /// Width of the hidden layer of a block.
    pub hidden: usize,
    /// Whether a token attends to those before it only. Else sequences are filled up to the longest one with tokens of pure
    /// noise, as in training there.
    pub causal: bool,
    /// Share of the signal's variance at each noise step, falling (`alphas_cumprod`).
    pub signal: Vec<f32>,
    /// Per noise group of a token: whether it was in the training data there. One that was not is neither seen nor predicted.
    pub seen: Vec<bool>,
}

/// Predicts the objective's target for every channel of every token.
#[derive(Module, Debug)]
pub struct ReferenceNetwork {
    pub(super) first: Linear,
    pub(super) second: Linear,
    pub(super) blocks: Vec<PostNormBlock>,
    pub(super) output: Linear,
    #[module(skip)]
    pub(super) config: ReferenceConfig,
    /// The longest sequence.
    #[module(skip)]
    tokens: usize,
}

#[derive(Module, Debug)]
pub(super) struct PostNormBlock {
    query_key_value: Linear,
    attended: Linear,
    after_attention: LayerNorm,
    hidden: Linear,
    back: Linear,
    after_hidden: LayerNorm,
    #[module(skip)]
    heads: usize,
}

impl ReferenceConfig {
    /// A network with random weights.
    pub fn init(&self, sizes: &NetworkConfig, device: &Device) -> ReferenceNetwork {
        let width = sizes.width;
        let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
        let block = |_| PostNormBlock {
            query_key_value: linear(width, 3 * width),
            attended: linear(width, width),
            after_attention: LayerNormConfig::new(width).init(device),
            hidden: linear(width, self.hidden),
            back: linear(self.hidden, width),
            after_hidden: LayerNormConfig::new(width).init(device),
            heads: sizes.heads,
        };
        ReferenceNetwork {
            first: linear(sizes.channels + width / 2, width),
            second: linear(width, width),
            blocks: (0..sizes.layers).map(block).collect(),
            output: linear(width, sizes.channels),
            config: self.clone(),
            tokens: sizes.tokens,
        }
    }

    /// The step whose ratio of signal to noise is nearest to that of a level, as logarithms; the ends for 0 and 1.
    fn step(&self, level: f32, schedule: NoiseSchedule) -> usize {
        let (alpha, sigma) = schedule.alpha_sigma(level);
        let ratio = |signal: f32| (f64::from(signal) / (1.0 - f64::from(signal)).max(1e-12)).max(1e-12).ln();
        let wanted = 2.0 * (f64::from(alpha).max(1e-12) / f64::from(sigma).max(1e-12)).ln();
        let after = self.signal.partition_point(|&signal| ratio(signal) > wanted);
        let distance = |step: usize| self.signal.get(step).map_or(f64::INFINITY, |&s| (ratio(s) - wanted).abs());
        match after.checked_sub(1) {
            Some(before) if distance(before) <= distance(after) => before,
            _ => after,
        }
    }

    /// The level that each noise group is told to have: the highest of its token's, for those that were seen in training.
    pub fn told(&self, levels: &Levels) -> Levels {
        let mut told = levels.clone();
        for of_token in told.data.chunks_mut(levels.noise_groups) {
            let seen = || of_token.iter().zip(&self.seen).filter(|(_, seen)| **seen);
            let highest = seen().fold(0.0f32, |highest, (level, _)| highest.max(*level));
            of_token.iter_mut().zip(&self.seen).filter(|(_, seen)| **seen).for_each(|(level, _)| *level = highest);
        }
        told
    }
}

impl ReferenceNetwork {
    /// The prediction for every channel.
    ///
    /// # Shapes
    /// - `x`: `[batch, token, channel]`, every token at the level that it is told
    /// - `features`: `[batch, token or more, width / 2]`, see [`ReferenceNetwork::features`]
    /// - output: `[batch, token, channel]`
    pub fn forward(&self, x: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, channels] = x.dims();
        let [_, all, width] = features.dims();
        let device = x.device();
        let x = if all > tokens {
            Tensor::cat(vec![x, Tensor::zeros([batch, all - tokens, channels], &device)], 1)
        } else {
            x
        };
        let times: Vec<f32> = (0..all).flat_map(|token| embedding(token, 2 * width)).collect();
        let times = Tensor::<3>::from_data(TensorData::new(times, [1, all, 2 * width]), &device);
        let first = activation::relu(self.first.forward(Tensor::cat(vec![x, features], 2)));
        let mut hidden = self.second.forward(first) + times;
        for block in &self.blocks {
            hidden = block.forward(hidden, self.config.causal);
        }
        self.output.forward(hidden.narrow(1, 0, tokens))
    }

    /// The embeddings of the tokens' noise steps; `levels` as told. The tokens that fill a sequence up follow.
    pub fn features(&self, levels: &Levels, schedule: NoiseSchedule) -> TensorData {
        let width = self.output.weight.dims()[0] / 2;
        let all = if self.config.causal { levels.tokens } else { self.tokens };
        let filling = embedding(self.config.signal.len() - 1, width);
        let mut features = Vec::with_capacity(levels.batch * all * width);
        let seen = self.config.seen.iter().position(|seen| *seen).unwrap_or(0);
        for b in 0..levels.batch {
            let step = |token: usize| self.config.step(levels.at(b, token)[seen], schedule);
            features.extend((0..levels.tokens).flat_map(|token| embedding(step(token), width)));
            features.extend((levels.tokens..all).flat_map(|_| filling.clone()));
        }
        TensorData::new(features, [levels.batch, all, width])
    }
}

impl PostNormBlock {
    fn forward(&self, x: Tensor<3>, causal: bool) -> Tensor<3> {
        let x = self.after_attention.forward(x.clone() + self.attend(x, causal));
        let hidden = activation::relu(self.hidden.forward(x.clone()));
        self.after_hidden.forward(x + self.back.forward(hidden))
    }

    fn attend(&self, x: Tensor<3>, causal: bool) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        // [batch, token, 3 * width] -> [3, batch, head, token, width / heads]
        let split = [batch, tokens, 3, self.heads, width / self.heads];
        let all = self.query_key_value.forward(x).reshape(split).permute([2, 0, 3, 1, 4]);
        let [query, key, value] = [0, 1, 2].map(|i| all.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
        let options = AttentionModuleOptions { is_causal: causal, ..Default::default() };
        let attended = attention(query, key, value, None, None, options);
        self.attended.forward(attended.swap_dims(1, 2).reshape([batch, tokens, width]))
    }
}

/// Sines, then cosines, of a number times falling frequencies. In f32 throughout: those are the numbers of the training there.
fn embedding(number: usize, width: usize) -> impl Iterator<Item = f32> + Clone {
    let half = width / 2;
    let fall = (SLOWEST.ln() / (half - 1) as f64) as f32;
    let angle = move |i: usize| number as f32 * (i as f32 * -fall).exp();
    (0..half).map(move |i| angle(i).sin()).chain((0..half).map(move |i| angle(i).cos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::{NoiseScheduleKind, ObjectiveKind};
    use df_diffusion::{Denoiser, Objective, TokenSpec, Tokens};
    use crate::model::network_denoiser::tests::Fill;
    use crate::model::{AnyNetwork, Engine, NetworkDenoiser};

    const COSINE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);

    /// Four steps with three, one, a third and a tenth of the noise's variance as signal; 2 noise groups, of which one was not seen.
    fn config(seen: Vec<bool>) -> ReferenceConfig {
        let signal = vec![3.0 / 4.0, 1.0 / 2.0, 1.0 / 4.0, 1.0 / 11.0];
        ReferenceConfig { hidden: 12, causal: false, signal, seen }
    }

    #[test]
    fn a_level_is_the_step_of_the_nearest_ratio() {
        let config = config(vec![true]);
        // Cosine: the ratio of variances is cot^2(pi/2 level): 3 at level 1/3, 1 at 1/2, 1/3 at 2/3.
        let steps = [0.0, 0.2, 1.0 / 3.0, 0.5, 2.0 / 3.0, 1.0].map(|level| config.step(level, COSINE));
        assert_eq!(steps, [0, 0, 0, 1, 2, 3]);
        // Half way between 3 and 1, as logarithms, is sqrt(3): level 2/pi atan(3^-1/4) = 0.4138.
        assert_eq!([0.41, 0.42].map(|level| config.step(level, COSINE)), [0, 1]);
        // The published schedule: beta linear from 1e-4 to 0.02. Its first and last step are not far from the ends.
        let mut product = 1.0f64;
        let signal = (0..1000).map(|k| {
            product *= 1.0 - (1e-4 + (0.02 - 1e-4) * f64::from(k) / 999.0);
            product as f32
        });
        let published = ReferenceConfig { signal: signal.collect(), ..config };
        assert_eq!([0.0, 1e-3, 1.0].map(|level| published.step(level, COSINE)), [0, 0, 999]);
        let round_trip = |step: usize| COSINE.level_of((1.0 / published.signal[step] - 1.0).sqrt());
        assert!((0..1000).all(|step| published.step(round_trip(step), COSINE) == step));
    }

    #[test]
    fn a_token_is_told_the_highest_level_of_what_it_has_seen() {
        let levels = Levels { batch: 1, tokens: 2, noise_groups: 3, data: vec![0.1, 0.9, 0.3, 0.0, 1.0, 0.0] };
        let told = config(vec![true, false, true]).told(&levels);
        assert_eq!(told.data, [0.3, 0.9, 0.3, 0.0, 1.0, 0.0]);
    }

    /// Two channels, one noise group each, tokens of mixed levels; what is known in them.
    fn denoiser(causal: bool) -> (NetworkDenoiser, Tokens, Levels) {
        let sizes = NetworkConfig::new(16, 2, 2, 2, 2, 4);
        let config = ReferenceConfig { causal, ..config(vec![true, true]) };
        let network = config.init(&sizes, &Device::flex()).map(&mut Fill(0.0));
        let x = Tokens { batch: 1, tokens: 3, channels: 2, data: vec![0.3, -0.8, 0.5, 1.2, -0.4, 0.9] };
        let levels = Levels { batch: 1, tokens: 3, noise_groups: 2, data: vec![0.0, 0.0, 0.2, 0.6, 0.0, 0.8] };
        let (spec, objective) = (TokenSpec::new(&[0, 1], 1), Objective(ObjectiveKind::V));
        let network = AnyNetwork::Reference(network);
        (NetworkDenoiser::new(network, &Engine::Native, spec, COSINE, objective, 4), x, levels)
    }

    #[test]
    fn the_gradient_is_that_of_a_finite_difference_in_tokens_of_mixed_levels() {
        let (mut denoiser, x, levels) = denoiser(false);
        let weights: Vec<f32> = (0..6).map(|i| (i as f32 * 1.3).cos()).collect();
        let cotangent = Tokens { data: weights.clone(), ..x.clone() };
        let (clean, gradient) = denoiser.denoise_with_gradient(&x, &levels, &mut |_| cotangent.clone()).unwrap();
        assert_eq!([clean.data[0], clean.data[1], clean.data[4]], [0.3, -0.8, -0.4], "known values are their own");
        let mut scalar = |x: &Tokens| -> f64 {
            let clean = denoiser.denoise(x, &levels).unwrap();
            clean.data.iter().zip(&weights).map(|(c, w)| f64::from(c * w)).sum()
        };
        for i in 0..6 {
            let step = 1e-2;
            let moved = |by: f32| {
                let mut x = x.clone();
                x.data[i] += by;
                x
            };
            let difference = (scalar(&moved(step)) - scalar(&moved(-step))) / (2.0 * f64::from(step));
            let off = (difference - f64::from(gradient.data[i])).abs();
            assert!(off < 2e-2 * difference.abs().max(1.0), "value {i}: {difference}, {}", gradient.data[i]);
        }
    }

    #[test]
    fn with_the_mask_the_past_does_not_see_the_future() {
        let changed = |causal: bool| {
            let (mut denoiser, mut x, levels) = denoiser(causal);
            let before = denoiser.denoise(&x, &levels).unwrap();
            x.data[5] += 1.0;
            let after = denoiser.denoise(&x, &levels).unwrap();
            [2, 3, 5].map(|i| before.data[i] != after.data[i])
        };
        assert_eq!((changed(true), changed(false)), ([false, false, true], [true, true, true]));
    }
}
