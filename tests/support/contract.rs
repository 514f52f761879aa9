//! Contracts and settings as YAML text, for tests: a base, changed key by key.
//!
//! ```text
//! ContractYaml::point_robot().with("planner.horizon", 6).without("goal").write(folder)
//! ```
//! Reads the subset of YAML that this project uses: block and flow mappings, with lists and scalars as a whole. Depends
//! on the standard library only, so that every crate can include this file.

use std::fmt::Display;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A configuration as text. Changes keep comments and the order of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractYaml {
    text: String,
}

/// The range of a mapping in the text.
enum Mapping {
    /// Lines of one indentation.
    Block(Range<usize>, usize),
    /// The text between braces.
    Flow(Range<usize>),
}

/// One `key: value` of a mapping, as ranges of the text.
struct Entry {
    key: Range<usize>,
    value: Range<usize>,
    /// The lines in a block mapping; key and value in a flow mapping.
    whole: Range<usize>,
    in_block: bool,
}

impl ContractYaml {
    /// Ten ticks per second, one frame per token; no observations and no action yet.
    pub fn new() -> Self {
        Self::from_text("period_s: 0.1\nframe_stack: 1\n")
    }

    pub fn from_text(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self { text }
    }

    /// A point with a force along x, observed as `obs` (x, y), with a goal for `obs`. Its message type `p/msg/X` does
    /// not exist.
    pub fn point_robot() -> Self {
        Self::new().observing("obs", &["x", "y"]).acting(&["x"]).seeking("obs", &["x", "y"])
    }

    /// Adds an observation group whose samples are valid for 1 s.
    pub fn observing(self, group: &str, fields: &[&str]) -> Self {
        let fields = fields.join(", ");
        let value = format!("{{topic: {group}, type: p/msg/X, fields: [{fields}], max_age_s: 1}}");
        self.with(&format!("observations.{group}"), value)
    }

    /// Sets the action: each channel is within -100 and 100, and the safe value is 0.
    pub fn acting(self, fields: &[&str]) -> Self {
        let of_each = |text: &str| vec![text; fields.len()].join(", ");
        let (min, max, safe) = (of_each("-100"), of_each("100"), of_each("0"));
        let fields = fields.join(", ");
        let limits = format!("min: [{min}], max: [{max}], safe: [{safe}]");
        self.with("action", format!("{{topic: u, type: p/msg/X, fields: [{fields}], {limits}, max_age_s: 1}}"))
    }

    /// Sets the goal, for a group that is observed.
    pub fn seeking(self, group: &str, fields: &[&str]) -> Self {
        let fields = fields.join(", ");
        self.with("goal", format!("{{topic: g, type: p/msg/X, fields: [{fields}], group: {group}, tolerance: 0.1}}"))
    }

    /// Sets a key by its dotted path; a key or a section that is not there is added. `value` is YAML in flow style.
    ///
    /// # Panics
    /// If a part of the path but the last is no mapping.
    pub fn with(mut self, path: &str, value: impl Display) -> Self {
        let parts: Vec<&str> = path.split('.').collect();
        let mut mapping = self.root();
        for (i, part) in parts.iter().enumerate() {
            let Some(entry) = self.entry(&mapping, part) else {
                let sections = &parts[i + 1..];
                let opened: String = sections.iter().map(|section| format!("{{{section}: ")).collect();
                let value = format!("{opened}{value}{}", "}".repeat(sections.len()));
                self.insert(&mapping, part, &value);
                return self;
            };
            if i + 1 == parts.len() {
                self.text.replace_range(entry.key.end + 1..entry.value.end, &format!(" {value}"));
                return self;
            }
            mapping =
                self.mapping(&entry).unwrap_or_else(|| panic!("{path}: `{part}` is no mapping in\n{}", self.text));
        }
        unreachable!("a path has at least one part")
    }

    /// Several changes, each as in [`ContractYaml::with`].
    ///
    /// # Panics
    /// As [`ContractYaml::with`].
    pub fn with_all(self, changes: &[(&str, &str)]) -> Self {
        changes.iter().fold(self, |yaml, (path, value)| yaml.with(path, value))
    }

