//! Support that several test files share: contracts as text, and third-party tools.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod contract;
pub mod tools;

use contract::ContractYaml;

/// The shipped configuration of the point maze.
pub fn point_maze() -> ContractYaml {
    ContractYaml::from_text(include_str!("../../config/point_maze.yaml"))
}
