//! Finds the line of a dotted key in a YAML text, for error messages. It is not a parser: for a key inside a flow
//! collection (`{a: 1}`, `[1, 2]`) it gives the line of the key that holds the collection.

/// The line, from 1, of `key` (such as `observations.position.fields[1]`) or of its nearest ancestor in the text.
pub(super) fn line_of(text: &str, key: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let (mut line, mut end, mut found) = (0, lines.len(), 1);
    for segment in key.replace('[', ".[").split('.') {
        let next = match segment.strip_prefix('[').and_then(|s| s.strip_suffix(']')) {
            Some(index) => nth_item(&lines[line..end], index.parse().unwrap_or(0)),
            None => child_key(&lines[line..end], segment),
        };
        let Some(offset) = next else { break };
        found = line + offset + 1;
        end = line + offset + block_length(&lines[line + offset..end]);
        line += offset;
        // The children of a `- key: value` item start on the item's own line; of a `key:` line, below it.
        if !segment.starts_with('[') {
            line += 1;
        }
        if line >= end {
            break;
        }
    }
    found
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn is_content(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with('#')
}

/// The lines that belong to the block that starts at the first line.
fn block_length(lines: &[&str]) -> usize {
    let own = indent(lines[0]);
    let is_item = |line: &str| line.trim_start().starts_with("- ");
    let first_is_item = is_item(lines[0]);
    1 + lines[1..]
        .iter()
        .position(|l| is_content(l) && (indent(l) < own || (indent(l) == own && (first_is_item || !is_item(l)))))
        .unwrap_or(lines.len() - 1)
}

fn child_key(lines: &[&str], key: &str) -> Option<usize> {
    let bare = |line: &str| line.trim_start().trim_start_matches("- ").to_string();
    let depth = |line: &str| line.len() - bare(line).len();
    let level = lines.iter().filter(|l| is_content(l)).map(|l| depth(l)).min()?;
    lines.iter().position(|l| is_content(l) && depth(l) == level && bare(l).starts_with(&format!("{key}:")))
}

fn nth_item(lines: &[&str], index: usize) -> Option<usize> {
    let items = || lines.iter().enumerate().filter(|(_, l)| l.trim_start().starts_with("- "));
    let level = items().map(|(_, l)| indent(l)).min()?;
    items().filter(|(_, l)| indent(l) == level).nth(index).map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use super::line_of;

    const TEXT: &str = "# title\nperiod_s: 0.05\nobservations:\n  position:\n    topic: odom\n    fields: [x, y]\n  velocity:\n    topic: twist\n    fields:\n      - a\n      - b\ncosts:\n- {kind: goal}\n- kind: effort\n  weight: 2\n";

    #[test]
    fn keys_are_found_on_their_lines() {
        assert_eq!(line_of(TEXT, "period_s"), 2);
        assert_eq!(line_of(TEXT, "observations.position.topic"), 5);
        assert_eq!(line_of(TEXT, "observations.velocity.topic"), 8);
        assert_eq!(line_of(TEXT, "observations.velocity.fields[1]"), 11);
        assert_eq!(line_of(TEXT, "costs[1].weight"), 15);
    }

    #[test]
    fn keys_inside_flow_collections_are_found_at_their_block_key() {
        assert_eq!(line_of(TEXT, "observations.position.fields[1]"), 6);
        assert_eq!(line_of(TEXT, "costs[0].kind"), 13);
    }
}
