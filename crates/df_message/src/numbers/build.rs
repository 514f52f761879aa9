//! The steps over one message type, from its definition.

use super::super::MessageError;
use super::super::schema::{Kind, Member, Schema, Shape};
use super::{Channels, Count, Element, Found, Label, Met, Node};

/// Most steps over one message type: nested types can be many.
const MAX_NODES: usize = 1 << 14;

/// Numbers the channels of a type while it is looked through.
pub struct Builder<'a> {
    schema: &'a Schema,
    pub found: Found,
    nodes: usize,
}

impl<'a> Builder<'a> {
    pub fn new(schema: &'a Schema) -> Self {
        Self { schema, found: Found::default(), nodes: 0 }
    }

    /// The steps over one structure.
    pub fn structure(&mut self, structure: usize, prefix: &str, is_top: bool) -> Result<Vec<Node>, MessageError> {
        let members = &self.schema.structures[structure].members;
        // The first array of strings names the elements of those beside it.
        let is_strings = |member: &&Member| matches!(member.kind, Kind::String { .. }) && member.shape != Shape::One;
        let names = members.iter().find(is_strings).map(|_| {
            self.found.names.push((None, true));
            self.found.names.len() - 1
        });
        let mut nodes = Vec::new();
        for member in members {
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                let rule = "the type has too many fields to look at";
                return Err(MessageError::Schema { message_type: self.schema.name(), rule });
            }
            let label = if prefix.is_empty() { member.name.clone() } else { format!("{prefix}.{}", member.name) };
            let count = match member.shape {
                Shape::One => {
                    self.one(member, label, is_top, &mut nodes)?;
                    continue;
                }
                Shape::Fixed(count) => Count::Fixed(count),
                Shape::Dynamic(bound) => Count::Dynamic(bound),
            };
            let array = self.found.arrays.len();
            self.found.arrays.push(Met {
                label: label.clone(),
                is_fixed: matches!(count, Count::Fixed(_)),
                of_numbers: matches!(member.kind, Kind::Scalar(_)),
                range: None,
                names: names.filter(|_| !matches!(member.kind, Kind::Structure(_) | Kind::WString { .. })),
            });
            let element = match member.kind {
                Kind::Scalar(scalar) => Element::Numbers(scalar, Channels::Unknown),
                Kind::String { bound } => Element::Strings { bound, names: names.unwrap_or(0) },
                Kind::WString { bound } => Element::WideStrings(bound),
                Kind::Structure(inner) => Element::Structure(self.structure(inner, &format!("{label}[]"), false)?),
            };
            nodes.push(Node::Array { array, count, element });
        }
        Ok(nodes)
    }

    fn one(&mut self, member: &Member, label: String, is_top: bool, nodes: &mut Vec<Node>) -> Result<(), MessageError> {
        let inner = match member.kind {
            Kind::Scalar(scalar) => {
                let channel = self.found.channel(Label::Plain(label));
                nodes.push(Node::Number(scalar, channel));
                return Ok(());
            }
            Kind::String { bound } => {
                nodes.push(if label == "header.frame_id" { Node::FrameId(bound) } else { Node::String(bound) });
                return Ok(());
            }
            Kind::WString { bound } => {
                nodes.push(Node::WideString(bound));
                return Ok(());
            }
            Kind::Structure(inner) => inner,
        };
        match self.schema.structures[inner].name.to_string().as_str() {
            "builtin_interfaces/msg/Time" => {
                nodes.push(Node::Time(label == "header.stamp" || (is_top && label == "stamp")));
            }
            "builtin_interfaces/msg/Duration" => {
                let channel = self.found.channel(Label::Plain(label));
                nodes.push(Node::Duration(channel));
            }
            _ => nodes.extend(self.structure(inner, &label, false)?),
        }
        Ok(())
    }
}
