//! Rules of the sources that Cargo does not check. Each file opens with its documentation and has at most 500 lines. Only
//! `src/ros` and `src/sim/ros_world.rs` use r2r and tokio. Cargo itself checks the dependencies between the crates.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a source file.
const MAX_LINES: usize = 500;

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_source_file_opens_with_its_documentation_and_has_at_most_500_lines() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = sources(&root.join("src"));
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        files.extend(sources(&entry.unwrap().path().join("src")));
    }
    assert!(files.len() > 250, "only {} files were found", files.len());
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines, more than {MAX_LINES}", path.display());
    }
}

/// The lines of code of a text that use a crate, without comments.
fn uses(text: &str, name: &str) -> bool {
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_string();
    text.lines().map(code).any(|line| line.contains(&format!("{name}::")) || line.contains(&format!("use {name};")))
}

#[test]
fn only_the_modules_that_talk_to_ros_use_r2r_and_tokio() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (ros, world) = (source.join("ros"), source.join("sim/ros_world.rs"));
    let mut users = 0;
    for path in sources(&source) {
        let text = fs::read_to_string(&path).unwrap();
        for name in ["r2r", "tokio"].into_iter().filter(|name| uses(&text, name)) {
            users += 1;
            assert!(path.starts_with(&ros) || path == world, "{} uses {name}", path.display());
        }
    }
    assert!(users > 5, "only {users} uses were found");
    assert!(uses("use r2r::Node;", "r2r") && !uses("// r2r::Node", "r2r"));
}
