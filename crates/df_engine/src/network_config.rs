//! Sizes of the network, and the tensors that follow from them.

use serde::{Deserialize, Serialize};

/// Conditioning features of a noise group: level, alpha, sigma, and whether it is exactly clean.
pub const FEATURES_PER_NOISE_GROUP: usize = 4;
/// Width of the MLP of a block, in widths of the network.
pub const MLP_EXPANSION: usize = 4;

/// Sizes of the network: a pre-norm transformer encoder over tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// Width of the residual stream.
    pub width: usize,
    /// How many blocks.
    pub layers: usize,
    /// Heads of attention in a block; they divide the width.
    pub heads: usize,
    /// Channels of a token.
    pub channels: usize,
    /// Noise levels of a token.
    #[serde(alias = "slots")]
    pub noise_groups: usize,
    /// Tokens of the longest sequence.
    pub tokens: usize,
    /// Whether clean values are input twice: among the noisy values, and alone beside the levels. Absent in old
    /// checkpoints: false.
    #[serde(default, alias = "known_values")]
    pub condition_on_clean_values: bool,
}

impl NetworkConfig {
    /// A network of these sizes, in the order of the fields, that does not condition on clean values.
    pub fn new(width: usize, layers: usize, heads: usize, channels: usize, noise_groups: usize, tokens: usize) -> Self {
        Self { width, layers, heads, channels, noise_groups, tokens, condition_on_clean_values: false }
    }

    /// Conditioning features of a token.
    pub fn features(&self) -> usize {
        self.noise_groups * FEATURES_PER_NOISE_GROUP + if self.condition_on_clean_values { self.channels } else { 0 }
    }

    /// How many weights the network has. Any sizes are allowed, so it is a float: exact up to 2^53.
    pub fn weights(&self) -> f64 {
        let [width, layers, channels, noise_groups, tokens] =
            [self.width, self.layers, self.channels, self.noise_groups, self.tokens].map(|size| size as f64);
        let clean_values = if self.condition_on_clean_values { channels } else { 0.0 };
        let features = noise_groups * FEATURES_PER_NOISE_GROUP as f64 + clean_values;
        let expansion = MLP_EXPANSION as f64;
        // A matrix and its bias, from so many to so many.
        let linear = |from: f64, to: f64| (from + 1.0) * to;
        let norm = 2.0 * width;
        let attention = linear(width, 3.0 * width) + linear(width, width);
        let mlp = linear(width, expansion * width) + linear(expansion * width, width);
        let ends = linear(channels, width) + linear(features, width) + linear(width, channels);
        ends + linear(width, width) + tokens * width + layers * (attention + mlp + 2.0 * norm) + norm
    }

    /// Do the heads divide the width into equal parts?
    pub fn has_equal_heads(&self) -> bool {
        self.width > 0 && self.heads > 0 && self.width.is_multiple_of(self.heads)
    }

    /// Name and shape of every tensor, in the order of the layers. A linear layer's weight is `[input, output]`.
    ///
    /// Sizes must be those of a network that fits in memory; compare [`NetworkConfig::weights`] with the weights at
    /// hand before.
    pub fn tensors(&self) -> impl Iterator<Item = (String, Vec<usize>)> {
        let Self { width, channels, .. } = *self;
        let mlp = MLP_EXPANSION * width;
        let first = [("values", channels, width), ("levels", self.features(), width), ("in_proj", width, width)];
        let first = first.into_iter().flat_map(|(name, inputs, outputs)| linear("", name, inputs, outputs));
        let blocks = (0..self.layers).flat_map(move |block| {
            let block = format!("blocks.{block}.");
            let norms_and_layers = [
                norm(&block, "attention_norm", width),
                linear(&block, "query_key_value", width, 3 * width),
                linear(&block, "attention_out", width, width),
                norm(&block, "mlp_norm", width),
                linear(&block, "mlp_up", width, mlp),
                linear(&block, "mlp_down", mlp, width),
            ];
            norms_and_layers.into_iter().flatten()
        });
        let last = [norm("", "norm", width), linear("", "output", width, channels)].into_iter().flatten();
        first.chain([("position".into(), vec![self.tokens, width])]).chain(blocks).chain(last)
    }
}

fn linear(block: &str, name: &str, inputs: usize, outputs: usize) -> [(String, Vec<usize>); 2] {
    [(format!("{block}{name}.weight"), vec![inputs, outputs]), (format!("{block}{name}.bias"), vec![outputs])]
}

fn norm(block: &str, name: &str, width: usize) -> [(String, Vec<usize>); 2] {
    ["gamma", "beta"].map(|part| (format!("{block}{name}.{part}"), vec![width]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_weights_is_that_of_the_tensors() {
        let sizes = NetworkConfig::new(8, 2, 2, 3, 5, 7);
        for sizes in [
            NetworkConfig { condition_on_clean_values: true, ..sizes.clone() },
            sizes,
            NetworkConfig::new(6, 1, 3, 4, 2, 1),
        ] {
            let values: usize = sizes.tensors().map(|(_, shape)| shape.iter().product::<usize>()).sum();
            assert_eq!(sizes.weights(), values as f64);
        }
    }

    #[test]
    fn a_network_of_one_layer_has_twenty_three_tensors() {
        let names: Vec<String> = NetworkConfig::new(2, 1, 1, 4, 4, 3).tensors().map(|(name, _)| name).collect();
        // 3 linear layers and the position before the block; 4 linear layers and 2 norms in it; a norm and a linear
        // layer after it.
        assert_eq!(names.len(), 2 * 3 + 1 + 2 * 6 + 2 * 2);
        assert_eq!(names[6..9], ["position", "blocks.0.attention_norm.gamma", "blocks.0.attention_norm.beta"]);
    }

    #[test]
    fn old_names_in_json_are_read_and_new_ones_written() {
        let old =
            r#"{"width": 8, "layers": 2, "heads": 2, "channels": 3, "slots": 5, "tokens": 7, "known_values": true}"#;
        let sizes: NetworkConfig = serde_json::from_str(old).unwrap();
        let expected = NetworkConfig { condition_on_clean_values: true, ..NetworkConfig::new(8, 2, 2, 3, 5, 7) };
        assert_eq!(sizes, expected);
        let written = serde_json::to_string(&sizes).unwrap();
        assert!(written.contains(r#""noise_groups":5"#) && written.contains(r#""condition_on_clean_values":true"#));
        let before = r#"{"width": 8, "layers": 2, "heads": 2, "channels": 3, "slots": 5, "tokens": 7}"#;
        assert_eq!(serde_json::from_str::<NetworkConfig>(before).unwrap(), NetworkConfig::new(8, 2, 2, 3, 5, 7));
    }
}
