//! The commands of df_train.

use anyhow::Context;
use clap::{Parser, Subcommand};

#[cfg(feature = "formats")]
use crate::import;
use crate::{heap, init, inspect, map, train};

/// Trains a diffusion-forcing model from recorded demonstrations. Needs no ROS.
///
/// Ctrl-C ends the run after the current step and leaves a usable checkpoint.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: Option<train::Train>,
}

#[derive(Subcommand)]
enum Command {
    Inspect(inspect::Inspect),
    Init(init::Init),
    Map(map::Map),
    #[cfg(feature = "formats")]
    Import(import::Import),
}

/// Parses the arguments and runs a command.
pub(crate) fn run() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().init();
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Inspect(arguments)) => inspect::run(&arguments),
        Some(Command::Init(arguments)) => init::run(&arguments),
        Some(Command::Map(arguments)) => map::run(&arguments),
        #[cfg(feature = "formats")]
        Some(Command::Import(arguments)) => import::run(&arguments),
        None => {
            heap::keep();
            train::run(&arguments.train.context("nothing to train: give --config, --bag and --out")?)
        }
    }
}
