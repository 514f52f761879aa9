//! LeRobot datasets, versions 2.0 to 3.0: a directory with `meta/info.json` and rows in `data/**/*.parquet`.
//! <https://github.com/huggingface/lerobot>
//!
//! Row k of an episode holds the observation of its time and the action that was taken then: it becomes a sample of
//! every group and a command, stamped alike, as a bag has them. Videos and images are left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::column_map::{ColumnMap, DatasetColumns};
use super::dataset_files::LEROBOT_INFO;
use super::natural_order::natural;
use super::parquet_rows::read_rows;
use super::table::{Column, Table, TableRow};
use super::{BagError, EpisodeReport, SampleSource, SourceEvent};
use crate::DataConfig;
use df_core::Bound;

const VERSIONS: [&str; 3] = ["v2.0", "v2.1", "v3.0"];
/// Which row is which, in every dataset.
const EPISODE: &str = "episode_index";
const FRAME: &str = "frame_index";
const TIMESTAMP: &str = "timestamp";
/// A timestamp further from its frame's time is taken as it is, seconds. LeRobot's own tolerance.
const TOLERANCE_S: f64 = 1e-4;

/// A LeRobot dataset.
pub(crate) struct LeRobot {
    info: Info,
    columns: Vec<Column>,
    files: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Info {
    codebase_version: String,
    /// Frames per second.
    fps: f64,
    features: BTreeMap<String, Feature>,
    total_episodes: Option<u64>,
    total_frames: Option<u64>,
}

#[derive(Deserialize)]
struct Feature {
    dtype: String,
    shape: Vec<usize>,
    #[serde(default)]
    names: serde_json::Value,
}

impl Feature {
    fn is_numbers(&self) -> bool {
        let dtype = self.dtype.as_str();
        dtype == "bool" || ["float", "int", "uint"].iter().any(|kind| dtype.starts_with(kind))
    }

    fn is_picture(&self) -> bool {
        matches!(self.dtype.as_str(), "video" | "image")
    }

    /// Names of the values: a list, or a list under some key.
    fn labels(&self) -> Vec<String> {
        let list = match &self.names {
            serde_json::Value::Object(named) => named.values().next(),
            names => Some(names),
        };
        let text = |name: &serde_json::Value| name.as_str().map(String::from);
        list.and_then(serde_json::Value::as_array)
            .and_then(|names| names.iter().map(text).collect())
            .unwrap_or_default()
    }
}

impl LeRobot {
    /// Reads what the dataset says of itself.
    ///
    /// # Errors
    /// No dataset, or one of another version.
    pub(crate) fn open(path: &Path) -> Result<Self, BagError> {
        let place = path.join(LEROBOT_INFO);
        let refuse = |reason: String| BagError::NotABag { path: place.clone(), reason };
        let text = std::fs::read(&place).map_err(|cause| BagError::Unreadable { path: place.clone(), cause })?;
        let info: Info = serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))?;
        if !VERSIONS.contains(&info.codebase_version.as_str()) {
            let got = &info.codebase_version;
            return Err(refuse(format!("expected a LeRobot dataset of one of {VERSIONS:?}, got `{got}`")));
        }
        if !(info.fps > 0.0 && info.fps <= 1e6) {
            return Err(refuse(format!("fps: expected frames per second in (0, 1e6], got {}", info.fps)));
        }
        let column = |(name, feature): (&String, &Feature)| Column {
            name: name.clone(),
            width: feature.shape.iter().fold(1, |width: usize, &length| width.saturating_mul(length)),
            labels: feature.labels(),
        };
        let columns = info.features.iter().filter(|(_, feature)| feature.is_numbers()).map(column).collect();
        let mut files = Vec::new();
        let data = path.join("data");
        parquet_files(&data, &mut files).map_err(|cause| BagError::Unreadable { path: data.clone(), cause })?;
        if files.is_empty() {
            return Err(BagError::NotABag { path: data, reason: "it holds no .parquet file".into() });
        }
        files.sort_by_key(|file| natural(&file.to_string_lossy()));
        Ok(Self { info, columns, files })
    }

    /// What is left out, and what else people should know.
    fn notices(&self, config: &DataConfig) -> Vec<String> {
        let pictures = self.info.features.iter().filter(|(_, feature)| feature.is_picture());
        let pictures: Vec<String> = pictures.map(|(name, _)| format!("`{name}`")).collect();
        let mut notices = Vec::new();
        if !pictures.is_empty() {
            notices.push(format!("videos and images are left out: {}", pictures.join(", ")));
        }
        if self.step_ns() != config.contract.period_ns() {
            notices.push(format!(
                "its frames are {} ns apart and the ticks of the contract (period_s) {} ns: every tick takes the newest frame",
                self.step_ns(),
                config.contract.period_ns()
            ));
        }
        notices
    }

    /// Time between two frames. Whole nanoseconds: a contract whose `period_s` is 1 / fps then has a frame at every
    /// tick.
    fn step_ns(&self) -> i64 {
        (1e9 / self.info.fps).round() as i64
    }
}

