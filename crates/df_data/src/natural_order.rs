//! The order of numbered files: `a_2` before `a_10`.

/// A key for which `a_2` comes before `a_10`, as rosbag2 numbers its files.
pub(crate) fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = &rest[..rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len())];
        rest = &rest[text.len()..];
        let digits = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
        rest = &rest[digits.len()..];
        parts.push((text.to_string(), digits.parse().unwrap_or(u64::MAX)));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_are_compared_as_numbers() {
        let mut names = ["a_10", "b", "a_2", "a_2_1"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["a_2", "a_2_1", "a_10", "b"]);
    }
}
