//! The transformer of the reference code (Chen et al. 2024, github.com/buoyancy99/diffusion-forcing): post-norm, with
//! sinusoidal embeddings of the time and of one noise step per token.
//!
//! It evaluates weights that were trained there, on Burn backends only. It is not trained here.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor, TensorData, activation};
use df_diffusion::{Levels, NoiseSchedule};
use df_engine::{NetworkConfig, ReferenceConfig};

/// The ratio of the fastest to the slowest frequency of an embedding (Vaswani et al. 2017).
const FREQUENCY_RATIO: f64 = 10_000.0;

/// Predicts the objective's target for every channel of every token.
#[derive(Module, Debug)]
pub struct ReferenceNetwork {
    pub(crate) first: Linear,
    pub(crate) second: Linear,
    pub(crate) blocks: Vec<PostNormBlock>,
    pub(crate) output: Linear,
    #[module(skip)]
    pub(crate) config: ReferenceConfig,
    /// The longest sequence.
    #[module(skip)]
    tokens: usize,
}

#[derive(Module, Debug)]
pub(crate) struct PostNormBlock {
    query_key_value: Linear,
    attention_out: Linear,
    attention_norm: LayerNorm,
    mlp_up: Linear,
    mlp_down: Linear,
    mlp_norm: LayerNorm,
    #[module(skip)]
    heads: usize,
}

/// A network with random weights.
pub fn init(config: &ReferenceConfig, sizes: &NetworkConfig, device: &Device) -> ReferenceNetwork {
    let width = sizes.width;
    let linear = |inputs, outputs| LinearConfig::new(inputs, outputs).init(device);
    let block = |_| PostNormBlock {
        query_key_value: linear(width, 3 * width),
        attention_out: linear(width, width),
        attention_norm: LayerNormConfig::new(width).init(device),
        mlp_up: linear(width, config.hidden),
        mlp_down: linear(config.hidden, width),
        mlp_norm: LayerNormConfig::new(width).init(device),
        heads: sizes.heads,
    };
    ReferenceNetwork {
        first: linear(sizes.channels + width / 2, width),
        second: linear(width, width),
        blocks: (0..sizes.layers).map(block).collect(),
        output: linear(width, sizes.channels),
        config: config.clone(),
        tokens: sizes.tokens,
    }
}

impl ReferenceNetwork {
    /// The prediction for every channel.
    ///
    /// # Shapes
    /// - `x`: `[batch, token, channel]`, every token at its conditioning level
    /// - `features`: `[batch, token with padding, width / 2]`, see [`ReferenceNetwork::features`]
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

    /// The embeddings of the noise steps, `[batch, token with padding, width / 2]`. `levels` are the conditioning
    /// levels. A network without causal mask needs sequences of full length; padding tokens are at the last step.
    pub fn features(&self, levels: &Levels, schedule: NoiseSchedule) -> TensorData {
        let width = self.output.weight.dims()[0] / 2;
        let all = if self.config.causal { levels.tokens } else { self.tokens };
        let padding = embedding(self.config.signal.len() - 1, width);
        let mut features = Vec::with_capacity(levels.batch * all * width);
        let seen = self.config.seen.iter().position(|seen| *seen).unwrap_or(0);
        for b in 0..levels.batch {
            let step = |token: usize| self.config.step(levels.at(b, token)[seen], schedule);
            features.extend((0..levels.tokens).flat_map(|token| embedding(step(token), width)));
            features.extend((levels.tokens..all).flat_map(|_| padding.clone()));
        }
        TensorData::new(features, [levels.batch, all, width])
    }
}

impl PostNormBlock {
    fn forward(&self, x: Tensor<3>, causal: bool) -> Tensor<3> {
        let x = self.attention_norm.forward(x.clone() + self.attend(x, causal));
        let hidden = activation::relu(self.mlp_up.forward(x.clone()));
        self.mlp_norm.forward(x + self.mlp_down.forward(hidden))
    }