fn parquet_files(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            parquet_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            files.push(path);
        }
    }
    Ok(())
}

impl SampleSource for LeRobot {
    fn has_episodes(&self) -> bool {
        true
    }

    fn samples(
        &self,
        config: &DataConfig,
        bound: &Bound,
        report: &mut EpisodeReport,
        to: &mut dyn FnMut(SourceEvent),
    ) -> Result<(), BagError> {
        let dataset =
            DatasetColumns { kind: "lerobot", columns: &config.columns.lerobot, has: &self.columns, unreadable: &[] };
        let map = ColumnMap::new(config, bound, &dataset, report)?;
        report.notices.extend(self.notices(config));
        let (mut episodes, mut rows, mut off_grid) = (0, 0, 0);
        map.read(self, 0, report, to, &mut |row| {
            rows += 1;
            off_grid += u64::from(row.off_grid);
            episodes += u64::from(row.starts_episode);
        })?;
        for (what, stated, read) in
            [("episodes", self.info.total_episodes, episodes), ("frames", self.info.total_frames, rows)]
        {
            if stated.is_some_and(|stated| stated != read) {
                report.notices.push(format!("{LEROBOT_INFO} states {} {what}, {read} were read", stated.unwrap_or(0)));
            }
        }
        if off_grid > 0 {
            report.notices.push(format!(
                "{off_grid} frames have a timestamp that differs from frame_index / fps: the timestamp is used"
            ));
        }
        Ok(())
    }
}

impl Table for LeRobot {
    fn kind(&self) -> &'static str {
        "LeRobot"
    }

    fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn step_s(&self) -> Option<f64> {
        Some(1.0 / self.info.fps)
    }

    fn rows(
        &self,
        columns: &[Column],
        _step_ns: i64,
        each: &mut dyn FnMut(Result<TableRow, String>),
    ) -> Result<(), BagError> {
        let index = |name: &str| Column { name: name.into(), width: 1, labels: Vec::new() };
        let columns = [&[index(EPISODE), index(FRAME), index(TIMESTAMP)][..], columns].concat();
        // Episode and frame of the row before.
        let mut last: Option<(f64, f64)> = None;
        for file in &self.files {
            read_rows(file, &columns, &mut |number, values| {
                let [[episode], [frame], [timestamp], values @ ..] = values else {
                    let what = format!("expected one {EPISODE}, {FRAME} and {TIMESTAMP}");
                    return each(Err(format!("{}, row {number}: {what}", file.display())));
                };
                let goes_on = last.is_some_and(|(before, at)| before == *episode && at < *frame);
                last = Some((*episode, *frame));
                let tolerance_s = TOLERANCE_S + timestamp.abs() * f64::from(f32::EPSILON);
                let off_grid = (timestamp - frame / self.info.fps).abs() > tolerance_s;
                let on_grid_ns = (*frame as i64).saturating_mul(self.step_ns());
                let stamp_ns = if off_grid { (timestamp * 1e9).round() as i64 } else { on_grid_ns };
                each(Ok(TableRow { starts_episode: !goes_on, stamp_ns, off_grid, values, file, number }));
            })?;
        }
        Ok(())
    }
}
