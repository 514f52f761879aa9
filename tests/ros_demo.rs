//! The demo as a user starts it: `df_sim run` and `df_planner_node` are two processes over DDS on the loopback. The
//! shipped model reaches the goal.
#![cfg(feature = "ros")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The limit for a script that hangs. The script itself ends after 40 s of driving.
const LONGEST: Duration = Duration::from_secs(90);

#[test]
fn the_shipped_model_drives_the_robot_to_its_goal_over_topics() {
    let out = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_df_sim")).parent().unwrap();
    let log = std::fs::File::create(out.path().join("log")).unwrap();
    let mut script = Command::new("bash")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/demo.sh"))
        .args(["--runs", "1", "--seed", "0"])
        .env("DF_BIN", programs)
        .env("DF_OUT", out.path())
        .env("ROS_DOMAIN_ID", (1 + std::process::id() % 100).to_string())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = script.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > LONGEST {
            // SIGTERM: the script ends what it started.
            let _ = Command::new("kill").arg(script.id().to_string()).status();
            let _ = script.wait();
            panic!("not over after {LONGEST:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let printed = std::fs::read_to_string(out.path().join("log")).unwrap();
    assert!(status.success(), "{printed}");
    let report = std::fs::read_to_string(out.path().join("report_0.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} in {report}"));
    assert_eq!(report["reached"], true, "{report}");
    assert!((number("received_rate_hz") / 20.0 - 1.0).abs() < 0.02, "{report}");
    // There are plans, and few ticks lack a current one.
    assert!(number("deadline_misses") <= 0.1 * number("actions"), "{report}");
    assert!(number("planning_latency_ms_p50") > 0.0, "{report}");
}
