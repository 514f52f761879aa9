//! Import of the transformer of the reference code (Chen et al. 2024): the names of its tensors and the order of its
//! channels.

use burn::tensor::Device;

use df_core::{ACTION_MODALITY, Layout, Normaliser};
use df_engine::{NetworkConfig, ReferenceConfig};

use super::{ForeignWeights, ImportError, ShapedValues, fill};
use crate::{ReferenceNetwork, reference_network};

/// Under `diffusion_model.`: the transformer, and the noise schedule.
const NETWORK: &str = "model.";
const FIRST: &str = "init_mlp.0.weight";
const SIGNAL: &str = "alphas_cumprod";
/// Beside `diffusion_model.`: mean and standard deviation of a frame's channels.
const DIFFUSION_MODEL: &str = "diffusion_model.";
const MEAN: &str = "data_mean";
const STD: &str = "data_std";

/// An imported checkpoint of the reference code.
pub struct ImportedReference {
    /// The network with its weights.
    pub network: ReferenceNetwork,
    /// The sizes of the network.
    pub sizes: NetworkConfig,
    /// The normaliser of the file, with mean 0 and standard deviation 1 for channels that the file lacks. `None` if the
    /// file has none.
    pub normaliser: Option<Normaliser>,
    /// The modalities that the file lacks, in the order of the layout.
    pub unseen: Vec<String>,
}

/// The facts that the file does not contain.
pub struct ReferenceOptions<'a> {
    /// The prefix of the names of the weights. `None`: found, if the file has one set of weights only.
    pub prefix: Option<&'a str>,
    /// The modalities of a frame in the order of the file. Empty: the observations, then the action if the file has
    /// room for it.
    pub channels: &'a [String],
    /// Attention heads.
    pub heads: usize,
    /// The longest sequence, tokens.
    pub tokens: usize,
    /// True if a token attends only to itself and earlier tokens.
    pub causal: bool,
}

/// The sizes of the network in the file, read from the shapes of its tensors.
struct Shapes {
    channels: usize,
    width: usize,
    layers: usize,
    hidden: usize,
}

/// The network of the file, with its channels in the order of `layout`.
///
/// # Errors
/// [`ImportError::Unfit`] lists the tensors that are missing, unexpected or of another shape, or says which channels do
/// not match the layout.
pub fn import_reference(
    weights: &ForeignWeights,
    options: &ReferenceOptions,
    layout: &Layout,
    device: &Device,
) -> Result<ImportedReference, ImportError> {
    let marker = format!("{NETWORK}{FIRST}");
    let prefix = options.prefix.map_or_else(|| weights.prefix_of(&marker), |prefix| Ok(prefix.into()))?;
    let all = weights.below(&prefix)?;
    let theirs = all.below(NETWORK)?;
    let shapes = shapes(&theirs)?;
    let signal =
        all.values(SIGNAL)?.ok_or_else(|| all.unfit([format!("`{SIGNAL}` is missing: the noise schedule")]))?;
    if signal.is_empty() || !signal.is_sorted_by(|a, b| a >= b) || signal.iter().any(|s| !(0.0..=1.0).contains(s)) {
        return Err(all.unfit([format!("`{SIGNAL}` must fall, within 0 and 1")]));
    }
    if options.heads == 0 || !shapes.width.is_multiple_of(options.heads) {
        let (heads, width) = (options.heads, shapes.width);
        return Err(theirs.unfit([format!("model.heads {heads} does not divide the width {width}")]));
    }
    let places = places(options, layout, shapes.channels).map_err(|problem| theirs.unfit([problem]))?;
    let unseen = layout.modalities.iter().filter(|m| m.channels.clone().all(|c| places[c].is_none()));
    let unseen: Vec<String> = unseen.map(|m| m.name.clone()).collect();
    let of_frame = layout.modalities.iter().map(|m| !unseen.contains(&m.name));
    let of_frame: Vec<bool> = of_frame.collect();
    let sizes = NetworkConfig::new(
        shapes.width,
        shapes.layers,
        options.heads,
        layout.token_channels(),
        layout.modalities.len() * layout.frame_stack,
        options.tokens,
    );
    let seen = of_frame.repeat(layout.frame_stack);
    let config = ReferenceConfig { hidden: shapes.hidden, causal: options.causal, signal, seen };
    let [first, output, bias] = ["init_mlp.0.weight", "out.weight", "out.bias"].map(|name| theirs.values(name));
    let (first, output, bias) = (first?.unwrap_or_default(), output?.unwrap_or_default(), bias?.unwrap_or_default());
    let channel_map = ChannelMap::new(&places, layout.frame_stack, shapes.channels);
    let replacement = |name: &str| match name {
        "init_mlp.0.weight" => {
            let shape = vec![shapes.width, channel_map.len() + shapes.width / 2];
            Some(ShapedValues { values: channel_map.inputs(&first, shapes.width), shape })
        }
        "out.weight" => {
            let shape = vec![channel_map.len(), shapes.width];
            Some(ShapedValues { values: channel_map.outputs(&output, shapes.width), shape })
        }
        "out.bias" => Some(ShapedValues { values: channel_map.outputs(&bias, 1), shape: vec![channel_map.len()] }),
        _ => None,
    };
    let network = fill(reference_network::init(&config, &sizes, device), &theirs, foreign_name, &replacement)?;
    let parent_prefix = prefix.strip_suffix(DIFFUSION_MODEL).unwrap_or(&prefix);
    Ok(ImportedReference { network, sizes, normaliser: normaliser(weights, parent_prefix, &places)?, unseen })
}

