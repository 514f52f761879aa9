//! D4RL files, written by the crate that reads them.

use std::path::Path;

use hdf5_pure::FileBuilder;

use super::Row;

pub fn write_d4rl(path: &Path, episodes: &[Vec<Row>], chunk: Option<u64>) {
    let all: Vec<&Row> = episodes.iter().flatten().collect();
    let count = all.len() as u64;
    let mut ends = vec![0u8; all.len()];
    episodes.iter().fold(0, |before, episode| {
        ends[before + episode.len() - 1] = 1;
        before + episode.len()
    });
    let mut file = FileBuilder::new();
    let states: Vec<f32> = all.iter().flat_map(|(state, _)| *state).collect();
    let actions: Vec<f32> = all.iter().flat_map(|(_, action)| *action).collect();
    let dataset = file.create_dataset("observations").with_f32_data(&states).with_shape(&[count, 4]);
    if let Some(chunk) = chunk {
        dataset.with_chunks(&[chunk, 4]).with_deflate(4);
    }
    file.create_dataset("actions").with_f32_data(&actions).with_shape(&[count, 2]);
    file.create_dataset("rewards").with_f32_data(&vec![0.0; all.len()]).with_shape(&[count]);
    file.create_dataset("terminals").with_u8_data(&vec![0; all.len()]).with_shape(&[count]);
    file.create_dataset("timeouts").with_u8_data(&ends).with_shape(&[count]);
    file.write(path).unwrap();
}
