//! Maze2D in process: planner and control loop drive `sim::maze2d`, and each action is held for the period of the
//! planner.
//!
//! One row per maze, task and variant: return, normalised score, share of the return of the expert on the same
//! episodes, success, steps to the goal.
//!
//! ```text
//!     cargo bench --no-default-features --features sim --bench maze2d -- --maze medium --task single --episodes 20
//!     ... --set planner.candidates=32                  another setting, in every row
//!     ... --vary '4 rollouts: planner.rollouts=4'      one more row, with these settings
//!     ... --ablations                                  the rows of `ablations.rs`
//!     ... --alone                                      one episode at a time, for planning times
//!     ... --driver expert                              the expert instead of the planner; `random`: random controls
//! ```
//! Settings are the keys that may change while the node runs (docs/src/reference/configuration.md), and `world.*`
//! (`disturbed.rs`). The same arguments give the same rows, on any number of cores.

mod ablations;
mod disturbed;
mod drive;
mod pictures;
mod plans;
mod row;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use df_core::settings::Setting;
use df_core::{Layout, bind};
use df_planner::config::Config;
use df_planner::load_planner;
use df_planner::sim::definitions;
use df_planner::sim::maze2d::{Maze2d, Task};

use disturbed::Disturbances;
use drive::{Driver, Outcome};
use pictures::Pictures;
use row::Row;

