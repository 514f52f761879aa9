//! Third-party Python packages that tests compare with. Without its tool a test is skipped and prints a line. With
//! `DF_TEST_ALL=1` the test fails instead, except for the tools of [`NOT_DEMANDED`].

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Python packages that a test needs.
#[derive(Debug)]
pub struct Tool {
    pub name: &'static str,
    /// The modules that Python must be able to import.
    pub modules: &'static str,
    /// The environment variable that names a Python with them.
    pub variable: &'static str,
    /// How to install it.
    pub get: &'static str,
}

const SETUP: &str = "scripts/test_tools.sh (`make setup-tests`) brings what is missing from PyPI into .ros/test-tools";

pub const MUJOCO: Tool = Tool { name: "mujoco", modules: "mujoco, numpy", variable: "DF_MUJOCO_PYTHON", get: SETUP };
pub const ROSBAGS: Tool =
    Tool { name: "rosbags", modules: "rosbags.highlevel", variable: "DF_TEST_PYTHON", get: SETUP };
pub const DATASETS: Tool = Tool {
    name: "h5py and pyarrow",
    modules: "h5py, numpy, pyarrow.parquet",
    variable: "DF_DATASET_PYTHON",
    get: SETUP,
};
pub const LAUNCH: Tool = Tool {
    name: "launch and launch_ros",
    modules: "launch, launch_ros, rclpy",
    variable: "DF_TEST_PYTHON",
    get: "source a ROS 2 installation before `make test`",
};
pub const TORCH: Tool = Tool {
    name: "torch",
    modules: "torch",
    variable: "DF_TEST_TORCH",
    get: "DF_TEST_TORCH names a Python with `pip install torch`",
};

/// Tools that `DF_TEST_ALL=1` does not demand, each with the reason.
pub const NOT_DEMANDED: [(&str, &str); 2] =
    [("launch and launch_ros", "no package registry has them"), ("torch", "it is a download of 0.9 GB")];

/// The result of a test whose tool is missing.
#[derive(Debug, PartialEq, Eq)]
pub enum Missing {
    Skipped(String),
    Failure(String),
}

/// A Python that has the tool. `None` without one: the test is skipped.
///
/// # Panics
/// With `DF_TEST_ALL=1`, if the tool is missing and is demanded. If the tool's variable names a Python without it.
pub fn require_tool(tool: &Tool) -> Option<PathBuf> {
    let python = find(tool);
    if python.is_none() {
        match missing(tool, std::env::var("DF_TEST_ALL").is_ok_and(|value| value == "1")) {
            Missing::Skipped(line) => skipped(&line),
            Missing::Failure(message) => panic!("{message}"),
        }
    }
    python
}

/// The rule of [`require_tool`].
pub fn missing(tool: &Tool, all_are_demanded: bool) -> Missing {
    let Tool { name, variable, get, .. } = tool;
    match NOT_DEMANDED.iter().find(|(exempt, _)| exempt == name) {
        Some((_, reason)) => Missing::Skipped(format!("no Python here has {name}: {reason}; {get}")),
        None if all_are_demanded => Missing::Failure(format!(
            "DF_TEST_ALL=1, but no Python here has {name}: {get}, or {variable} names a Python that has it"
        )),
        None => Missing::Skipped(format!("no Python here has {name}: {get}")),
    }
}

/// Prints that a test, or a part of it, is left out. Writes to stderr directly, because `cargo test` captures the
/// output of passing tests.
pub fn skipped(what: &str) {
    let thread = std::thread::current();
    let _ = writeln!(std::io::stderr(), "left out: {}: {what}", thread.name().unwrap_or("a test"));
}

/// The Python that the tool's variable names, otherwise the first of the usual ones that has the tool.
fn find(tool: &Tool) -> Option<PathBuf> {
    let own = std::env::var_os(tool.variable).map(PathBuf::from);
    if let Some(python) = own.filter(|_| tool.variable != "DF_TEST_PYTHON") {
        assert!(has(&python, tool), "{} is {}, which cannot import {}", tool.variable, python.display(), tool.modules);
        return Some(python);
    }
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ros/test-tools/bin/python");
    let usual = [std::env::var_os("DF_TEST_PYTHON").map(PathBuf::from), Some(tools), Some("python3".into())];
    usual.into_iter().flatten().find(|python| has(python, tool))
}

fn has(python: &Path, tool: &Tool) -> bool {
    let import = format!("import {}", tool.modules);
    let status = Command::new(python).args(["-c", &import]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
