//! Settings as a list of dotted keys with one value each, and back: how a struct that serde knows becomes parameters.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_yaml::Value;

use super::range::Range;
use super::validation::ValidationError;

/// The value of one setting. Each keeps its type for good.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
    /// A list of numbers, also of pairs of numbers one after the other.
    Numbers(Vec<f64>),
}

impl Setting {
    /// The type as ROS 2 calls it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Integer(_) => "integer",
            Self::Number(_) => "double",
            Self::Text(_) => "string",
            Self::Numbers(_) => "double_array",
        }
    }

    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::Number(number) => {
                Some(number.as_i64().map_or_else(|| Self::Number(number.as_f64().unwrap_or(f64::NAN)), Self::Integer))
            }
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Sequence(values) => {
                let mut numbers = Vec::new();
                values.iter().for_each(|value| collect(value, &mut numbers));
                Some(Self::Numbers(numbers))
            }
            Value::Null | Value::Mapping(_) | Value::Tagged(_) => None,
        }
    }

    /// The value as YAML; a list of numbers in rows of `columns`, if that is not 1.
    fn to_value(&self, columns: usize) -> Value {
        match self {
            Self::Bool(value) => Value::from(*value),
            Self::Integer(value) => Value::from(*value),
            Self::Number(value) => Value::from(*value),
            Self::Text(value) => Value::from(value.as_str()),
            Self::Numbers(values) if columns == 1 => Value::from(values.clone()),
            Self::Numbers(values) => values.chunks(columns).map(|row| Value::from(row.to_vec())).collect(),
        }
    }
}

impl std::fmt::Display for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
            Self::Numbers(values) => write!(f, "{values:?}"),
        }
    }
}

/// Every value in `settings` with its dotted key, in the order of the struct.
pub fn flatten<T: Serialize>(settings: &T) -> Vec<(String, Setting)> {
    let mut found = Vec::new();
    walk(&tree(settings), String::new(), &mut found);
    found
}

/// `settings` with one value replaced by another of its type and within `range`.
///
/// # Errors
/// No such key, another type, a value out of range or that cannot stand there.
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
    let before = Setting::of(leaf).ok_or_else(|| refuse("is no single setting".into()))?;
    if before.type_name() != value.type_name() {
        return Err(refuse(wrong_type(&before, value.type_name())));
    }
    range.check(key, value)?;
    *leaf = value.to_value(range.columns());
    serde_yaml::from_value(tree).map_err(|error| refuse(error.to_string()))
}

/// Why a value of type `got` cannot stand where `now` does.
pub fn wrong_type(now: &Setting, got: &str) -> String {
    let example = match now {
        Setting::Number(_) => " (such as 1.0)",
        Setting::Numbers(_) => " (such as [1.0, 2.5])",
        Setting::Bool(_) | Setting::Integer(_) | Setting::Text(_) => "",
    };
    format!("must be of type {}{example}, got {got}", now.type_name())
}

/// Structs of names and numbers can always be represented; the tests see that nothing is lost.
fn tree<T: Serialize>(settings: &T) -> Value {
    serde_yaml::to_value(settings).unwrap_or_default()
}

fn walk(value: &Value, key: String, found: &mut Vec<(String, Setting)>) {
    if let Value::Mapping(children) = value {
        for (name, child) in children {
            let name = name.as_str().unwrap_or_default();
            walk(child, if key.is_empty() { name.to_string() } else { format!("{key}.{name}") }, found);
        }
    } else if let Some(setting) = Setting::of(value) {
        found.push((key, setting));
    }
}

fn collect(value: &Value, numbers: &mut Vec<f64>) {
    match value {
        Value::Sequence(values) => values.iter().for_each(|value| collect(value, numbers)),
        other => numbers.push(other.as_f64().unwrap_or(f64::NAN)),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

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
    fn flat_and_back() {
        let flat = flatten(&outer());
        let expected = [
            ("on", Setting::Bool(true)),
            ("inner.count", Setting::Integer(3)),
            ("inner.factor", Setting::Number(2.0)),
            ("inner.rows", Setting::Numbers(vec![0.0, 1.0, 1.0, 0.5])),
            ("name", Setting::Text("x".into())),
        ];
        assert_eq!(flat, expected.map(|(key, value)| (key.to_string(), value)));
        // Each replaced by what it is: nothing is lost.
        for (key, value) in &flat {
            let range = if key == "inner.rows" { Range::Pairs } else { Range::Any };
            assert_eq!(replaced(&outer(), key, value, range).unwrap(), outer(), "{key}");
        }
        let changed = replaced(&outer(), "inner.rows", &Setting::Numbers(vec![0.5, 3.0]), Range::Pairs).unwrap();
        assert_eq!(changed.inner.rows, [(0.5, 3.0)]);
    }

    #[test]
    fn what_cannot_stand_there_is_refused() {
        let refusal = |key: &str, value: Setting| replaced(&outer(), key, &value, Range::Any).unwrap_err().to_string();
        assert_eq!(
            refusal("inner.factor", Setting::Integer(2)),
            "inner.factor: 2: must be of type double (such as 1.0), got integer"
        );
        assert_eq!(refusal("inner.count", Setting::Number(2.0)), "inner.count: 2: must be of type integer, got double");
        assert_eq!(refusal("inner.cuont", Setting::Integer(2)), "inner.cuont: 2: there is no such setting");
        assert_eq!(refusal("inner", Setting::Integer(2)), "inner: 2: is no single setting");
        assert!(refusal("inner.count", Setting::Integer(-1)).starts_with("inner.count: -1: "));
        assert!(refusal("inner.rows", Setting::Numbers(vec![1.0])).starts_with("inner.rows: [1.0]: "));
    }
}
