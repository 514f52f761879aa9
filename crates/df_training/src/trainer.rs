//! The training loop: steps until done or told to stop; the moving average is validated and saved.
//!
//! A run is a function of its seed and the step: windows, levels and noise of a step are drawn from those alone. So one that is
//! resumed goes the same way, bit for bit.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Device;

use super::batch::{Batch, BatchMaker};
use super::init_from;
use super::model_card::{self, Card};
use super::dataset::Dataset;
use super::ema::Ema;
use super::error::TrainError;
use super::events::{End, Event, Summary};
use super::log::{Line, Log, StepLine};
use super::optimizer::optimizer;
use super::parallel::{self, ParallelError, Ranks};
use super::run::{Best, Data, Progress, Run};
use super::dwell_augmentation::DwellAugmentation;
use super::step;
use super::validation::{Validation, Validator};
use crate::TrainerConfig;
use crate::TrainingConfig;
use crate::InitNetwork;
use df_data::Recording;
use df_diffusion::TokenSpec;
use df_engine::{Architecture, CheckpointDescription, NetworkConfig, Provenance};
use crate::{Checkpoint, Network, load_network, numbered};
use df_core::Normaliser;

/// Loss is reported as a mean over about this many steps.
const SMOOTHING: f32 = 50.0;
/// The learning rate ends at this share of its peak (cosine).
const LAST_RATE: f64 = 0.02;
const LOG: &str = "log.jsonl";
/// Steps between two looks whether all ranks still hold the same weights.
const COMPARE_EVERY: usize = 100;
/// The random numbers of a device are common to all that train on its kind in this process: one network at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Trains on the recordings. The best checkpoint goes to the run's place, what `--resume` needs beside it.
///
/// `stop` ends the run after the current step, whichever of the ranks is told. The same recordings, configuration and backend
/// give the same weights, whether the run was stopped, killed and resumed on the way or not.
///
/// # Errors
/// See [`TrainError`].
pub fn train(
    config: &TrainerConfig,
    recording: &Arc<Recording>,
    run: &Run,
    device: (&str, &Device),
    ranks: &dyn Ranks,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event),
) -> Result<Summary, TrainError> {
    let mut trainer = Trainer::new(config, recording, run, device, ranks, report)?;
    trainer.run(stop, report).map_err(|error| trainer.rescued(error))
}

struct Trainer<'a> {
    config: &'a TrainerConfig,
    run: &'a Run,
    device: &'a Device,
    ranks: &'a dyn Ranks,
    tracked: Device,
    training: Dataset,
    validation: Option<Dataset>,
    normaliser: Normaliser,
    layout: df_core::Layout,
    sizes: NetworkConfig,
    maker: BatchMaker,
    network: Network,
    optimizer: ModuleOptimizer,
    ema: Ema,
    progress: Progress,
    provenance: Provenance,
    newest: Option<Validation>,
    log: Log,
    started: Instant,
    last_saved: (Instant, usize),
    /// The best checkpoint, where it could not be written yet.
    unsaved: Option<Checkpoint>,
    gradient_norm: f64,
}

