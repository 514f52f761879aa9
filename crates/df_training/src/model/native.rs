//! The network evaluated by our own vectorised loops: the forward pass and the gradient with respect to the input, for planning
//! on CPUs. The same numbers as [`Network`] to rounding (a test compares them); never used to train.
//!
//! Why it is here: at planning's sizes (some 8 sequences of 16 tokens) the CPU backends spend most of their time between the
//! matrix products. Here a thread takes whole sequences through all layers with their activations in its cache, in buffers
//! that live across calls, and weights are packed once.

mod activation;
mod attention;
mod buffer;
mod dispatch;
mod layer_norm;
pub(super) mod matrix_product;
mod sum;
mod tile;
mod weights;
mod workspace;

use std::ops::Range;

use super::network::Network;
use weights::Weights;
use workspace::Workspace;

/// The network on the host, with what it needs to work.
pub struct NativeNetwork {
    weights: Weights,
    /// One per thread, each with its share of the sequences.
    parts: Vec<Workspace>,
}

impl NativeNetwork {
    /// Copies the weights of a network.
    pub fn new(network: &Network) -> Self {
        Self { weights: Weights::new(network), parts: Vec::new() }
    }

    /// The prediction for `[batch, token, channel]` values and `[batch, token, feature]` level features.
    pub fn forward(&mut self, x: &[f32], features: &[f32], tokens: usize) -> Vec<f32> {
        let mut prediction = vec![0.0; x.len()];
        self.run(x, features, tokens, false, &mut prediction);
        prediction
    }

    /// As [`NativeNetwork::forward`], then the gradient with respect to `x` of a scalar whose gradient with respect to the
    /// prediction `cotangent` returns (for all sequences at once).
    pub fn forward_and_gradient(
        &mut self,
        x: &[f32],
        features: &[f32],
        tokens: usize,
        cotangent: impl FnOnce(&[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Vec<f32>) {
        let mut prediction = vec![0.0; x.len()];
        self.run(x, features, tokens, true, &mut prediction);
        let cotangent = cotangent(&prediction);
        let mut gradient = vec![0.0; x.len()];
        let Self { weights, parts } = self;
        let of_x = tokens * weights.channels();
        side_by_side(parts, of_x, &mut gradient, |part, range, gradient| {
            part.back(weights, &cotangent[range.start * of_x..range.end * of_x], tokens, gradient);
        });
        (prediction, gradient)
    }

    fn run(&mut self, x: &[f32], features: &[f32], tokens: usize, keep: bool, prediction: &mut [f32]) {
        let Self { weights, parts } = self;
        let (of_x, of_features) = (tokens * weights.channels(), tokens * weights.features());
        let threads = rayon::current_num_threads().clamp(1, (x.len() / of_x).max(1));
        parts.resize_with(threads, Workspace::default);
        side_by_side(parts, of_x, prediction, |part, range, prediction| {
            let x = &x[range.start * of_x..range.end * of_x];
            part.run(
                weights,
                x,
                &features[range.start * of_features..range.end * of_features],
                tokens,
                keep,
                prediction,
            );
        });
    }
}

/// Deals the sequences of `out`, each of `length` values, out to the parts: the first on this thread, the others on the pool.
fn side_by_side(
    parts: &mut [Workspace],
    length: usize,
    out: &mut [f32],
    each: impl Fn(&mut Workspace, Range<usize>, &mut [f32]) + Sync,
) {
    let (count, sequences, each) = (parts.len(), out.len() / length, &each);
    let Some((own, others)) = parts.split_first_mut() else { return };
    rayon::in_place_scope(|scope| {
        let own_range = 0..sequences / count;
        let (own_out, mut rest) = out.split_at_mut(own_range.end * length);
        for (i, part) in others.iter_mut().enumerate() {
            let range = sequences * (i + 1) / count..sequences * (i + 2) / count;
            let (out, others) = rest.split_at_mut(range.len() * length);
            rest = others;
            scope.spawn(move |_| each(part, range, out));
        }
        each(own, own_range, own_out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NetworkConfig;
    use crate::model::network_denoiser::tests::Fill;
    use burn::module::Module;
    use burn::tensor::Device;

    const CHANNELS: usize = 5;
    const FEATURES: usize = 8;

    fn network() -> NativeNetwork {
        NativeNetwork::new(&NetworkConfig::new(24, 2, 3, CHANNELS, 2, 6).init(&Device::flex()).map(&mut Fill(0.0)))
    }

    /// Prediction and gradient as bits.
    fn run(network: &mut NativeNetwork, batch: usize, tokens: usize) -> Vec<u32> {
        let values = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
        let x = values(batch * tokens * CHANNELS, 0.7);
        let features = values(batch * tokens * FEATURES, 1.1);
        let (prediction, gradient) = network.forward_and_gradient(&x, &features, tokens, |p| p.to_vec());
        assert_eq!(network.forward(&x, &features, tokens), prediction);
        prediction.iter().chain(&gradient).map(|v| v.to_bits()).collect()
    }

    #[test]
    fn the_same_bit_for_bit_with_any_number_of_threads() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&mut network(), 7, 6))
        };
        let one = with(1);
        assert!(one.iter().any(|v| *v != one[0]));
        [2, 3, 8].iter().for_each(|&threads| assert_eq!(with(threads), one, "{threads} threads"));
    }

    #[test]
    fn what_other_shapes_left_in_the_buffers_does_not_show() {
        let mut used = network();
        for (batch, tokens) in [(2, 3), (5, 6), (1, 1), (2, 3)] {
            assert_eq!(run(&mut used, batch, tokens), run(&mut network(), batch, tokens), "{batch} x {tokens}");
        }
    }
}
