//! LeRobot datasets, written by the crate that reads them.

use std::path::Path;

use parquet::column::writer::ColumnWriter;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::Row;

const SCHEMA: &str = "message schema {
    optional group observation.state (LIST) { repeated group list { optional float element; } }
    optional group action (LIST) { repeated group list { optional float element; } }
    optional float timestamp; optional int64 frame_index; optional int64 episode_index; }";

/// Writes rows of episodes into one file, as pyarrow lays lists of float32 out.
pub fn write_parquet(path: &Path, episodes: &[(usize, Vec<Row>)], shift_s: f32) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let schema = parse_message_type(SCHEMA).unwrap().into();
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut writer =
        SerializedFileWriter::new(std::fs::File::create(path).unwrap(), schema, properties.into()).unwrap();
    let all: Vec<(usize, usize, Row)> = episodes
        .iter()
        .flat_map(|(episode, rows)| rows.iter().enumerate().map(|(k, row)| (*episode, k, *row)))
        .collect();
    // Two groups of rows, so that episodes run across their border.
    for all in all.chunks(all.len().div_ceil(2)) {
        let mut group = writer.next_row_group().unwrap();
        let mut number = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            let scalar = vec![1i16; all.len()];
            let list = |width: usize| {
                let repeats: Vec<i16> = (0..all.len() * width).map(|i| i16::from(i % width > 0)).collect();
                (vec![3i16; all.len() * width], repeats)
            };
            match (number, column.untyped()) {
                (0, ColumnWriter::FloatColumnWriter(writer)) => {
                    let ((definitions, repeats), values): (_, Vec<f32>) =
                        (list(4), all.iter().flat_map(|(_, _, (state, _))| *state).collect());
                    writer.write_batch(&values, Some(&definitions), Some(&repeats)).unwrap()
                }
                (1, ColumnWriter::FloatColumnWriter(writer)) => {
                    let ((definitions, repeats), values): (_, Vec<f32>) =
                        (list(2), all.iter().flat_map(|(_, _, (_, action))| *action).collect());
                    writer.write_batch(&values, Some(&definitions), Some(&repeats)).unwrap()
                }
                (2, ColumnWriter::FloatColumnWriter(writer)) => {
                    let values: Vec<f32> = all.iter().map(|(_, k, _)| *k as f32 / 20.0 + shift_s).collect();
                    writer.write_batch(&values, Some(&scalar), None).unwrap()
                }
                (number, ColumnWriter::Int64ColumnWriter(writer)) => {
                    let value = |(episode, k, _): &(usize, usize, Row)| if number == 3 { *k } else { *episode } as i64;
                    writer.write_batch(&all.iter().map(value).collect::<Vec<_>>(), Some(&scalar), None).unwrap()
                }
                _ => panic!("column {number}"),
            };
            column.close().unwrap();
            number += 1;
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

pub fn info(version: &str, episodes: usize, frames: usize) -> String {
    format!(
        r#"{{"codebase_version": "{version}", "fps": 20, "total_episodes": {episodes}, "total_frames": {frames}, "features": {{
        "observation.state": {{"dtype": "float32", "shape": [4], "names": {{"motors": ["x", "y", "vx", "vy"]}}}},
        "action": {{"dtype": "float32", "shape": [2], "names": ["fx", "fy"]}},
        "observation.images.top": {{"dtype": "video", "shape": [480, 640, 3], "names": ["height", "width", "channel"]}},
        "timestamp": {{"dtype": "float32", "shape": [1], "names": null}}}}}}"#
    )
}

pub fn write_dataset(folder: &Path, version: &str, episodes: &[Vec<Row>]) {
    std::fs::create_dir_all(folder.join("meta")).unwrap();
    let frames = episodes.iter().map(Vec::len).sum();
    std::fs::write(folder.join("meta/info.json"), info(version, episodes.len(), frames)).unwrap();
    let all: Vec<(usize, Vec<Row>)> = episodes.iter().cloned().enumerate().collect();
    if version == "v3.0" {
        write_parquet(&folder.join("data/chunk-000/file-000.parquet"), &all[..2], 0.0);
        write_parquet(&folder.join("data/chunk-000/file-001.parquet"), &all[2..], 0.0);
    } else {
        for (i, rows) in all.iter().enumerate() {
            let path = folder.join(format!("data/chunk-000/episode_{i:06}.parquet"));
            write_parquet(&path, std::slice::from_ref(rows), 0.0);
        }
    }
}
