//! df_replay: runs the planner over a recorded bag and compares. Arguments and wiring only.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use df_planner::config::Config;
use df_planner::load_planner;
use df_data::{Episode, open_bound, read_episodes};
use df_planning::Planner;
use df_planner::replay::{Ask, QueryOptions, ask, inside_expected, replay, unit};
use df_core::Layout;
use serde::Serialize;

/// Runs the planner over a recorded ROS 2 bag, tick by tick, and compares its actions with the recorded ones; or asks the
/// network other questions about the recording. Needs no ROS.
///
/// The same bag, model, configuration and seed give the same output, byte for byte, on one machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration: topic contract and planner settings.
    #[arg(long)]
    config: PathBuf,
    /// The checkpoint directory.
    #[arg(long)]
    model: PathBuf,
    /// The recording: a rosbag2 directory or file (MCAP, sqlite3), a LeRobot dataset, a D4RL or Minari file.
    #[arg(long)]
    bag: PathBuf,
    /// cpu, flex; tch, cuda:N and wgpu:N as built in (docs/models.md).
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Instead of planner.seed.
    #[arg(long)]
    seed: Option<u64>,
    /// What is asked for.
    #[arg(long, value_enum, default_value_t = Asked::Plan)]
    ask: Asked,
    /// Plan at no more than this many ticks; ask about no more than this many windows.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    ticks: usize,
    /// Samples of each answer; not for plans.
    #[arg(long, default_value_t = 8)]
    samples: usize,
    /// Length of a gap, seconds; for gaps.
    #[arg(long, default_value_t = 0.5)]
    gap_s: f64,
    /// Write every tick, or every window, here, one JSON object a line.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Asked {
    /// What to do at each tick.
    Plan,
    /// The observations after the history, every action known: a world model.
    Observations,
    /// The actions after the history, every observation known: an inverse model.
    Actions,
    /// Everything in a gap, everything around it known.
    Gaps,
}

/// Parses the arguments and replays.
pub(crate) fn run() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().init();
    let arguments = Arguments::parse();
    let mut config = Config::load_and_warn(&arguments.config)?;
    config.planner.seed = arguments.seed.unwrap_or(config.planner.seed);
    let data = config.data();
    let opened = open_bound(&data, &arguments.bag)?;
    let mut planner = load_planner(&arguments.model, &config, &opened.layout, &arguments.device)?;
    let (episodes, read) = read_episodes(&*opened.source, &data, &opened.bound, &opened.layout)?;
    let goals = opened.source.goals(&data, &opened.bound)?;
    println!(
        "{}: {} messages, {} refused, {} episodes, {} goals",
        arguments.bag.display(),
        read.messages,
        read.refused,
        episodes.len(),
        goals.len()
    );
    read.reasons.iter().chain(&read.notices).for_each(|line| println!("  {line}"));

    let mut out = Lines::create(arguments.out.as_ref())?;
    let layout = &opened.layout;
    let asked = match arguments.ask {
        Asked::Plan => return plans(&config, layout, &mut planner, &episodes, &goals, arguments.ticks, &mut out),
        Asked::Observations => Ask::Observations,
        Asked::Actions => Ask::Actions,
        Asked::Gaps => Ask::Gap { seconds: arguments.gap_s },
    };
    let inquiry = QueryOptions { ask: asked, samples: arguments.samples, max_windows: arguments.ticks };
    questions(&config, layout, &mut planner, &episodes, &inquiry, &mut out)
}

fn plans(
    config: &Config,
    layout: &Layout,
    planner: &mut Planner,
    episodes: &[Episode],
    goals: &[(i64, Vec<f64>)],
    max_ticks: usize,
    out: &mut Lines,
) -> anyhow::Result<()> {
    let report = replay(config, layout, planner, episodes, goals, max_ticks, &mut |row| out.write(row));
    out.finish()?;
    if report.ticks == 0 {
        bail!("no tick could be planned ({} skipped, {} failed)", report.skipped, report.failed.len());
    }
    println!("{} ticks planned, {} skipped, {} failed", report.ticks, report.skipped, report.failed.len());
    report.failed.iter().take(3).for_each(|error| println!("  {error}"));
    for (rmse, channel) in report.rmse().iter().zip(layout.action()) {
        println!("RMSE {}: {rmse:.4} {}", layout.labels[channel], unit(&config.contract, layout, channel));
    }
    println!("planning latency: p50 {:.1} ms, p99 {:.1} ms", report.latency_s(0.5) * 1e3, report.latency_s(0.99) * 1e3);
    Ok(())
}

fn questions(
    config: &Config,
    layout: &Layout,
    planner: &mut Planner,
    episodes: &[Episode],
    inquiry: &QueryOptions,
    out: &mut Lines,
) -> anyhow::Result<()> {
    let score = ask(config, layout, planner, episodes, inquiry, &mut |answers| out.write(answers))?;
    out.finish()?;
    println!("{} windows asked, {} samples each, {} skipped", score.windows, inquiry.samples, score.skipped);
    let inside = format!("inside ({:.0} %)", 100.0 * inside_expected(inquiry.samples));
    println!(
        "{:<28} {:<6} {:>9} {:>9} {:>12} {:>14} {:>12}",
        "channel", "unit", "values", "RMSE", score.naive, inside, "spread/error"
    );
    for channel in &score.channels {
        println!(
            "{:<28} {:<6} {:>9} {:>9.4} {:>12.4} {:>12.1} % {:>12.2}",
            layout.labels[channel.channel],
            unit(&config.contract, layout, channel.channel),
            channel.count,
            channel.rmse(),
            channel.naive_rmse(),
            100.0 * channel.inside(),
            channel.spread_over_error()
        );
    }
    Ok(())
}

/// The output, if there is one; a failure to write is kept until the end.
struct Lines {
    out: Option<BufWriter<File>>,
    written: anyhow::Result<()>,
}

impl Lines {
    fn create(path: Option<&PathBuf>) -> anyhow::Result<Self> {
        let create = |path: &PathBuf| File::create(path).with_context(|| path.display().to_string());
        Ok(Self { out: path.map(create).transpose()?.map(BufWriter::new), written: Ok(()) })
    }

    fn write(&mut self, row: &impl Serialize) {
        if let (Some(out), Ok(())) = (&mut self.out, &self.written) {
            self.written =
                serde_json::to_writer(&mut *out, row).map_err(anyhow::Error::from).and_then(|()| Ok(writeln!(out)?));
        }
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        std::mem::replace(&mut self.written, Ok(())).context("writing the output")?;
        self.out.as_mut().map_or(Ok(()), Write::flush).context("writing the output")
    }
}
