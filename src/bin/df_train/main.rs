//! df_train: trains a model offline from recorded demonstrations, and what belongs to it. Arguments and wiring only.

mod train;

use clap::Parser;

/// Trains a diffusion-forcing model from recorded demonstrations. Needs no ROS.
///
/// Ctrl-C ends the run after the current step and leaves a usable checkpoint.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    train: train::Train,
}

fn main() -> anyhow::Result<()> {
    train::run(&Arguments::parse().train)
}
