//! The shipped files fit together: every configuration plans and drives a tick with its model, its costs and their
//! maps, on the engine `cpu`.

mod recordings;

use std::path::Path;

use df_core::Layout;
use df_core::bind;
use df_planner::config::Config;
use df_planner::sim::maze2d::{Episode, Maze2d, Task};
use df_planner::sim::{Maze, Trial};
use df_planning::Latency;
use df_planning::{Budget, Command, ControlLoop, Plan, Planner};

/// Ticks until a history is full: the longest one has a token of 8 frames.
const PATIENCE: i64 = 20;
const MS: i64 = 1_000_000;
/// The largest median distance between the robot and the starts of the rollouts, metres. Measured: 0.07 to 0.51. A cell
/// of the mazes is 1 m.
const MAX_START_DISTANCE_M: f64 = 0.75;

/// A start and a goal of the world that a configuration was made for: position, velocity and goal.
fn drawn(name: &str) -> [[f64; 2]; 3] {
    let maze = Maze2d::ALL.into_iter().find(|maze| name == format!("maze2d_{}", maze.name()));
    let (state, goal) = match maze {
        Some(maze) => {
            let episode = Episode::draw(maze, Task::Multi, 0);
            (episode.state(), episode.goal())
        }
        None => {
            let trial = Trial::draw(Maze::demo(), 0);
            (trial.state(), trial.goal())
        }
    };
    [state.position, state.velocity, goal].map(Into::into)
}

/// The first plan for a robot that does not move, and its command.
fn first_plan(
    planner: &mut Planner,
    config: &Config,
    layout: &Layout,
    [position, velocity, goal]: [[f64; 2]; 3],
) -> (Plan, Command) {
    let mut control = ControlLoop::new(&config.planning(), layout, planner.normaliser());
    control.set_goal(&goal);
    let mut planned = None;
    for k in 0..PATIENCE {
        let tick_ns = k * config.contract.period_ns();
        for (group, observed) in config.contract.observations.iter().enumerate() {
            let values = if observed.name == "velocity" { velocity } else { position };
            control.observe(group, tick_ns - MS, &values);
        }
        let immediate = control.latency() == Latency::Immediate;
        let (command, request) = if immediate {
            (None, control.open(tick_ns))
        } else {
            let tick = control.tick(tick_ns);
            (Some(tick.command), tick.request)
        };
        // A compensated plan leaves at the next tick.
        if let (Some(plan), Some(command)) = (planned.take(), command) {
            return (plan, command);
        }
        let Some(request) = request else { continue };
        let plan = planner.plan(&request, &Budget::unlimited()).unwrap();
        control.accept(Ok(plan.clone()));
        if immediate {
            return (plan, control.close());
        }
        planned = Some(plan);
    }
    panic!("no plan in {PATIENCE} ticks")
}

#[test]
fn every_shipped_configuration_plans_and_drives_a_tick_with_its_model() {
    let mut planned = 0;
    for entry in std::fs::read_dir("config").unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let name = file.file_stem().unwrap().to_str().unwrap().trim_end_matches("_mapped");
        let config = Config::load(&file).unwrap_or_else(|error| panic!("{error}"));
        let bound = bind(&config.contract, &recordings::definitions()).unwrap();
        let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config.contract));
        let mut planner = df_planner::load_planner(&Path::new("models").join(name), &config, &layout, "cpu")
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));

        let place = drawn(name);
        let (plan, command) = first_plan(&mut planner, &config, &layout, place);
        let settings = &config.planner;
        println!(
            "{}: {} network evaluations, {} actions, {} rollouts of {} frames; the command is {:?}",
            file.display(),
            plan.denoising_steps,
            plan.actions.len(),
            plan.rollouts.len(),
            plan.rollouts[0].len(),
            command.values
        );
        assert!(plan.denoising_steps > 0 && plan.skipped.is_nothing(), "{}", file.display());
        assert_eq!(plan.rollouts.len(), settings.candidates * settings.rollouts);
        assert!(plan.rollouts.iter().all(|frames| frames.len() == settings.horizon * config.contract.frame_stack));
        assert!(plan.rollouts.iter().flatten().flatten().all(|value| value.is_finite()), "{}", file.display());
        let position = layout.modalities[layout.modality("position").unwrap()].channels.clone();
        // Single rollouts of a first plan are inaccurate, because the shipped settings use few network evaluations. The
        // median rollout starts near the robot.
        let begin = |frames: &Vec<Vec<f32>>| [0, 1].map(|i| f64::from(frames[0][position.start + i]));
        let apart = |[x, y]: [f64; 2]| (x - place[0][0]).hypot(y - place[0][1]);
        let mut distances: Vec<f64> = plan.rollouts.iter().map(|frames| apart(begin(frames))).collect();
        distances.sort_by(f64::total_cmp);
        let middle = distances[distances.len() / 2];
        assert!(
            middle < MAX_START_DISTANCE_M,
            "{}: the median rollout starts {middle} m from the robot: {distances:?}",
            file.display()
        );
        let action = &config.contract.action;
        assert_eq!(command.reason, None, "{}: the command does not come from the plan", file.display());
        let within = |(value, (min, max)): (&f64, (&f64, &f64))| (min..=max).contains(&value);
        assert!(command.values.iter().zip(action.min.iter().zip(&action.max)).all(within), "{:?}", command.values);
        assert_ne!(command.values, action.safe, "{}: it stands still beside its goal", file.display());
        planned += 1;
    }
    assert_eq!(planned, 5);
}
