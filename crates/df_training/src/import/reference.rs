//! The transformer of the reference code (Chen et al. 2024): what its checkpoints call things, and in which order they have
//! channels.

use burn::tensor::Device;

use crate::reference_network;

use super::{ForeignWeights, ImportError, fill};
use df_engine::{NetworkConfig, ReferenceConfig};
use crate::ReferenceNetwork;
use df_core::{ACTION_MODALITY, Layout, Normaliser};

/// Below `diffusion_model`: the transformer, and the schedule's share of the signal.
const NETWORK: &str = "model.";
const FIRST: &str = "init_mlp.0.weight";
const SIGNAL: &str = "alphas_cumprod";
/// Beside `diffusion_model`: mean and deviation of a frame's channels.
const DIFFUSION_MODEL: &str = "diffusion_model.";
const MEAN: &str = "data_mean";
const DEVIATION: &str = "data_std";

/// What a checkpoint of the reference code gives.
pub struct Imported {
    pub network: ReferenceNetwork,
    pub sizes: NetworkConfig,
    /// Of the channels that it knows; mean 0 and deviation 1 for the others. `None`: the file has none.
    pub normaliser: Option<Normaliser>,
    /// The modalities that were not in the training data there, in the order of the layout.
    pub unseen: Vec<String>,
}

/// What the file does not say.
pub struct Asked<'a> {
    pub prefix: Option<&'a str>,
    /// The modalities of a frame in their order there; empty: the observations, then the action if the file has room for it.
    pub channels: &'a [String],
    pub heads: usize,
    /// The longest sequence, tokens.
    pub tokens: usize,
    pub causal: bool,
}

/// Sizes of their network, read from the shapes of its tensors.
struct Shapes {
    channels: usize,
    width: usize,
    layers: usize,
    hidden: usize,
}

/// The network, with its channels in the order of `layout`.
///
/// # Errors
/// [`ImportError`]: what is missing, not expected, or of another shape; channels that cannot be told apart.
pub fn import_reference(
    weights: &ForeignWeights,
    asked: &Asked,
    layout: &Layout,
    device: &Device,
) -> Result<Imported, ImportError> {
    let marker = format!("{NETWORK}{FIRST}");
    let prefix = asked.prefix.map_or_else(|| weights.prefix_of(&marker), |prefix| Ok(prefix.into()))?;
    let all = weights.below(&prefix)?;
    let theirs = all.below(NETWORK)?;
    let shapes = shapes(&theirs)?;
    let signal =
        all.values(SIGNAL)?.ok_or_else(|| all.unfit([format!("`{SIGNAL}` is missing: the noise schedule")]))?;
    if signal.is_empty() || !signal.is_sorted_by(|a, b| a >= b) || signal.iter().any(|s| !(0.0..=1.0).contains(s)) {
        return Err(all.unfit([format!("`{SIGNAL}` must fall, within 0 and 1")]));
    }
    if asked.heads == 0 || !shapes.width.is_multiple_of(asked.heads) {
        let (heads, width) = (asked.heads, shapes.width);
        return Err(theirs.unfit([format!("model.heads {heads} does not divide the width {width}")]));
    }
    let places = places(asked, layout, shapes.channels).map_err(|problem| theirs.unfit([problem]))?;
    let unseen = layout.modalities.iter().filter(|m| m.channels.clone().all(|c| places[c].is_none()));
    let unseen: Vec<String> = unseen.map(|m| m.name.clone()).collect();
    let of_frame = layout.modalities.iter().map(|m| !unseen.contains(&m.name));
    let of_frame: Vec<bool> = of_frame.collect();
    let sizes = NetworkConfig::new(
        shapes.width,
        shapes.layers,
        asked.heads,
        layout.token_channels(),
        layout.modalities.len() * layout.frame_stack,
        asked.tokens,
    );
    let seen = of_frame.repeat(layout.frame_stack);
    let config = ReferenceConfig { hidden: shapes.hidden, causal: asked.causal, signal, seen };
    let [first, output, bias] = ["init_mlp.0.weight", "out.weight", "out.bias"].map(|name| theirs.values(name));
    let (first, output, bias) = (first?.unwrap_or_default(), output?.unwrap_or_default(), bias?.unwrap_or_default());
    let order = Order::new(&places, layout.frame_stack, shapes.channels);
    let instead = |name: &str| match name {
        "init_mlp.0.weight" => {
            Some((order.inputs(&first, shapes.width), vec![shapes.width, order.ours() + shapes.width / 2]))
        }
        "out.weight" => Some((order.outputs(&output, shapes.width), vec![order.ours(), shapes.width])),
        "out.bias" => Some((order.outputs(&bias, 1), vec![order.ours()])),
        _ => None,
    };
    let network = fill(reference_network::init(&config, &sizes, device), &theirs, their_name, &instead)?;
    let beside = prefix.strip_suffix(DIFFUSION_MODEL).unwrap_or(&prefix);
    Ok(Imported { network, sizes, normaliser: normaliser(weights, beside, &places)?, unseen })
}

/// Their name of a tensor of [`ReferenceNetwork`].
fn their_name(ours: &str) -> String {
    let renamed = [
        ("first.", "init_mlp.0."),
        ("second.", "init_mlp.2."),
        ("blocks.", "transformer.layers."),
        ("query_key_value.weight", "self_attn.in_proj_weight"),
        ("query_key_value.bias", "self_attn.in_proj_bias"),
        ("attention_out.", "self_attn.out_proj."),
        ("mlp_up.", "linear1."),
        ("mlp_down.", "linear2."),
        ("output.", "out."),
    ];
    let name = ours.replace("attention_norm.", "norm1.").replace("mlp_norm.", "norm2.");
    renamed.iter().fold(name, |name, (from, to)| name.replace(from, to))
}

