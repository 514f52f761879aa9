//! A starter configuration: arguments and wiring only.

/// Writes a starter configuration for demonstrations to the standard output, with what was measured beside each choice.
#[derive(clap::Args)]
pub struct Init {
    /// Demonstrations, as for training.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    bag: Vec<String>,
}

pub fn run(_arguments: &Init) -> anyhow::Result<()> {
    anyhow::bail!("not there yet")
}
