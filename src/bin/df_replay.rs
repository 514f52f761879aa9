//! df_replay: runs the planner over a recorded bag and compares. Arguments and wiring only.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Parser;
use df_planner::config::Config;
use df_planner::data::{open_bound, read_episodes, read_goals};
use df_planner::planning::Planner;
use df_planner::replay::replay;

/// Runs the planner over a recorded ROS 2 bag, tick by tick, and compares its actions with the recorded ones. Needs no ROS.
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
    /// The recording: a rosbag2 directory or an MCAP file.
    #[arg(long)]
    bag: PathBuf,
    /// cpu, flex, tch or cuda:N (tch and cuda as built in).
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Instead of planner.seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Plan at no more than this many ticks.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    ticks: usize,
    /// Write every tick here, one JSON object a line.
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut config = Config::load(&arguments.config)?;
    config.planner.seed = arguments.seed.unwrap_or(config.planner.seed);
    let opened = open_bound(&config, &arguments.bag)?;
    let mut planner = Planner::load(&arguments.model, &config, &opened.layout, &arguments.device)?;
    let (episodes, read) = read_episodes(&*opened.bag, &config, &opened.bound, &opened.layout)?;
    let goals = read_goals(&*opened.bag, &config, &opened.bound)?;
    println!(
        "{}: {} messages, {} refused, {} episodes, {} goals",
        arguments.bag.display(),
        read.messages,
        read.refused,
        episodes.len(),
        goals.len()
    );
    read.reasons.iter().chain(&read.notices).for_each(|line| println!("  {line}"));

    let mut out = match &arguments.out {
        Some(path) => Some(BufWriter::new(File::create(path).with_context(|| path.display().to_string())?)),
        None => None,
    };
    let mut written = Ok(());
    let report = replay(&config, &opened.layout, &mut planner, &episodes, &goals, arguments.ticks, &mut |row| {
        if let (Some(out), Ok(())) = (&mut out, &written) {
            written =
                serde_json::to_writer(&mut *out, row).map_err(anyhow::Error::from).and_then(|()| Ok(writeln!(out)?));
        }
    });
    written.context("writing the output")?;
    if let Some(mut out) = out {
        out.flush().context("writing the output")?;
    }
    if report.ticks == 0 {
        bail!("no tick could be planned ({} skipped, {} failed)", report.skipped, report.failed.len());
    }
    println!("{} ticks planned, {} skipped, {} failed", report.ticks, report.skipped, report.failed.len());
    report.failed.iter().take(3).for_each(|error| println!("  {error}"));
    let action = &config.contract.action;
    // Units are stated per field; a field may give several channels.
    let channels = opened.layout.action().len();
    let unit = |channel: usize| if action.units.len() == channels { action.units[channel].as_str() } else { "" };
    for (channel, (rmse, label)) in report.rmse().iter().zip(&opened.layout.labels[opened.layout.action()]).enumerate()
    {
        println!("RMSE {label}: {rmse:.4} {}", unit(channel));
    }
    println!("planning latency: p50 {:.1} ms, p99 {:.1} ms", report.latency_s(0.5) * 1e3, report.latency_s(0.99) * 1e3);
    Ok(())
}
