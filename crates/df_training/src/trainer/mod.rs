//! The training loop: optimizer steps until done or stopped, with validation and saves of the moving average.
//!
//! A run is a function of its seed. Windows, noise levels and noise of a step depend on the seed and the step only. So
//! a resumed run gives the same weights, bit for bit.

mod saving;
mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;
use df_core::{Layout, Normaliser};
use df_data::Recording;
use df_engine::{NetworkConfig, Provenance};

use crate::batch::{Batch, BatchMaker};
use crate::dataset::Dataset;
use crate::ema::Ema;
use crate::events::{End, Event, Summary};
use crate::learning_rate::learning_rate;
use crate::log::{Line, Log, StepLine};
use crate::parallel::{self, ParallelError, Ranks};
use crate::run::{Progress, Run};
use crate::step::{self, NextGradient, Parts};
use crate::validation::Validation;
use crate::{Checkpoint, Network, TrainError, TrainerConfig};

/// The reported loss is a running mean over about this many steps.
const LOSS_SMOOTHING_STEPS: f32 = 50.0;
/// Steps between two checks that all ranks hold the same weights.
const CHECK_RANKS_EVERY: usize = 100;

/// A Burn device and the name that the user gave it.
#[derive(Clone, Copy, Debug)]
pub struct NamedDevice<'a> {
    /// The name, for the provenance and for errors.
    pub name: &'a str,
    /// The device, without autodiff.
    pub device: &'a Device,
}

/// The inputs of a training run.
#[derive(Clone, Copy)]
pub struct TrainingSetup<'a> {
    /// Contract, network and training settings.
    pub config: &'a TrainerConfig,
    /// The demonstrations.
    pub recording: &'a Arc<Recording>,
    /// The place on the disk, and the run to resume if any.
    pub run: &'a Run,
    /// The device of this rank.
    pub device: NamedDevice<'a>,
    /// The ranks that share each batch; [`parallel::Alone`] for one process on one device.
    pub ranks: &'a dyn Ranks,
    /// Ends the run after the current step if set on any rank.
    pub stop: &'a AtomicBool,
}

/// Trains a network. Writes the best checkpoint and the state for `--resume` to the place of the run.
///
/// The same recordings, configuration and backend give the same weights, even if the run is stopped, killed and
/// resumed.
///
/// # Errors
/// [`TrainError`]. Earlier saves stay.
pub fn train(setup: &TrainingSetup, report: &mut dyn FnMut(Event)) -> Result<Summary, TrainError> {
    let mut trainer = Trainer::new(setup, report)?;
    trainer.run(report).map_err(|error| trainer.save_after(error))
}

/// A run in memory.
struct Trainer<'a> {
    setup: TrainingSetup<'a>,
    data: Data,
    maker: BatchMaker,
    network_config: NetworkConfig,
    /// The device with autodiff.
    autodiff: Device,
    network: Network,
    optimizer: ModuleOptimizer,
    ema: Ema,
    progress: Progress,
    provenance: Provenance,
    last_validation: Option<Validation>,
    log: Log,
    started: Instant,
    last_save: LastSave,
    /// The best checkpoint, if it could not be written yet.
    unsaved: Option<Checkpoint>,
    /// The norm of the gradient of the last step; NaN before the first one.
    gradient_norm: f64,
}

/// The episodes of a run and what was fitted to them.
struct Data {
    training: Dataset,
    validation: Option<Dataset>,
    normaliser: Normaliser,
    layout: Layout,
}

/// The last save of the state for `--resume`.
struct LastSave {
    time: Instant,
    step: usize,
}

