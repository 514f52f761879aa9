//! Writes the configuration reference of the book from the code: `docs/src/reference/configuration.md`.
//!
//! `--check` writes nothing and fails if the page is not what the code gives. `--yaml` prints a configuration with every key.

use std::path::Path;
use std::process::ExitCode;

use df_planner::config::reference;

fn main() -> std::io::Result<ExitCode> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/reference/configuration.md");
    let page = reference::page();
    match std::env::args().nth(1).as_deref() {
        None => std::fs::write(path, page)?,
        Some("--yaml") => print!("{}", reference::yaml()),
        Some("--check") => {
            let written = std::fs::read_to_string(&path)?;
            if written != page {
                let differing = written.lines().zip(page.lines()).position(|(old, new)| old != new);
                let line = 1 + differing.unwrap_or(written.lines().count().min(page.lines().count()));
                eprintln!(
                    "{}:{line}: not what the code gives. Run: cargo run --release --example config_reference",
                    path.display()
                );
                return Ok(ExitCode::FAILURE);
            }
        }
        Some(other) => {
            eprintln!("unknown argument {other}; expected --check, --yaml or none");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
