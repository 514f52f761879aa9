//! A simulator in lock step: it publishes odometry and `/clock`, and continues when the action of the tick arrives.
//! Every tick gets exactly one action, stamped with the tick, at any simulation speed. Memory does not grow with time.
//!
//! `DF_SOAK_S` is the simulated time in seconds (60). `make soak` drives an hour and also checks the slope of memory.
#![cfg(feature = "ros")]

#[path = "ros/harness.rs"]
mod harness;

use std::time::{Duration, Instant};

use df_planner::sim::{MAP_FRAME, Maze, ROBOT_FRAME, STEP_S, Topics, Trial, WorldLink, WorldNames};
use harness::{Harness, Node};

const PERIOD_NS: i64 = 50_000_000;
const PATIENCE: Duration = Duration::from_secs(5);
/// The time limit of a goal, seconds.
const TRIAL_S: f64 = 30.0;
/// The least simulated time for which the slope of memory is meaningful.
const JUDGED_FROM_S: f64 = 1800.0;
/// The warm-up, which is not measured: caches fill and threads start.
const WARM_UP: f64 = 0.2;
const SAMPLES: usize = 500;
/// A mebibyte, bytes.
const MIB: f64 = 1048576.0;
/// Parts of the drive after the warm-up whose memory is compared.
const PARTS: usize = 8;
/// The largest steady growth after the warm-up, MiB: the number of parts times the growth of the median part. Measured
/// in 60 s: 0.00 to 0.14. A leak of half a kilobyte per tick exceeds it.
const MAX_STEADY_MIB: f64 = 0.375;
/// The largest total growth, MiB. Measured: 0.06 to 0.58, because the allocator takes half a MiB once in some runs.
const MAX_GROWTH_MIB: f64 = 2.0;

#[test]
fn every_tick_gets_one_action_and_memory_stays_flat() {
    let seconds: f64 = std::env::var("DF_SOAK_S").map_or(60.0, |text| text.parse().expect("DF_SOAK_S in seconds"));
    let harness = Harness::new();
    let mut node = harness.node_given(&["use_sim_time:=true"]);
    let mut drive = Drive::new(&harness);
    drive.until_it_answers(&mut node);

    let (start, start_ns, before) = (Instant::now(), drive.now_ns, drive.world.inbox.forces());
    let ticks = (seconds / (PERIOD_NS as f64 * 1e-9)).round() as usize;
    let (mut memory, every) = (Vec::new(), (ticks / SAMPLES).max(1));
    for k in 0..ticks {
        drive.one_tick(&mut node);
        if k % every == 0 {
            memory.push(((drive.now_ns - start_ns) as f64 * 1e-9, node.resident_bytes() as f64));
        }
    }
    let got = drive.world.inbox.forces() - before;
    let wall_s = start.elapsed().as_secs_f64();
    let warm = &memory[(memory.len() as f64 * WARM_UP) as usize..];
    let slope = slope(warm) * 3600.0 / MIB;
    let (steady, growth) = growth(warm);
    println!(
        "{seconds} s of simulated time in {wall_s:.1} s: {got} actions for {ticks} ticks, {} goals reached of {}; memory \
         {:.1} MiB at the end, {growth:+.3} MiB after the warm-up, {steady:+.3} of it steadily, {slope:+.3} MiB an hour",
        drive.reached,
        drive.seed,
        memory[memory.len() - 1].1 / MIB
    );
    assert_eq!(got, ticks as u64, "one action per tick");
    // The drive is good enough: repeatedly a start at a random place and a goal.
    assert!(3 * drive.reached >= 2 * drive.seed as usize, "{} goals reached of {}", drive.reached, drive.seed);
    assert!(memory[0].1 > MIB, "no memory was measured");
    assert!(steady < MAX_STEADY_MIB, "memory grows steadily, by {steady} MiB after the warm-up");
    assert!(growth < MAX_GROWTH_MIB, "memory grows by {growth} MiB after the warm-up");
    assert!(seconds < JUDGED_FROM_S || slope < 1.0, "memory grows by {slope} MiB an hour");

    // After a backward jump of the clock the node starts again.
    drive.now_ns = 0;
    drive.until_it_answers(&mut node);
    drive.one_tick(&mut node);
}

/// The action of a tick is planned from the observation of that tick, so the simulator waits for one plan per tick.
#[test]
fn with_immediate_latency_every_tick_gets_one_action_too() {
    let harness = Harness::new();
    let mut node = harness.node_given(&["use_sim_time:=true", "planner.latency:=immediate"]);
    let mut drive = Drive::new(&harness);
    drive.until_it_answers(&mut node);
    let before = drive.world.inbox.forces();
    let ticks = 400;
    (0..ticks).for_each(|_| drive.one_tick(&mut node));
    assert_eq!(drive.world.inbox.forces() - before, ticks);
    // 20 s of simulated time.
    assert!(drive.reached >= 1, "no goal was reached");
}

