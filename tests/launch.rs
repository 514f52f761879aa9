//! The launch files. The book lists their arguments. Where Python can import launch and launch_ros, the tests run them:
//! the demo reaches its goal, and a replay plans on played data without publishing commands. The wheels of `make setup`
//! lack these packages; a ROS installation has them.
#![cfg(feature = "ros")]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use support::tools::{LAUNCH, require_tool};

/// Does what `ros2 launch` does with a file of the installed package, without ros2cli: `FILE name:=value...`, or
/// `FILE --show-args`.
const LAUNCH_FILE: &str = "
import sys
from launch import LaunchContext, LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
source = AnyLaunchDescriptionSource(sys.argv[1])
if sys.argv[2:] == ['--show-args']:
    for argument in source.get_launch_description(LaunchContext()).get_launch_arguments():
        print(argument.name, '|', argument.description)
    sys.exit(0)
arguments = [tuple(a.split(':=', 1)) for a in sys.argv[2:]]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
";

/// Arguments that only the planner's launch file has. The demo's world has no clock and needs an active node; a replay
/// sets these itself.
const NOT_PASSED_ON: [&str; 4] = ["mode", "use_sim_time", "autostart", "respawn"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The part of a text between two markers.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no `{from}`"));
    rest.split_once(to).unwrap_or_else(|| panic!("no `{to}` after `{from}`")).0
}

/// The first string literal.
fn literal(text: &str) -> String {
    text.split('"').nth(1).unwrap_or_default().to_string()
}

/// Names of the arguments that a launch file declares one by one.
fn declared(file: &str) -> Vec<String> {
    let text = text(file);
    let declared: Vec<&str> = text.split("DeclareLaunchArgument(").skip(1).collect();
    // A list comprehension over the dictionary `passed_on` declares further ones.
    let declared = declared.into_iter().filter(|after| !after.starts_with("name,"));
    declared
        .map(|declaration| {
            let name = literal(declaration);
            let description = literal(declaration.split_once("description=").unwrap_or_default().1);
            assert!(description.len() > 20, "{file}: {name}: described as `{description}`");
            name
        })
        .collect()
}

#[test]
fn the_book_lists_the_planner_launch_arguments_and_the_other_launch_files_pass_them_on() {
    let names = declared("launch/planner.launch.py");
    let page = text("docs/src/how-to/deploy.md");
    let table = between(&page, "| Argument | Meaning | Default |\n|---|---|---|\n", "\n\n");
    let rows: Vec<&str> = table.lines().map(|row| between(row, "| `", "` |")).collect();
    assert_eq!(rows, names, "the table under Launch in docs/src/how-to/deploy.md");
    let expected: Vec<_> = names.iter().filter(|name| !NOT_PASSED_ON.contains(&name.as_str())).collect();
    for file in ["launch/demo.launch.py", "launch/replay.launch.py"] {
        let text = text(file);
        // Each key of the dictionary starts a line, indented by eight spaces.
        let passed_on = between(&text, "passed_on = {\n", "\n    }\n");
        let passed_on: Vec<String> =
            passed_on.lines().filter(|line| line.starts_with("        \"")).map(literal).collect();
        assert_eq!(passed_on.iter().collect::<Vec<_>>(), expected, "passed_on in {file}");
    }
    assert_eq!(declared("launch/demo.launch.py"), ["seed", "picture"]);
    assert_eq!(declared("launch/replay.launch.py"), ["bag", "rate", "start_offset", "delay", "mode", "use_sim_time"]);
}

/// Serialises the tests: they measure time and share a DDS domain.
static ALONE: Mutex<()> = Mutex::new(());

