//! The launch files: their arguments are described and stand in the README; and, where Python can import launch and
//! launch_ros (the wheels of `make setup` lack them, a ROS installation has them), the demo drives to its end.
#![cfg(feature = "ros")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// What `ros2 launch` does with a file of the installed package, without ros2cli: `FILE name:=value...`.
const LAUNCH: &str = "
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
arguments = [tuple(a.split(':=', 1)) for a in sys.argv[2:]]
service = LaunchService()
source = AnyLaunchDescriptionSource(sys.argv[1])
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)]))
sys.exit(service.run())
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The part of a text between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no `{from}`"));
    rest.split_once(to).unwrap_or_else(|| panic!("no `{to}` after `{from}`")).0
}

/// The first string literal.
fn literal(text: &str) -> String {
    text.split('"').nth(1).unwrap_or_default().to_string()
}

#[test]
fn the_readme_has_the_arguments_of_the_planner_and_the_demo_passes_all_of_them_on() {
    let (planner, demo, readme) = (text("launch/planner.launch.py"), text("launch/demo.launch.py"), text("README.md"));
    let declared: Vec<&str> = planner.split("DeclareLaunchArgument(").skip(1).collect();
    let names: Vec<String> = declared.iter().map(|after| literal(after)).collect();
    for (name, declaration) in names.iter().zip(&declared) {
        let description = literal(declaration.split_once("description=").unwrap_or_default().1);
        assert!(description.len() > 20, "{name}: described as `{description}`");
    }
    let table = between(&readme, "| argument | meaning |\n|---|---|\n", "\n\n");
    let rows: Vec<&str> = table.lines().map(|row| between(row, "| `", "` |")).collect();
    assert_eq!(rows, names, "the table under Launch in README.md");
    // The keys of a dictionary stand at the starts of lines, eight spaces in.
    let passed_on = between(&demo, "passed_on = {\n", "\n    }\n");
    let passed_on: Vec<String> = passed_on.lines().filter(|line| line.starts_with("        \"")).map(literal).collect();
    assert_eq!(passed_on, names, "passed_on in launch/demo.launch.py");
}

#[test]
fn the_demo_launches_and_drives_to_its_end() {
    let python = std::env::var("DF_TEST_PYTHON")
        .expect("DF_TEST_PYTHON is not set: run these tests with `make test`, or `. .ros/env.sh` first");
    let imports =
        Command::new(&python).args(["-c", "import launch, launch_ros"]).stderr(Stdio::null()).status().unwrap();
    if !imports.success() {
        println!("not tried: {python} cannot import launch and launch_ros");
        return;
    }
    // The folders that colcon installs, made of links.
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

    let inherited = std::env::var("AMENT_PREFIX_PATH").unwrap_or_default();
    // A name that YAML takes for a date.
    symlink(root().join("models/point_maze"), folder.path().join("2026-11-24")).unwrap();
    let output = Command::new(&python)
        .args(["-c", LAUNCH, &share.join("launch/demo.launch.py").display().to_string()])
        .args(["seed:=3", "namespace:=robot_1", "model:=2026-11-24", "picture:=drive.png"])
        .current_dir(folder.path())
        .env("AMENT_PREFIX_PATH", format!("{}:{inherited}", prefix.display()))
        .env("ROS_DOMAIN_ID", (1 + std::process::id() % 100).to_string())
        .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        .env("ROS_LOG_DIR", folder.path().join("log"))
        .env_remove("RMW_IMPLEMENTATION")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{:?}: {said}", output.status);
    assert!(said.contains("goal reached"), "{said}");
    assert_eq!(said.matches("process has finished cleanly").count(), 2, "both with exit code 0: {said}");
    assert!(folder.path().join("drive.png").is_file(), "{said}");
}
