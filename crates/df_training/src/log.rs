//! The log of a run: one JSON object per line. Read back for the curves of the model card; scripts may read it too.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::validation::Validation;

/// A line of the log, with the numbers of a training step or of a validation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Optimizer steps done.
    pub step: usize,
    /// Seconds of training so far, including those before a resume.
    pub seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// The numbers of the step.
    pub training: Option<StepLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// The validation after the step.
    pub validation: Option<Validation>,
}

/// The numbers of one optimizer step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// The loss of this step alone.
    pub loss: f64,
    /// The running mean of the loss over about 50 steps.
    pub smoothed_loss: f64,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// The norm of the gradient of all weights, before clipping.
    pub gradient_norm: f64,
    /// Training windows per second since the start or resume.
    pub windows_per_s: f64,
}

/// The log file of a run.
#[derive(Debug)]
pub(crate) struct Log {
    /// `None` on ranks that write no log.
    path: Option<PathBuf>,
}

impl Log {
    /// The log of a rank other than 0, which writes nothing.
    pub(crate) fn disabled() -> Self {
        Self { path: None }
    }

    /// Opens the log and removes the lines after `step`. A killed run may have logged steps after its last save; the
    /// resumed run repeats these steps and their lines.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn open(path: &Path, step: usize) -> std::io::Result<Self> {
        let kept: Vec<Line> = read(path).into_iter().filter(|line| line.step <= step).collect();
        let text: String = kept.iter().map(|line| serde_json::json!(line).to_string() + "\n").collect();
        let replacement = path.with_extension("new");
        fs::write(&replacement, text)?;
        fs::rename(&replacement, path)?;
        Ok(Self { path: Some(path.into()) })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn add(&self, line: &Line) -> std::io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::json!(line).to_string() + "\n";
        OpenOptions::new().append(true).create(true).open(path)?.write_all(text.as_bytes())
    }

    /// All lines of the file.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.path.as_deref().map_or(Vec::new(), read)
    }
}

/// The lines that parse. A killed run may have left an incomplete line.
fn read(path: &Path) -> Vec<Line> {
    let text = fs::read(path).unwrap_or_default();
    text.split(|&b| b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_drops_the_lines_after_the_last_save() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        let line =
            |step| Line { step, training: Some(StepLine { loss: 0.1, ..StepLine::default() }), ..Line::default() };
        let log = Log::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            log.add(&line(step)).unwrap();
        }
        // The run is killed in the middle of a line, 10 steps after its last save.
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 7]).unwrap();
        let log = Log::open(&path, 20).unwrap();
        log.add(&line(30)).unwrap();
        assert_eq!(log.lines(), [10, 20, 30].map(line));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}