/// A workspace as colcon installs it, made of symbolic links, and a Python with launch.
struct Installed {
    python: PathBuf,
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Installed {
    /// None where Python cannot import launch.
    fn new() -> Option<Self> {
        let python = require_tool(&LAUNCH)?;
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let prefix = folder.path().join("install");
        let (share, lib) = (prefix.join("share/df_planner"), prefix.join("lib/df_planner"));
        let index = prefix.join("share/ament_index/resource_index/packages");
        for directory in [&share, &lib, &index] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(index.join("df_planner"), "").unwrap();
        for part in ["launch", "config", "models"] {
            symlink(root().join(part), share.join(part)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_df_planner_node"), lib.join("df_planner_node")).unwrap();
        symlink(env!("CARGO_BIN_EXE_df_sim"), lib.join("df_sim")).unwrap();
        Some(Self { python, folder, _alone })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Launches a file and waits for its end. Returns the output, and stdout and stderr as text.
    fn launch(&self, file: &str, arguments: &[&str]) -> (Output, String) {
        let inherited = |name: &str| std::env::var(name).unwrap_or_default();
        let file = self.path("install/share/df_planner/launch").join(file);
        let output = Command::new(&self.python)
            .args(["-c", LAUNCH_FILE, &file.display().to_string()])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("AMENT_PREFIX_PATH", format!("{}:{}", self.path("install").display(), inherited("AMENT_PREFIX_PATH")))
            .env("PATH", format!("{}:{}", self.path("bin").display(), inherited("PATH")))
            .env("ROS_DOMAIN_ID", (1 + std::process::id() % 100).to_string())
            .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
            .env("ROS_LOG_DIR", self.path("log"))
            .env_remove("RMW_IMPLEMENTATION")
            .output()
            .unwrap();
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output, printed)
    }
}

#[test]
fn show_args_lists_and_describes_every_launch_argument() {
    let Some(installed) = Installed::new() else { return };
    let planner = declared("launch/planner.launch.py");
    let passed_on = planner.iter().filter(|name| !NOT_PASSED_ON.contains(&name.as_str())).cloned();
    let passed_on: Vec<String> = passed_on.collect();
    for (file, own) in [
        ("planner.launch.py", planner.clone()),
        ("demo.launch.py", [passed_on.clone(), declared("launch/demo.launch.py")].concat()),
        ("replay.launch.py", [declared("launch/replay.launch.py"), passed_on].concat()),
    ] {
        let (output, printed) = installed.launch(file, &["--show-args"]);
        assert!(output.status.success(), "{printed}");
        let report: Vec<(&str, &str)> = printed.lines().map(|line| line.split_once(" | ").unwrap()).collect();
        for name in own {
            let description =
                report.iter().find(|(report, _)| *report == name).unwrap_or_else(|| panic!("{name}: {printed}")).1;
            assert!(description.len() > 20, "{file}: {name}: {description}");
        }
    }
}

#[test]
fn the_demo_launch_file_drives_the_robot_to_the_goal_and_exits_with_0() {
    let Some(installed) = Installed::new() else { return };
    // A name that YAML parses as a date.
    symlink(root().join("models/point_maze"), installed.path("2026-11-24")).unwrap();
    let arguments = ["seed:=3", "namespace:=robot_1", "model:=2026-11-24", "picture:=drive.png"];
    let (output, printed) = installed.launch("demo.launch.py", &arguments);
    assert!(output.status.success(), "{:?}: {printed}", output.status);
    assert!(printed.contains("goal reached"), "{printed}");
    assert_eq!(printed.matches("process has finished cleanly").count(), 2, "both with exit code 0: {printed}");
    assert!(installed.path("drive.png").is_file(), "{printed}");
}

#[test]
fn the_replay_launch_file_plans_on_played_data_and_publishes_no_command() {
    let Some(installed) = Installed::new() else { return };
    // Replaces `ros2 bag play` by a script that publishes the messages of a demo bag.
    fs::create_dir(installed.path("bin")).unwrap();
    let player = text("tests/ros/player.py").replacen("#!python", &format!("#!{}", installed.python.display()), 1);
    fs::write(installed.path("bin/ros2"), player).unwrap();
    let made = Command::new("chmod").arg("+x").arg(installed.path("bin/ros2")).status().unwrap();
    assert!(made.success());
    let (output, printed) = installed.launch("replay.launch.py", &["bag:=drive", "rate:=2.0", "delay:=3.0"]);
    assert!(output.status.success(), "{:?}: {printed}", output.status);
    assert_eq!(printed.matches("process has finished cleanly").count(), 2, "both with exit code 0: {printed}");
    let report = between(&printed, "player: ", "\n");
    let numbers: Vec<u32> = report.split(", ").map(|part| part.split(' ').next().unwrap().parse().unwrap()).collect();
    let [plans, publishers, compared] = numbers[..] else { panic!("{report}") };
    assert!(plans >= 10, "{report}: {printed}");
    assert_eq!(publishers, 1, "the player alone publishes commands: {report}");
    // The player ends after this many comparisons, or after a time limit.
    assert!(compared >= 10, "compared with what is played: {report}");
}
