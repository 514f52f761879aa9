//! df_replay: what the planner would have done with recorded demonstrations. Arguments and wiring only.

#[cfg(feature = "recordings")]
mod replay;

#[cfg(feature = "recordings")]
fn main() -> anyhow::Result<()> {
    replay::run()
}

/// Without the feature the program still exists, so that `colcon build` always installs it.
#[cfg(not(feature = "recordings"))]
fn main() -> std::process::ExitCode {
    eprintln!("df_replay: built without the feature `recordings`; build it with that feature (it is on by default)");
    std::process::ExitCode::from(2)
}
