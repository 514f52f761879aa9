//! `df_train inspect`: what recordings hold. Arguments and wiring only.

use std::path::{Path, PathBuf};

use anyhow::Context;
use df_data::inspect::{Report, inspect};
use df_planner::config::Config;

/// Shows what demonstrations hold and, with a configuration, what training would use of them.
#[derive(clap::Args)]
pub struct Inspect {
    /// Demonstrations, as for training.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH[@WEIGHT]")]
    bag: Vec<String>,
    /// The configuration whose contract is compared with them.
    #[arg(long)]
    config: Option<PathBuf>,
    /// The directory for pictures and inspect.json; created if it does not exist.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The file for the report as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub fn run(arguments: &Inspect) -> anyhow::Result<()> {
    let config = arguments.config.as_deref().map(Config::load_and_warn).transpose()?;
    let report = inspect(&df_data::parse_inputs(&arguments.bag)?, config.map(|config| config.data()).as_ref())?;
    print!("{}", report.text());
    if let Some(folder) = &arguments.out {
        std::fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
        for file in report.pictures.write(folder)? {
            println!("wrote {}", file.display());
        }
        if arguments.json.is_none() {
            write_json(&report, &folder.join("inspect.json"))?;
        }
    }
    arguments.json.as_ref().map_or(Ok(()), |file| write_json(&report, file))
}

fn write_json(report: &Report, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(report).context("the report as JSON")?;
    std::fs::write(file, text + "\n").with_context(|| format!("{}", file.display()))?;
    println!("wrote {}", file.display());
    Ok(())
}
