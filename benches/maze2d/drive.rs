//! One episode, driven by the planner as in the node, by the expert, or at random.

use std::collections::VecDeque;
use std::time::Instant;

use df_core::Layout;
use df_planner::config::Config;
use df_planner::sim::STEP_S;
use df_planner::sim::maze2d::{Episode, Maze2d, Task, Waypoints};
use df_planning::{Budget, ControlLoop, Latency, Planner, PlannerConfig};
use nalgebra::Vector2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::disturbed::{Disturbances, Odometry};
use super::pictures::{Album, Pictures};
use super::plans::Coherence;

/// The result of an episode.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub seed: u64,
    pub raw_return: usize,
    pub steps_to_goal: Option<usize>,
    pub plan_ms: Vec<f64>,
    pub coherence: Coherence,
}

impl Outcome {
    fn of(seed: u64, episode: &Episode) -> Self {
        Self {
            seed,
            raw_return: episode.raw_return(),
            steps_to_goal: episode.steps_to_goal(),
            plan_ms: Vec::new(),
            coherence: Coherence::default(),
        }
    }
}

/// The expert, at every step.
pub fn expert(maze: Maze2d, task: Task, seed: u64) -> Outcome {
    let mut episode = Episode::draw(maze, task, seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (cells, start) = (episode.maze().clone(), episode.state().position);
    let mut waypoints = Waypoints::new(&cells, start, episode.goal_cell(), &mut rng);
    while !episode.is_over() {
        episode.step(waypoints.control(episode.state()));
    }
    Outcome::of(seed, &episode)
}

/// Uniformly random controls, a new one at every step.
pub fn random(maze: Maze2d, task: Task, seed: u64) -> Outcome {
    let mut episode = Episode::draw(maze, task, seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    while !episode.is_over() {
        episode.step(Vector2::from_fn(|_, _| rng.random_range(-1.0..1.0)));
    }
    Outcome::of(seed, &episode)
}

/// Planner and control loop.
pub struct Driver {
    config: Config,
    layout: Layout,
    planner: Planner,
    disturbances: Disturbances,
    pictures: Option<Pictures>,
}

impl Driver {
    pub fn new(
        config: &Config,
        layout: &Layout,
        planner: Planner,
        disturbances: Disturbances,
        pictures: Option<Pictures>,
    ) -> Self {
        Self { config: config.clone(), layout: layout.clone(), planner, disturbances, pictures }
    }

    /// Drives one episode. Its seed is also the seed of the planner. Planning takes no simulated time.
    ///
    /// Before the episode starts, the robot stands still until the history is full.
    pub fn episode(&mut self, maze: Maze2d, task: Task, seed: u64) -> Outcome {
        self.planner.reset();
        let settings = PlannerConfig { seed, ..self.config.planner.clone() };
        self.planner.set_config(settings).expect("only the seed changes");
        let mut episode = Episode::draw(maze, task, seed);
        let mut control = ControlLoop::new(&self.config.planning(), &self.layout, self.planner.normaliser());
        control.set_goal(episode.goal().as_slice());
        let period_s = self.config.contract.period_s;
        let mut odometry = Odometry::new(self.disturbances.clone(), period_s, seed);
        let steps_per_tick = (period_s / STEP_S).round() as usize;
        let step_ns = self.config.contract.period_ns() / steps_per_tick as i64;
        let planned_before = usize::from(control.latency() == Latency::Compensated);
        let frames = self.config.planner.history * self.layout.frame_stack;
        let standing = (frames.saturating_sub(1) + planned_before) * steps_per_tick;
        let mut delayed = VecDeque::from(vec![Vector2::zeros(); self.disturbances.delay_ticks]);
        let (mut force, mut plan_ms, mut coherence) = (Vector2::zeros(), Vec::new(), Coherence::default());
        let mut album = self.pictures.as_ref().map(|_| Album::default());
        for step in 0usize.. {
            let now_ns = step as i64 * step_ns;
            let ticks = step.is_multiple_of(steps_per_tick);
            if ticks && step >= standing {
                odometry.tick();
            }
            if let Some(state) = odometry.measured(episode.state()) {
                control.observe(0, now_ns, state.position.as_slice());
                control.observe(1, now_ns, state.velocity.as_slice());
            }
            if ticks {
                let (command, request) = match control.latency() {
                    Latency::Compensated => {
                        let tick = control.tick(now_ns);
                        (Some(tick.command), tick.request)
                    }
                    Latency::Immediate => (None, control.open(now_ns)),
                };
                let replans = (step / steps_per_tick).is_multiple_of(self.disturbances.replan_ticks);
                if let Some(request) = request.filter(|_| replans) {
                    let started = Instant::now();
                    let plan = self.planner.plan(&request, &Budget::unlimited());
                    plan_ms.push(started.elapsed().as_secs_f64() * 1e3);
                    if let Ok(plan) = &plan {
                        coherence.add(plan, episode.maze(), &self.layout, period_s);
                        album.iter_mut().for_each(|album| album.plan(plan, &self.layout));
                    }
                    control.accept(plan);
                }
                let command = command.unwrap_or_else(|| control.close());
                delayed.push_back(Vector2::from_column_slice(&command.values));
                force = delayed.pop_front().unwrap_or(force);
            }
            if step >= standing {
                episode.step(force);
                album.iter_mut().for_each(|album| album.step(&episode));
            }
            if episode.is_over() {
                break;
            }
        }
        if let (Some(album), Some(pictures)) = (album, &self.pictures) {
            let name = format!("{}_{task:?}_{seed}", maze.name()).to_lowercase();
            if let Err(error) = pictures.keep(&album, &episode, (seed, &name)) {
                eprintln!("{error:#}");
            }
        }
        Outcome { plan_ms, coherence, ..Outcome::of(seed, &episode) }
    }
}