#[derive(Parser)]
struct Arguments {
    /// u, medium, large
    #[arg(long, value_delimiter = ',', default_value = "u,medium,large")]
    maze: Vec<Maze2d>,
    #[arg(long, value_delimiter = ',', default_value = "single,multi")]
    task: Vec<TaskName>,
    #[arg(long, default_value_t = 100)]
    episodes: u64,
    /// Seed of the first episode; the next ones follow
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value = "planner")]
    driver: DriverName,
    /// Configuration; {maze} stands for the name of the maze
    #[arg(long, default_value = "config/maze2d_{maze}.yaml")]
    config: String,
    /// Checkpoint; {maze} stands for the name of the maze
    #[arg(long, default_value = "models/maze2d_{maze}")]
    model: String,
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[arg(long, value_name = "NAME: KEY=VALUE, ...")]
    vary: Vec<String>,
    #[arg(long)]
    ablations: bool,
    /// One episode at a time, each plan on all cores as in the node: for planning times
    #[arg(long)]
    alone: bool,
    /// Write the rows, with every episode, as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draw every episode of the planner into this folder, one subfolder per row
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
    /// Animate every episode beside its picture, as GIF
    #[arg(long, requires = "pictures")]
    animate: bool,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum TaskName {
    Single,
    Multi,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum DriverName {
    Planner,
    Expert,
    Random,
}

/// A row: its name and the settings that it changes.
struct Variant {
    name: String,
    changes: Vec<(String, String)>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if arguments.pictures.is_some() && arguments.driver != DriverName::Planner {
        bail!("--pictures shows plans: it needs --driver planner");
    }
    // Episodes in parallel plan on one thread each. With `--alone` each plans on all (0).
    let threads = if arguments.alone { 0 } else { 1 };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("the pool of threads")?;
    let mut rows = Vec::new();
    println!("{}", row::HEADER);
    for &maze in &arguments.maze {
        for &task in &arguments.task {
            let task = match task {
                TaskName::Single => Task::Single,
                TaskName::Multi => Task::Multi,
            };
            for variant in variants(&arguments)? {
                let outcomes = run(&arguments, maze, task, &variant)?;
                let expert = run_episodes(&arguments, |seed| drive::expert(maze, task, seed));
                let row = Row::new(maze, task, variant.name, variant.changes, outcomes, &expert);
                println!("{row}");
                rows.push(row);
            }
        }
    }
    if let Some(file) = &arguments.out {
        std::fs::write(file, serde_json::to_string_pretty(&rows)?).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

fn variants(arguments: &Arguments) -> Result<Vec<Variant>> {
    let base = arguments.set.iter().map(|text| change(text)).collect::<Result<Vec<_>>>()?;
    let mut all = vec![Variant { name: "as configured".into(), changes: base.clone() }];
    let table = ablations::ALL.iter().filter(|_| arguments.ablations).map(|text| (*text).to_string());
    for text in arguments.vary.iter().cloned().chain(table) {
        let (name, changes) = text.split_once(": ").with_context(|| format!("`{text}`: NAME: KEY=VALUE, ..."))?;
        let own = changes.split(", ").map(change).collect::<Result<Vec<_>>>()?;
        all.push(Variant { name: name.into(), changes: [base.clone(), own].concat() });
    }
    Ok(all)
}

fn change(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').with_context(|| format!("`{text}`: KEY=VALUE"))?;
    Ok((key.trim().into(), value.trim().into()))
}

fn run(arguments: &Arguments, maze: Maze2d, task: Task, variant: &Variant) -> Result<Vec<Outcome>> {
    match arguments.driver {
        DriverName::Expert => return Ok(run_episodes(arguments, |seed| drive::expert(maze, task, seed))),
        DriverName::Random => return Ok(run_episodes(arguments, |seed| drive::random(maze, task, seed))),
        DriverName::Planner => (),
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = |text: &str| root.join(text.replace("{maze}", maze.name()));
    let config = Config::load(&named(&arguments.config))?;
    let (of_the_world, of_the_planner): (Vec<_>, Vec<_>) =
        variant.changes.iter().partition(|(key, _)| key.starts_with("world."));
    let disturbances = Disturbances::new(of_the_world.into_iter().map(|(key, value)| (key.as_str(), value.as_str())))?;
    let settings = of_the_planner.into_iter().map(|(key, value)| Ok((key.clone(), setting(&config, key, value)?)));
    let mut config = config.changed(&settings.collect::<Result<Vec<_>>>()?)?;
    if disturbances.missing_is_planned {
        config.contract.observations.iter_mut().for_each(|group| group.required = false);
    }
    let bound = bind(&config.contract, &definitions())?;
    let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config.contract));
    let model = named(&arguments.model);
    let planner = || load_planner(&model, &config, &layout, "cpu");
    // An error is reported here rather than in a thread.
    planner()?;
    let pictures = arguments.pictures.as_ref().map(|folder| folder.join(variant.name.replace(' ', "_")));
    if let Some(folder) = &pictures {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let driver = || {
        planner().ok().map(|planner| {
            let disturbances = disturbances.clone();
            let pictures = pictures.clone().map(|folder| Pictures { folder, animate: arguments.animate });
            Driver::new(&config, &layout, planner, disturbances, pictures)
        })
    };
    Ok(side_by_side(arguments, driver, |driver: &mut Option<Driver>, seed| {
        driver.as_mut().map(|driver| driver.episode(maze, task, seed))
    })
    .into_iter()
    .flatten()
    .collect())
}

/// The value of a setting in the type of the setting.
fn setting(config: &Config, key: &str, value: &str) -> Result<Setting> {
    let Some((_, now)) = config.settings().into_iter().find(|(name, _)| name == key) else {
        bail!("{key}: there is no such setting");
    };
    Ok(match now {
        Setting::Bool(_) => Setting::Bool(value.parse()?),
        Setting::Integer(_) => Setting::Integer(value.parse()?),
        Setting::Number(_) => Setting::Number(value.parse()?),
        Setting::Text(_) => Setting::Text(value.into()),
        Setting::Numbers(_) => Setting::Numbers(value.split_whitespace().map(str::parse).collect::<Result<_, _>>()?),
    })
}

fn run_episodes(arguments: &Arguments, episode: impl Fn(u64) -> Outcome + Sync) -> Vec<Outcome> {
    side_by_side(arguments, || (), |(), seed| episode(seed))
}

/// Runs every episode once, on all cores or `--alone`; results in the order of seeds.
fn side_by_side<D, T: Send>(
    arguments: &Arguments,
    driver: impl Fn() -> D + Sync,
    episode: impl Fn(&mut D, u64) -> T + Sync,
) -> Vec<T> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut driver = driver();
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= arguments.episodes {
                return done;
            }
            done.push((index, episode(&mut driver, arguments.seed + index)));
        }
    };
    let cores = if arguments.alone { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let mut all: Vec<(u64, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("an episode panicked")).collect()
    });
    all.sort_by_key(|(index, _)| *index);
    all.into_iter().map(|(_, outcome)| outcome).collect()
}
