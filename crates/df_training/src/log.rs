//! The course of a run as lines of JSON, for people's own tools; read back for the curves.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::validation::Validation;

/// A line of the log. What does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Optimizer steps done.
    pub step: usize,
    /// Seconds of training so far, those before a resume included.
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<StepLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Of this step alone.
    pub loss: f64,
    /// The mean over about the last 50 steps.
    pub smoothed_loss: f64,
    pub learning_rate: f64,
    /// Before it was shortened.
    pub gradient_norm: f64,
    pub windows_per_s: f64,
}

/// The log of a run.
#[derive(Debug)]
pub struct Log {
    path: Option<PathBuf>,
}

impl Log {
    /// Of a rank that writes nothing.
    pub fn nowhere() -> Self {
        Self { path: None }
    }

    /// Goes on after `step`: what a killed run has written beyond its last save is done anew, and so is its log.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(path: &Path, step: usize) -> std::io::Result<Self> {
        let kept: Vec<Line> = read(path).into_iter().filter(|line| line.step <= step).collect();
        let text: String = kept.iter().map(|line| serde_json::json!(line).to_string() + "\n").collect();
        let beside = path.with_extension("new");
        fs::write(&beside, text)?;
        fs::rename(&beside, path)?;
        Ok(Self { path: Some(path.into()) })
    }

    /// # Errors
    /// The file cannot be written.
    pub fn add(&self, line: &Line) -> std::io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::json!(line).to_string() + "\n";
        OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
    }

    pub fn lines(&self) -> Vec<Line> {
        self.path.as_deref().map_or(Vec::new(), read)
    }
}

/// Every line that can be read: a killed run may have left half of one.
fn read(path: &Path) -> Vec<Line> {
    let text = fs::read(path).unwrap_or_default();
    text.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_goes_on_where_the_run_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let line =
            |step| Line { step, training: Some(StepLine { loss: 0.1, ..StepLine::default() }), ..Line::default() };
        let log = Log::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            log.add(&line(step)).unwrap();
        }
        // Killed in the middle of a line, 10 steps after the last save.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 7]).unwrap();
        let log = Log::open(&path, 20).unwrap();
        log.add(&line(30)).unwrap();
        assert_eq!(log.lines(), [10, 20, 30].map(line));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