impl<'a> Trainer<'a> {
    fn new(
        config: &'a TrainerConfig,
        recording: &Arc<Recording>,
        run: &'a Run,
        (device_name, device): (&str, &'a Device),
        ranks: &'a dyn Ranks,
        report: &mut dyn FnMut(Event),
    ) -> Result<Self, TrainError> {
        let settings = &config.training;
        let tracked = device.clone().autodiff();
        let layout = recording.layout.clone();
        let episodes = recording.episodes.len();
        let window = settings.window * layout.frame_stack;
        let (training, validation, normaliser) =
            Dataset::split(recording, window, config.contract.period_s, settings.validation_share, settings.seed)?;
        let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
        let model = &config.model;
        let sizes = NetworkConfig {
            condition_on_clean_values: model.condition_on_clean_values,
            ..NetworkConfig::new(model.width, model.layers, model.heads, spec.channels(), spec.noise_groups(), settings.window)
        };
        let normaliser = match run.from() {
            Some(from) => init_from::normaliser(Path::new(&from.model), config, &layout, &sizes)?,
            None => normaliser.scaled(&layout, &settings.noise_scale),
        };
        let asked = BatchMaker::asked(config, &layout);
        let stays = DwellAugmentation::fit(config, &training, &layout)?;
        let maker = BatchMaker { stays, ..BatchMaker::new(spec, normaliser.clone(), model, settings, asked) };
        let frames = training.frames() + validation.as_ref().map_or(0, Dataset::frames);
        let data = Data { bags: recording.inputs.clone(), episodes, frames };
        let mut progress = Progress::new(config, data, device_name, run.from());

        let (batch, parts) = (settings.batch, settings.accumulate.next_multiple_of(ranks.size()));
        if batch < parts {
            return Err(ParallelError::TooManyParts { batch, parts, ranks: ranks.size() }.into());
        }
        ranks.same("the configuration or the data", progress.fingerprint(&normaliser))?;

        let turn = TURN.lock();
        device.seed(settings.seed);
        let mut network = numbered(sizes.init(&tracked));
        // Burn draws the weights when they are first read.
        parallel::fingerprint(&network)?;
        drop(turn);
        if let Some(from) = run.from() {
            network = load_network(network, &CheckpointDescription::weights_path(Path::new(&from.model)))?;
        }
        let mut optimizer = optimizer(settings);
        let mut ema = Ema::new(&network, settings.ema_decay);
        network = network.in_precision(settings.precision, device, device_name)?;
        let parameters = network.num_params();
        report(Event::Started {
            training_windows: training.windows(),
            validation_windows: validation.as_ref().map_or(0, Dataset::windows),
            parameters,
            steps: settings.steps,
        });
        if let Some((before, changes)) = run.resumed(&progress)? {
            let averaged;
            (network, optimizer, averaged) = run.load(config, network, optimizer, device)?;
            ema = Ema::resumed(averaged, settings.ema_decay, before.step);
            report(Event::Resumed { step: before.step, changes });
            progress = before;
        }
        let path = run.file(LOG);
        let log = if ranks.rank() == 0 { Log::open(&path, progress.step) } else { Ok(Log::nowhere()) };
        let log = log.map_err(|cause| TrainError::Log { place: path, cause })?;
        let provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            bags: recording.inputs.clone(),
            episodes,
            frames,
            device: device_name.into(),
            seed: settings.seed,
            from: run.from().cloned(),
            ..Provenance::default()
        };
        let newest = log.lines().into_iter().rev().find_map(|line| line.validation);
        Ok(Self {
            config,
            run,
            device,
            ranks,
            tracked,
            training,
            validation,
            normaliser,
            layout,
            sizes,
            maker,
            network,
            optimizer,
            ema,
            provenance,
            newest,
            log,
            started: Instant::now(),
            last_saved: (Instant::now(), progress.step),
            progress,
            unsaved: None,
            gradient_norm: f64::NAN,
        })
    }

    fn run(&mut self, stop: &AtomicBool, report: &mut dyn FnMut(Event)) -> Result<Summary, TrainError> {
        let settings = &self.config.training;
        let (seconds_before, first) = (self.progress.seconds, self.progress.step);
        let mut end = End::Finished;
        self.compare()?;
        while self.progress.step < settings.steps {
            // Only rank 0 validates. The others wait here for it.
            if self.ranks.any(settings.patience > 0 && self.progress.stale >= settings.patience)? {
                end = End::Early;
                break;
            }
            if self.ranks.any(stop.load(Ordering::Relaxed))? {
                end = End::Stopped;
                break;
            }
            let line = self.step()?;
            let step = self.progress.step;
            let elapsed = self.started.elapsed().as_secs_f64();
            self.progress.seconds = seconds_before + elapsed;
            let windows_per_s = ((step - first) * settings.batch) as f64 / elapsed;
            report(Event::Step { step, loss: line.smoothed_loss, windows_per_s });
            let is_last = step == settings.steps;
            if step.is_multiple_of(COMPARE_EVERY) || is_last {
                self.compare()?;
            }
            if step.is_multiple_of(settings.log_every) || is_last {
                let training = Some(StepLine { windows_per_s, ..line });
                self.log(Line { training, ..Line::default() }, report);
            }
            if step.is_multiple_of(settings.validate_every) || is_last {
                self.validate(report)?;
            }
            if self.last_saved.0.elapsed().as_secs_f64() >= settings.checkpoint_every_s {
                // A full disk may have module again before the end.
                match self.save() {
                    Ok(()) => report(Event::Saved { step }),
                    Err(error) => report(Event::NotSaved { step, reason: error.to_string() }),
                }
                self.last_saved.0 = Instant::now();
            }
        }
        self.progress.finished = end != End::Stopped;
        self.save()?;
        report(Event::Saved { step: self.progress.step });
        if self.progress.best.is_none() && self.ranks.rank() == 0 {
            // Stopped before the first validation: better than nothing, and no best to compare with.
            self.publish(&self.checkpoint())?;
        }
        Ok(Summary { provenance: self.account(), best: self.progress.best, end })
    }

