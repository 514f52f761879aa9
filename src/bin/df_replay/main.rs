//! df_replay: plans over recordings, and compares with what was recorded. Arguments and wiring only.

#[cfg(feature = "recordings")]
mod replay;

#[cfg(feature = "recordings")]
fn main() -> anyhow::Result<()> {
    replay::run()
}

/// The program exists also without the feature, because `colcon build` installs it always.
#[cfg(not(feature = "recordings"))]
fn main() -> std::process::ExitCode {
    eprintln!("df_replay: built without the feature `recordings`; build it with that feature (it is on by default)");
    std::process::ExitCode::from(2)
}
