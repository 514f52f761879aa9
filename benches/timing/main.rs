//! Measures the period error of actions at 50 Hz over a minute, while planning fills a core: without and with a busy
//! process on every core, beside a timer of rclpy in the same run.
//!
//! `. .ros/env.sh && cargo bench --bench timing`; `DF_SECONDS`: length of a run (60).
//!
//! | row or column | meaning |
//! |---|---|
//! | published | as the node measures it, until the message is handed to the middleware |
//! | received | in this process, which has no priority |
//! | missing | ticks that the node skipped; messages that did not arrive |
//! | plan | median time of a plan, ms |

#[path = "../../tests/ros/harness.rs"]
mod harness;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use df_planner::sim::{MAP_FRAME, ROBOT_FRAME, Topics, WorldInbox, WorldLink, WorldNames};
use harness::Harness;

const PERIOD: Duration = Duration::from_millis(20);
const PLACE: [f64; 2] = [3.5, 3.5];
const GOAL: [f64; 2] = [5.5, 3.5];
/// A few steps on a minute of demonstrations: only the planning time matters, not the plan.
const TRAINING: &str = "training: {window: 16, batch: 8, steps: 20, warmup_steps: 5}\n";

/// An rclpy node whose timer publishes at 50 Hz; prints the times of its callbacks, nanoseconds.
const RCLPY: &str = "
import json, sys, time
import rclpy
from geometry_msgs.msg import WrenchStamped
rclpy.init()
node = rclpy.create_node('timer')
publisher = node.create_publisher(WrenchStamped, 'timer', 1)
times = []
def tick():
    publisher.publish(WrenchStamped())
    times.append(time.monotonic_ns())
node.create_timer(0.02, tick)
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    rclpy.spin_once(node, timeout_sec=0.1)
print(json.dumps(times))
";

fn main() {
    // `cargo test --benches` runs this, too, without the flag.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let seconds: f64 = std::env::var("DF_SECONDS").map_or(60.0, |text| text.parse().expect("DF_SECONDS in seconds"));
    let harness = Harness::new();
    let (config, model) = fifty_hertz(&harness);
    let world = harness.enter(|| {
        let Topics { odometry, force, goal } = Topics::default();
        let (map_frame, robot_frame) = (MAP_FRAME.into(), ROBOT_FRAME.into());
        let rollouts = "df_planner/rollouts".into();
        WorldLink::open(WorldNames { odometry, force, goal, rollouts, clock: false, map_frame, robot_frame }).unwrap()
    });
    let inbox = world.inbox.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let robot = stand_still(world, stop.clone());

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, {seconds} s each, period {PERIOD:?}; |interval - period| in ms");
    println!("{:<40} {:>8} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p99", "max", "missing", "plan");
    for busy in [0, cores] {
        let mut node = harness.node(&["--config", &config, "--model", &model]);
        let deadline = Instant::now() + Duration::from_secs(30);
        let before = inbox.forces();
        while inbox.forces() < before + 100 {
            assert!(Instant::now() < deadline && node.is_running(), "no actions from the node: {}", node.stderr());
            std::thread::sleep(Duration::from_millis(100));
        }
        let loads: Vec<Busy> = (0..busy).map(|_| Busy::start()).collect();
        let python = harness.python(RCLPY, &[&seconds.to_string()]);
        let (errors, missing) = receive(&inbox, seconds);
        let with = if busy > 0 { format!(", {busy} busy processes") } else { String::new() };
        // As the node measures it, including the first two seconds.
        let diagnostic = |key: &str| inbox.diagnostic(key).unwrap_or(f64::NAN);
        let [p50, p99, max] = ["p50", "p99", "max"].map(|q| diagnostic(&format!("period_error_ms_{q}")));
        let (skipped, planning) = (diagnostic("skipped_ticks"), diagnostic("planning_latency_ms_p50"));
        println!("{:<40} {p50:>8.3} {p99:>8.3} {max:>8.3} {skipped:>8} {planning:>8.3}", format!("published{with}"));
        print_row(&format!("received{with}"), errors, &missing.to_string());
        let output = python.wait_with_output().unwrap();
        let times: Vec<i64> = serde_json::from_slice(&output.stdout).expect("rclpy's times");
        // The first intervals include the start of rclpy.
        let errors = times.windows(2).skip(5).map(|w| error_ms(w[1] - w[0])).collect();
        print_row(&format!("rclpy timer{with}"), errors, "");
        drop(loads);
    }
    stop.store(true, Ordering::Relaxed);
    robot.join().unwrap();
}