    fn step(&mut self) -> Result<StepLine, TrainError> {
        let settings = &self.config.training;
        let (done, size) = (self.progress.step as u64, settings.batch as u64);
        let first = done * size;
        let parts = step::Parts::new(settings.batch, settings.accumulate, self.ranks);
        let windows = parts.mine().map(|part| first + part.start..first + part.end);
        let batches: Vec<Batch> = windows.map(|windows| self.maker.batch(&self.training, done, windows)).collect();
        parts.mine().for_each(|part| self.training.fetch(first + size + part.start..first + size + part.end));
        let features = self.maker.features();
        let mut gradient = step::gradient(&self.network, (&parts, &batches), self.ranks, &features, &self.tracked)?;
        let norm = step::clip(&mut gradient.of_weights, &self.network, settings.gradient_clip)?;
        let learning_rate = learning_rate(done as usize + 1, settings);
        if !gradient.loss.is_finite() || !norm.is_finite() {
            return Err(TrainError::NotFinite {
                step: done as usize + 1,
                loss: gradient.loss,
                gradient_norm: norm,
                first,
                last: first + size - 1,
                learning_rate,
                weight_norm: step::weight_norm(&self.network)?,
                before: self.gradient_norm,
                kept: self.kept(),
            });
        }
        self.gradient_norm = norm;
        let network = self.network.clone();
        self.network = self.optimizer.step(ModuleLearningRate::from(learning_rate), network, gradient.of_weights);
        self.ema.update(&self.network);

        let progress = &mut self.progress;
        progress.step += 1;
        progress.windows_seen += size;
        let loss = gradient.loss as f32;
        let before = progress.loss.unwrap_or(loss);
        let smoothed = before + (loss - before) / SMOOTHING.min(progress.step as f32);
        progress.loss = Some(smoothed);
        Ok(StepLine {
            loss: gradient.loss,
            smoothed_loss: f64::from(smoothed),
            learning_rate,
            gradient_norm: norm,
            windows_per_s: 0.0,
        })
    }

    /// Equal sums make equal steps; should they not, a run of many ranks would learn nothing and not show it.
    fn compare(&self) -> Result<(), TrainError> {
        if self.ranks.size() > 1 {
            self.ranks.same("the weights", parallel::fingerprint(&self.network)?)?;
        }
        Ok(())
    }

    /// Saves what there is when another rank has gone: the step before is whole here.
    fn rescued(&mut self, error: TrainError) -> TrainError {
        match error {
            TrainError::Parallel(cause) if self.ranks.rank() == 0 && !matches!(cause, ParallelError::Differ { .. }) => {
                match self.save() {
                    Ok(()) => TrainError::Deserted { step: self.progress.step, cause, kept: self.kept() },
                    Err(error) => error,
                }
            }
            other => other,
        }
    }