fn shapes(theirs: &ForeignWeights) -> Result<Shapes, ImportError> {
    let two = |name: &str| match theirs.shape(name).as_deref() {
        Some(&[rows, columns]) => Ok((rows, columns)),
        Some(other) => Err(theirs.unfit([format!("`{name}`: expected two dimensions, got {other:?}")])),
        None => Err(theirs.unfit([format!("`{name}` is missing")])),
    };
    let (width, inputs) = two(FIRST)?;
    let (channels, _) = two("out.weight")?;
    let (hidden, _) = two("transformer.layers.0.linear1.weight")?;
    let layer = |name: &str| name.split('.').next().and_then(|layer| layer.parse::<usize>().ok());
    let layers = theirs.names_below("transformer.layers.").filter_map(layer).max().map_or(0, |last| last + 1);
    if width < 8 || !width.is_multiple_of(4) {
        return Err(theirs.unfit([format!("a width of {width}: expected a multiple of 4, at least 8")]));
    }
    if inputs != channels + width / 2 {
        let expected = channels + width / 2;
        let problem = format!(
            "`{FIRST}` takes {inputs} values, expected {expected}: {channels} channels and {} of the noise step \
             (a network with external conditions is not supported)",
            width / 2
        );
        return Err(theirs.unfit([problem]));
    }
    Ok(Shapes { channels, width, layers, hidden })
}

/// For each channel of a frame, where theirs has it.
fn places(asked: &Asked, layout: &Layout, of_token: usize) -> Result<Vec<Option<usize>>, String> {
    let mut places = vec![None; layout.frame_channels()];
    let mut next = 0;
    let stack = layout.frame_stack;
    let (action, observations) = layout.modalities.split_at(ACTION_MODALITY + 1);
    let observed: usize = observations.iter().map(|m| m.channels.len()).sum();
    let all = observations.iter().chain(action.iter().filter(|_| observed * stack != of_token));
    let channels: Vec<String> =
        if asked.channels.is_empty() { all.map(|m| m.name.clone()).collect() } else { asked.channels.into() };
    for name in &channels {
        let modalities = || layout.modalities.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ");
        let index =
            layout.modality(name).ok_or_else(|| format!("no group is called `{name}`; there are {}", modalities()))?;
        for c in layout.modalities[index].channels.clone() {
            if places[c].replace(next).is_some() {
                return Err(format!("the group `{name}` is named twice"));
            }
            next += 1;
        }
    }
    if next * stack != of_token {
        return Err(format!(
            "its tokens have {of_token} channels; {} are {next} channels a frame, {} in a token of {stack} frames: see frame_stack and --channels",
            channels.join(", "),
            next * stack
        ));
    }
    Ok(places)
}

/// Where each channel of our tokens lies in theirs.
struct Order {
    place: Vec<Option<usize>>,
    theirs: usize,
}

impl Order {
    fn new(of_frame: &[Option<usize>], stack: usize, theirs: usize) -> Self {
        let place = (0..stack).flat_map(|frame| of_frame.iter().map(move |c| c.map(|c| frame * (theirs / stack) + c)));
        Self { place: place.collect(), theirs }
    }

    fn ours(&self) -> usize {
        self.place.len()
    }

    /// The first layer's weights, `[width, channel and noise step]`; 0 for a channel that it has not seen.
    fn inputs(&self, theirs: &[f32], width: usize) -> Vec<f32> {
        let row = |row: &[f32]| {
            let channels: Vec<f32> = self.place.iter().map(|place| place.map_or(0.0, |c| row[c])).collect();
            channels.into_iter().chain(row[self.theirs..].iter().copied()).collect::<Vec<f32>>()
        };
        theirs.chunks(self.theirs + width / 2).flat_map(row).collect()
    }

    /// Rows of `[channel, of_channel]`; 0 for a channel that it has not seen.
    fn outputs(&self, theirs: &[f32], of_channel: usize) -> Vec<f32> {
        let row = |place: &Option<usize>| match place {
            Some(c) => theirs[c * of_channel..(c + 1) * of_channel].to_vec(),
            None => vec![0.0; of_channel],
        };
        self.place.iter().flat_map(row).collect()
    }
}

fn normaliser(
    weights: &ForeignWeights,
    beside: &str,
    places: &[Option<usize>],
) -> Result<Option<Normaliser>, ImportError> {
    let values = |name: &str| weights.values(&format!("{beside}{name}"));
    let (Some(mean), Some(std)) = (values(MEAN)?, values(DEVIATION)?) else { return Ok(None) };
    let expected = places.iter().flatten().count();
    if mean.len() != expected || std.len() != expected || std.iter().any(|d| *d <= 0.0) {
        let (means, stds) = (mean.len(), std.len());
        return Err(weights.unfit([format!(
            "`{MEAN}` and `{DEVIATION}`: expected {expected} values each, deviations above 0; got {means} and {stds}"
        )]));
    }
    let of = |values: &[f32], otherwise: f32| places.iter().map(|c| c.map_or(otherwise, |c| values[c])).collect();
    Ok(Some(Normaliser::new(of(&mean, 0.0), of(&std, 1.0))))
}
