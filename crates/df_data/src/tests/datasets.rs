//! LeRobot and HDF5 datasets: the same content gives the same frames as a bag, exactly. The files are written here by
//! the crates that read them; tests/foreign_datasets.rs has them written by pyarrow and h5py.

use super::*;

/// The same rows as messages, 50 ms apart. Every episode starts at the same time: time jumps back between them.
#[cfg(feature = "formats")]
fn as_messages(episodes: &[Vec<Row>]) -> Vec<Written> {
    let odom_fields = ["pose.pose.position.x", "pose.pose.position.y", "twist.twist.linear.x", "twist.twist.linear.y"];
    let odom = encoder("nav_msgs/msg/Odometry", &odom_fields);
    let force = encoder("geometry_msgs/msg/WrenchStamped", &["wrench.force.x", "wrench.force.y"]);
    let (mut messages, mut log_ns) = (Vec::new(), START);
    for episode in episodes {
        for (k, (state, action)) in episode.iter().enumerate() {
            let stamp = START + 50 * MS * k as i64;
            log_ns += 50 * MS;
            messages.push((ODOM, log_ns, odom.encode(stamp, "map", &state.map(f64::from)).unwrap()));
            messages.push((FORCE, log_ns, force.encode(stamp, "map", &action.map(f64::from)).unwrap()));
        }
    }
    messages
}

#[cfg(feature = "formats")]
fn frames(episodes: &[Episode]) -> Vec<&[df_core::Frame]> {
    episodes.iter().map(|episode| episode.frames.as_slice()).collect()
}

fn read_source(contract: &Contract, path: &Path) -> Result<(Vec<Episode>, EpisodeReport), BagError> {
    read_episodes(&*open_source(path)?, &contract.config, &contract.bound, &contract.layout)
}

#[cfg(feature = "formats")]
mod lerobot {
    use recordings::lerobot::*;

    use super::*;
    use df_core::ConfigError;

    #[test]
    fn a_dataset_and_a_bag_of_the_same_content_give_the_same_frames() {
        let contract = Contract::new(&[COLUMNS]);
        let episodes = [rows(30, 0.0), rows(2000, 0.5), rows(7, -3.0)];
        let (_folder, bag) = bag_of(&as_messages(&episodes));
        let (from_bag, report) = contract.episodes(&*bag).unwrap();
        assert_eq!((from_bag.len(), report.splits_at_jumps), (3, 2));
        // Position, velocity and command stay fresh for 100 ms after the last of 30, 2000 and 7 rows.
        assert_eq!(from_bag.iter().map(|e| e.frames.len()).collect::<Vec<_>>(), [32, 2002, 9]);
        for version in ["v2.1", "v3.0"] {
            let folder = tempfile::tempdir().unwrap();
            write_dataset(folder.path(), version, &episodes);
            let (from_dataset, report) = read_source(&contract, folder.path()).unwrap();
            assert_eq!(frames(&from_dataset), frames(&from_bag), "{version}");
            assert_eq!((report.messages, report.refused), (2037, 0));
            assert_eq!(report.notices, ["videos and images are left out: `observation.images.top`"]);
        }
    }

    #[test]
    fn datasets_that_do_not_fit_are_refused_or_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write_dataset(path, "v2.1", &[rows(30, 0.0), rows(40, 1.0)]);
        let contract = Contract::new(&[COLUMNS]);
        let refusal = |changes: &[(&str, &str)]| match read_source(&Contract::new(changes), path) {
            Err(BagError::Config(error)) if matches!(*error, ConfigError::Rule { .. }) => error.to_string(),
            other => panic!("{other:?}"),
        };
        let none = refusal(&[]);
        assert!(
            none.contains("columns.lerobot: no `action`: must say which columns")
                && none.contains("`action` (2: fx, fy)"),
            "{none}"
        );
        let count = refusal(&[COLUMNS, ("['observation.state[2:4]']", "['observation.state[2]']")]);
        assert!(count.contains("columns.lerobot.velocity") && count.contains("must give 2 values"), "{count}");
        let lost = refusal(&[COLUMNS, ("'observation.state[0]'", "'observation.states[0]'")]);
        assert!(lost.contains("columns.lerobot.position[0]: observation.states[0]: must be a column"), "{lost}");

