//! Training: arguments and wiring only.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail};
use df_planner::config::Config;
use df_planner::data;
use df_planner::model::device;
use df_planner::training::{self, Event};
use indicatif::{ProgressBar, ProgressStyle};

#[derive(clap::Args)]
pub struct Train {
    /// The configuration: topic contract and training settings.
    #[arg(long)]
    config: PathBuf,
    /// Demonstrations: rosbag2 directories or files (MCAP, sqlite3), LeRobot datasets, D4RL or Minari files; or patterns such
    /// as 'demos/*' in quotes. With @0.5 behind it, its windows are drawn half as often.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH[@WEIGHT]")]
    bag: Vec<String>,
    /// The checkpoint directory to write; one that exists is replaced when the new one is complete.
    #[arg(long)]
    out: PathBuf,
    /// flex; tch, cuda:N and wgpu:N as built in (docs/models.md).
    #[arg(long, default_value = "flex")]
    device: String,
    /// Optimizer steps, instead of training.steps.
    #[arg(long)]
    steps: Option<usize>,
}

pub fn run(arguments: &Train) -> anyhow::Result<()> {
    let mut config = Config::load(&arguments.config)?;
    config.training.steps = arguments.steps.unwrap_or(config.training.steps);
    let device = device(&arguments.device)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).context("signal handler")?;
    }

    let inputs = data::inputs(&arguments.bag)?;
    let recording = data::load(&config, &inputs)?;
    for line in &recording.report {
        println!("{line}");
    }
    if recording.episodes.is_empty() {
        bail!("no episode could be read from {:?}", arguments.bag);
    }
    let name = |input: &data::Input| match input.weight {
        1.0 => input.path.display().to_string(),
        weight => format!("{}@{weight}", input.path.display()),
    };
    let bags = inputs.iter().map(name).collect();
    let bar = ProgressBar::new(config.training.steps as u64).with_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len} steps  {msg}  ETA {eta}  elapsed {elapsed}")
            .context("progress bar")?,
    );
    let mut report = |event: Event| match event {
        Event::Started { training_windows, validation_windows, parameters, steps } => println!(
            "{training_windows} training windows, {validation_windows} for validation; {parameters} parameters; {steps} steps"
        ),
        Event::Step { step, loss, windows_per_s } => {
            bar.set_position(step as u64);
            bar.set_message(format!("loss {loss:.4}  {windows_per_s:.0} windows/s"));
        }
        Event::Validated { step, loss } => bar.suspend(|| println!("step {step}: validation loss {loss:.4}")),
        Event::Saved { step } => bar.suspend(|| println!("step {step}: saved {}", arguments.out.display())),
    };
    let summary = training::train(
        &config,
        &recording.layout,
        recording.episodes,
        bags,
        (&arguments.device, &device),
        &arguments.out,
        &stop,
        &mut report,
    )?;
    bar.finish();
    let provenance = summary.provenance;
    println!(
        "{} after {} steps ({:.0} s): training loss {:.4}, validation loss {:.4}; {}",
        if summary.interrupted { "stopped" } else { "finished" },
        provenance.steps,
        provenance.seconds,
        provenance.training_loss,
        provenance.validation_loss,
        arguments.out.display()
    );
    Ok(())
}
