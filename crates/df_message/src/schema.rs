//! A parsed message type with all that it nests: the parser of `.msg` texts. Knows no bytes.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use super::error::MessageError;

/// Deeper nesting is refused: ROS types nest less than ten deep, and the walk over the bytes recurses.
const MAX_DEPTH: usize = 32;

/// A package and a name in it: `package/msg/Name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TypeName {
    pub(crate) package: String,
    pub(crate) name: String,
}

impl TypeName {
    fn new(package: &str, name: &str) -> Self {
        Self { package: package.into(), name: name.into() }
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/msg/{}", self.package, self.name)
    }
}

impl FromStr for TypeName {
    type Err = MessageError;

    /// Both spellings that are in use: `package/msg/Name` and `package/Name`.
    fn from_str(text: &str) -> Result<Self, MessageError> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            [package, "msg", name] | [package, name] if is_identifier(package) && is_identifier(name) => {
                Ok(Self::new(package, name))
            }
            _ => Err(MessageError::TypeName { got: text.into() }),
        }
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A number of a fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
}

impl Scalar {
    /// Bytes, and so its alignment, in plain CDR.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::Bool | Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::I64 | Self::U64 | Self::F64 => 8,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "bool" => Self::Bool,
            "int8" => Self::I8,
            "uint8" | "byte" | "char" => Self::U8,
            "int16" => Self::I16,
            "uint16" => Self::U16,
            "int32" => Self::I32,
            "uint32" => Self::U32,
            "int64" => Self::I64,
            "uint64" => Self::U64,
            "float32" => Self::F32,
            "float64" => Self::F64,
            _ => return None,
        })
    }
}

/// What one element of a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ElementType {
    Scalar(Scalar),
    /// `bound`: most bytes, without the terminator.
    String {
        bound: Option<u32>,
    },
    /// `bound`: most characters.
    WString {
        bound: Option<u32>,
    },
    /// An index into [`Schema::structures`].
    Structure(usize),
}

/// How many elements a member has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    /// At least 1.
    Fixed(u32),
    /// A length on the wire, at most the bound.
    Dynamic(Option<u32>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) kind: ElementType,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Structure {
    pub(crate) name: TypeName,
    /// Never empty: an empty `.msg` has one hidden byte on the wire, as ROS generates it.
    pub(crate) members: Vec<Member>,
}

/// A parsed message type with everything that it nests. Not recursive, and nested at most 32 deep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The type itself first; each nested type once.
    pub(crate) structures: Vec<Structure>,
}

impl Schema {
    /// Parses `message_type` and all that it nests; `text_of` gives the `.msg` text of one type.
    ///
    /// # Errors
    /// As `text_of`; a malformed text; types that nest each other in a circle or deeper than 32.
    pub(crate) fn resolve(
        message_type: &str,
        text_of: &mut dyn FnMut(&TypeName) -> Result<String, MessageError>,
    ) -> Result<Self, MessageError> {
        let root: TypeName = message_type.parse()?;
        let mut index_of = HashMap::from([(root.clone(), 0)]);
        let mut names = vec![root];
        let mut structures = Vec::new();
        while structures.len() < names.len() {
            let name = names[structures.len()].clone();
            let members = parse(&name, &text_of(&name)?, &mut |nested| {
                *index_of.entry(nested).or_insert_with_key(|nested| {
                    names.push(nested.clone());
                    names.len() - 1
                })
            })?;
            structures.push(Structure { name, members });
        }
        let schema = Self { structures };
        schema.check_depth(0, 0, &mut vec![0; schema.structures.len()])?;
        Ok(schema)
    }

    /// The type's name, `package/msg/Name`.
    pub fn name(&self) -> String {
        self.structures[0].name.to_string()
    }

    /// `seen`: the greatest depth, plus one, at which each structure was entered. A structure is entered again only when deeper than
    /// before, at most 32 times; a circle ends at the greatest depth.
    fn check_depth(&self, structure: usize, depth: usize, seen: &mut [usize]) -> Result<(), MessageError> {
        if depth >= MAX_DEPTH {
            let rule = "the type contains itself or nests deeper than 32";
            return Err(MessageError::Schema { message_type: self.name(), rule });
        }
        if seen[structure] > depth {
            return Ok(());
        }
        seen[structure] = depth + 1;
        self.structures[structure].members.iter().try_for_each(|member| match member.kind {
            ElementType::Structure(nested) => self.check_depth(nested, depth + 1, seen),
            _ => Ok(()),
        })
    }
}

