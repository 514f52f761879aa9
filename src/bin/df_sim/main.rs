//! df_sim: the embedded world and its recorder. Arguments and wiring only.

#[cfg(feature = "sim")]
mod program;

#[cfg(feature = "sim")]
fn main() -> std::process::ExitCode {
    program::run_program()
}

/// Without the feature the program still exists, so that `colcon build` always installs it.
#[cfg(not(feature = "sim"))]
fn main() -> std::process::ExitCode {
    eprintln!("df_sim: built without the feature `sim`; build it with that feature (it is on by default)");
    std::process::ExitCode::from(2)
}