    /// Validates the averaged network, and saves it where it is the best so far. Without a validation split the newest is.
    fn validate(&mut self, report: &mut dyn FnMut(Event)) -> Result<(), TrainError> {
        if self.ranks.rank() > 0 {
            return Ok(());
        }
        let step = self.progress.step;
        let validator = self.validation.as_ref().map(|dataset| Validator {
            dataset,
            maker: &self.maker,
            sizes: &self.sizes,
            layout: &self.layout,
            normaliser: &self.normaliser,
            planner: &self.config.planner,
            batch: self.config.training.batch,
            device: self.device,
        });
        let validation = validator.map(|validator| validator.validate(self.ema.network())).transpose()?;
        let loss = validation.as_ref().map(|validation| validation.loss as f32);
        // A loss that is not a number is never the best.
        let is_best = match (self.progress.best.and_then(|best| best.loss), loss) {
            (Some(best), Some(loss)) => loss < best,
            (None, Some(loss)) => loss.is_finite(),
            (_, None) => true,
        };
        if is_best {
            self.progress.best = Some(Best { step, loss });
            self.progress.stale = 0;
        } else {
            self.progress.stale += 1;
        }
        if let Some(validation) = validation {
            self.log(Line { validation: Some(validation.clone()), ..Line::default() }, report);
            self.newest = Some(validation.clone());
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

    /// A log that cannot be written is said and does not end the run.
    fn log(&self, line: Line, report: &mut dyn FnMut(Event)) {
        let step = self.progress.step;
        let line = Line { step, seconds: self.progress.seconds, ..line };
        if let Err(error) = self.log.add(&line) {
            let reason = format!("{}: {error}", self.run.file(LOG).display());
            report(Event::NotSaved { step, reason });
        }
    }

    /// Saves what the run needs to go on, and the best checkpoint where that has failed before.
    fn save(&mut self) -> Result<(), TrainError> {
        if self.ranks.rank() > 0 {
            return Ok(());
        }
        if let Some(best) = &self.unsaved {
            self.publish(best)?;
            self.unsaved = None;
        }
        let state = (&self.network, &self.optimizer, &self.progress);
        let checkpoint = self.checkpoint();
        self.run.save(&checkpoint, state, |new| self.add_card(&checkpoint, new))?;
        self.last_saved = (Instant::now(), self.progress.step);
        Ok(())
    }

    /// Puts a checkpoint where the planner is to find it.
    fn publish(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        checkpoint.save(self.run.out(), |new| self.add_card(checkpoint, new))
    }

    /// What is on the disk, in words.
    fn kept(&self) -> String {
        let best = self.progress.best.map(|best| format!("{} is from step {}", self.run.out().display(), best.step));
        let last =
            (self.last_saved.1 > 0).then(|| format!("{} from step {}", self.run.last().display(), self.last_saved.1));
        match (best, last) {
            (Some(best), Some(last)) => format!("{best}, {last}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "nothing had been saved yet".into(),
        }
    }

    /// The averaged network with all that belongs to it.
    fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            network: self.ema.network().clone().into(),
            description: CheckpointDescription {
                architecture: Architecture::Native,
                network: self.sizes.clone(),
                model: self.config.model.clone(),
                layout: self.layout.clone(),
                normaliser: self.normaliser.clone(),
                provenance: self.account(),
                contract: self.config.contract.clone(),
            },
        }
    }

    fn account(&self) -> Provenance {
        Provenance {
            steps: self.progress.step,
            windows_seen: self.progress.windows_seen,
            training_loss: f64::from(self.progress.loss.unwrap_or(f32::NAN)),
            validation_loss: self.newest.as_ref().map_or(0.0, |validation| validation.loss),
            seconds: self.progress.seconds,
            ..self.provenance.clone()
        }
    }

    fn add_card(&self, checkpoint: &Checkpoint, directory: &Path) -> Result<(), TrainError> {
        let lines = self.log.lines();
        model_card::write(&Card { checkpoint, config: self.config, lines: &lines }, directory)
    }
}

/// Linear warm-up, then a cosine down to [`LAST_RATE`] of the peak (Loshchilov and Hutter 2017, "SGDR", eq. 5, one cycle).
fn learning_rate(step: usize, settings: &TrainingConfig) -> f64 {
    let TrainingConfig { steps, warmup_steps: warmup, learning_rate: peak, .. } = *settings;
    if step <= warmup {
        return peak * step as f64 / warmup as f64;
    }
    let done = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
    peak * (LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + (done * std::f64::consts::PI).cos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_learning_rate_warms_up_and_falls() {
        let settings =
            TrainingConfig { steps: 1100, warmup_steps: 100, learning_rate: 1.0, ..TrainingConfig::default() };
        let rate = |step| learning_rate(step, &settings);
        assert_eq!((rate(50), rate(100)), (0.5, 1.0));
        // Half way down the cosine: 0.02 + 0.98 / 2.
        assert!((rate(600) - 0.51).abs() < 1e-12 && (rate(1100) - 0.02).abs() < 1e-12);
    }
}
