//! The text of a configuration file. Sections are read from it, and errors are located in it.

use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::locate::line_of;
use super::validation::ValidationError;

/// A YAML text and the file that it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The file, as error messages name it. It is not read again.
    pub file: PathBuf,
    /// The whole text, as a checkpoint stores it.
    pub text: String,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        cause: std::io::Error,
    },
    /// Not YAML, an unknown key, a missing key or a value of the wrong type. The message names key, line and column.
    #[error("{}: {message}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The message of the YAML parser.
        message: String,
    },
    /// A value that breaks a rule.
    #[error("{}:{line}: {key}: {value}: {rule}", file.display())]
    Rule {
        /// The file.
        file: PathBuf,
        /// Line of the key, from 1.
        line: usize,
        /// The key, dotted.
        key: String,
        /// The value.
        value: String,
        /// The rule that it breaks.
        rule: String,
    },
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`].
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(file).map_err(|cause| ConfigError::Unreadable { file: file.into(), cause })?;
        Ok(Self { file: file.into(), text })
    }

    /// A document of a text. `file` is named in errors and not read.
    pub fn new(text: &str, file: &Path) -> Self {
        Self { file: file.into(), text: text.into() }
    }

    /// The folder of the file. Relative paths start there.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The whole document as a struct.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] with key, line and column.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_yaml::from_str(&self.text).map_err(|cause| self.malformed(&cause))
    }

    /// One section as a struct, or the default where the document has no such section. Other sections are ignored.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`] with key, line and column.
    pub fn section<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, ConfigError> {
        let section = Section { name, value: PhantomData };
        let found = serde_yaml::Deserializer::from_str(&self.text).deserialize_map(section);
        Ok(found.map_err(|cause| self.malformed(&cause))?.unwrap_or_default())
    }

    /// The error for the value of one key. `key` is dotted, with `[i]` for list entries: `observations.position.fields[1]`.
    pub fn refuse(&self, key: &str, value: impl ToString, rule: impl ToString) -> ConfigError {
        self.locate(ValidationError { key: key.into(), value: value.to_string(), rule: rule.to_string() })
    }

    /// Adds file and line to a validation error.
    pub fn locate(&self, error: ValidationError) -> ConfigError {
        let line = line_of(&self.text, &error.key);
        ConfigError::Rule { file: self.file.clone(), line, key: error.key, value: error.value, rule: error.rule }
    }

    fn malformed(&self, cause: &serde_yaml::Error) -> ConfigError {
        ConfigError::Malformed { file: self.file.clone(), message: cause.to_string() }
    }
}

/// Reads a YAML or JSON file that is not a configuration.
///
/// # Errors
/// [`ConfigError::Unreadable`], [`ConfigError::Malformed`].
pub fn read_yaml<T: DeserializeOwned>(file: &Path) -> Result<T, ConfigError> {
    Document::load(file)?.read()
}

/// Reads one entry of a map and ignores the others.
struct Section<'a, T> {
    name: &'a str,
    value: PhantomData<T>,
}

impl<'de, T: DeserializeOwned> Visitor<'de> for Section<'_, T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a map of sections")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.name {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Planner {
        horizon: usize,
    }

    #[test]
    fn one_section_is_read_and_errors_name_its_line() {
        let document = |text: &str| Document::new(text, Path::new("c.yaml"));
        let text = "other: {a: 1}\nplanner:\n  horizon: 3\nlast: 1\n";
        assert_eq!(document(text).section::<Planner>("planner").unwrap().horizon, 3);
        assert_eq!(document(text).section::<Planner>("nothing").unwrap().horizon, 0);
        let error = document("a: 1\nplanner:\n  horizn: 3\n").section::<Planner>("planner").unwrap_err().to_string();
        assert!(error.starts_with("c.yaml: ") && error.contains("horizn") && error.contains("line 3"), "{error}");
        assert_eq!(
            document(text).refuse("planner.horizon", 3, "must be 4").to_string(),
            "c.yaml:3: planner.horizon: 3: must be 4"
        );
    }
}
