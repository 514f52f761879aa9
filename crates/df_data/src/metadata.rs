//! Which files a bag has, by rosbag2's `metadata.yaml`. The files themselves show storage and compression.

use serde::Deserialize;

/// Versions 1 to 9 of rosbag2 and the package `rosbags` differ in other keys, so unknown keys are accepted.
#[derive(Deserialize)]
struct Metadata {
    rosbag2_bagfile_information: Option<BagInformation>,
}

#[derive(Deserialize)]
struct BagInformation {
    relative_file_paths: Option<Vec<String>>,
}

/// The names of a bag's files, without their directories; none if the text lacks the list, as an empty file does.
///
/// Old versions of rosbag2 wrote paths from the parent directory. A bag does not reach out of its directory.
///
/// # Errors
/// Text that is not YAML, or a list that holds something else than names; with the key and the line.
pub(crate) fn file_names(text: &str) -> Result<Vec<String>, serde_yaml::Error> {
    let metadata: Option<Metadata> = serde_yaml::from_str(text)?;
    let paths = metadata.and_then(|metadata| metadata.rosbag2_bagfile_information?.relative_file_paths);
    let name = |path: String| path.rsplit('/').next().filter(|name| !name.is_empty()).map(String::from);
    Ok(paths.unwrap_or_default().into_iter().filter_map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        file_names(text).unwrap()
    }

    #[test]
    fn file_names_of_version_4_with_a_qos_profile_in_quotes_are_read() {
        let text = r#"
rosbag2_bagfile_information:
  version: 4
  storage_identifier: sqlite3
  relative_file_paths:
    - bag/a_0.db3
    - ../../a_1.db3
  duration:
    nanoseconds: 5
  starting_time:
    nanoseconds_since_epoch: 1700000000000000000
  message_count: 2
  topics_with_message_count:
    - topic_metadata:
        name: /odom
        type: nav_msgs/msg/Odometry
        serialization_format: cdr
        offered_qos_profiles: "- history: 1\n  depth: 10\n  reliability: 1\n  relative_file_paths:\n    - no_file\n"
      message_count: 2
  compression_format: zstd
  compression_mode: FILE
"#;
        assert_eq!(names(text), ["a_0.db3", "a_1.db3"]);
    }

    #[test]
    fn file_names_of_versions_5_to_8_with_a_list_of_files_and_custom_data_are_read() {
        for version in 5..=8 {
            let text = format!(
                "rosbag2_bagfile_information:\n  version: {version}\n  storage_identifier: mcap\n  \
                 topics_with_message_count:\n    - topic_metadata:\n        name: /odom\n        \
                 offered_qos_profiles: |\n          - history: keep_last\n            depth: 10\n\n          \
                 - history: keep_all\n        type_description_hash: RIHS01_0\n      message_count: 1\n  \
                 relative_file_paths:\n    - a_0.mcap\n    - 'a 1.mcap'\n  files:\n    - path: a_0.mcap\n      \
                 message_count: 1\n  custom_data:\n    robot: '7'\n    relative_file_paths: none\n  ros_distro: jazzy\n"
            );
            assert_eq!(names(&text), ["a_0.mcap", "a 1.mcap"], "version {version}");
        }
    }

    #[test]
    fn file_names_of_version_9_with_a_list_of_qos_profiles_are_read() {
        let text = "
rosbag2_bagfile_information:
  version: 9
  storage_identifier: mcap
  topics_with_message_count:
    - topic_metadata:
        name: /odom
        offered_qos_profiles:
          - history: keep_last
            depth: 10
            lifespan: {sec: 9223372036, nsec: 854775807}
      message_count: 1
  compression_format: ''
  relative_file_paths:
  - \"a_0.mcap\"
  custom_data: ~
";
        assert_eq!(names(text), ["a_0.mcap"]);
        assert_eq!(
            names("rosbag2_bagfile_information: {relative_file_paths: [a.db3.zstd, 'b.mcap']}"),
            ["a.db3.zstd", "b.mcap"]
        );
    }

    #[test]
    fn metadata_without_a_list_of_files_names_none() {
        for text in ["", "rosbag2_bagfile_information:\n", "rosbag2_bagfile_information:\n  version: 5\n", "other: 1\n"]
        {
            assert!(names(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn errors_name_the_key_and_the_line() {
        let error = |text| file_names(text).unwrap_err().to_string();
        let list = error("rosbag2_bagfile_information:\n  relative_file_paths:\n    - [a.mcap]\n");
        assert!(
            list.contains("rosbag2_bagfile_information.relative_file_paths[0]") && list.contains("line 3"),
            "{list}"
        );
        let map = error("rosbag2_bagfile_information:\n  relative_file_paths: {a: b}\n");
        assert!(map.contains("rosbag2_bagfile_information.relative_file_paths") && map.contains("line 2"), "{map}");
        assert!(error("rosbag2_bagfile_information: [").contains("line"));
    }
}
