//! `df_train map`: a map of the places that demonstrations visited. Arguments and wiring only.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use df_data::inspect::coverage_map;
use df_planner::config::Config;

/// Draws a map of the places that demonstrations visited, in the format of Nav2's map_server, for a cost of kind
/// `obstacles`.
#[derive(clap::Args)]
pub struct Map {
    /// Demonstrations, as for training.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    bag: Vec<String>,
    /// The configuration with their contract.
    #[arg(long)]
    config: PathBuf,
    /// The observation group that holds the position, x and y. Default: the group of the goal.
    #[arg(long)]
    group: Option<String>,
    /// The edge of a cell, in the unit of the group.
    #[arg(long, default_value_t = 0.1)]
    resolution: f64,
    /// The map, FILE.yaml; its image FILE.pgm is written beside it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(arguments: &Map) -> anyhow::Result<()> {
    let file = &arguments.out;
    ensure!(
        file.extension().is_some_and(|extension| extension == "yaml"),
        "--out: {}: must end in .yaml",
        file.display()
    );
    let config = Config::load_and_warn(&arguments.config)?;
    let of_goal = config.contract.goal.as_ref().map(|goal| &goal.group);
    let group = arguments
        .group
        .as_ref()
        .or(of_goal)
        .context("the contract has no goal: name the group of the position with --group")?;
    let map = coverage_map(&df_data::parse_inputs(&arguments.bag)?, &config.data(), group, arguments.resolution)?;
    map.save(file).with_context(|| file.display().to_string())?;
    let free = map.cells.iter().filter(|&&cell| cell == 0).count();
    println!("{}: {} x {} cells, {free} of them free", file.display(), map.width, map.height);
    Ok(())
}
