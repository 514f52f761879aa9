//! `df_train`: training. Arguments and wiring only.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
#[cfg(feature = "mpi")]
use std::time::Duration;

use anyhow::{Context, bail};
use df_data::{CachePlace, Recording};
use df_planner::config::Config;
#[cfg(feature = "mpi")]
use df_training::parallel::Mpi;
#[cfg(not(feature = "mpi"))]
use df_training::parallel::ParallelError;
use df_training::parallel::{Alone, Devices, Ranks, launched};
use df_training::{Device, End, Event, NamedDevice, Run, Start, TrainingSetup, Validation, device};
use indicatif::{ProgressBar, ProgressStyle};

// Names the required arguments: clap does not see those of a flattened `Option<Train>`.
#[derive(clap::Args)]
#[group(args = ["config", "bag", "out"], multiple = true)]
pub struct Train {
    /// The configuration: topic contract and training settings.
    #[arg(long)]
    config: PathBuf,
    /// Demonstrations: rosbag2 directories or files (MCAP, sqlite3), LeRobot datasets, D4RL or Minari files; or
    /// patterns such as 'demos/*' in quotes. The suffix @0.5 draws the windows of an input half as often.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH[@WEIGHT]")]
    bag: Vec<String>,
    /// The checkpoint directory to write; an existing one is replaced when the new one is complete. The state for
    /// --resume and the log go to OUT.run beside it.
    #[arg(long)]
    out: PathBuf,
    /// Continues the run of OUT that was stopped or killed.
    #[arg(long, conflicts_with = "restart")]
    resume: bool,
    /// Removes the unfinished run of OUT and starts again.
    #[arg(long)]
    restart: bool,
    /// Initializes the weights from this checkpoint of the same contract, network and window, and keeps its normaliser.
    #[arg(long, value_name = "MODEL")]
    from: Option<PathBuf>,
    /// The device that trains: flex; tch, cuda:N and wgpu:N if built in (docs/src/how-to/libtorch-and-gpus.md).
    /// Several, as in cuda:0,cuda:1, share each batch.
    #[arg(long, default_value = "flex")]
    device: String,
    /// With several processes (mpirun, srun): how long each waits for the others before it fails, seconds.
    #[arg(long, default_value_t = 1800)]
    wait_s: u64,
    #[command(flatten)]
    cache: Cache,
    /// Overrides training.steps of the configuration.
    #[arg(long)]
    steps: Option<usize>,
}

/// Where frames are cached, for every command that reads demonstrations.
#[derive(clap::Args)]
pub struct Cache {
    /// The directory in which frames are cached for further runs. Default: $XDG_CACHE_HOME/df_planner or
    /// ~/.cache/df_planner.
    #[arg(long = "cache", value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Do not cache frames: they lie in the folder for temporary files (TMPDIR) until the run ends.
    #[arg(long, conflicts_with = "directory")]
    no_cache: bool,
}

impl Cache {
    pub fn place(&self) -> CachePlace {
        match &self.directory {
            Some(directory) => CachePlace::At(directory.clone()),
            None if self.no_cache => CachePlace::Temporary,
            None => CachePlace::Standard,
        }
    }
}

pub fn run(arguments: &Train) -> anyhow::Result<()> {
    let mut config = Config::load_and_warn(&arguments.config)?;
    config.training.steps = arguments.steps.unwrap_or(config.training.steps);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).context("signal handler")?;
    }
    let work = Work { arguments, config, stop, recording: Mutex::default() };
    let several = arguments.device.contains(',');
    match launched() {
        Some((_, 2..)) if several => bail!("--device {}: each process takes one device", arguments.device),
        Some((rank, size @ 2..)) => work.among_processes(rank, size),
        _ if several => {
            let group = Devices::group(&arguments.device)?;
            Devices::run(group, |ranks| work.train(ranks, ranks.device()))
        }
        _ => work.train(&Alone, &device(&arguments.device)?),
    }
}

/// What the ranks of this process share.
struct Work<'a> {
    arguments: &'a Train,
    config: Config,
    stop: Arc<AtomicBool>,
    recording: Mutex<Option<Arc<Recording>>>,
}

