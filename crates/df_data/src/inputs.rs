//! Parses lists of inputs: paths, patterns, and weights.

use std::fmt;
use std::path::PathBuf;

use super::natural_order::natural;

/// Why a list of inputs is refused.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A pattern or weight that breaks a rule.
    #[error("`{text}`: {rule}")]
    Invalid {
        /// The input as it was given.
        text: String,
        /// The rule that it breaks.
        rule: String,
    },
    /// The list is empty.
    #[error("no recording was given")]
    None,
}

/// A bag or dataset to read, with its weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// A bag or dataset.
    pub path: PathBuf,
    /// How often its windows are drawn, relative to those of weight 1.
    pub weight: f64,
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if self.weight == 1.0 { Ok(()) } else { write!(f, "@{}", self.weight) }
    }
}

/// Reads `PATH`, `PATTERN` (`*`, `?`, `[ab]`, `**`), each with `@WEIGHT` behind it or not. A pattern gives its matches
/// in the order of their numbers.
///
/// # Errors
/// A pattern that is none or matches nothing; a weight that is not above 0; no input at all.
pub fn parse_inputs(texts: &[String]) -> Result<Vec<Input>, InputError> {
    let mut inputs = Vec::new();
    for text in texts {
        let refuse = |rule: String| InputError::Invalid { text: text.clone(), rule };
        let exists = |text: &str| std::fs::symlink_metadata(text).is_ok();
        let (pattern, weight) = match text.rsplit_once('@') {
            Some((pattern, weight)) if !exists(text) => match weight.parse::<f64>() {
                Ok(weight) if weight.is_finite() && weight > 0.0 => (pattern, weight),
                Ok(_) => return Err(refuse(format!("the weight must be a number above 0, got {weight}"))),
                Err(_) => (text.as_str(), 1.0),
            },
            _ => (text.as_str(), 1.0),
        };
        if exists(pattern) || !pattern.contains(['*', '?', '[']) {
            inputs.push(Input { path: pattern.into(), weight });
            continue;
        }
        let found = glob::glob(pattern).map_err(|error| refuse(error.to_string()))?;
        let found: Result<Vec<PathBuf>, glob::GlobError> = found.collect();
        let mut found = found.map_err(|error| refuse(error.to_string()))?;
        if found.is_empty() {
            return Err(refuse("the pattern matches nothing".into()));
        }
        found.sort_by_key(|path| natural(&path.to_string_lossy()));
        inputs.extend(found.into_iter().map(|path| Input { path, weight }));
    }
    if inputs.is_empty() { Err(InputError::None) } else { Ok(inputs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_weights_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/run_10", "a/run_2", "b@0.5", "c[1]"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let root = folder.path().display();
        let read = |texts: &[&str]| -> Result<Vec<(String, f64)>, String> {
            let texts: Vec<String> = texts.iter().map(|text| format!("{root}/{text}")).collect();
            let read = parse_inputs(&texts).map_err(|error| error.to_string())?;
            let name = |input: &Input| input.path.strip_prefix(folder.path()).unwrap().display().to_string();
            Ok(read.iter().map(|input| (name(input), input.weight)).collect())
        };
        let named = |names: &[(&str, f64)]| Ok(names.iter().map(|(n, w)| (n.to_string(), *w)).collect::<Vec<_>>());
        assert_eq!(read(&["a/*@2"]), named(&[("a/run_2", 2.0), ("a/run_10", 2.0)]));
        // What exists is meant as it stands.
        assert_eq!(read(&["b@0.5", "c[1]", "b@0.5@0.25"]), named(&[("b@0.5", 1.0), ("c[1]", 1.0), ("b@0.5", 0.25)]));
        // What does not exist is refused where it is opened, by its name.
        assert_eq!(read(&["none", "me@home"]), named(&[("none", 1.0), ("me@home", 1.0)]));
        let refused = |text| read(&[text]).unwrap_err();
        assert!(refused("d/*").contains("matches nothing") && refused("a/[").contains("a/["));
        assert!(
            refused("a@0").contains("above 0")
                && refused("a@-1").contains("above 0")
                && refused("a@inf").contains("above 0")
        );
        assert!(matches!(parse_inputs(&[]), Err(InputError::None)));
    }
}
