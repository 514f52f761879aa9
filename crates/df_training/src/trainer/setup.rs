//! The preparation of a run: data, network, optimizer, and the state of a resumed run.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use burn::module::Module;
use df_diffusion::TokenSpec;
use df_engine::{CheckpointDescription, NetworkConfig, Provenance};

use super::saving::LOG;
use super::{Data, LastSave, Trainer, TrainingSetup};
use crate::batch::BatchMaker;
use crate::dataset::Dataset;
use crate::dwell_augmentation::DwellAugmentation;
use crate::ema::Ema;
use crate::events::Event;
use crate::log::Log;
use crate::optimizer::optimizer;
use crate::parallel::{self, ParallelError};
use crate::run::{DataIdentity, Progress, ResumedWeights};
use crate::{InitNetwork, Network, TrainError, init_from, load_network, numbered};

/// Burn has one random generator per kind of device and process. The lock keeps concurrent initialisations apart.
static INITIALISATION: Mutex<()> = Mutex::new(());

impl<'a> Trainer<'a> {
    /// Prepares the data and the network, and loads the state of a resumed run.
    ///
    /// # Errors
    /// [`TrainError`]: unusable data, a parent checkpoint or a run that does not match, ranks that differ.
    pub(super) fn new(setup: &TrainingSetup<'a>, report: &mut dyn FnMut(Event)) -> Result<Self, TrainError> {
        let TrainingSetup { config, recording, run, device, ranks, .. } = *setup;
        let training = &config.training;
        let spec = TokenSpec::new(&recording.layout.modality_of_channel(), recording.layout.frame_stack);
        let network_config = network_config(setup, &spec);
        let data = Data::read(setup, &network_config)?;
        let episodes = recording.episodes.len();
        let frames = data.training.frames() + data.validation.as_ref().map_or(0, Dataset::frames);
        let maker = BatchMaker {
            dwell: DwellAugmentation::fit(config, &data.training, &data.layout)?,
            ..BatchMaker::new(
                spec,
                data.normaliser.clone(),
                &config.model,
                training,
                BatchMaker::conditioning_spec(config, &data.layout),
            )
        };
        let identity = DataIdentity { bags: recording.inputs.clone(), episodes, frames };
        let mut progress = Progress::new(config, identity, device.name, run.parent());

        let (batch, parts) = (training.batch, training.accumulate.next_multiple_of(ranks.size()));
        if batch < parts {
            return Err(ParallelError::TooManyParts { batch, parts, ranks: ranks.size() }.into());
        }
        ranks.check_equal("the configuration or the data", progress.fingerprint(&data.normaliser))?;

        let mut network = initial_network(setup, &network_config)?;
        let mut optimizer = optimizer(training);
        let mut ema = Ema::new(&network, training.ema_decay);
        network = network.in_precision(training.precision, device.device, device.name)?;
        report(Event::Started {
            training_windows: data.training.windows(),
            validation_windows: data.validation.as_ref().map_or(0, Dataset::windows),
            parameters: network.num_params(),
            steps: training.steps,
        });
        if let Some((saved, changes)) = run.resumed(&progress)? {
            let weights = run.load(config, network, optimizer, device.device)?;
            let averaged;
            ResumedWeights { network, optimizer, averaged } = weights;
            ema = Ema::resumed(averaged, training.ema_decay, saved.step);
            report(Event::Resumed { step: saved.step, changes });
            progress = saved;
        }
        let path = run.file(LOG);
        let log = if ranks.rank() == 0 { Log::open(&path, progress.step) } else { Ok(Log::disabled()) };
        let log = log.map_err(|cause| TrainError::Log { place: path, cause })?;
        let provenance = Provenance {
            version: env!("CARGO_PKG_VERSION").into(),
            bags: recording.inputs.clone(),
            episodes,
            frames,
            device: device.name.into(),
            seed: training.seed,
            from: run.parent().cloned(),
            ..Provenance::default()
        };
        let last_validation = log.lines().into_iter().rev().find_map(|line| line.validation);
        Ok(Self {
            setup: *setup,
            data,
            maker,
            network_config,
            autodiff: device.device.clone().autodiff(),
            network,
            optimizer,
            ema,
            provenance,
            last_validation,
            log,
            started: Instant::now(),
            last_save: LastSave { time: Instant::now(), step: progress.step },
            progress,
            unsaved: None,
            gradient_norm: f64::NAN,
        })
    }
}

impl Data {
    /// Splits the recording. The normaliser is that of the parent checkpoint if there is one.
    fn read(setup: &TrainingSetup, network: &NetworkConfig) -> Result<Self, TrainError> {
        let (config, layout) = (setup.config, setup.recording.layout.clone());
        let training = &config.training;
        let window = training.window * layout.frame_stack;
        let (period_s, share) = (config.contract.period_s, training.validation_share);
        let (training_split, validation, fitted) =
            Dataset::split(setup.recording, window, period_s, share, training.seed)?;
        let normaliser = match setup.run.parent() {
            Some(parent) => init_from::normaliser(Path::new(&parent.model), config, &layout, network)?,
            None => fitted.scaled(&layout, &training.noise_scale),
        };
        Ok(Self { training: training_split, validation, normaliser, layout })
    }
}

fn network_config(setup: &TrainingSetup, spec: &TokenSpec) -> NetworkConfig {
    let (model, window) = (&setup.config.model, setup.config.training.window);
    let (channels, noise_groups) = (spec.channels(), spec.noise_groups());
    NetworkConfig {
        condition_on_clean_values: model.condition_on_clean_values,
        ..NetworkConfig::new(model.width, model.layers, model.heads, channels, noise_groups, window)
    }
}

/// The network with random weights of the seed, or with the weights of the parent checkpoint.
fn initial_network(setup: &TrainingSetup, config: &NetworkConfig) -> Result<Network, TrainError> {
    let device = setup.device.device;
    let guard = INITIALISATION.lock();
    device.seed(setup.config.training.seed);
    let network = numbered(config.init(&device.clone().autodiff()));
    // Burn draws the weights at their first use, which must lie within the lock.
    parallel::fingerprint(&network)?;
    drop(guard);
    match setup.run.parent() {
        Some(parent) => Ok(load_network(network, &CheckpointDescription::weights_path(Path::new(&parent.model)))?),
        None => Ok(network),
    }
}
