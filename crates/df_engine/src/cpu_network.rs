//! The network on the CPU: the prediction, and the gradient of a scalar with respect to the input. It does not train:
//! there is no gradient with respect to weights.
//!
//! At planning's sizes (some 8 sequences of 16 tokens) general backends spend most of their time between the matrix
//! products. Here each thread takes whole sequences through all layers, with their activations in its cache and in
//! buffers that live across calls. Weights are packed once.

use std::ops::Range;

use crate::kernels::packed_weights::PackedWeights;
use crate::kernels::workspace::Workspace;
use crate::network_config::NetworkConfig;
use crate::weights::{NamedTensors, WeightsError};

/// A pre-norm transformer encoder over tokens, with its weights and buffers.
///
/// ```text
/// h = in_proj(silu(values(x) + levels(features))) + position
/// h = h + attention_out(attention(query_key_value(attention_norm(h))))      per block
/// h = h + mlp_down(relu(mlp_up(mlp_norm(h))))                               per block
/// prediction = output(norm(h))
/// ```
pub struct CpuNetwork {
    weights: PackedWeights,
    max_tokens: usize,
    /// One per thread, each for some of the sequences.
    workspaces: Vec<Workspace>,
}

impl CpuNetwork {
    /// A network of these sizes with copies of these weights.
    ///
    /// # Errors
    /// Sizes that make no network; a tensor that is missing, of another shape, or not part of the network.
    pub fn new(tensors: &NamedTensors, config: &NetworkConfig) -> Result<Self, WeightsError> {
        let weights = PackedWeights::new(tensors, config)?;
        Ok(Self { weights, max_tokens: config.tokens, workspaces: Vec::new() })
    }

    /// Tokens of the longest sequence that it takes.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The prediction for every channel.
    ///
    /// # Shapes
    /// - `x`: `[batch, token, channel]`, with `tokens` tokens in a sequence
    /// - `features`: `[batch, token, feature]`
    /// - result: `[batch, token, channel]`
    ///
    /// # Panics
    /// If lengths do not fit each other, or sequences are longer than the network's: a mistake of the caller.
    pub fn forward(&mut self, x: &[f32], features: &[f32], tokens: usize) -> Vec<f32> {
        let mut prediction = vec![0.0; x.len()];
        self.run(x, features, tokens, false, &mut prediction);
        prediction
    }

    /// The prediction as by [`CpuNetwork::forward`], then the gradient of a scalar with respect to `x`. `cotangent` is
    /// given the prediction of all sequences and returns the scalar's gradient with respect to it.
    ///
    /// # Shapes
    /// - `x`, prediction, cotangent and gradient: `[batch, token, channel]`
    /// - `features`: `[batch, token, feature]`
    ///
    /// # Panics
    /// As [`CpuNetwork::forward`]; and if the cotangent is shorter than the prediction.
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
        let Self { weights, workspaces, .. } = self;
        let length = tokens * weights.channels();
        distribute(workspaces, length, &mut gradient, |workspace, sequences, gradient| {
            let cotangent = &cotangent[sequences.start * length..sequences.end * length];
            workspace.backward(weights, cotangent, tokens, gradient);
        });
        (prediction, gradient)
    }

    fn run(&mut self, x: &[f32], features: &[f32], tokens: usize, keep: bool, prediction: &mut [f32]) {
        let Self { weights, workspaces, max_tokens } = self;
        let (x_length, features_length) = (tokens * weights.channels(), tokens * weights.features());
        assert!((1..=*max_tokens).contains(&tokens), "{tokens} tokens; the network takes 1 to {max_tokens}");
        assert!(x.len().is_multiple_of(x_length), "{} values are no sequences of {x_length}", x.len());
        assert_eq!(features.len(), x.len() / x_length * features_length, "conditioning features");
        let threads = rayon::current_num_threads().clamp(1, (x.len() / x_length).max(1));
        workspaces.resize_with(threads, Workspace::default);
        distribute(workspaces, x_length, prediction, |workspace, sequences, prediction| {
            let x = &x[sequences.start * x_length..sequences.end * x_length];
            let features = &features[sequences.start * features_length..sequences.end * features_length];
            workspace.forward(weights, x, features, tokens, keep, prediction);
        });
    }
}

