//! The arguments of df_replay and what it prints.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};
use df_core::Layout;
use df_data::{Episode, open_bound, read_episodes};
use df_planner::config::Config;
use df_planner::load_planner;
use df_planner::replay::{QueryKind, QueryOptions, inside_expected, query, replay, unit};
use df_planning::Planner;
use serde::Serialize;

/// Runs the planner over a recording, tick by tick, and compares its actions with the recorded ones.
///
/// With --query it compares other answers of the network with the recording. Needs no ROS.
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
    /// The device that evaluates the network: cpu, flex; tch, cuda:N and wgpu:N if built in
    /// (docs/src/how-to/libtorch-and-gpus.md).
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Overrides planner.seed of the configuration.
    #[arg(long)]
    seed: Option<u64>,
    /// What the network is queried for.
    #[arg(long, value_enum, default_value_t = RequestedQuery::Plan)]
    query: RequestedQuery,
    /// The name of --query in version 0.1.
    #[arg(long, value_enum, hide = true, conflicts_with = "query")]
    ask: Option<RequestedQuery>,
    /// Maximum number of ticks to plan at, or of windows to query.
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    ticks: usize,
    /// Samples of each answer, at least 2; not for plans.
    #[arg(long, default_value_t = 8)]
    samples: usize,
    /// Length of the gap of --query gaps, seconds.
    #[arg(long, default_value_t = 0.5)]
    gap_s: f64,
    /// The file for one JSON object per tick, or per window, one a line.
    #[arg(long)]
    out: Option<PathBuf>,
}

impl Arguments {
    /// The query, and a warning if it is given by the old name.
    fn requested_query(&self) -> (RequestedQuery, Option<&'static str>) {
        match self.ask {
            Some(query) => (query, Some("`--ask` is now `--query`; the old name is accepted in this release only")),
            None => (self.query, None),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum RequestedQuery {
    /// The action to take at each tick.
    Plan,
    /// The observations after the history, with every action known: a world model.
    Observations,
    /// The actions after the history, with every observation known: an inverse model.
    Actions,
    /// All modalities in a gap, with everything around it known.
    Gaps,
}

/// Parses the arguments, runs the query and prints the comparison.
pub(crate) fn run() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().init();
    let arguments = Arguments::parse();
    let (requested, warning) = arguments.requested_query();
    if let Some(warning) = warning {
        eprintln!("warning: {warning}");
    }
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
    let kind = match requested {
        RequestedQuery::Plan => {
            return plans(&config, layout, &mut planner, &episodes, &goals, arguments.ticks, &mut out);
        }
        RequestedQuery::Observations => QueryKind::Observations,
        RequestedQuery::Actions => QueryKind::Actions,
        RequestedQuery::Gaps => QueryKind::Gap { seconds: arguments.gap_s },
    };
    let options = QueryOptions { kind, samples: arguments.samples, max_windows: arguments.ticks };
    answers(&config, layout, &mut planner, &episodes, &options, &mut out)
}

/// Replays plans and prints their scores.
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

/// Answers a query and prints the scores of the answers.
fn answers(
    config: &Config,
    layout: &Layout,
    planner: &mut Planner,
    episodes: &[Episode],
    options: &QueryOptions,
    out: &mut Lines,
) -> anyhow::Result<()> {
    let score = query(config, layout, planner, episodes, options, &mut |answers| out.write(answers))?;
    out.finish()?;
    println!("{} windows asked, {} samples each, {} skipped", score.windows, options.samples, score.skipped);
    let inside = format!("inside ({:.0} %)", 100.0 * inside_expected(options.samples));
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

/// The output file, if one is given. The first failure to write is kept until [`Lines::finish`].
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        let required = ["df_replay", "--config", "c.yaml", "--model", "m", "--bag", "b"];
        Arguments::try_parse_from(required.iter().chain(arguments))
    }

    #[test]
    fn the_default_query_is_the_plan() {
        assert_eq!(parse(&[]).unwrap().requested_query(), (RequestedQuery::Plan, None));
        assert_eq!(parse(&["--query", "gaps"]).unwrap().requested_query(), (RequestedQuery::Gaps, None));
    }

    #[test]
    fn the_old_option_ask_is_accepted_with_a_warning() {
        let (query, warning) = parse(&["--ask", "actions"]).unwrap().requested_query();
        assert_eq!(query, RequestedQuery::Actions);
        assert!(warning.is_some_and(|warning| warning.contains("`--ask` is now `--query`")));
    }

    #[test]
    fn the_old_and_the_new_option_together_are_refused() {
        let refused = parse(&["--ask", "actions", "--query", "gaps"]).err().unwrap();
        assert_eq!(refused.kind(), clap::error::ErrorKind::ArgumentConflict);
    }
}
