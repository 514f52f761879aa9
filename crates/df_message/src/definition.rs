//! Where the texts of message definitions come from: a ROS installation, a bag's schema, or one and then the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::MessageError;
use super::schema::{Schema, TypeName};

/// The line that separates the parts of a concatenated definition, as rosbag2 writes it.
const SEPARATOR_LENGTH: usize = 80;

/// Where the text of a message definition comes from.
pub trait Definitions {
    /// The `.msg` text of this one type.
    ///
    /// # Errors
    /// The type is unknown, or its text cannot be read.
    fn own_text(&self, message_type: &str) -> Result<String, MessageError>;

    /// The definition of `package/msg/Name` together with all that it nests, parsed.
    ///
    /// # Errors
    /// The type or one that it nests is unknown, or its text is malformed.
    fn schema(&self, message_type: &str) -> Result<Arc<Schema>, MessageError> {
        Schema::resolve(message_type, &mut |name| self.own_text(&name.to_string())).map(Arc::new)
    }

    /// The text of a type and of all that it nests in the form of a bag's schema (encoding `ros2msg`).
    ///
    /// # Errors
    /// As [`Definitions::schema`].
    fn text(&self, message_type: &str) -> Result<String, MessageError> {
        let schema = self.schema(message_type)?;
        let mut text = String::new();
        for (i, structure) in schema.structures.iter().enumerate() {
            if i > 0 {
                let separator = "=".repeat(SEPARATOR_LENGTH);
                text += &format!("{separator}\nMSG: {}/{}\n", structure.name.package, structure.name.name);
            }
            text += self.own_text(&structure.name.to_string())?.trim_end();
            text.push('\n');
        }
        Ok(text)
    }
}

/// The `share/<package>/msg/*.msg` files below the prefixes of `AMENT_PREFIX_PATH`.
#[derive(Clone, Debug)]
pub struct AmentDefinitions {
    prefixes: Vec<PathBuf>,
}

impl AmentDefinitions {
    /// The sourced ROS installation. Where none is sourced, every type is unknown, and the error says so.
    pub fn from_env() -> Self {
        let path = std::env::var_os("AMENT_PREFIX_PATH").unwrap_or_default();
        Self::new(std::env::split_paths(&path).filter(|p| !p.as_os_str().is_empty()))
    }

    /// Installations in the order in which they are searched.
    pub fn new(prefixes: impl IntoIterator<Item = PathBuf>) -> Self {
        Self { prefixes: prefixes.into_iter().collect() }
    }
}

impl Definitions for AmentDefinitions {
    fn own_text(&self, message_type: &str) -> Result<String, MessageError> {
        let name: TypeName = message_type.parse()?;
        let file = PathBuf::from("share").join(&name.package).join("msg").join(format!("{}.msg", name.name));
        for prefix in &self.prefixes {
            match std::fs::read_to_string(prefix.join(&file)) {
                Ok(text) => return Ok(text),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    let reason = format!("{}: {error}", prefix.join(&file).display());
                    return Err(MessageError::Unreadable { message_type: name.to_string(), reason });
                }
            }
        }
        let searched = if self.prefixes.is_empty() {
            "AMENT_PREFIX_PATH is empty: no ROS installation is sourced".into()
        } else {
            format!("there is no {} below {}", file.display(), list(&self.prefixes))
        };
        Err(MessageError::UnknownType { message_type: name.to_string(), searched })
    }
}

