//! df_train: trains models from recorded demonstrations; inspects recordings, imports weights. Arguments and wiring
//! only.

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

/// The program exists also without the feature, because `colcon build` installs it always.
#[cfg(not(feature = "training"))]
fn main() -> std::process::ExitCode {
    eprintln!("df_train: built without the feature `training`; build it with that feature (it is on by default)");
    std::process::ExitCode::from(2)
}