/// The shipped configuration at 50 Hz with plans that fill the period, and a checkpoint for it.
fn fifty_hertz(harness: &Harness) -> (String, String) {
    let text = harness::shipped_config();
    let (text, _) = text.split_once("\ntraining:").unwrap();
    let text = text
        .replace("period_s: 0.05", "period_s: 0.02")
        .replace("mode: streaming", "mode: full")
        .replace("denoising_steps: 4", "denoising_steps: 400");
    let config = harness.file("fifty.yaml", &format!("{text}\n{TRAINING}"));
    let folder = std::path::Path::new(&config).parent().unwrap().to_path_buf();
    let (bag, model) = (folder.join("bag").display().to_string(), folder.join("model").display().to_string());
    run(env!("CARGO_BIN_EXE_df_sim"), &["record", "--out", &bag, "--minutes", "1", "--episode-s", "10"]);
    run(env!("CARGO_BIN_EXE_df_train"), &["--config", &config, "--bag", &bag, "--out", &model, "--no-cache"]);
    (config, model)
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Odometry at the node's rate, and the goal.
fn stand_still(world: WorldLink, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let start = Instant::now();
        for k in 0u32.. {
            std::thread::sleep((start + PERIOD / 2 * k).saturating_duration_since(Instant::now()));
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64;
            world.publish_odometry(now_ns, PLACE, [0.0; 2]).unwrap();
            if k % 50 == 0 {
                world.publish_goal(now_ns, GOAL).unwrap();
            }
        }
    })
}

/// Period errors of the received actions, milliseconds, and the number of actions that did not arrive.
fn receive(inbox: &WorldInbox, seconds: f64) -> (Vec<f64>, i64) {
    let patience = Duration::from_secs(5);
    let (mut stamp_ns, _) = inbox.wait_for_force(0, patience).expect("an action");
    let (first_ns, first_count) = (stamp_ns, inbox.forces());
    let (mut errors, mut last) = (Vec::new(), None::<Instant>);
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    while Instant::now() < until {
        let (next_ns, _) = inbox.wait_for_force(stamp_ns + 1, patience).expect("an action");
        let now = Instant::now();
        if let Some(last) = last.replace(now) {
            errors.push(error_ms(now.duration_since(last).as_nanos() as i64));
        }
        stamp_ns = next_ns;
    }
    let period_ns = PERIOD.as_nanos() as i64;
    let sent = (stamp_ns - first_ns + period_ns / 2) / period_ns;
    (errors, sent - (inbox.forces() - first_count) as i64)
}

fn error_ms(interval_ns: i64) -> f64 {
    (interval_ns - PERIOD.as_nanos() as i64).abs() as f64 * 1e-6
}

fn print_row(name: &str, mut errors: Vec<f64>, missing: &str) {
    errors.sort_by(f64::total_cmp);
    let quantile =
        |q: f64| errors.get(((errors.len() as f64 * q) as usize).min(errors.len() - 1)).copied().unwrap_or(f64::NAN);
    println!("{name:<40} {:>8.3} {:>8.3} {:>8.3} {missing:>8}", quantile(0.5), quantile(0.99), quantile(1.0));
}

/// A process that keeps a core busy.
struct Busy(Child);

impl Busy {
    fn start() -> Self {
        let child = Command::new("sh").args(["-c", "while :; do :; done"]).stdout(Stdio::null()).spawn();
        Self(child.expect("a shell"))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
