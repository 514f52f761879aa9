//! Inspection of demonstrations: arguments and wiring only.

use std::path::PathBuf;

/// Says what is in demonstrations and, with a configuration, what training would make of them.
#[derive(clap::Args)]
pub struct Inspect {
    /// Demonstrations, as for training.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH[@WEIGHT]")]
    bag: Vec<String>,
    /// The configuration whose contract is held against them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where pictures and inspect.json go; it is made if it is not there.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The same for machines.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub fn run(_arguments: &Inspect) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