        // Another rate; a row that is not as wide as it should be; fewer episodes than stated; times beside the grid.
        let mut slow = Contract::new(&[COLUMNS]);
        slow.config.contract.period_s = 0.1;
        let (_, report) = read_source(&slow, path).unwrap();
        assert!(report.notices[1].contains("50000000 ns apart and the ticks of the contract (period_s) 100000000 ns"));
        std::fs::write(path.join("meta/info.json"), info("v2.1", 3, 70)).unwrap();
        write_parquet(&path.join("data/chunk-000/episode_000001.parquet"), &[(1, rows(40, 1.0))], 0.02);
        let (episodes, report) = read_source(&contract, path).unwrap();
        assert!(report.notices.iter().any(|n| n.contains("states 3 episodes, 2 were read")), "{:?}", report.notices);
        assert!(
            report.notices.iter().any(|n| n.contains("40 frames have a timestamp that differs from frame_index")),
            "{:?}",
            report.notices
        );
        assert_eq!(episodes[1].start_ns, 20 * MS);
        std::fs::write(path.join("meta/info.json"), info("v2.1", 2, 70).replace("\"shape\": [2]", "\"shape\": [3]"))
            .unwrap();
        let three = Contract::new(&[COLUMNS, ("action: [action]}\n  hdf5", "action: ['action[0:2]']}\n  hdf5")]);
        let (_, report) = read_source(&three, path).unwrap();
        assert_eq!(report.refused, 70);
        assert!(report.reasons[0].contains("row 0: `action`: expected 3 values, got 2"), "{:?}", report.reasons);

        std::fs::write(path.join("meta/info.json"), info("v1.6", 2, 70)).unwrap();
        assert!(read_source(&contract, path).unwrap_err().to_string().contains("got `v1.6`"));
        std::fs::write(path.join("meta/info.json"), info("v3.0", 2, 70)).unwrap();
        std::fs::remove_dir_all(path.join("data/chunk-000")).unwrap();
        assert!(read_source(&contract, path).unwrap_err().to_string().contains("holds no .parquet file"));
    }

    /// Found by the fuzz target `lerobot_parquet`: a column that starts before the file does, a page of a dictionary
    /// that never comes, one with a byte too few, on each of which the crate panics; a header that says there is more
    /// than the file holds, on which the crate did not end within the 20 s of the fuzz target.
    #[test]
    fn damage_that_makes_the_parquet_crate_panic_is_refused() {
        let found: [(&[u8], &str); 4] = [
            (include_bytes!("../../../../fuzz/found/lerobot_parquet_negative_start"), "in a file of 2847 bytes"),
            (include_bytes!("../../../../fuzz/found/lerobot_parquet_no_dictionary"), "damage on which the crate"),
            (include_bytes!("../../../../fuzz/found/lerobot_parquet_stream_split"), "damage on which the crate"),
            (include_bytes!("../../../../fuzz/found/lerobot_parquet_endless_header"), "the file ends within a page"),
        ];
        for (damaged, reason) in found {
            let folder = tempfile::tempdir().unwrap();
            write_dataset(folder.path(), "v3.0", &[rows(8, 0.0), rows(8, 1.0), rows(8, 2.0)]);
            std::fs::write(folder.path().join("data/chunk-000/file-000.parquet"), damaged).unwrap();
            let error = read_source(&Contract::new(&[COLUMNS]), folder.path()).unwrap_err().to_string();
            assert!(error.contains("file-000.parquet, row ") && error.contains(reason), "{error}");
        }
    }
}

#[cfg(not(feature = "formats"))]
#[test]
fn a_dataset_that_this_build_cannot_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("meta")).unwrap();
    std::fs::write(folder.path().join("meta/info.json"), "{}").unwrap();
    let error = read_source(&Contract::new(&[]), folder.path()).unwrap_err().to_string();
    assert!(error.contains("is a LeRobot dataset") && error.contains("--features formats"), "{error}");
}

#[cfg(feature = "formats")]
mod hdf5 {
    use hdf5_pure::FileBuilder;
    use recordings::hdf5::*;

    use super::*;