    fn attend(&self, x: Tensor<3>, causal: bool) -> Tensor<3> {
        let [batch, tokens, width] = x.dims();
        // [batch, token, 3 * width] -> [3, batch, head, token, width / heads]
        let split = [batch, tokens, 3, self.heads, width / self.heads];
        let all = self.query_key_value.forward(x).reshape(split).permute([2, 0, 3, 1, 4]);
        let [query, key, value] = [0, 1, 2].map(|i| all.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
        let options = AttentionModuleOptions { is_causal: causal, ..Default::default() };
        let output = attention(query, key, value, None, None, options);
        self.attention_out.forward(output.swap_dims(1, 2).reshape([batch, tokens, width]))
    }
}

/// Sines, then cosines, of a number times falling frequencies (Vaswani et al. 2017, section 3.5). All in f32, as in the
/// reference code, so that the numbers match its training.
fn embedding(number: usize, width: usize) -> impl Iterator<Item = f32> + Clone {
    let half = width / 2;
    let log_ratio = (FREQUENCY_RATIO.ln() / (half - 1) as f64) as f32;
    let angle = move |i: usize| number as f32 * (i as f32 * -log_ratio).exp();
    (0..half).map(move |i| angle(i).sin()).chain((0..half).map(move |i| angle(i).cos()))
}

#[cfg(test)]
mod tests {
    use df_diffusion::{Denoiser, NoiseScheduleKind, Objective, ObjectiveKind, TokenSpec, Tokens};
    use df_engine::ConditioningFeatures;

    use super::*;
    use crate::burn_denoiser::tests::Fill;
    use crate::{AnyNetwork, BurnDenoiser};

    const COSINE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);

    /// Four noise steps with signal-to-noise ratios of 3, 1, 1/3 and 1/10.
    fn config(seen: Vec<bool>) -> ReferenceConfig {
        let signal = vec![3.0 / 4.0, 1.0 / 2.0, 1.0 / 4.0, 1.0 / 11.0];
        ReferenceConfig { hidden: 12, causal: false, signal, seen }
    }

    /// A denoiser of two channels, with one noise group each, and tokens of mixed levels.
    fn denoiser(causal: bool) -> (BurnDenoiser, Tokens, Levels) {
        let sizes = NetworkConfig::new(16, 2, 2, 2, 2, 4);
        let config = ReferenceConfig { causal, ..config(vec![true, true]) };
        let network = init(&config, &sizes, &Device::flex()).map(&mut Fill(0.0));
        let x = Tokens { batch: 1, tokens: 3, channels: 2, data: vec![0.3, -0.8, 0.5, 1.2, -0.4, 0.9] };
        let levels = Levels { batch: 1, tokens: 3, noise_groups: 2, data: vec![0.0, 0.0, 0.2, 0.6, 0.0, 0.8] };
        let (spec, objective) = (TokenSpec::new(&[0, 1], 1), Objective(ObjectiveKind::V));
        let network = AnyNetwork::Reference(network);
        let features = ConditioningFeatures { spec, schedule: COSINE, condition_on_clean_values: false };
        (BurnDenoiser::with_features(network, &Device::flex(), features, objective, 4), x, levels)
    }

    #[test]
    fn the_gradient_equals_a_finite_difference_for_tokens_of_mixed_levels() {
        let (mut denoiser, x, levels) = denoiser(false);
        let weights: Vec<f32> = (0..6).map(|i| (i as f32 * 1.3).cos()).collect();
        let cotangent = Tokens { data: weights.clone(), ..x.clone() };
        let (clean, gradient) = denoiser.denoise_with_gradient(&x, &levels, &mut |_| cotangent.clone()).unwrap();
        assert_eq!(
            [clean.data[0], clean.data[1], clean.data[4]],
            [0.3, -0.8, -0.4],
            "values at level 0 are returned unchanged"
        );
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
    fn with_a_causal_mask_earlier_tokens_ignore_later_ones() {
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