/// Ticks follow the simulated clock: a simulator at half of real time, which does not wait, receives half of the
/// actions.
#[test]
fn a_simulated_clock_at_half_speed_halves_the_rate_of_actions() {
    let harness = Harness::new();
    let mut node = harness.node_given(&["use_sim_time:=true"]);
    let mut drive = Drive::new(&harness);
    drive.until_it_answers(&mut node);
    let (start, before) = (Instant::now(), drive.world.inbox.forces());
    for k in 1..=200u32 {
        drive.step();
        std::thread::sleep(
            (start + Duration::from_secs_f64(2.0 * STEP_S) * k).saturating_duration_since(Instant::now()),
        );
    }
    std::thread::sleep(Duration::from_millis(200));
    // 2 s of simulated time in 4 s; the last tick may still wait for its plan.
    let actions = drive.world.inbox.forces() - before;
    assert!((39..=40).contains(&actions), "{actions} actions in 40 periods of simulated time: {}", node.stderr());
}

/// The simulator.
struct Drive {
    world: WorldLink,
    trial: Trial,
    seed: u64,
    reached: usize,
    now_ns: i64,
    force: [f64; 2],
}

impl Drive {
    fn new(harness: &Harness) -> Self {
        let Topics { odometry, force, goal } = Topics::default();
        let (map_frame, robot_frame) = (MAP_FRAME.into(), ROBOT_FRAME.into());
        let rollouts = "df_planner/rollouts".into();
        let names = WorldNames { odometry, force, goal, rollouts, clock: true, map_frame, robot_frame };
        let world = harness.enter(|| WorldLink::open(names)).unwrap();
        Self { world, trial: Trial::draw(Maze::demo(), 0), seed: 0, reached: 0, now_ns: 0, force: [0.0; 2] }
    }

    /// Continues without waiting for actions.
    fn until_it_answers(&mut self, node: &mut Node) {
        let until = Instant::now() + Duration::from_secs(60);
        let before = self.world.inbox.forces();
        while self.world.inbox.forces() == before {
            assert!(Instant::now() < until && node.is_running(), "no action: {}", node.stderr());
            if self.world.has_subscribers() {
                self.step();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // Advances to the next tick and its action.
        let tick_ns = self.now_ns.div_euclid(PERIOD_NS) * PERIOD_NS;
        while self.now_ns < tick_ns + PERIOD_NS {
            self.step();
        }
        self.await_action(node);
    }

    fn one_tick(&mut self, node: &mut Node) {
        let tick_ns = self.now_ns + PERIOD_NS;
        while self.now_ns < tick_ns {
            self.step();
        }
        self.await_action(node);
    }

    /// A step of the world: odometry first, then the clock that reaches it.
    fn step(&mut self) {
        self.now_ns += (STEP_S * 1e9).round() as i64;
        if self.trial.step(self.force.into()) || self.trial.elapsed_s() > TRIAL_S {
            self.reached += usize::from(self.trial.reached());
            self.seed += 1;
            self.trial = Trial::draw(Maze::demo(), self.seed);
        }
        let state = self.trial.state();
        self.world.publish_odometry(self.now_ns, state.position.into(), state.velocity.into()).unwrap();
        if self.now_ns % PERIOD_NS == 0 {
            self.world.publish_goal(self.now_ns, self.trial.goal().into()).unwrap();
        }
        self.world.publish_clock(self.now_ns).unwrap();
    }

    fn await_action(&mut self, node: &mut Node) {
        let answer = self.world.inbox.wait_for_force(self.now_ns, PATIENCE);
        let Some((stamp_ns, force)) = answer else {
            panic!("no action for the tick at {} ns: {}", self.now_ns, node.stderr());
        };
        assert_eq!(stamp_ns, self.now_ns, "stamped with the tick");
        self.force = force;
    }
}

/// The growth of memory, MiB. First the number of parts times the growth of the median part, which single steps do not
/// change; second the total growth.
fn growth(samples: &[(f64, f64)]) -> (f64, f64) {
    let parts = samples.chunks(samples.len().div_ceil(PARTS));
    let peaks: Vec<f64> = parts.map(|part| part.iter().map(|sample| sample.1 / MIB).fold(0.0, f64::max)).collect();
    let mut steps: Vec<f64> = peaks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_by(f64::total_cmp);
    (steps[steps.len() / 2] * steps.len() as f64, peaks[peaks.len() - 1] - peaks[0])
}

#[test]
fn growth_of_memory_sees_a_leak_and_no_single_step() {
    let samples = |of: fn(usize) -> f64| (0..400).map(|k| (k as f64, of(k) * MIB)).collect::<Vec<_>>();
    // 400 samples in 8 parts of 50; from peak to peak 350 samples of 0.002 MiB each.
    let (steady, all) = growth(&samples(|k| 40.0 + 0.002 * k as f64));
    assert!((steady - 0.7).abs() < 1e-9 && (all - 0.7).abs() < 1e-9, "{steady} {all}");
    let (steady, all) = growth(&samples(|k| if k < 210 { 40.0 } else { 40.5 }));
    assert!(steady == 0.0 && (all - 0.5).abs() < 1e-9, "{steady} {all}");
}

/// The slope of the least-squares line.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let over = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>();
    over / points.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>()
}
