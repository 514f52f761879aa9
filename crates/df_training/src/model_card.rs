//! The model card of a checkpoint: its data, training and validation, as text and curves (Mitchell et al. 2019, "Model
//! Cards for Model Reporting").

use std::fmt::Write;
use std::fs;
use std::path::Path;

use df_engine::CheckpointError;

use crate::log::Line;
use crate::validation::{NOMINAL_COVERAGE, Validation};
use crate::{Checkpoint, TrainError, TrainerConfig, curves};

const CARD: &str = "model.md";
const CURVES: &str = "training.png";

/// The contents of a model card.
pub(crate) struct ModelCard<'a> {
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) config: &'a TrainerConfig,
    /// The log of the run. The card shows the lines up to the checkpoint's step.
    pub(crate) lines: &'a [Line],
}

/// Writes the card and its picture into a checkpoint's directory.
///
/// # Errors
/// The files cannot be written.
pub(crate) fn write(card: &ModelCard, directory: &Path) -> Result<(), TrainError> {
    let steps = card.checkpoint.description.provenance.steps;
    let lines: Vec<&Line> = card.lines.iter().filter(|line| line.step <= steps).collect();
    let path = directory.join(CARD);
    fs::write(&path, text(card, &lines)).map_err(|cause| CheckpointError::File { path, cause })?;
    Ok(curves::draw(&lines, &directory.join(CURVES))?)
}

fn text(card: &ModelCard, lines: &[&Line]) -> String {
    let (checkpoint, config) = (card.checkpoint, card.config);
    let description = &checkpoint.description;
    let (provenance, layout, normaliser) = (&description.provenance, &description.layout, &description.normaliser);
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments| {
        // Writing to a string does not fail.
        let _ = text.write_fmt(args);
        text.push('\n');
    };
    line(format_args!("# Model card of df_planner {}\n", provenance.version));
    line(format_args!(
        "A tick is {} s, a token {} frames, a window {} tokens ({:.1} s). {} layers of width {}, {} heads.\n",
        config.contract.period_s,
        layout.frame_stack,
        config.training.window,
        config.training.window as f64 * layout.frame_stack as f64 * config.contract.period_s,
        config.model.layers,
        config.model.width,
        config.model.heads,
    ));
    line(format_args!(
        "Give this directory to the planner with `--model`. `contract.yaml` is the contract, `checkpoint.json` the provenance."
    ));
    line(format_args!("\n## Data\n"));
    line(format_args!(
        "{} episodes, {} frames ({:.1} minutes), from",
        provenance.episodes,
        provenance.frames,
        provenance.frames as f64 * config.contract.period_s / 60.0
    ));
    provenance.bags.iter().for_each(|bag| line(format_args!("- `{bag}`")));
    line(format_args!("\n| modality | channel | mean | standard deviation | noise scale |\n|---|---|---|---|---|"));
    for modality in &layout.modalities {
        for c in modality.channels.clone() {
            let (mean, std, noise) = (normaliser.mean[c], normaliser.std[c], normaliser.noise_scale[c]);
            let name = &modality.name;
            line(format_args!("| {name} | {} | {mean:.4} | {std:.4} | {noise:.4} |", layout.labels[c]));
        }
    }
    line(format_args!("\n## Training\n"));
    line(format_args!(
        "{} steps of {} windows ({} in all) in {:.0} s on `{}`, seed {}.",
        provenance.steps,
        config.training.batch,
        provenance.windows_seen,
        provenance.seconds,
        provenance.device,
        provenance.seed
    ));
    if let Some(from) = &provenance.from {
        line(format_args!("Initialised from {from}; its own steps are not counted here."));
    }
    line(format_args!(
        "Smoothed training loss {:.4}.\n\n![Curves of the training]({CURVES})",
        provenance.training_loss
    ));
    let validation = lines.iter().rev().find_map(|line| line.validation.as_ref().map(|v| (line.step, v)));
    match validation {
        Some((step, validation)) => line(format_args!("\n## Validation\n\n{}", describe_validation(step, validation))),
        None => line(format_args!(
            "\nNot validated: there is no validation split, or the first validation is still to come."
        )),
    }
    text
}

fn describe_validation(step: usize, validation: &Validation) -> String {
    let mut text = format!("On episodes that training never saw, after step {step}: loss {:.4}.\n", validation.loss);
    text += "\n| noise level | mean squared error of the prediction, normalised |\n|---|---|\n";
    for band in &validation.bands {
        let error = band.error.map_or("-".into(), |error| format!("{error:.4}"));
        text += &format!("| {:.1} to {:.1} | {error} |\n", band.from, band.to);
    }
    let Some(plans) = &validation.plans else { return text };
    text += &format!(
        "\nUnguided plans from {} recorded histories: {:.0} % of the recorded values lie within the sampled rollouts ({:.0} % \
         is right; less means overconfident, more means underconfident).\n",
        plans.windows,
        100.0 * plans.coverage,
        100.0 * NOMINAL_COVERAGE
    );
    text += "\n| first planned action | root mean square error | error of always planning the mean action |\n|---|---|---|\n";
    for action in &plans.first_action {
        text += &format!("| {} | {:.4} | {:.4} |\n", action.channel, action.error, action.std);
    }
    text
}