impl Trainer<'_> {
    fn run(&mut self, report: &mut dyn FnMut(Event)) -> Result<Summary, TrainError> {
        let config = &self.setup.config.training;
        let (seconds_before, first_step) = (self.progress.seconds, self.progress.step);
        let mut end = End::Finished;
        self.check_equal_weights()?;
        while self.progress.step < config.steps {
            if let Some(reason) = self.early_end()? {
                end = reason;
                break;
            }
            let line = self.step()?;

            let step = self.progress.step;
            let elapsed = self.started.elapsed().as_secs_f64();
            self.progress.seconds = seconds_before + elapsed;
            let windows_per_s = ((step - first_step) * config.batch) as f64 / elapsed;
            report(Event::Step { step, loss: line.smoothed_loss, windows_per_s });
            let is_last = step == config.steps;
            if step.is_multiple_of(CHECK_RANKS_EVERY) || is_last {
                self.check_equal_weights()?;
            }
            if step.is_multiple_of(config.log_every) || is_last {
                let training = Some(StepLine { windows_per_s, ..line });
                self.write_log(Line { training, ..Line::default() }, report);
            }
            if step.is_multiple_of(config.validate_every) || is_last {
                self.validate(report)?;
            }
            if self.last_save.time.elapsed().as_secs_f64() >= config.checkpoint_every_s {
                // A failed save does not end the run: a full disk may have space again later.
                match self.save() {
                    Ok(()) => report(Event::Saved { step }),
                    Err(error) => report(Event::NotSaved { step, reason: error.to_string() }),
                }
                self.last_save.time = Instant::now();
            }
        }
        self.progress.finished = end != End::Stopped;
        self.save()?;
        report(Event::Saved { step: self.progress.step });
        if self.progress.best.is_none() && self.setup.ranks.rank() == 0 {
            // The run stopped before its first validation. Publish the newest weights, so that there is a checkpoint.
            self.publish(&self.checkpoint())?;
        }
        Ok(Summary { provenance: self.current_provenance(), best: self.progress.best, end })
    }

    /// The reason to end before the last step: early stopping, or a stop request on any rank.
    fn early_end(&self) -> Result<Option<End>, TrainError> {
        let patience = self.setup.config.training.patience;
        // Only rank 0 validates. The others learn its decision here.
        if self.setup.ranks.any(patience > 0 && self.progress.validations_since_best >= patience)? {
            return Ok(Some(End::Early));
        }
        let is_stopped = self.setup.ranks.any(self.setup.stop.load(Ordering::Relaxed))?;
        Ok(is_stopped.then_some(End::Stopped))
    }

    /// One optimizer step on the next batch.
    fn step(&mut self) -> Result<StepLine, TrainError> {
        let (config, ranks) = (&self.setup.config.training, self.setup.ranks);
        let (done, batch_size) = (self.progress.step as u64, config.batch as u64);
        let first = done * batch_size;
        let parts = Parts::new(config.batch, config.accumulate, ranks);
        let positions = parts.of_this_rank().map(|part| first + part.start..first + part.end);
        let training = &self.data.training;
        let batches: Vec<Batch> = positions.map(|positions| self.maker.batch(training, done, positions)).collect();
        let next = first + batch_size;
        parts.of_this_rank().for_each(|part| training.prefetch(next + part.start..next + part.end));

        let features = self.maker.features();
        let inputs = NextGradient { parts: &parts, batches: &batches, features: &features, device: &self.autodiff };
        let mut gradient = step::gradient(&self.network, &inputs, ranks)?;
        let norm = step::clip(&mut gradient.of_weights, &self.network, config.gradient_clip)?;
        let learning_rate = learning_rate(done as usize + 1, config);
        if !gradient.loss.is_finite() || !norm.is_finite() {
            return Err(TrainError::NotFinite {
                step: done as usize + 1,
                loss: gradient.loss,
                gradient_norm: norm,
                first,
                last: first + batch_size - 1,
                learning_rate,
                weight_norm: step::weight_norm(&self.network)?,
                previous_gradient_norm: self.gradient_norm,
                saved: self.describe_saved(),
            });
        }
        self.gradient_norm = norm;
        let network = self.network.clone();
        self.network = self.optimizer.step(ModuleLearningRate::from(learning_rate), network, gradient.of_weights);
        self.ema.update(&self.network);

        let progress = &mut self.progress;
        progress.step += 1;
        progress.windows_seen += batch_size;
        let loss = gradient.loss as f32;
        let previous = progress.loss.unwrap_or(loss);
        let smoothed = previous + (loss - previous) / LOSS_SMOOTHING_STEPS.min(progress.step as f32);
        progress.loss = Some(smoothed);
        Ok(StepLine {
            loss: gradient.loss,
            smoothed_loss: f64::from(smoothed),
            learning_rate,
            gradient_norm: norm,
            windows_per_s: 0.0,
        })
    }

    /// Checks that all ranks hold the same weights. Equal gradients make equal steps; a difference means that the ranks
    /// train apart, which the loss alone does not show.
    fn check_equal_weights(&self) -> Result<(), TrainError> {
        if self.setup.ranks.size() > 1 {
            self.setup.ranks.check_equal("the weights", parallel::fingerprint(&self.network)?)?;
        }
        Ok(())
    }

    /// Saves the last complete step if the error is that another rank has gone. Returns the error to report.
    fn save_after(&mut self, error: TrainError) -> TrainError {
        match error {
            TrainError::Parallel(cause)
                if self.setup.ranks.rank() == 0 && !matches!(cause, ParallelError::Differ { .. }) =>
            {
                match self.save() {
                    Ok(()) => TrainError::Deserted { step: self.progress.step, cause, saved: self.describe_saved() },
                    Err(error) => error,
                }
            }
            other => other,
        }
    }
}
