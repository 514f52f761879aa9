//! The denoising network: a pre-norm transformer encoder over tokens, told the noise level of every slot.

use burn::config::Config as BurnConfig;
use burn::module::{Module, Param};
use burn::nn::{Initializer, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::module::attention;
use burn::tensor::{Device, Tensor, activation};

use crate::diffusion::{Levels, NoiseSchedule};

/// Features that describe one level: the level itself, alpha, sigma, and whether it is exactly known.
const FEATURES: usize = 4;
/// Width of the hidden layer of a block, in widths of the network.
const EXPANSION: usize = 4;
/// Deviation of the initial position embedding (Devlin et al. 2019).
const POSITION_DEVIATION: f64 = 0.02;

/// Sizes of the network.
#[derive(BurnConfig, Debug, PartialEq)]
pub struct NetworkConfig {
    pub width: usize,
    pub layers: usize,
    pub heads: usize,
    /// Channels of a token.
    pub channels: usize,
    /// Noise levels of a token.
    pub slots: usize,
    /// The longest sequence.
    pub tokens: usize,
}

/// Predicts the objective's target for every channel of every token.
#[derive(Module, Debug)]
pub struct Network {
    pub(super) values: Linear,
    pub(super) levels: Linear,
    pub(super) mixed: Linear,
    pub(super) position: Param<Tensor<2>>,
    pub(super) blocks: Vec<Block>,
    pub(super) norm: LayerNorm,
    pub(super) output: Linear,
}

#[derive(Module, Debug)]
pub(super) struct Block {
    pub(super) before_attention: LayerNorm,
    pub(super) query_key_value: Linear,
    pub(super) attended: Linear,
    pub(super) before_hidden: LayerNorm,
    pub(super) hidden: Linear,
    pub(super) back: Linear,
    #[module(skip)]
    pub(super) heads: usize,
}

impl NetworkConfig {
    /// How many weights it has; of any sizes, so not exact beyond 2^53.
    pub(super) fn weights(&self) -> f64 {
        let [width, layers, channels, slots, tokens] =
            [self.width, self.layers, self.channels, self.slots, self.tokens].map(|size| size as f64);
        let (features, expansion) = (FEATURES as f64, EXPANSION as f64);
        // A matrix and its bias, from so many to so many.
        let linear = |from: f64, to: f64| (from + 1.0) * to;
        let norm = 2.0 * width;
        let attention = linear(width, 3.0 * width) + linear(width, width);
        let hidden = linear(width, expansion * width) + linear(expansion * width, width);
        let ends = linear(channels, width) + linear(slots * features, width) + linear(width, channels);
        ends + linear(width, width) + tokens * width + layers * (attention + hidden + 2.0 * norm) + norm
    }

    /// A network with random weights; its output layer is zero, so that it starts by predicting zero.
    pub fn init(&self, device: &Device) -> Network {
        Network {
            values: LinearConfig::new(self.channels, self.width).init(device),
            levels: LinearConfig::new(self.slots * FEATURES, self.width).init(device),
            mixed: LinearConfig::new(self.width, self.width).init(device),
            position: Initializer::Normal { mean: 0.0, std: POSITION_DEVIATION }
                .init([self.tokens, self.width], device),
            blocks: (0..self.layers).map(|_| Block::new(self.width, self.heads, device)).collect(),
            norm: LayerNormConfig::new(self.width).init(device),
            output: LinearConfig::new(self.width, self.channels).with_initializer(Initializer::Zeros).init(device),
        }
    }
}

impl Network {
    /// The prediction for every channel.
    ///
    /// # Shapes
    /// - `x`: `[batch, token, channel]`
    /// - `features`: `[batch, token, slot * 4]`, see [`level_features`]
    /// - output: `[batch, token, channel]`
    pub fn forward(&self, x: Tensor<3>, features: Tensor<3>) -> Tensor<3> {
        let [_, tokens, _] = x.dims();
        let position = self.position.val().narrow(0, 0, tokens).unsqueeze::<3>();
        let mixed = activation::silu(self.values.forward(x) + self.levels.forward(features));
        let mut hidden = self.mixed.forward(mixed) + position;
        for block in &self.blocks {
            hidden = block.forward(hidden);
        }
        self.output.forward(self.norm.forward(hidden))
    }
}

impl Block {
    fn new(width: usize, heads: usize, device: &Device) -> Self {
        Self {
            before_attention: LayerNormConfig::new(width).init(device),
            query_key_value: LinearConfig::new(width, 3 * width).init(device),
            attended: LinearConfig::new(width, width).init(device),
            before_hidden: LayerNormConfig::new(width).init(device),
            hidden: LinearConfig::new(width, EXPANSION * width).init(device),
            back: LinearConfig::new(EXPANSION * width, width).init(device),
            heads,
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.attend(self.before_attention.forward(x));
        // ReLU: on the CPU backends the cheapest activation by far, and its gradient too.
        let hidden = activation::relu(self.hidden.forward(self.before_hidden.forward(x.clone())));
        x + self.back.forward(hidden)
    }

    fn attend(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        let head = width / self.heads;
        // [batch, token, 3 * width] -> [3, batch, head, token, width / heads]
        let all =
            self.query_key_value.forward(x).reshape([batch, tokens, 3, self.heads, head]).permute([2, 0, 3, 1, 4]);
        let [query, key, value] = [0, 1, 2].map(|i| all.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
        let attended = attention(query, key, value, None, None, Default::default());
        self.attended.forward(attended.swap_dims(1, 2).reshape([batch, tokens, width]))
    }
}

/// What the network is told about noise levels: level, alpha, sigma and "known" per slot, `[batch, token, slot * 4]`.
pub fn level_features(levels: &Levels, schedule: NoiseSchedule) -> Vec<f32> {
    let mut features = Vec::with_capacity(levels.data.len() * FEATURES);
    let mut memo = (f32::NAN, [0.0; FEATURES]);
    for &level in &levels.data {
        if memo.0 != level {
            let (alpha, sigma) = schedule.alpha_sigma(level);
            memo = (level, [level, alpha, sigma, if level <= 0.0 { 1.0 } else { 0.0 }]);
        }
        features.extend(memo.1);
    }
    features
}

/// [`level_features`] on a device.
pub fn level_feature_tensor(levels: &Levels, schedule: NoiseSchedule, device: &Device) -> Tensor<3> {
    let shape = [levels.batch, levels.tokens, levels.slots * FEATURES];
    Tensor::from_data(burn::tensor::TensorData::new(level_features(levels, schedule), shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_counted_as_they_are_made() {
        for sizes in [NetworkConfig::new(8, 2, 2, 3, 5, 7), NetworkConfig::new(6, 1, 3, 4, 2, 1)] {
            assert_eq!(sizes.weights(), sizes.init(&Device::flex()).num_params() as f64);
        }
    }
}