/// Distributes the sequences of `out`, each of `length` values, to the workspaces: the first works on this thread, the
/// others on the pool's. `each` is given a workspace, the indices of its sequences and their part of `out`.
fn distribute(
    workspaces: &mut [Workspace],
    length: usize,
    out: &mut [f32],
    each: impl Fn(&mut Workspace, Range<usize>, &mut [f32]) + Sync,
) {
    let (count, sequences, each) = (workspaces.len(), out.len() / length, &each);
    let Some((own, others)) = workspaces.split_first_mut() else { return };
    rayon::in_place_scope(|scope| {
        let own_range = 0..sequences / count;
        let (own_out, mut rest) = out.split_at_mut(own_range.end * length);
        for (i, workspace) in others.iter_mut().enumerate() {
            let range = sequences * (i + 1) / count..sequences * (i + 2) / count;
            let (out, others) = rest.split_at_mut(range.len() * length);
            rest = others;
            scope.spawn(move |_| each(workspace, range, out));
        }
        each(own, own_range, own_out);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::tests::made_up;

    const CHANNELS: usize = 5;
    const FEATURES: usize = 8;
    const TOKENS: usize = 6;
    const WIDTH: usize = 24;
    const HEADS: usize = 3;

    fn config() -> NetworkConfig {
        NetworkConfig::new(WIDTH, 2, HEADS, CHANNELS, FEATURES / 4, TOKENS)
    }

    fn network() -> CpuNetwork {
        CpuNetwork::new(&made_up(&config()), &config()).unwrap()
    }

    fn values(count: usize, step: f32) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * step).sin()).collect()
    }

    /// Prediction and gradient as bits.
    fn run(network: &mut CpuNetwork, batch: usize, tokens: usize) -> Vec<u32> {
        let (x, features) = (values(batch * tokens * CHANNELS, 0.7), values(batch * tokens * FEATURES, 1.1));
        let (prediction, gradient) = network.forward_and_gradient(&x, &features, tokens, |p| p.to_vec());
        assert_eq!(network.forward(&x, &features, tokens), prediction);
        prediction.iter().chain(&gradient).map(|v| v.to_bits()).collect()
    }

    /// The formulas in double precision, loop by loop, one sequence at a time.
    struct Reference(NamedTensors);

    type Rows = Vec<Vec<f64>>;

    impl Reference {
        fn tensor(&self, name: &str) -> Vec<f64> {
            self.0.get(name).unwrap().values.iter().map(|&v| f64::from(v)).collect()
        }

        fn linear(&self, layer: &str, rows: &Rows) -> Rows {
            let (weight, bias) = (self.tensor(&format!("{layer}.weight")), self.tensor(&format!("{layer}.bias")));
            let output = |row: &Vec<f64>, o: usize| {
                bias[o] + row.iter().enumerate().map(|(i, v)| v * weight[i * bias.len() + o]).sum::<f64>()
            };
            rows.iter().map(|row| (0..bias.len()).map(|o| output(row, o)).collect()).collect()
        }

        fn norm(&self, layer: &str, rows: &Rows) -> Rows {
            let (gain, shift) = (self.tensor(&format!("{layer}.gamma")), self.tensor(&format!("{layer}.beta")));
            let normalised = |row: &Vec<f64>| {
                let mean = row.iter().sum::<f64>() / row.len() as f64;
                let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64;
                let std = (variance + 1e-5).sqrt();
                row.iter().zip(gain.iter().zip(&shift)).map(|(v, (g, s))| (v - mean) / std * g + s).collect()
            };
            rows.iter().map(normalised).collect()
        }

        fn attention(&self, query_key_value: &Rows) -> Rows {
            let head_width = WIDTH / HEADS;
            let part = |row: usize, which: usize, head: usize| {
                &query_key_value[row][which * WIDTH + head * head_width..][..head_width]
            };
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let tokens = query_key_value.len();
            let mut out = vec![vec![0.0; WIDTH]; tokens];
            for (q, out) in out.iter_mut().enumerate() {
                for h in 0..HEADS {
                    let score = |k| (dot(part(q, 0, h), part(k, 1, h)) / (head_width as f64).sqrt()).exp();
                    let total: f64 = (0..tokens).map(score).sum();
                    for k in 0..tokens {
                        let probability = score(k) / total;
                        part(k, 2, h).iter().enumerate().for_each(|(i, v)| out[h * head_width + i] += probability * v);
                    }
                }
            }
            out
        }

        fn forward(&self, x: &[f32], features: &[f32]) -> Vec<f64> {
            let rows = |values: &[f32], length: usize| -> Rows {
                values.chunks(length).map(|row| row.iter().map(|&v| f64::from(v)).collect()).collect()
            };
            let add = |a: Rows, b: &Rows| -> Rows {
                a.into_iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
            };
            let each = |rows: Rows, f: fn(f64) -> f64| -> Rows {
                rows.into_iter().map(|row| row.into_iter().map(f).collect()).collect()
            };
            let embedded =
                add(self.linear("values", &rows(x, CHANNELS)), &self.linear("levels", &rows(features, FEATURES)));
            let projected = self.linear("in_proj", &each(embedded, |v| v / (1.0 + (-v).exp())));
            let position = self.tensor("position").chunks(WIDTH).map(<[f64]>::to_vec).collect();
            let mut h = add(projected, &position);
            for block in 0..2 {
                let name = |layer: &str| format!("blocks.{block}.{layer}");
                let output = self.linear(&name("query_key_value"), &self.norm(&name("attention_norm"), &h));
                h = add(h, &self.linear(&name("attention_out"), &self.attention(&output)));
                let hidden = each(self.linear(&name("mlp_up"), &self.norm(&name("mlp_norm"), &h)), |v| v.max(0.0));
                h = add(h, &self.linear(&name("mlp_down"), &hidden));
            }
            self.linear("output", &self.norm("norm", &h)).concat()
        }
    }

    #[test]
    fn the_prediction_equals_the_formulas_in_double_precision() {
        for tokens in [1, 4, TOKENS] {
            let (x, features) = (values(tokens * CHANNELS, 0.7), values(tokens * FEATURES, 1.1));
            let got = network().forward(&x, &features, tokens);
            let expected = Reference(made_up(&config())).forward(&x, &features);
            let size = expected.iter().fold(0.0f64, |size, v| size.max(v.abs()));
            assert!(size > 0.1, "a prediction of {size} proves little");
            for (got, expected) in got.iter().zip(&expected) {
                assert!((f64::from(*got) - expected).abs() < 1e-5 * size, "{got} {expected}");
            }
        }
    }

    #[test]
    fn the_gradient_equals_a_finite_difference_of_the_formulas() {
        let (x, features) = (values(TOKENS * CHANNELS, 0.7), values(TOKENS * FEATURES, 1.1));
        let weights: Vec<f32> = (0..x.len()).map(|i| (i as f32 * 1.3).cos()).collect();
        let (_, gradient) = network().forward_and_gradient(&x, &features, TOKENS, |_| weights.clone());
        let reference = Reference(made_up(&config()));
        let scalar = |x: &[f32]| -> f64 {
            reference.forward(x, &features).iter().zip(&weights).map(|(p, w)| p * f64::from(*w)).sum()
        };
        let size = gradient.iter().fold(0.0f32, |size, v| size.max(v.abs()));
        for i in 0..x.len() {
            let moved = |by: f32| {
                let mut x = x.clone();
                x[i] += by;
                x
            };
            let (above, below) = (moved(1e-3), moved(-1e-3));
            let difference = (scalar(&above) - scalar(&below)) / f64::from(above[i] - below[i]);
            // A ReLU that switches within the step would show; here none does.
            assert!((difference - f64::from(gradient[i])).abs() < 1e-3 * f64::from(size), "{i}: {difference}");
        }
    }

    #[test]
    fn the_result_is_the_same_bit_for_bit_with_any_number_of_threads() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| run(&mut network(), 7, 6))
        };
        let one = with(1);
        assert!(one.iter().any(|v| *v != one[0]));
        [2, 3, 8].iter().for_each(|&threads| assert_eq!(with(threads), one, "{threads} threads"));
    }

    #[test]
    fn values_that_other_shapes_left_in_the_buffers_do_not_change_the_result() {
        let mut used = network();
        for (batch, tokens) in [(2, 3), (5, 6), (1, 1), (2, 3)] {
            assert_eq!(run(&mut used, batch, tokens), run(&mut network(), batch, tokens), "{batch} x {tokens}");
        }
    }
}