/// The members that a `.msg` text declares; `index_of` numbers the nested types.
fn parse(
    name: &TypeName,
    text: &str,
    index_of: &mut dyn FnMut(TypeName) -> usize,
) -> Result<Vec<Member>, MessageError> {
    let mut members: Vec<Member> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let refuse = |rule| MessageError::Definition {
            message_type: name.to_string(),
            line: i + 1,
            text: line.chars().take(80).collect(),
            rule,
        };
        let Some((type_text, rest)) = type_and_rest(line).map_err(refuse)? else { continue };
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (field, tail) = (&rest[..end], rest[end..].trim_start());
        if !is_identifier(field) {
            return Err(refuse("expected a type and then a name"));
        }
        if tail.starts_with('=') {
            continue; // A constant is not on the wire.
        }
        if !tail.is_empty() && !tail.starts_with('#') && !rest[end..].starts_with(char::is_whitespace) {
            return Err(refuse("a name has letters, digits and underscores only"));
        }
        if members.iter().any(|m| m.name == field) {
            return Err(refuse("the name stands twice"));
        }
        let (element, shape) = split_shape(type_text).map_err(refuse)?;
        let kind = match element_kind(element).map_err(refuse)? {
            DeclaredType::Plain(kind) => kind,
            DeclaredType::Nested(nested) => {
                let nested = qualify(nested, &name.package).ok_or_else(|| refuse("not a type name"))?;
                ElementType::Structure(index_of(nested))
            }
        };
        members.push(Member { name: field.into(), kind, shape });
    }
    if members.is_empty() {
        let name = "structure_needs_at_least_one_member".into();
        members.push(Member { name, kind: ElementType::Scalar(Scalar::U8), shape: Shape::One });
    }
    Ok(members)
}

/// The type and the rest of a line; `None` where it declares nothing.
fn type_and_rest(line: &str) -> Result<Option<(&str, &str)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (type_text, rest) = line.split_once(char::is_whitespace).ok_or("expected a type and then a name")?;
    Ok(Some((type_text, rest.trim_start())))
}

fn split_shape(type_text: &str) -> Result<(&str, Shape), &'static str> {
    let Some((element, brackets)) = type_text.split_once('[') else { return Ok((type_text, Shape::One)) };
    let length = brackets.strip_suffix(']').ok_or("an array type ends with `]`")?;
    let shape = if length.is_empty() {
        Shape::Dynamic(None)
    } else if let Some(bound) = length.strip_prefix("<=") {
        Shape::Dynamic(Some(bound.parse().map_err(|_| "an array bound is a whole number below 2^32")?))
    } else {
        let length = length.parse().map_err(|_| "an array length is a whole number below 2^32")?;
        if length == 0 {
            return Err("an array of fixed length has at least one element");
        }
        Shape::Fixed(length)
    };
    Ok((element, shape))
}

enum DeclaredType<'a> {
    Plain(ElementType),
    Nested(&'a str),
}

fn element_kind(element: &str) -> Result<DeclaredType<'_>, &'static str> {
    if let Some(scalar) = Scalar::parse(element) {
        return Ok(DeclaredType::Plain(ElementType::Scalar(scalar)));
    }
    let (base, bound) = match element.split_once("<=") {
        None => (element, None),
        Some((base, bound)) => (base, Some(bound.parse().map_err(|_| "a string bound is a whole number below 2^32")?)),
    };
    match base {
        "string" => Ok(DeclaredType::Plain(ElementType::String { bound })),
        "wstring" => Ok(DeclaredType::Plain(ElementType::WString { bound })),
        _ if bound.is_some() => Err("only strings have a bound of this form"),
        _ => Ok(DeclaredType::Nested(element)),
    }
}