/// The name in the file of a tensor of [`ReferenceNetwork`].
fn foreign_name(ours: &str) -> String {
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

/// For each channel of a frame, its index in a frame of the file; `None` for a channel that the file lacks.
fn places(options: &ReferenceOptions, layout: &Layout, of_token: usize) -> Result<Vec<Option<usize>>, String> {
    let mut places = vec![None; layout.frame_channels()];
    let mut next = 0;
    let stack = layout.frame_stack;
    let (action, observations) = layout.modalities.split_at(ACTION_MODALITY + 1);
    let observed: usize = observations.iter().map(|m| m.channels.len()).sum();
    let all = observations.iter().chain(action.iter().filter(|_| observed * stack != of_token));
    let channels: Vec<String> =
        if options.channels.is_empty() { all.map(|m| m.name.clone()).collect() } else { options.channels.into() };
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

/// For each channel of a token, its index in a token of the file.
struct ChannelMap {
    place: Vec<Option<usize>>,
    theirs: usize,
}

impl ChannelMap {
    fn new(of_frame: &[Option<usize>], stack: usize, theirs: usize) -> Self {
        let place = (0..stack).flat_map(|frame| of_frame.iter().map(move |c| c.map(|c| frame * (theirs / stack) + c)));
        Self { place: place.collect(), theirs }
    }

    /// The channels of a token of the layout.
    fn len(&self) -> usize {
        self.place.len()
    }

    /// The weights of the first layer, `[width, channel and noise step]`, with 0 for channels that the file lacks.
    fn inputs(&self, theirs: &[f32], width: usize) -> Vec<f32> {
        let row = |row: &[f32]| {
            let channels: Vec<f32> = self.place.iter().map(|place| place.map_or(0.0, |c| row[c])).collect();
            channels.into_iter().chain(row[self.theirs..].iter().copied()).collect::<Vec<f32>>()
        };
        theirs.chunks(self.theirs + width / 2).flat_map(row).collect()
    }

    /// Rows `[channel, of_channel]`, with 0 for channels that the file lacks.
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
    parent_prefix: &str,
    places: &[Option<usize>],
) -> Result<Option<Normaliser>, ImportError> {
    let values = |name: &str| weights.values(&format!("{parent_prefix}{name}"));
    let (Some(mean), Some(std)) = (values(MEAN)?, values(STD)?) else { return Ok(None) };
    let expected = places.iter().flatten().count();
    if mean.len() != expected || std.len() != expected || std.iter().any(|d| *d <= 0.0) {
        let (means, stds) = (mean.len(), std.len());
        return Err(weights.unfit([format!(
            "`{MEAN}` and `{STD}`: expected {expected} values each, standard deviations above 0; got {means} and {stds}"
        )]));
    }
    let of = |values: &[f32], otherwise: f32| places.iter().map(|c| c.map_or(otherwise, |c| values[c])).collect();
    Ok(Some(Normaliser::new(of(&mean, 0.0), of(&std, 1.0))))
}