impl Work<'_> {
    #[cfg(feature = "mpi")]
    fn among_processes(&self, rank: usize, size: usize) -> anyhow::Result<()> {
        let work = || -> anyhow::Result<()> {
            let ranks = Mpi::start(Duration::from_secs(self.arguments.wait_s), self.stop.clone())?;
            self.train(&ranks, &device(&self.arguments.device)?)?;
            ranks.finish();
            Ok(())
        };
        work().with_context(|| format!("rank {rank} of {size}"))
    }

    #[cfg(not(feature = "mpi"))]
    fn among_processes(&self, rank: usize, size: usize) -> anyhow::Result<()> {
        Err(ParallelError::NotBuilt { rank, size }.into())
    }

    /// The demonstrations. Rank 0 reads them first, and the others find its frames in the cache.
    fn recording(&self, inputs: &[df_data::Input], ranks: &dyn Ranks) -> anyhow::Result<Arc<Recording>> {
        let read = || -> anyhow::Result<_> {
            let mut kept = self.recording.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(recording) = &*kept {
                return Ok(recording.clone());
            }
            let recording =
                Arc::new(df_data::load_recording(&self.config.data(), inputs, &self.arguments.cache.place())?);
            *kept = Some(recording.clone());
            Ok(recording)
        };
        if ranks.rank() > 0 {
            ranks.any(false)?;
            return read();
        }
        let recording = read()?;
        recording.report.iter().for_each(|line| println!("{line}"));
        ranks.any(false)?;
        Ok(recording)
    }

    /// Trains as one of the ranks; rank 0 prints the progress.
    fn train(&self, ranks: &dyn Ranks, device: &Device) -> anyhow::Result<()> {
        let arguments = self.arguments;
        let start = match (arguments.resume, arguments.restart) {
            (true, _) => Start::Resume,
            (_, true) => Start::Restart,
            _ => Start::New,
        };
        let init_from = |from| df_training::init_from(from, &arguments.out);
        let parent = arguments.from.as_deref().map(init_from).transpose()?;
        let run = Run::open(&arguments.out, start, ranks)?.initialised_from(parent);
        let inputs = df_data::parse_inputs(&arguments.bag)?;
        let recording = self.recording(&inputs, ranks)?;
        let bar = ProgressBar::new(self.config.training.steps as u64).with_style(
            ProgressStyle::with_template("{bar:30} {pos}/{len} steps  {msg}  ETA {eta}  elapsed {elapsed}")
                .context("progress bar")?,
        );
        let print_event = |event: Event| match event {
            Event::Started { training_windows, validation_windows, parameters, steps } => println!(
                "{training_windows} training windows, {validation_windows} for validation; {parameters} parameters; {steps} steps"
            ),
            Event::Step { step, loss, windows_per_s } => {
                bar.set_position(step as u64);
                bar.set_message(format!("loss {loss:.4}  {windows_per_s:.0} windows/s"));
            }
            Event::Resumed { step, changes } => {
                bar.set_position(step as u64);
                bar.reset_eta();
                println!("resumed after step {step}");
                changes
                    .iter()
                    .for_each(|change| println!("warning: changed since the last save, results will differ: {change}"));
            }
            Event::Validated { step, validation, is_best } => bar.suspend(|| {
                let mark = if is_best { ", the best so far" } else { "" };
                println!("step {step}: {}{mark}", describe(&validation));
            }),
            Event::Saved { step } => bar.suspend(|| println!("step {step}: saved {}", run.last().display())),
            Event::NotSaved { step, reason } => bar.suspend(|| eprintln!("step {step}: not saved: {reason}")),
        };
        let mut report = |event| {
            if ranks.rank() == 0 {
                print_event(event)
            }
        };
        let name = match ranks.size() {
            1 => arguments.device.clone(),
            size => format!("{}, {size} ranks", arguments.device),
        };
        let setup = TrainingSetup {
            config: &self.config.trainer(),
            recording: &recording,
            run: &run,
            device: NamedDevice { name: &name, device },
            ranks,
            stop: &self.stop,
        };
        let summary = df_training::train(&setup, &mut report)?;
        if ranks.rank() > 0 {
            return Ok(());
        }
        bar.finish();
        let provenance = summary.provenance;
        println!(
            "{} after {} steps ({:.0} s): training loss {:.4}",
            match summary.end {
                End::Finished => "finished".into(),
                End::Early => format!(
                    "early stopping (no better validation loss in {} validations)",
                    self.config.training.patience
                ),
                End::Stopped => "stopped, --resume goes on:".to_string(),
            },
            provenance.steps,
            provenance.seconds,
            provenance.training_loss,
        );
        if ranks.size() > 1 {
            let waited_s = ranks.waited().as_secs_f64();
            println!(
                "rank 0 spent {waited_s:.2} s on sums over the {} ranks, including waiting for them",
                ranks.size()
            );
        }
        match summary.best.and_then(|best| Some((best.step, best.loss?))) {
            Some((step, loss)) => println!("{}: validation loss {loss:.4}, of step {step}", arguments.out.display()),
            None => println!("{}: not validated", arguments.out.display()),
        }
        Ok(())
    }
}

/// A validation in one line.
fn describe(validation: &Validation) -> String {
    let plans = validation.plans.as_ref().map_or(String::new(), |plans| {
        let errors = plans.first_action.iter().map(|action| action.error / action.std);
        let (sum, count) = errors.fold((0.0, 0), |(sum, count), error| (sum + error, count + 1));
        let (error, coverage) = (sum / f64::from(count.max(1)), 100.0 * plans.coverage);
        format!(
            ", error of the first action {error:.2} standard deviations, {coverage:.0} % of recorded values covered"
        )
    });
    format!("validation loss {:.4}{plans}", validation.loss)
}