    /// Inserts an item at the head of a list.
    ///
    /// # Panics
    /// If there is no such list, or an empty one.
    pub fn with_first(mut self, path: &str, item: &str) -> Self {
        let value = self.find(path).value;
        let list = &self.text[value.clone()];
        if list.starts_with('[') {
            self.text.insert_str(value.start + 1, &format!("{item}, "));
        } else {
            assert!(list.starts_with("- "), "{path} is no list in\n{}", self.text);
            let indent = self.text[..value.start].rfind('\n').map_or(0, |end| value.start - end - 1);
            self.text.insert_str(value.start, &format!("- {item}\n{}", " ".repeat(indent)));
        }
        self
    }

    /// Removes a key and its value.
    ///
    /// # Panics
    /// If the key does not exist.
    pub fn without(mut self, path: &str) -> Self {
        let entry = self.find(path);
        let mut range = entry.whole;
        if !entry.in_block {
            // Removes one comma: the one after the entry, or before it for the last entry.
            let after = &self.text[range.end..];
            if let Some(rest) = after.trim_start().strip_prefix(',') {
                range.end += after.len() - rest.trim_start().len();
            } else {
                let before = self.text[..range.start].trim_end();
                range.start = before.strip_suffix(',').unwrap_or(before).len();
            }
        }
        self.text.replace_range(range, "");
        self
    }

    /// Renames a key.
    ///
    /// # Panics
    /// If the key does not exist.
    pub fn renamed(mut self, path: &str, key: &str) -> Self {
        let range = self.find(path).key;
        self.text.replace_range(range, key);
        self
    }

    /// Appends lines unchanged.
    pub fn and(mut self, lines: &str) -> Self {
        self.text.push_str(lines);
        Self::from_text(self.text)
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line number of a key, counted from 1.
    ///
    /// # Panics
    /// If the key does not exist.
    pub fn line_of(&self, path: &str) -> usize {
        1 + self.text[..self.find(path).key.start].matches('\n').count()
    }

    /// Writes `config.yaml` into a folder. Returns its path.
    pub fn write(&self, folder: &Path) -> PathBuf {
        self.write_as(folder, "config.yaml")
    }

    /// Writes a file into a folder. Returns its path.
    pub fn write_as(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, &self.text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    fn root(&self) -> Mapping {
        let whole = self.text.trim();
        if whole.starts_with('{') {
            let start = self.text.len() - self.text.trim_start().len();
            return Mapping::Flow(start + 1..start + whole.len() - 1);
        }
        Mapping::Block(0..self.text.len(), 0)
    }

    fn find(&self, path: &str) -> Entry {
        let missing = |part: &str| -> ! { panic!("{path}: there is no `{part}` in\n{}", self.text) };
        let mut parts = path.split('.').peekable();
        let mut mapping = self.root();
        while let Some(part) = parts.next() {
            let entry = self.entry(&mapping, part).unwrap_or_else(|| missing(part));
            if parts.peek().is_none() {
                return entry;
            }
            mapping = self.mapping(&entry).unwrap_or_else(|| missing(part));
        }
        unreachable!("a path has at least one part")
    }

    fn entry(&self, mapping: &Mapping, key: &str) -> Option<Entry> {
        let entries = match mapping {
            Mapping::Block(range, _) => self.block(range.clone()),
            Mapping::Flow(range) => self.flow(range.clone()),
        };
        entries.into_iter().find(|entry| &self.text[entry.key.clone()] == key)
    }

    /// The mapping that is an entry's value.
    fn mapping(&self, entry: &Entry) -> Option<Mapping> {
        let value = &self.text[entry.value.clone()];
        if value.starts_with('{') {
            return Some(Mapping::Flow(entry.value.start + 1..entry.value.end - 1));
        }
        let line_start = self.text[..entry.value.start].rfind('\n').map_or(0, |end| end + 1);
        let on_a_line_of_its_own = entry.in_block && line_start > entry.key.start && !value.starts_with(['-', '[']);
        let indent = entry.value.start - line_start;
        on_a_line_of_its_own.then_some(Mapping::Block(line_start..entry.whole.end, indent))
    }

    fn insert(&mut self, mapping: &Mapping, key: &str, value: &str) {
        match mapping {
            Mapping::Block(range, indent) => {
                self.text.insert_str(range.end, &format!("{}{key}: {value}\n", " ".repeat(*indent)));
            }
            Mapping::Flow(range) => {
                let comma = if self.text[range.clone()].trim().is_empty() { "" } else { ", " };
                self.text.insert_str(range.end, &format!("{comma}{key}: {value}"));
            }
        }
    }

    /// The entries of a block mapping, whose lines begin and end with those of the range.
    fn block(&self, range: Range<usize>) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let (line_end, indent) = self.line(at);
            let Some(indent) = indent else {
                at = line_end;
                continue;
            };
            let start = at + indent;
            let line = &self.text[start..line_end];
            let colon = line.find(": ").or_else(|| line.trim_end().strip_suffix(':').map(str::len));
            let key = start..start + colon.unwrap_or_else(|| panic!("no `key: value` in `{}`", line.trim_end()));
            let first = self.skip_blanks(key.end + 1);
            let (value, end) = if matches!(self.text.as_bytes().get(first), None | Some(b'\n' | b'#')) {
                self.nested(line_end..range.end, indent, key.end + 1)
            } else {
                let value = first..self.end_of_value(first, false);
                let end = self.line(value.end).0;
                (value, end)
            };
            entries.push(Entry { key, value, whole: at..end, in_block: true });
            at = end;
        }
        entries
    }