fn list(prefixes: &[PathBuf]) -> String {
    prefixes.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Definitions given as text in the form of a bag's schema: the type's own text, then `===` lines and `MSG: pkg/Name`.
///
/// Each type is resolved with the nested texts that were recorded with it.
#[derive(Clone, Debug, Default)]
pub struct SchemaDefinitions {
    recorded: BTreeMap<TypeName, BTreeMap<TypeName, String>>,
}

impl SchemaDefinitions {
    /// Pairs of message type and concatenated text. A text is parsed when its type is looked up, so that a malformed type that
    /// is not used has no effect. Pairs with an invalid type name (services, other encodings) are left out.
    pub fn new<T: AsRef<str>, D: AsRef<str>>(schemas: impl IntoIterator<Item = (T, D)>) -> Self {
        let mut recorded = BTreeMap::new();
        for (message_type, text) in schemas {
            if let Ok(name) = message_type.as_ref().parse::<TypeName>() {
                recorded.insert(name.clone(), sections(name, text.as_ref()));
            }
        }
        Self { recorded }
    }

    fn unknown(&self, name: &TypeName) -> MessageError {
        let known: Vec<String> = self.recorded.keys().map(ToString::to_string).collect();
        let searched = format!("the recorded definitions are those of {known:?}");
        MessageError::UnknownType { message_type: name.to_string(), searched }
    }
}

impl Definitions for SchemaDefinitions {
    fn own_text(&self, message_type: &str) -> Result<String, MessageError> {
        let name: TypeName = message_type.parse()?;
        let own = self.recorded.get(&name).and_then(|sections| sections.get(&name));
        own.or_else(|| self.recorded.values().find_map(|sections| sections.get(&name)))
            .cloned()
            .ok_or_else(|| self.unknown(&name))
    }

    fn schema(&self, message_type: &str) -> Result<Arc<Schema>, MessageError> {
        let root: TypeName = message_type.parse()?;
        let sections = self.recorded.get(&root);
        Schema::resolve(message_type, &mut |name| match sections.and_then(|s| s.get(name)) {
            Some(text) => Ok(text.clone()),
            None => self.own_text(&name.to_string()),
        })
        .map(Arc::new)
    }
}

/// The parts of a concatenated definition. A part without a readable `MSG:` line is left out: whoever needs it is told
/// that the type is unknown.
fn sections(root: TypeName, text: &str) -> BTreeMap<TypeName, String> {
    let is_separator = |line: &str| line.trim_end().len() >= 3 && line.trim_end().bytes().all(|b| b == b'=');
    let mut sections = BTreeMap::new();
    let (mut name, mut part, mut after_separator) = (Some(root), String::new(), false);
    for line in text.lines() {
        if is_separator(line) {
            if let Some(name) = name.take() {
                sections.entry(name).or_insert(std::mem::take(&mut part));
            }
            part.clear();
            after_separator = true;
        } else if after_separator {
            name = line.trim().strip_prefix("MSG:").and_then(|name| name.trim().parse().ok());
            after_separator = line.trim().is_empty();
        } else {
            part += line;
            part.push('\n');
        }
    }
    if let Some(name) = name {
        sections.entry(name).or_insert(part);
    }
    sections
}

/// The type that stands for the numbers of a dataset without topics: known wherever no ROS is.
const PLAIN_NUMBERS: (&str, &str) = (
    "std_msgs/msg/Float64MultiArray",
    "MultiArrayLayout layout\nfloat64[] data\n===\nMSG: std_msgs/MultiArrayLayout\nMultiArrayDimension[] dim\nuint32 data_offset\n\
     ===\nMSG: std_msgs/MultiArrayDimension\nstring label\nuint32 size\nuint32 stride\n",
);

/// What is known without a recording and without ROS.
pub fn built_in() -> SchemaDefinitions {
    SchemaDefinitions::new([PLAIN_NUMBERS])
}

/// Several sources: the first one that knows a type gives it. A bag's schemas first, then the installation.
pub struct FirstKnown<'a>(pub Vec<&'a dyn Definitions>);

impl FirstKnown<'_> {
    fn first<T>(
        &self,
        message_type: &str,
        ask: impl Fn(&dyn Definitions) -> Result<T, MessageError>,
    ) -> Result<T, MessageError> {
        let mut unknown = Vec::new();
        for definitions in &self.0 {
            match ask(*definitions) {
                Err(MessageError::UnknownType { searched, .. }) => unknown.push(searched),
                known => return known,
            }
        }
        Err(MessageError::UnknownType { message_type: message_type.into(), searched: unknown.join("; ") })
    }
}

