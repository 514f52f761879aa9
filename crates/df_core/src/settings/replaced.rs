//! Replaces one value in a struct of settings, by its dotted key.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::range::Range;
use super::setting::{Setting, tree, wrong_type};
use super::validation::ValidationError;

/// `settings` with the value of `key` replaced.
///
/// # Errors
/// The key does not exist, or the value has another type, is out of `range` or is refused by serde.
pub fn replaced<T: Serialize + DeserializeOwned>(
    settings: &T,
    key: &str,
    value: &Setting,
    range: Range,
) -> Result<T, ValidationError> {
    let refuse = |rule: String| ValidationError { key: key.into(), value: value.to_string(), rule };
    let mut tree = tree(settings);
    let leaf = key.split('.').try_fold(&mut tree, |node, name| node.get_mut(name));
    let leaf = leaf.ok_or_else(|| refuse("there is no such setting".into()))?;
    let before = Setting::of(leaf).ok_or_else(|| refuse("is a section, not a setting".into()))?;
    if before.type_name() != value.type_name() {
        return Err(refuse(wrong_type(&before, value.type_name())));
    }
    range.check(key, value)?;
    *leaf = value.to_value(range.columns());
    serde_yaml::from_value(tree).map_err(|error| refuse(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::settings::flatten;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Outer {
        on: bool,
        inner: Inner,
        name: String,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Inner {
        count: usize,
        factor: f64,
        rows: Vec<(f64, f64)>,
    }

    fn outer() -> Outer {
        Outer { on: true, inner: Inner { count: 3, factor: 2.0, rows: vec![(0.0, 1.0), (1.0, 0.5)] }, name: "x".into() }
    }

    #[test]
    fn settings_are_flattened_and_replaced_without_loss() {
        let flat = flatten(&outer());
        let expected = [
            ("on", Setting::Bool(true)),
            ("inner.count", Setting::Integer(3)),
            ("inner.factor", Setting::Number(2.0)),
            ("inner.rows", Setting::Numbers(vec![0.0, 1.0, 1.0, 0.5])),
            ("name", Setting::Text("x".into())),
        ];
        assert_eq!(flat, expected.map(|(key, value)| (key.to_string(), value)));
        // Replacing each value by itself changes nothing.
        for (key, value) in &flat {
            let range = if key == "inner.rows" { Range::Pairs } else { Range::Any };
            assert_eq!(replaced(&outer(), key, value, range).unwrap(), outer(), "{key}");
        }
        let changed = replaced(&outer(), "inner.rows", &Setting::Numbers(vec![0.5, 3.0]), Range::Pairs).unwrap();
        assert_eq!(changed.inner.rows, [(0.5, 3.0)]);
    }

    #[test]
    fn an_unknown_key_or_a_value_of_another_type_is_refused() {
        let refusal = |key: &str, value: Setting| replaced(&outer(), key, &value, Range::Any).unwrap_err().to_string();
        assert_eq!(
            refusal("inner.factor", Setting::Integer(2)),
            "inner.factor: 2: must be of type double (such as 1.0), got integer"
        );
        assert_eq!(refusal("inner.count", Setting::Number(2.0)), "inner.count: 2: must be of type integer, got double");
        assert_eq!(refusal("inner.cuont", Setting::Integer(2)), "inner.cuont: 2: there is no such setting");
        assert_eq!(refusal("inner", Setting::Integer(2)), "inner: 2: is a section, not a setting");
        assert!(refusal("inner.count", Setting::Integer(-1)).starts_with("inner.count: -1: "));
        assert!(refusal("inner.rows", Setting::Numbers(vec![1.0])).starts_with("inner.rows: [1.0]: "));
    }
}
