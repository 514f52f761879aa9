//! `df_train import`: makes a checkpoint of weights from PyTorch. Arguments and wiring only.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::ValueEnum;
use df_core::ACTION;
use df_core::settings::read_yaml;
use df_core::{Layout, Normaliser};
use df_engine::{CheckpointDescription, CheckpointError, NetworkConfig, Provenance};
use df_planner::config::Config;
use df_training::import::{ForeignWeights, ReferenceOptions, import_native, import_reference};
use df_training::{AnyNetwork, Checkpoint, device};

use super::train::Cache;

/// Makes a checkpoint of weights that were trained elsewhere (docs/src/how-to/import-pytorch-weights.md). Nothing in
/// the file is executed.
#[derive(clap::Args)]
pub struct Import {
    /// The configuration: topic contract, sizes (model.*, training.window), objective and noise schedule.
    #[arg(long)]
    config: PathBuf,
    /// The file: PyTorch (.pt, .pth, .ckpt) or safetensors.
    #[arg(long)]
    weights: PathBuf,
    /// The checkpoint directory to write; one that exists is replaced when the new one is complete.
    #[arg(long)]
    out: PathBuf,
    /// Which network the weights are of.
    #[arg(long, value_enum, default_value_t = Architecture::Native)]
    architecture: Architecture,
    /// Prefix of the names of the network's tensors, such as `state_dict.model.`; found if the file holds one such set.
    #[arg(long)]
    prefix: Option<String>,
    /// Renames tensors before they are looked up: a regular expression, `=`, and its replacement.
    #[arg(long, value_name = "PATTERN=TEXT")]
    rename: Vec<String>,
    /// Mean and standard deviation of every channel of a frame, as YAML or JSON: `{mean: [...], std: [...]}`, the
    /// action first.
    #[arg(long)]
    normaliser: Option<PathBuf>,
    /// Demonstrations to compute mean and standard deviation of, as for training. With --normaliser, the first gives
    /// message definitions only.
    #[arg(long, num_args = 1.., value_name = "PATH[@WEIGHT]")]
    bag: Vec<String>,
    #[command(flatten)]
    cache: Cache,
    /// Of --architecture reference: the groups of a frame in the order of the weights, separated by commas. Default:
    /// the groups of the contract, then the action if the weights have channels for it.
    #[arg(long, value_delimiter = ',')]
    channels: Vec<String>,
    /// Of --architecture reference: the network was trained with a causal mask.
    #[arg(long)]
    causal: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Architecture {
    /// The transformer of df_planner, in PyTorch: benches/pytorch_model.py.
    #[value(alias = "own")]
    Native,
    /// The transformer of github.com/buoyancy99/diffusion-forcing.
    Reference,
}

pub fn run(arguments: &Import) -> anyhow::Result<()> {
    let config = Config::load_and_warn(&arguments.config)?;
    let weights = ForeignWeights::open(&arguments.weights)?.rename(&renames(&arguments.rename)?)?;
    let (layout, given) = normaliser(arguments, &config)?;
    let sources = [arguments.weights.display().to_string()].into_iter().chain(arguments.bag.iter().cloned()).collect();
    let prefix = arguments.prefix.as_deref();
    let flex = device("flex")?;
    let mut model = config.model.clone();
    let (network, sizes, normaliser): (AnyNetwork, _, _) = match arguments.architecture {
        Architecture::Native => {
            let (channels, noise_groups) = (layout.token_channels(), layout.modalities.len() * layout.frame_stack);
            let window = config.training.window;
            let sizes = NetworkConfig {
                condition_on_clean_values: model.condition_on_clean_values,
                ..NetworkConfig::new(model.width, model.layers, model.heads, channels, noise_groups, window)
            };
            let normaliser = given.context("the network's inputs are normalised: give --normaliser or --bag")?;
            (import_native(&weights, prefix, &sizes, &flex)?.into(), sizes, normaliser)
        }
        Architecture::Reference => {
            let (causal, tokens) = (arguments.causal, config.training.window);
            let heads = model.heads;
            let options = ReferenceOptions { prefix, channels: &arguments.channels, heads, tokens, causal };
            let imported = import_reference(&weights, &options, &layout, &flex)?;
            (model.width, model.layers) = (imported.sizes.width, imported.sizes.layers);
            let normaliser = merge(imported.normaliser, given, &layout, &imported.unseen)?;
            for name in &imported.unseen {
                println!("`{name}` is not in the weights: the network neither reads nor predicts it");
            }
            if imported.unseen.iter().any(|name| name == ACTION) {
                println!("it answers queries about observations (df_replay --query observations), but cannot drive");
            }
            (AnyNetwork::Reference(imported.network), imported.sizes, normaliser)
        }
    };
    let description = CheckpointDescription {
        architecture: network.architecture(),
        network: sizes,
        model,
        layout,
        normaliser,
        contract: config.contract.clone(),
        provenance: Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            bags: sources,
            device: "import".into(),
            ..Provenance::default()
        },
    };
    let checkpoint = Checkpoint { network, description };
    checkpoint.save(&arguments.out, |_| Ok::<_, CheckpointError>(()))?;
    let (model, sizes) = (&checkpoint.description.model, &checkpoint.description.network);
    println!(
        "{}: {} parameters, {} layers of width {}, {} heads; sequences of up to {} tokens; objective {:?}, noise schedule {:?}",
        arguments.out.display(),
        checkpoint.parameters(),
        sizes.layers,
        sizes.width,
        sizes.heads,
        sizes.tokens,
        model.objective,
        model.noise_schedule
    );
    Ok(())
}