    /// The value on the lines below a key, and the end of the last of them. Without any the value is empty and lies at
    /// `empty`.
    fn nested(&self, lines: Range<usize>, indent: usize, empty: usize) -> (Range<usize>, usize) {
        let (mut at, mut value) = (lines.start, None);
        let mut end = lines.start;
        while at < lines.end {
            let (line_end, own) = self.line(at);
            if let Some(own) = own {
                let is_item = own == indent && self.text[at + own..].starts_with("- ");
                if own <= indent && !is_item {
                    break;
                }
                value.get_or_insert(at + own);
                end = line_end;
            }
            at = line_end;
        }
        match value {
            // A flow mapping ends before a comment.
            Some(start) if self.text[start..].starts_with('{') => (start..self.end_of_value(start, false), end),
            Some(start) => (start..start + self.text[start..end].trim_end().len(), end),
            None => (empty..empty, end),
        }
    }

    /// The entries of a flow mapping.
    fn flow(&self, range: Range<usize>) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let inside = &self.text[at..range.end];
            let start = at + inside.len() - inside.trim_start().len();
            let Some(colon) = self.text[start..range.end].find(':') else { break };
            let key = start..start + colon;
            let rest = &self.text[key.end + 1..range.end];
            let first = key.end + 1 + rest.len() - rest.trim_start().len();
            let value = first..self.end_of_value(first, true).min(range.end);
            let value = value.start..value.start + self.text[value].trim_end().len();
            let comma = self.text[value.end..range.end].find(',');
            at = comma.map_or(range.end, |comma| value.end + comma + 1);
            entries.push(Entry { whole: key.start..value.end, key, value, in_block: false });
        }
        entries
    }

    /// The end of a line, its line break included, and how far it is indented; none for blank lines and comments.
    fn line(&self, at: usize) -> (usize, Option<usize>) {
        let end = self.text[at..].find('\n').map_or(self.text.len(), |end| at + end + 1);
        let line = &self.text[at..end];
        let content = line.trim_start();
        (end, (!content.is_empty() && !content.starts_with('#')).then(|| line.len() - content.len()))
    }

    fn skip_blanks(&self, at: usize) -> usize {
        at + self.text[at..].find(|c| c != ' ').unwrap_or(self.text.len() - at)
    }

    /// Where a flow collection, a quoted or a plain scalar ends. A plain one `in_flow` ends at a comma or a bracket,
    /// too.
    fn end_of_value(&self, start: usize, in_flow: bool) -> usize {
        let (mut depth, mut quote, mut before) = (0, None, ' ');
        let mut comment = false;
        for (i, c) in self.text[start..].char_indices() {
            let at = start + i;
            match (quote, c) {
                _ if comment => comment = c != '\n',
                (Some(open), _) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '#') if before.is_whitespace() && depth > 0 => comment = true,
                (None, '#') if before.is_whitespace() => return start + self.text[start..at].trim_end().len(),
                (None, '"' | '\'') => quote = Some(c),
                (None, '{' | '[') => depth += 1,
                (None, '}' | ']' | ',') if depth == 0 && in_flow => return at,
                (None, '}' | ']') => {
                    depth -= 1;
                    if depth == 0 {
                        return at + 1;
                    }
                }
                (None, '\n') if depth == 0 && !in_flow => return start + self.text[start..at].trim_end().len(),
                _ => {}
            }
            before = c;
        }
        self.text.len()
    }
}

impl Default for ContractYaml {
    fn default() -> Self {
        Self::new()
    }
}

impl Display for ContractYaml {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}
