//! df_sim: the embedded worlds and their recorder. Arguments and wiring only.

#[cfg(feature = "sim")]
mod program;

#[cfg(feature = "sim")]
fn main() -> std::process::ExitCode {
    program::run_program()
}

/// The program exists also without the feature, because `colcon build` installs it always.
#[cfg(not(feature = "sim"))]
fn main() -> std::process::ExitCode {
    eprintln!("df_sim: built without the feature `sim`; build it with that feature (it is on by default)");
    std::process::ExitCode::from(2)
}