fn renames(texts: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let parse = |text: &String| {
        let (from, to) = text.split_once('=').with_context(|| format!("--rename {text}: expected PATTERN=TEXT"))?;
        Ok((from.to_string(), to.to_string()))
    };
    texts.iter().map(parse).collect()
}

/// The layout of the contract, and the normaliser that is given or computed from the recordings.
fn normaliser(arguments: &Import, config: &Config) -> anyhow::Result<(Layout, Option<Normaliser>)> {
    let inputs = if arguments.bag.is_empty() { Vec::new() } else { df_data::parse_inputs(&arguments.bag)? };
    if !inputs.is_empty() && arguments.normaliser.is_none() {
        let recording = df_data::load_recording(&config.data(), &inputs, &arguments.cache.place())?;
        recording.report.iter().for_each(|line| println!("{line}"));
        if recording.episodes.is_empty() {
            bail!("no episode could be read from {:?}", arguments.bag);
        }
        let recorded = &recording;
        let frames = recorded.episodes.iter().flat_map(|e| (0..e.frames).map(move |k| recorded.frame(e, k)));
        let normaliser =
            Normaliser::fit(&recording.layout, frames).scaled(&recording.layout, &config.training.noise_scale);
        return Ok((recording.layout.clone(), Some(normaliser)));
    }
    let layout = match inputs.first() {
        Some(input) => df_data::open_bound(&config.data(), &input.path)?.layout,
        None => df_data::contract_layout(&config.data())?,
    };
    let Some(file) = &arguments.normaliser else { return Ok((layout, None)) };
    let normaliser: Normaliser = read_yaml(file)?;
    let Normaliser { mean, std, noise_scale } = &normaliser;
    let (channels, means, stds) = (layout.frame_channels(), mean.len(), std.len());
    if means != channels || stds != channels || noise_scale.len() != channels {
        bail!(
            "{}: expected {channels} values each, for {}; got {means} means, {stds} standard deviations and {} noise scales",
            file.display(),
            layout.labels.join(", "),
            noise_scale.len()
        );
    }
    let finite = mean.iter().chain(std).chain(noise_scale).all(|value| value.is_finite());
    if !finite || std.iter().chain(noise_scale).any(|width| *width <= 0.0) {
        bail!("{}: means must be finite, standard deviations and noise scales above 0", file.display());
    }
    Ok((layout, Some(normaliser)))
}

/// The normaliser of the weights, with the given one for the channels of the modalities `unseen`.
fn merge(
    own: Option<Normaliser>,
    given: Option<Normaliser>,
    layout: &Layout,
    unseen: &[String],
) -> anyhow::Result<Normaliser> {
    let (mut normaliser, given) = match (own, given) {
        (Some(own), Some(given)) => (own, given),
        (Some(only), None) | (None, Some(only)) => return Ok(only),
        (None, None) => bail!("the file has no data_mean and data_std: give --normaliser or --bag"),
    };
    println!(
        "mean and standard deviation are those of the file{}",
        if unseen.is_empty() { "; the given ones are not used" } else { "" }
    );
    for modality in layout.modalities.iter().filter(|modality| unseen.contains(&modality.name)) {
        for c in modality.channels.clone() {
            (normaliser.mean[c], normaliser.std[c]) = (given.mean[c], given.std[c]);
            normaliser.noise_scale[c] = given.noise_scale[c];
        }
    }
    Ok(normaliser)
}
