//! The rooms of the house and who may import whom (README, "The house"): reads the sources and fails on any other arrow.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, and the rooms that it may import.
const ALLOWED: [(&str, &[&str]); 15] = [
    ("config", &[]),
    ("message", &["config"]),
    ("signal", &["config"]),
    ("frames", &[]),
    ("charts", &[]),
    ("diffusion", &["config"]),
    ("model", &["config", "diffusion", "signal"]),
    ("guidance", &["config", "diffusion", "signal"]),
    ("planning", &["config", "diffusion", "guidance", "model", "signal"]),
    ("data", &["config", "message", "signal"]),
    ("inspect", &["charts", "config", "data", "message", "signal"]),
    ("training", &["charts", "config", "data", "diffusion", "model", "signal"]),
    ("replay", &["config", "data", "planning", "signal"]),
    // The recorder writes what the world shows as messages of a bag.
    ("sim", &["charts", "config", "data", "message"]),
    // world.rs puts the embedded world on topics.
    ("ros", &["config", "diffusion", "frames", "guidance", "message", "model", "planning", "signal", "sim"]),
];

/// Crates that only one room may name.
const CONFINED: [(&str, &str); 3] = [("serde_yaml", "config"), ("r2r", "ros"), ("tokio", "ros")];

const LONGEST_FILE: usize = 500;

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

/// Code without its comments; strings do not matter here.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The rooms that a text names after `crate::`, in groups of any depth too.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let name =
        |path: &str| path.trim_start().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.insert(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut start = 0;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                ',' if depth == 0 => {
                    found.insert(name(&group[start..i]));
                    start = i + 1;
                }
                '}' if depth == 0 => {
                    found.insert(name(&group[start..i]));
                    break;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    found.remove("");
    found
}

fn names_crate(text: &str, name: &str) -> bool {
    let code = code(text);
    code.contains(&format!("{name}::")) || code.contains(&format!("use {name};"))
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn room_of(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(source_folder()).unwrap();
    (inside.components().count() > 1).then(|| inside.iter().next().unwrap().to_string_lossy().into_owned())
}

#[test]
fn rooms_import_only_whom_they_may() {
    let rooms: BTreeSet<&str> = ALLOWED.iter().map(|(room, _)| *room).collect();
    let mut broken = Vec::new();
    let mut arrows = 0;
    for path in sources(&source_folder()) {
        let Some(room) = room_of(&path).filter(|room| room != "bin") else { continue };
        let text = fs::read_to_string(&path).unwrap();
        let (_, allowed) =
            ALLOWED.iter().find(|(name, _)| *name == room).unwrap_or_else(|| panic!("no rule for {room}"));
        for import in imports(&text).iter().filter(|import| rooms.contains(import.as_str()) && **import != room) {
            arrows += 1;
            if !allowed.contains(&import.as_str()) {
                broken.push(format!("{}: {room} must not import {import}", path.display()));
            }
        }
        for (name, home) in CONFINED {
            if room != home && names_crate(&text, name) {
                broken.push(format!("{}: only {home} may name {name}", path.display()));
            }
        }
    }
    assert!(arrows > 30, "only {arrows} arrows were seen: the scanner is broken");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_is_short() {
    for path in sources(&source_folder()) {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with //!", path.display());
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines, more than {LONGEST_FILE}", path.display());
    }
}

#[test]
fn the_scanner_sees_arrows() {
    let text = "use crate::planning::Plan; // use crate::ros::Node\nuse crate::{data::{Bag, open}, model};\nlet x = crate::sim::World;";
    assert_eq!(imports(text).into_iter().collect::<Vec<_>>(), ["data", "model", "planning", "sim"]);
    assert!(names_crate("use r2r::Node;", "r2r") && !names_crate("// r2r::Node", "r2r"));
}