impl Definitions for FirstKnown<'_> {
    fn own_text(&self, message_type: &str) -> Result<String, MessageError> {
        self.first(message_type, |definitions| definitions.own_text(message_type))
    }

    fn schema(&self, message_type: &str) -> Result<Arc<Schema>, MessageError> {
        // A bag may hold the type without all that it nests: then the sources complete each other.
        self.first(message_type, |definitions| definitions.schema(message_type))
            .or_else(|_| Schema::resolve(message_type, &mut |name| self.own_text(&name.to_string())).map(Arc::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSE: &str = "# a pose\nPoint position\n===\nMSG: my_msgs/Point\nfloat64 x\n";

    #[test]
    fn a_concatenated_text_is_resolved_and_written_again() {
        let definitions = SchemaDefinitions::new([("my_msgs/msg/Pose", POSE)]);
        let text = definitions.text("my_msgs/msg/Pose").unwrap();
        assert_eq!(text, POSE.replace("===", &"=".repeat(80)));
        let again = SchemaDefinitions::new([("my_msgs/msg/Pose", text)]);
        assert_eq!(again.schema("my_msgs/Pose").unwrap(), definitions.schema("my_msgs/msg/Pose").unwrap());
    }

    #[test]
    fn each_recorded_type_keeps_the_nested_texts_recorded_with_it() {
        let old = "Inner i\n===\nMSG: p/Inner\nint8 a\n";
        let new = "Inner i\n===\nMSG: p/Inner\nint16 a\nint16 b\n";
        let definitions = SchemaDefinitions::new([("p/msg/Old", old), ("p/msg/New", new)]);
        assert_eq!(definitions.schema("p/msg/Old").unwrap().structures[1].members.len(), 1);
        assert_eq!(definitions.schema("p/msg/New").unwrap().structures[1].members.len(), 2);
    }

    #[test]
    fn an_installation_is_searched_in_order_and_completes_a_bag() {
        let root = tempfile::tempdir().unwrap();
        let install = |prefix: &str, name: &str, text: &str| {
            let folder = root.path().join(prefix).join("share/p/msg");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), text).unwrap();
            root.path().join(prefix)
        };
        let (first, second) = (install("first", "A.msg", "int8 a\n"), install("second", "A.msg", "int8 b\n"));
        install("second", "Inner.msg", "int8 c\n");
        let ament = AmentDefinitions::new([first, second]);
        assert_eq!(ament.own_text("p/msg/A").unwrap(), "int8 a\n");
        let bag = SchemaDefinitions::new([("p/msg/Outer", "Inner i\n")]);
        assert!(
            matches!(bag.schema("p/msg/Outer"), Err(MessageError::UnknownType { message_type, .. }) if message_type == "p/msg/Inner")
        );
        let both = FirstKnown(vec![&bag, &ament]);
        assert_eq!(both.schema("p/msg/Outer").unwrap().structures.len(), 2);
        assert_eq!(both.schema("p/msg/A").unwrap().structures[0].members[0].name, "a");
        let error = both.schema("p/msg/Other").unwrap_err().to_string();
        assert!(error.contains("p/msg/Other") && error.contains("recorded") && error.contains("Other.msg"), "{error}");
    }

    #[test]
    fn a_type_name_cannot_leave_the_installation() {
        for name in ["../msg/A", "p/msg/..", "p/srv/A", "p", "p/msg/A/B", "p/msg/a b", ""] {
            let error = AmentDefinitions::new([PathBuf::from("/")]).own_text(name).unwrap_err();
            assert_eq!(error, MessageError::TypeName { got: name.into() });
        }
    }
}
