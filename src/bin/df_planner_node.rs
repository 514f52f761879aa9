//! The planner as a ROS 2 node. Parses the arguments; `df_planner::ros::run` does the work.

/// Plans with a trained checkpoint and drives the robot over ROS 2 topics.
///
/// Options may also be given as ROS parameters of the same names: `--ros-args -p config:=FILE -p model:=DIR`.
#[cfg(feature = "ros")]
#[derive(clap::Parser)]
#[command(
    version,
    after_help = "Arguments for ROS 2 follow --ros-args: -r from:=to, -r __ns:=/robot, -p name:=value, \
    --params-file FILE, --log-level LEVEL."
)]
struct Arguments {
    /// The configuration: topics, limits, planner settings.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    /// The checkpoint directory that df_train wrote.
    #[arg(long, value_name = "DIR")]
    model: Option<std::path::PathBuf>,
    /// The device that plans: cpu, flex; tch, cuda:N and wgpu:N if built in.
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Overrides planner.seed of the configuration.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
}

#[cfg(feature = "ros")]
fn main() -> std::process::ExitCode {
    use clap::Parser;
    use df_planner::ros::{Options, own_arguments, run};

    let Arguments { config, model, device, seed } = Arguments::parse_from(own_arguments());
    match run(Options { config, model, device, seed, before_plan: None }) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("df_planner_node: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// The program exists also without the feature, because `colcon build` installs it always.
#[cfg(not(feature = "ros"))]
fn main() -> std::process::ExitCode {
    eprintln!("df_planner_node: built without ROS 2; build it with the feature `ros` (it is on by default)");
    std::process::ExitCode::from(2)
}
