//! The model card: what a checkpoint was made from and what it is worth, for people (Mitchell et al. 2019, "Model Cards for Model
//! Reporting").

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::log::Line;
use super::validation::{NOMINAL_COVERAGE, Validation};
use super::{TrainError, curves};
use crate::TrainerConfig;
use df_engine::CheckpointError;
use crate::Checkpoint;

const CARD: &str = "model.md";
const CURVES: &str = "training.png";

/// What a card tells of.
pub struct Card<'a> {
    pub checkpoint: &'a Checkpoint,
    pub config: &'a TrainerConfig,
    /// The log of the run; those up to the checkpoint's step are shown.
    pub lines: &'a [Line],
}

/// Writes the card and its pictures into a checkpoint's directory.
///
/// # Errors
/// The files cannot be written.
pub fn write(card: &Card, directory: &Path) -> Result<(), TrainError> {
    let steps = card.checkpoint.description.provenance.steps;
    let lines: Vec<&Line> = card.lines.iter().filter(|line| line.step <= steps).collect();
    let path = directory.join(CARD);
    fs::write(&path, text(card, &lines)).map_err(|cause| CheckpointError::File { path, cause })?;
    Ok(curves::draw(&lines, &directory.join(CURVES))?)
}

fn text(card: &Card, lines: &[&Line]) -> String {
    let (checkpoint, config) = (card.checkpoint, card.config);
    let (provenance, layout, normaliser) = (&checkpoint.description.provenance, &checkpoint.description.layout, &checkpoint.description.normaliser);
    let mut text = String::new();
    let mut line = |args: std::fmt::Arguments| {
        // Writing to a string does not fail.
        let _ = text.write_fmt(args);
        text.push('\n');
    };
    line(format_args!("# A model of df_planner {}\n", provenance.version));
    line(format_args!(
        "PlanMetrics at {} s a tick, {} frames a token, windows of {} tokens ({:.1} s). {} layers of width {}, {} heads.\n",
        config.contract.period_s,
        layout.frame_stack,
        config.training.window,
        config.training.window as f64 * layout.frame_stack as f64 * config.contract.period_s,
        config.model.layers,
        config.model.width,
        config.model.heads,
    ));
    line(format_args!(
        "Use it with `--model`; the contract (`contract.yaml`) and the provenance (`checkpoint.json`) lie beside it."
    ));
    line(format_args!("\n## Data\n"));
    line(format_args!(
        "{} episodes, {} frames ({:.1} minutes), of",
        provenance.episodes,
        provenance.frames,
        provenance.frames as f64 * config.contract.period_s / 60.0
    ));
    provenance.bags.iter().for_each(|bag| line(format_args!("- `{bag}`")));
    line(format_args!("\n| modality | channel | mean | deviation | noise |\n|---|---|---|---|---|"));
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
        line(format_args!("Begun with the model {from}, whose own steps are not counted here."));
    }
    line(format_args!(
        "Smoothed training loss {:.4}.\n\n![The course of the training]({CURVES})",
        provenance.training_loss
    ));
    let validation = lines.iter().rev().find_map(|line| line.validation.as_ref().map(|v| (line.step, v)));
    match validation {
        Some((step, validation)) => line(format_args!("\n## Validation\n\n{}", of_validation(step, validation))),
        None => line(format_args!("\nNot validated: no episode was kept aside, or none yet.")),
    }
    text
}

fn of_validation(step: usize, validation: &Validation) -> String {
    let mut text = format!("Episodes that training never saw, after step {step}: loss {:.4}.\n", validation.loss);
    text += "\n| noise level | mean squared error of the prediction, normalised |\n|---|---|\n";
    for band in &validation.bands {
        let error = band.error.map_or("-".into(), |error| format!("{error:.4}"));
        text += &format!("| {:.1} to {:.1} | {error} |\n", band.from, band.to);
    }
    let Some(plans) = &validation.plans else { return text };
    text += &format!(
        "\nPlans from the recorded past, without guidance, {} windows: {:.0} % of what came lies within the sampled futures \
         ({:.0} % would be right; less is too sure, more too vague).\n",
        plans.windows,
        100.0 * plans.coverage,
        100.0 * NOMINAL_COVERAGE
    );
    text += "\n| first planned action | root mean square error | of always the mean action |\n|---|---|---|\n";
    for action in &plans.first_action {
        text += &format!("| {} | {:.4} | {:.4} |\n", action.channel, action.error, action.std);
    }
    text
}
