//! `df_sim`: the embedded world. `record` writes demonstrations of an expert into a bag; `run` is the robot of the demo.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use df_planner::config::Config;
use df_planner::sim::{Maze, Recording, Topics};
use indicatif::{ProgressBar, ProgressStyle};

/// The embedded world of df_planner: a point robot in a maze
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Record(RecordArguments),
}

/// Record demonstrations of the expert into a rosbag2 directory (no ROS needed)
#[derive(Args)]
struct RecordArguments {
    /// The directory to create
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Simulated time to record
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Length of one episode, seconds; each starts at another place
    #[arg(long, default_value_t = 60.0)]
    episode_s: f64,
    /// The same seed gives the same recording
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Take the topics from this contract
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Record(arguments) => record(arguments),
    }
}

fn record(arguments: RecordArguments) -> Result<()> {
    let RecordArguments { out, minutes, episode_s, seed, config } = arguments;
    for (name, value) in [("--minutes", minutes * 60.0), ("--episode-s", episode_s)] {
        if !(value.is_finite() && value >= 0.01) {
            bail!("{name}: a positive length of time is needed");
        }
    }
    let recording = Recording { minutes, episode_s, seed, topics: topics(config)? };
    let bar = ProgressBar::new((minutes * 60.0) as u64);
    bar.set_style(ProgressStyle::with_template("recording {bar:40} {pos}/{len} s of simulated time, {eta} left")?);
    let recorded = recording
        .write(&Maze::demo(), &out, |seconds| bar.set_position(seconds as u64))
        .with_context(|| format!("recording into {}", out.display()))?;
    bar.finish_and_clear();
    println!(
        "{}: {} episodes, {} steps of 10 ms, {} goals",
        out.display(),
        recorded.episodes,
        recorded.steps,
        recorded.goals
    );
    Ok(())
}

/// The world's topics as a contract names them; their types must be the world's.
fn topics(config: Option<PathBuf>) -> Result<Topics> {
    let Some(file) = config else { return Ok(Topics::default()) };
    let config = Config::load(&file)?;
    let refuse = |key: &str, value: &str, expected| config.refuse(key, value, format!("df_sim has {expected}"));
    let contract = &config.contract;
    let mut topics = Topics::default();
    for group in &contract.observations {
        let key = |field: &str| format!("observations.{}.{field}", group.name);
        if group.message_type != "nav_msgs/msg/Odometry" {
            return Err(refuse(&key("type"), &group.message_type, "nav_msgs/msg/Odometry").into());
        }
        if group.topic != contract.observations[0].topic {
            return Err(refuse(&key("topic"), &group.topic, "one odometry topic").into());
        }
        topics.odometry.clone_from(&group.topic);
    }
    if contract.action.message_type != "geometry_msgs/msg/WrenchStamped" {
        return Err(refuse("action.type", &contract.action.message_type, "geometry_msgs/msg/WrenchStamped").into());
    }
    topics.force.clone_from(&contract.action.topic);
    if let Some(goal) = &config.goal {
        if goal.message_type != "geometry_msgs/msg/PoseStamped" {
            return Err(refuse("goal.type", &goal.message_type, "geometry_msgs/msg/PoseStamped").into());
        }
        topics.goal.clone_from(&goal.topic);
    }
    Ok(topics)
}
