//! Validation and saves: the best checkpoint, the state for `--resume`, the log and the model card.

use std::path::Path;
use std::time::Instant;

use df_engine::{Architecture, CheckpointDescription, Provenance};

use super::{LastSave, Trainer};
use crate::events::Event;
use crate::log::Line;
use crate::model_card::{self, ModelCard};
use crate::run::{Best, RunState};
use crate::validation::Validator;
use crate::{Checkpoint, TrainError};

/// The log file of a run.
pub(super) const LOG: &str = "log.jsonl";

impl Trainer<'_> {
    /// Validates the averaged network on rank 0 and publishes it if its loss is the lowest. Without a validation split
    /// the newest network is published.
    pub(super) fn validate(&mut self, report: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        if self.setup.ranks.rank() > 0 {
            return Ok(());
        }
        let step = self.progress.step;
        let validator = self.data.validation.as_ref().map(|dataset| Validator {
            dataset,
            maker: &self.maker,
            sizes: &self.network_config,
            layout: &self.data.layout,
            normaliser: &self.data.normaliser,
            planner: &self.setup.config.planner,
            batch: self.setup.config.training.batch,
            device: self.setup.device.device,
        });
        let validation = validator.map(|validator| validator.validate(self.ema.network())).transpose()?;
        let loss = validation.as_ref().map(|validation| validation.loss as f32);
        // A NaN loss is never the best.
        let is_best = match (self.progress.best.and_then(|best| best.loss), loss) {
            (Some(best), Some(loss)) => loss < best,
            (None, Some(loss)) => loss.is_finite(),
            (_, None) => true,
        };
        if is_best {
            self.progress.best = Some(Best { step, loss });
            self.progress.validations_since_best = 0;
        } else {
            self.progress.validations_since_best += 1;
        }
        if let Some(validation) = validation {
            self.write_log(Line { validation: Some(validation.clone()), ..Line::default() }, report);
            self.last_validation = Some(validation.clone());
            report(Event::Validated { step, validation, is_best });
        }
        if is_best {
            let checkpoint = self.checkpoint();
            self.unsaved = None;
            if let Err(error) = self.publish(&checkpoint) {
                report(Event::NotSaved { step, reason: error.to_string() });
                self.unsaved = Some(checkpoint);
            }
        }
        Ok(())
    }

    /// Appends a line to the log. A failure is reported and does not end the run.
    pub(super) fn write_log(&self, line: Line, report: &mut dyn FnMut(Event)) {
        let step = self.progress.step;
        let line = Line { step, seconds: self.progress.seconds, ..line };
        if let Err(error) = self.log.add(&line) {
            let reason = format!("{}: {error}", self.setup.run.file(LOG).display());
            report(Event::NotSaved { step, reason });
        }
    }

    /// Saves the state for `--resume`, and the best checkpoint if an earlier attempt failed. Only rank 0 writes.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        if self.setup.ranks.rank() > 0 {
            return Ok(());
        }
        if let Some(best) = &self.unsaved {
            self.publish(best)?;
            self.unsaved = None;
        }
        let checkpoint = self.checkpoint();
        let state = RunState {
            checkpoint: &checkpoint,
            network: &self.network,
            optimizer: &self.optimizer,
            progress: &self.progress,
        };
        self.setup.run.save(&state, |directory| self.write_model_card(&checkpoint, directory))?;
        self.last_save = LastSave { time: Instant::now(), step: self.progress.step };
        Ok(())
    }

    /// Writes a checkpoint to the output directory of the run.
    pub(super) fn publish(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        checkpoint.save(self.setup.run.out(), |directory| self.write_model_card(checkpoint, directory))
    }

    /// The checkpoints on the disk, in words, for an error.
    pub(super) fn describe_saved(&self) -> String {
        let run = self.setup.run;
        let best = self.progress.best.map(|best| format!("{} is from step {}", run.out().display(), best.step));
        let last =
            (self.last_save.step > 0).then(|| format!("{} is from step {}", run.last().display(), self.last_save.step));
        match (best, last) {
            (Some(best), Some(last)) => format!("{best}, {last}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "nothing has been saved yet".into(),
        }
    }

    /// The averaged network with its description.
    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            network: self.ema.network().clone().into(),
            description: CheckpointDescription {
                architecture: Architecture::Native,
                network: self.network_config.clone(),
                model: self.setup.config.model.clone(),
                layout: self.data.layout.clone(),
                normaliser: self.data.normaliser.clone(),
                provenance: self.current_provenance(),
                contract: self.setup.config.contract.clone(),
            },
        }
    }

    /// The provenance as of the last step.
    pub(super) fn current_provenance(&self) -> Provenance {
        Provenance {
            steps: self.progress.step,
            windows_seen: self.progress.windows_seen,
            training_loss: f64::from(self.progress.loss.unwrap_or(f32::NAN)),
            validation_loss: self.last_validation.as_ref().map_or(0.0, |validation| validation.loss),
            seconds: self.progress.seconds,
            ..self.provenance.clone()
        }
    }

    fn write_model_card(&self, checkpoint: &Checkpoint, directory: &Path) -> Result<(), TrainError> {
        let lines = self.log.lines();
        model_card::write(&ModelCard { checkpoint, config: self.setup.config, lines: &lines }, directory)
    }
}