    #[test]
    fn a_d4rl_file_and_a_bag_of_the_same_content_give_the_same_frames() {
        let contract = Contract::new(&[COLUMNS]);
        let episodes = [rows(30, 0.0), rows(5000, 0.5), rows(7, -3.0)];
        let (_folder, bag) = bag_of(&as_messages(&episodes));
        let (from_bag, _) = contract.episodes(&*bag).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for chunk in [None, Some(100)] {
            let path = folder.path().join("maze2d.hdf5");
            write_d4rl(&path, &episodes, chunk);
            let (from_file, report) = read_source(&contract, &path).unwrap();
            assert_eq!(frames(&from_file), frames(&from_bag));
            assert_eq!((report.messages, report.refused), (5037, 0));
            assert!(report.notices[0].contains("one tick of the contract apart (0.05 s)"));
        }
    }

    #[test]
    fn a_minari_directory_is_read_episode_by_episode() {
        let contract = Contract::new(&[
            COLUMNS,
            ("['observations[0:2]']", "['observations/achieved_goal']"),
            ("['observations[2:4]']", "['observations/observation[2:4]']"),
        ]);
        let episodes: Vec<Vec<Row>> = (0..11).map(|i| rows(20 + i, i as f32)).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        let mut file = FileBuilder::new();
        for (i, rows) in episodes.iter().enumerate() {
            let mut episode = file.create_group(&format!("episode_{i}"));
            let (count, actions) = (rows.len() as u64, rows.len() as u64 - 1);
            // One observation more than actions.
            let flat: Vec<f32> = rows[1..].iter().flat_map(|(_, action)| *action).collect();
            episode.create_dataset("actions").with_f32_data(&flat).with_shape(&[actions, 2]);
            let mut observations = episode.create_group("observations");
            let flat: Vec<f64> = rows.iter().flat_map(|(state, _)| state.map(f64::from)).collect();
            observations.create_dataset("observation").with_f64_data(&flat).with_shape(&[count, 4]);
            let flat: Vec<f64> = rows.iter().flat_map(|(s, _)| [f64::from(s[0]), f64::from(s[1])]).collect();
            observations.create_dataset("achieved_goal").with_f64_data(&flat).with_shape(&[count, 2]);
            episode.add_group(observations.finish());
            file.add_group(episode.finish());
        }
        file.write(folder.path().join("data/main_data.hdf5")).unwrap();
        let (got, report) = read_source(&contract, folder.path()).unwrap();
        assert_eq!((got.len(), report.splits_at_jumps, report.refused), (11, 10, 0));
        for (i, (episode, rows)) in got.iter().zip(&episodes).enumerate() {
            assert_eq!(episode.frames.len(), 20 + i + 2);
            for (k, (frame, (state, _))) in episode.frames.iter().zip(rows).enumerate() {
                assert_eq!(frame.values[2..], *state);
                // The action that led to observation k is that of row k - 1.
                assert_eq!(frame.present[0], k > 0);
                assert!(k == 0 || frame.values[..2] == rows[k].1, "episode {i}, frame {k}");
            }
        }
    }

    /// Found by the fuzz target `hdf5`: a chunk that is said to have 1.8 GB, in a file of 18 kB.
    #[test]
    fn a_chunk_beyond_the_file_is_refused_before_memory_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        std::fs::write(&path, include_bytes!("../../../../fuzz/found/hdf5_chunk_size")).unwrap();
        let error = read_source(&Contract::new(&[COLUMNS]), &path).unwrap_err().to_string();
        assert!(error.contains("observations[0:2]: cannot be read: ") && error.contains("a chunk of"), "{error}");
    }

    #[test]
    fn an_hdf5_file_without_a_table_is_refused() {
        let contract = Contract::new(&[COLUMNS]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let refusal = |contract: &Contract| read_source(contract, &path).unwrap_err().to_string();
        std::fs::write(&path, "this is no HDF5").unwrap();
        assert!(refusal(&contract).contains("a.h5: is not a recording"));
        let mut file = FileBuilder::new();
        file.create_dataset("observations").with_f32_data(&[0.0; 8]).with_shape(&[2, 4]);
        file.write(&path).unwrap();
        let lost = refusal(&contract);
        assert!(
            lost.contains(
                "columns.hdf5.action[0]: actions: must be a column of the dataset, which has `observations` (4)"
            ),
            "{lost}"
        );
    }
}

#[cfg(not(feature = "formats"))]
#[test]
fn a_file_that_this_build_cannot_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.hdf5");
    std::fs::write(&path, "").unwrap();
    let error = read_source(&Contract::new(&[]), &path).unwrap_err().to_string();
    assert!(error.contains("is an HDF5 dataset") && error.contains("--features formats"), "{error}");
}
