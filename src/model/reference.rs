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
use crate::diffusion::{Levels, NoiseSchedule};

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
    /// Per slot of a token: whether it was in the training data there. One that was not is neither seen nor predicted.
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

    /// The level that each slot is told to have: the highest of its token's, for those that were seen in training.
    pub fn told(&self, levels: &Levels) -> Levels {
        let mut told = levels.clone();
        for of_token in told.data.chunks_mut(levels.slots) {
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
