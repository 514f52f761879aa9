//! Writes the configuration reference of the book from the code: `docs/src/reference/configuration.md`. A test compares them.
//!
//! `--yaml` prints a configuration with every key instead.

use std::path::Path;

use df_planner::config::reference;

fn main() -> std::io::Result<()> {
    match std::env::args().nth(1).as_deref() {
        None => {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/reference/configuration.md");
            std::fs::write(path, reference::page())
        }
        Some("--yaml") => {
            print!("{}", reference::yaml());
            Ok(())
        }
        Some(other) => {
            eprintln!("unknown argument {other}; expected --yaml or none");
            std::process::exit(2);
        }
    }
}