/// The full name of a nested type as a text of `package` writes it.
fn qualify(nested: &str, package: &str) -> Option<TypeName> {
    match nested {
        "Header" => Some(TypeName::new("std_msgs", "Header")),
        "time" => Some(TypeName::new("builtin_interfaces", "Time")),
        "duration" => Some(TypeName::new("builtin_interfaces", "Duration")),
        _ if nested.contains('/') => nested.parse().ok(),
        _ => is_identifier(nested).then(|| TypeName::new(package, nested)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(texts: &[(&str, &str)]) -> Result<Schema, MessageError> {
        Schema::resolve(texts[0].0, &mut |name| {
            let text = texts.iter().find(|(n, _)| n.parse::<TypeName>().unwrap() == *name);
            text.map(|(_, text)| text.to_string())
                .ok_or_else(|| MessageError::UnknownType { message_type: name.to_string(), searched: String::new() })
        })
    }

    fn member(name: &str, kind: ElementType, shape: Shape) -> Member {
        Member { name: name.into(), kind, shape }
    }

    #[test]
    fn every_construct_of_a_msg_text_is_parsed() {
        let text = "# comment\n\
            int32 CONSTANT=5\nstring GREETING = \"a # b\"\nuint8 SPACED   =  3 # why\n\
            Header header\n\
            string<=10 short  # trailing comment\n\
            wstring wide\n\twstring<=3 narrow\r\n\
            float64[36] covariance\nint32[<=5] few\nfloat32[] many\n\
            string<=4[<=2] words\n\
            bool flag true\nfloat64 speed 0.5#comment\nstring text \"default # text\"\nint8[] list [1, 2]\n\
            other/Thing thing\nother/msg/Thing same\nLocal local\ntime t\nduration d\nbyte b\nchar c\n";
        let texts = [
            ("p/msg/A", text),
            ("std_msgs/Header", "builtin_interfaces/Time stamp\nstring frame_id\n"),
            ("builtin_interfaces/Time", "int32 sec\nuint32 nanosec\n"),
            ("builtin_interfaces/Duration", "int32 sec\nuint32 nanosec\n"),
            ("other/Thing", "int8 x\n"),
            ("p/Local", "# nothing\n"),
        ];
        let schema = schema(&texts).unwrap();
        let names: Vec<String> = schema.structures.iter().map(|s| s.name.to_string()).collect();
        assert_eq!(
            names,
            [
                "p/msg/A",
                "std_msgs/msg/Header",
                "other/msg/Thing",
                "p/msg/Local",
                "builtin_interfaces/msg/Time",
                "builtin_interfaces/msg/Duration"
            ]
        );
        let number = ElementType::Scalar;
        assert_eq!(
            schema.structures[0].members,
            [
                member("header", ElementType::Structure(1), Shape::One),
                member("short", ElementType::String { bound: Some(10) }, Shape::One),
                member("wide", ElementType::WString { bound: None }, Shape::One),
                member("narrow", ElementType::WString { bound: Some(3) }, Shape::One),
                member("covariance", number(Scalar::F64), Shape::Fixed(36)),
                member("few", number(Scalar::I32), Shape::Dynamic(Some(5))),
                member("many", number(Scalar::F32), Shape::Dynamic(None)),
                member("words", ElementType::String { bound: Some(4) }, Shape::Dynamic(Some(2))),
                member("flag", number(Scalar::Bool), Shape::One),
                member("speed", number(Scalar::F64), Shape::One),
                member("text", ElementType::String { bound: None }, Shape::One),
                member("list", number(Scalar::I8), Shape::Dynamic(None)),
                member("thing", ElementType::Structure(2), Shape::One),
                member("same", ElementType::Structure(2), Shape::One),
                member("local", ElementType::Structure(3), Shape::One),
                member("t", ElementType::Structure(4), Shape::One),
                member("d", ElementType::Structure(5), Shape::One),
                member("b", number(Scalar::U8), Shape::One),
                member("c", number(Scalar::U8), Shape::One),
            ]
        );
        // The empty type has the hidden byte that ROS generates.
        assert_eq!(schema.structures[3].members.len(), 1);
    }

    #[test]
    fn malformed_lines_are_refused_with_line_and_rule() {
        for (text, rule) in [
            ("int32", "type and then a name"),
            ("int32 9x", "type and then a name"),
            ("int32 a-b", "letters, digits"),
            ("int32[ a", "ends with `]`"),
            ("int32[x] a", "array length"),
            ("int32[0] a", "at least one element"),
            ("int32[99999999999] a", "array length"),
            ("int32[<=-1] a", "array bound"),
            ("string<=x a", "string bound"),
            ("int32<=3 a", "only strings"),
            ("p//A a", "not a type name"),
            ("../B a", "not a type name"),
            ("int8 b", "stands twice"),
        ] {
            let error = schema(&[("p/msg/A", &format!("int8 b\n{text}\n"))]).unwrap_err();
            assert!(
                matches!(&error, MessageError::Definition { line: 2, rule: got, .. } if got.contains(rule)),
                "{error}"
            );
        }
    }

    #[test]
    fn circles_and_deep_nesting_are_refused() {
        let circle = schema(&[("p/A", "B b\n"), ("p/B", "A[] a\n")]).unwrap_err();
        assert!(circle.to_string().contains("contains itself"), "{circle}");
        // 40 types, each with two of the next: 2^40 paths, looked at in no time.
        let names: Vec<String> = (0..41).map(|i| format!("p/T{i}")).collect();
        let texts: Vec<String> = (0..41).map(|i| format!("T{} a\nT{} b\n", i + 1, i + 1)).collect();
        let mut chain: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(n, t)| (n.as_str(), t.as_str())).collect();
        chain[40].1 = "int8 x\n";
        assert!(schema(&chain).unwrap_err().to_string().contains("deeper than 32"));
        let shallow: Vec<_> = chain[15..].to_vec();
        assert_eq!(schema(&shallow).unwrap().structures.len(), 26);
    }
}
