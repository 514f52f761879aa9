//! The training loop: steps until done or told to stop; the moving average is validated and saved.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::batch::{Batch, BatchMaker};
use super::dataset::{Dataset, DatasetError};
use super::ema::Ema;
use crate::config::Config;
use crate::data::Episode;
use crate::diffusion::{NoiseSchedule, TokenSpec, Tokens};
use crate::model::{Checkpoint, CheckpointError, DeviceError, Network, NetworkConfig, Provenance, level_feature_tensor};
use crate::signal::Layout;

/// Batches of the validation split that each validation looks at; always the same ones.
const VALIDATION_BATCHES: u64 = 4;
/// Loss is reported as a mean over about this many steps.
const SMOOTHING: f64 = 50.0;
/// The learning rate ends at this share of its peak (cosine).
const LAST_RATE: f64 = 0.02;

/// What happened, for a progress bar or a log.
#[derive(Clone, Debug)]
pub enum Event {
    Started { training_windows: usize, validation_windows: usize, parameters: usize, steps: usize },
    Step { step: usize, loss: f64, windows_per_s: f64 },
    Validated { step: usize, loss: f64 },
    Saved { step: usize },
}

/// How the run ended.
#[derive(Clone, Debug)]
pub struct Summary {
    pub provenance: Provenance,
    /// Whether it was told to stop before its last step.
    pub interrupted: bool,
}

/// Why training stopped without a new checkpoint; an older one stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error(
        "the loss is {loss} at step {step}: try a smaller training.learning_rate; the last checkpoint is from step {saved}"
    )]
    NotFinite { step: usize, loss: f64, saved: usize },
    #[error("the optimiser was refused: {0}")]
    Backend(String),
}

/// Trains on `episodes` and writes the checkpoint to `out` at intervals and at the end.
///
/// `stop` ends the run after the current step with a usable checkpoint. The same episodes, configuration and backend give
/// the same weights.
///
/// # Errors
/// See [`TrainError`].
#[expect(clippy::too_many_arguments, reason = "one call, in df_train; each is a thing of its own")]
pub fn train(
    config: &Config,
    layout: &Layout,
    episodes: Vec<Episode>,
    bags: Vec<String>,
    device: (&str, &Device),
    out: &Path,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event),
) -> Result<Summary, TrainError> {
    let settings = &config.training;
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let (device_name, device) = device;
    device.seed(rng.random());
    let tracked = device.clone().autodiff();

    let episode_count = episodes.len();
    let window = settings.window * layout.frame_stack;
    let (training, validation, normaliser) =
        Dataset::split(episodes, layout, window, config.contract.period_s, settings.validation_share, &mut rng)?;
    let spec = TokenSpec::new(&layout.modality_of_channel(), layout.frame_stack);
    let sizes = NetworkConfig::new(
        config.model.width,
        config.model.layers,
        config.model.heads,
        spec.channels(),
        spec.slots(),
        settings.window,
    );
    let goal = config.goal.as_ref().and_then(|goal| layout.modality(&goal.group));
    let maker = BatchMaker::new(spec, &config.model, settings, goal);
    let mut network = sizes.init(&tracked).in_precision(settings.precision, device, device_name)?;
    let mut ema = Ema::new(&network, settings.ema_decay);
    let mut optimiser = AdamWConfig::new()
        .with_weight_decay(settings.weight_decay as f32)
        .with_epsilon(1e-8)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(settings.gradient_clip as f32)))
        .init();
    report(Event::Started {
        training_windows: training.windows(),
        validation_windows: validation.as_ref().map_or(0, Dataset::windows),
        parameters: network.num_params(),
        steps: settings.steps,
    });

    let started = Instant::now();
    let mut last_saved = (Instant::now(), 0);
    let mut loss_mean = f64::NAN;
    let mut provenance = Provenance {
        version: env!("CARGO_PKG_VERSION").into(),
        bags,
        episodes: episode_count,
        frames: training.frames() + validation.as_ref().map_or(0, Dataset::frames),
        device: device_name.into(),
        seed: settings.seed,
        ..Provenance::default()
    };
    let mut step = 0;
    while step < settings.steps && !stop.load(Ordering::Relaxed) {
        step += 1;
        let batch = maker.draw(&training, settings.batch, &mut rng);
        let loss = loss(&network, &batch, maker.schedule, &tracked);
        let value = scalar(&loss)?;
        if !value.is_finite() {
            return Err(TrainError::NotFinite { step, loss: value, saved: last_saved.1 });
        }
        loss_mean =
            if loss_mean.is_nan() { value } else { loss_mean + (value - loss_mean) / SMOOTHING.min(step as f64) };
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        let rate = learning_rate(step, settings.steps, settings.warmup_steps, settings.learning_rate);
        network = optimiser.step(ModuleLearningRate::from(rate), network, gradients);
        ema.update(&network);

        provenance.steps = step;
        provenance.windows_seen += settings.batch as u64;
        provenance.training_loss = loss_mean;
        provenance.seconds = started.elapsed().as_secs_f64();
        report(Event::Step {
            step,
            loss: loss_mean,
            windows_per_s: provenance.windows_seen as f64 / provenance.seconds,
        });
        let last = step == settings.steps || stop.load(Ordering::Relaxed);
        if last || last_saved.0.elapsed().as_secs_f64() >= settings.checkpoint_every_s {
            if let Some(validation) = &validation {
                provenance.validation_loss = validate(ema.network(), validation, &maker, settings.batch, device)?;
                report(Event::Validated { step, loss: provenance.validation_loss });
            }
            let checkpoint = Checkpoint {
                network: ema.network().clone().into(),
                sizes: sizes.clone(),
                model: config.model.clone(),
                layout: layout.clone(),
                normaliser: normaliser.clone(),
                contract: config.contract.clone(),
                configuration: config.text.clone(),
                provenance: provenance.clone(),
            };
            checkpoint.save(out)?;
            last_saved = (Instant::now(), step);
            report(Event::Saved { step });
        }
    }
    Ok(Summary { interrupted: step < settings.steps, provenance })
}

