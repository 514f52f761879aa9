//! Finds the name that a mistyped name was meant to be.

/// The most similar of `names`, if at most a third of its letters differ from `typed`.
pub(super) fn nearest_name<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = names.map(|name| (edit_distance(typed, name), name)).min();
    nearest.filter(|(distance, name)| *distance <= name.len() / 3).map(|(_, name)| name)
}

/// The Levenshtein distance: the number of letters to replace, insert or remove.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = diagonal + usize::from(b[j] != letter);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edit_distance_counts_replaced_inserted_and_removed_letters() {
        let pairs = [("abc", "abc"), ("abc", "axc"), ("", "ab"), ("abcd", "bcde")];
        assert_eq!(pairs.map(|(a, b)| edit_distance(a, b)), [0, 1, 2, 2]);
    }

    #[test]
    fn only_a_similar_name_is_suggested() {
        let names = || ["horizon", "eta"].into_iter();
        assert_eq!(nearest_name("horison", names()), Some("horizon"));
        assert_eq!(nearest_name("temperature", names()), None);
    }
}
