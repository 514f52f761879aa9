//! df_train: trains a model offline from recorded demonstrations, and what belongs to it. Arguments and wiring only.

#[cfg(feature = "training")]
mod commands;
#[cfg(feature = "training")]
mod heap;
#[cfg(all(feature = "training", feature = "formats"))]
mod import;
#[cfg(feature = "training")]
mod init;
#[cfg(feature = "training")]
mod inspect;
#[cfg(feature = "training")]
mod map;
#[cfg(feature = "training")]
mod train;

#[cfg(feature = "training")]
fn main() -> anyhow::Result<()> {
    commands::run()
}

/// Without the feature the program still exists, so that `colcon build` always installs it.
#[cfg(not(feature = "training"))]
fn main() -> std::process::ExitCode {
    eprintln!("df_train: built without the feature `training`; build it with that feature (it is on by default)");
    std::process::ExitCode::from(2)
}