/// Linear warm-up, then a cosine down to [`LAST_RATE`] of the peak.
fn learning_rate(step: usize, steps: usize, warmup: usize, peak: f64) -> f64 {
    if step <= warmup {
        return peak * step as f64 / warmup as f64;
    }
    let done = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
    peak * (LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + (done * std::f64::consts::PI).cos()))
}

fn tensor(tokens: &Tokens, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(tokens.data.clone(), [tokens.batch, tokens.tokens, tokens.channels]), device)
}

/// The weighted mean squared error of the target.
fn loss(network: &Network, batch: &Batch, schedule: NoiseSchedule, device: &Device) -> Tensor<1> {
    let features = level_feature_tensor(&batch.levels, schedule, device);
    let error = network.forward(tensor(&batch.noisy, device), features) - tensor(&batch.target, device);
    (error.clone() * error * tensor(&batch.weight, device)).sum()
}

fn scalar(loss: &Tensor<1>) -> Result<f64, TrainError> {
    let values = loss.clone().into_data().try_to_vec::<f32>().map_err(|e| TrainError::Backend(format!("{e:?}")))?;
    Ok(f64::from(values[0]))
}

fn validate(
    network: &Network,
    validation: &Dataset,
    maker: &BatchMaker,
    size: usize,
    device: &Device,
) -> Result<f64, TrainError> {
    let mut total = 0.0;
    for seed in 0..VALIDATION_BATCHES {
        let batch = maker.draw(validation, size, &mut ChaCha8Rng::seed_from_u64(seed));
        total += scalar(&loss(network, &batch, maker.schedule, device))?;
    }
    Ok(total / VALIDATION_BATCHES as f64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_learning_rate_warms_up_and_falls() {
        let rate = |step| super::learning_rate(step, 1100, 100, 1.0);
        assert_eq!((rate(50), rate(100)), (0.5, 1.0));
        // Half way down the cosine: 0.02 + 0.98 / 2.
        assert!((rate(600) - 0.51).abs() < 1e-12 && (rate(1100) - 0.02).abs() < 1e-12);
    }
}
