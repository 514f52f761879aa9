//! The commands of df_sim: `record` writes demonstrations of an expert into a bag; `run` is the robot of the demo.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use df_planner::config::Config;
use df_planner::sim::maze2d::{self, Maze2d};
use df_planner::sim::{Demonstration, Maze, Recording, STEP_S, Topics};
use indicatif::{ProgressBar, ProgressStyle};
#[cfg(feature = "ros")]
use {
    df_planner::ros::{own_arguments, system_ns},
    df_planner::sim::{
        GOAL_TOLERANCE_M, MAP_FRAME, Moment, Picture, ROBOT_FRAME, Summary, Trial, WorldLink, WorldNames,
    },
    std::sync::Arc,
    std::sync::atomic::{AtomicBool, Ordering},
    std::time::{Duration, Instant},
};

/// Steps of 10 ms between two goal messages: half a second.
#[cfg(feature = "ros")]
const GOAL_EVERY_STEPS: u32 = 50;
/// Maximum wait for the planner's diagnostics at the end.
#[cfg(feature = "ros")]
const DIAGNOSTICS_WAIT: Duration = Duration::from_millis(1500);

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
    Run(RunArguments),
}

/// Record demonstrations of the expert into a rosbag2 directory (no ROS needed)
#[derive(Args)]
struct RecordArguments {
    /// The directory to create
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// point_maze, maze2d_u, maze2d_medium or maze2d_large
    #[arg(long, default_value = "point_maze", value_parser = world)]
    world: World,
    /// Simulated time to record
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Steps of 10 ms to record, in place of --minutes
    #[arg(long, conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
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

/// Whose expert is recorded.
#[derive(Clone, Copy)]
enum World {
    PointMaze,
    Maze2d(Maze2d),
}

fn world(name: &str) -> Result<World, String> {
    if name == "point_maze" { Ok(World::PointMaze) } else { name.parse().map(World::Maze2d) }
}

/// Be the robot over ROS 2 topics until the goal is reached: publish odometry and a goal, receive forces
#[derive(Args)]
struct RunArguments {
    /// Seed of start and goal
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Give up after this time, seconds
    #[arg(long, default_value_t = 40.0)]
    timeout_s: f64,
    /// Wait this long for the planner's first force, seconds
    #[arg(long, default_value_t = 60.0)]
    wait_s: f64,
    /// Draw the drive into this PNG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Write the summary as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Topic of the planner's rollouts
    #[arg(long, alias = "futures", default_value = "df_planner/rollouts")]
    rollouts: String,
    /// Take the topics from this contract
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Parses the arguments and runs a command.
pub(crate) fn run_program() -> ExitCode {
    // Arguments after --ros-args are for ROS.
    #[cfg(feature = "ros")]
    let arguments = Arguments::parse_from(own_arguments());
    #[cfg(not(feature = "ros"))]
    let arguments = Arguments::parse();
    let code = match arguments.command {
        Command::Record(arguments) => record(arguments).map(|()| ExitCode::SUCCESS),
        Command::Run(arguments) => run(arguments),
    };
    code.unwrap_or_else(|error| {
        eprintln!("df_sim: {error:#}");
        ExitCode::from(2)
    })
}

fn record(arguments: RecordArguments) -> Result<()> {
    let RecordArguments { out, world, minutes, steps, episode_s, seed, config } = arguments;
    for (name, value) in [("--minutes", minutes * 60.0), ("--episode-s", episode_s)] {
        if !(value.is_finite() && value >= STEP_S) {
            bail!("{name}: must be at least {STEP_S} s");
        }
    }
    let steps_of = |seconds: f64| (seconds / STEP_S).round() as u64;
    let steps = steps.unwrap_or(steps_of(minutes * 60.0));
    let recording = Recording { steps, episode_steps: steps_of(episode_s), seed, topics: topics(config)? };
    let bar = ProgressBar::new(steps);
    bar.set_style(ProgressStyle::with_template("recording {bar:40} {pos}/{len} steps, {eta} left")?);
    let show_progress = |steps| bar.set_position(steps);
    let recorded = match world {
        World::PointMaze => recording.write(&out, |seed| Demonstration::new(Maze::demo(), seed), show_progress),
        World::Maze2d(maze) => recording.write(&out, |seed| maze2d::Demonstration::new(maze, seed), show_progress),
    }
    .with_context(|| format!("recording into {}", out.display()))?;
    bar.finish_and_clear();
    println!(
        "{}: {} episodes, {} steps of {} ms, {} goals",
        out.display(),
        recorded.episodes,
        recorded.steps,
        STEP_S * 1e3,
        recorded.goals
    );
    Ok(())
}

/// The topics of the contract. Their message types must be those of the world.
fn topics(config: Option<PathBuf>) -> Result<Topics> {
    let Some(file) = config else { return Ok(Topics::default()) };
    let config = Config::load_and_warn(&file)?;
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
    if let Some(goal) = &config.contract.goal {
        if goal.message_type != "geometry_msgs/msg/PoseStamped" {
            return Err(refuse("goal.type", &goal.message_type, "geometry_msgs/msg/PoseStamped").into());
        }
        topics.goal.clone_from(&goal.topic);
    }
    Ok(topics)
}

#[cfg(not(feature = "ros"))]
fn run(_: RunArguments) -> Result<ExitCode> {
    bail!("this df_sim was built without the feature `ros`: it can record, but not run")
}

/// 0: goal reached. 1: not reached, or interrupted. (2: an error.)
#[cfg(feature = "ros")]
fn run(arguments: RunArguments) -> Result<ExitCode> {
    let topics = topics(arguments.config)?;
    let node = WorldLink::open(WorldNames {
        odometry: topics.odometry,
        force: topics.force,
        goal: topics.goal,
        rollouts: arguments.rollouts,
        clock: false,
        map_frame: MAP_FRAME.into(),
        robot_frame: ROBOT_FRAME.into(),
    })?;
    let mut trial = Trial::draw(Maze::demo(), arguments.seed);
    let moments = drive(&node, &mut trial, arguments.wait_s, arguments.timeout_s)?;

    // The planner publishes diagnostics once a second. A short drive may end before the first ones.
    let give_up_at = Instant::now() + DIAGNOSTICS_WAIT;
    while node.inbox.diagnostic("planning_latency_ms_p50").is_none() && Instant::now() < give_up_at {
        std::thread::sleep(Duration::from_secs_f64(STEP_S));
    }
    let summary = Summary {
        seed: arguments.seed,
        reached: trial.reached(),
        seconds: trial.reached_at_s(),
        elapsed_s: trial.elapsed_s(),
        way_m: trial.way_m(),
        actions: node.inbox.forces(),
        received_rate_hz: node.inbox.force_rate_hz(),
        achieved_rate_hz: node.inbox.diagnostic("achieved_rate_hz"),
        planning_latency_ms_p50: node.inbox.diagnostic("planning_latency_ms_p50"),
        planning_latency_ms_p99: node.inbox.diagnostic("planning_latency_ms_p99"),
        deadline_misses: node.inbox.diagnostic("deadline_misses"),
        plans_cut_short: node.inbox.diagnostic("plans_cut_short"),
    };
    print!("{summary}");
    if let Some(file) = arguments.report {
        let text = serde_json::to_string_pretty(&summary)?;
        std::fs::write(&file, text + "\n").with_context(|| format!("writing {}", file.display()))?;
    }
    if let Some(file) = arguments.picture {
        let picture = Picture {
            maze: trial.maze(),
            trail: trial.trail(),
            goal: trial.goal(),
            tolerance_m: GOAL_TOLERANCE_M,
            end_s: trial.elapsed_s(),
            moments: &Moment::choose(&moments, trial.trail()),
            reached: trial.reached(),
            headline: "df_planner",
            facts: &summary.facts(),
        };
        picture.write(&file).with_context(|| format!("drawing {}", file.display()))?;
        println!("  {:<20} {:>18}", "picture", file.display());
    }
    Ok(if trial.reached() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Steps the world by absolute deadlines until the trial is over. Its clock starts with the planner's first force.
/// Returns the planner's rollouts with their times.
#[cfg(feature = "ros")]
fn drive(node: &WorldLink, trial: &mut Trial, wait_s: f64, timeout_s: f64) -> Result<Vec<Moment>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone())?;
    }
    let step = Duration::from_secs_f64(STEP_S);
    let (start, start_ns) = (Instant::now(), system_ns());
    let mut moments = Vec::new();
    for k in 0u32.. {
        let due = step * k;
        std::thread::sleep((start + due).saturating_duration_since(Instant::now()));
        let stopped = stop.load(Ordering::Relaxed);
        if stopped && node.inbox.forces() == 0 {
            bail!("interrupted while waiting for the planner's first force");
        }
        if stopped || trial.elapsed_s() >= timeout_s {
            break;
        }
        if node.inbox.forces() > 0 {
            let force = node.inbox.force(system_ns()).unwrap_or_default();
            if trial.step(force.into()) {
                break;
            }
            if let Some(rollouts) = node.inbox.take_rollouts() {
                let rollouts = rollouts.into_iter().map(|line| line.into_iter().map(Into::into).collect()).collect();
                moments.push(Moment { time_s: trial.elapsed_s(), rollouts });
            }
        } else if due.as_secs_f64() > wait_s {
            bail!("no force was received within {wait_s} s: is df_planner_node running, in the same ROS_DOMAIN_ID?");
        }
        let stamp_ns = start_ns + due.as_nanos() as i64;
        let state = trial.state();
        node.publish_odometry(stamp_ns, state.position.into(), state.velocity.into())?;
        if k % GOAL_EVERY_STEPS == 0 {
            node.publish_goal(stamp_ns, trial.goal().into())?;
        }
    }
    Ok(moments)
}
