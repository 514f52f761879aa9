//! `df_train init`: a starter configuration. Arguments and wiring only.

use df_data::inspect::scaffold;

/// Writes a starter configuration to standard output, with what was measured beside each choice.
#[derive(clap::Args)]
pub struct Init {
    /// Demonstrations, as for training; all of one format.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    bag: Vec<String>,
}

pub fn run(arguments: &Init) -> anyhow::Result<()> {
    let scaffold = scaffold(&df_data::parse_inputs(&arguments.bag)?)?;
    print!("{}", scaffold.yaml);
    for note in &scaffold.notes {
        eprintln!("{note}");
    }
    Ok(())
}
