//! The few keys of rosbag2's `metadata.yaml` that are needed, in the plain forms that its writers use. Not a YAML parser:
//! that stays in `config`.

/// The names of a recording's files, without their folders. Old versions wrote paths from the parent folder, and a bag does
/// not reach out of its directory anyway.
pub fn file_names(text: &str) -> Vec<String> {
    let name = |path: String| path.rsplit('/').next().filter(|name| !name.is_empty()).map(String::from);
    items(text, "relative_file_paths").into_iter().filter_map(name).collect()
}

/// The list of a key, one item a line or in brackets.
fn items(text: &str, key: &str) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| !line.trim_start().starts_with(&format!("{key}:")));
    let first = lines.next().and_then(|line| line.split_once(':')).map_or("", |(_, rest)| rest.trim());
    match first.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        Some(list) => list.split(',').map(plain).filter(|item| !item.is_empty()).collect(),
        None => lines.map_while(|line| line.trim_start().strip_prefix("- ")).map(plain).collect(),
    }
}

fn plain(scalar: &str) -> String {
    let scalar = scalar.trim();
    let quoted = |quote: char| scalar.strip_prefix(quote).and_then(|s| s.strip_suffix(quote));
    quoted('"').or_else(|| quoted('\'')).unwrap_or(scalar).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_of_both_writers_is_read() {
        let rosbag2 = "rosbag2_bagfile_information:\n  version: 5\n  relative_file_paths:\n    - a_0.mcap\n    - 'a 1.mcap'\n  duration:\n    nanoseconds: 5\n";
        assert_eq!(file_names(rosbag2), ["a_0.mcap", "a 1.mcap"]);
        let unindented = "  relative_file_paths:\n  - \"b_0.mcap\"\n  files:\n  - path: b_0.mcap\n";
        assert_eq!(file_names(unindented), ["b_0.mcap"]);
        assert_eq!(file_names("relative_file_paths: [a.db3.zstd, 'b.mcap']\n"), ["a.db3.zstd", "b.mcap"]);
        assert_eq!(file_names("relative_file_paths:\n  - bag/a.db3\n  - ../../b.db3\n"), ["a.db3", "b.db3"]);
        assert!(file_names("relative_file_pa").is_empty());
    }
}
