//! Builds the field tree of a message type from its definition.

use super::inventory::{ArrayElement, ArrayRecord, ChannelLabel, ElementChannels, FieldNode, Inventory};
use crate::error::MessageError;
use crate::projection::Count;
use crate::schema::{ElementType, Member, Schema, Shape};

/// Most fields of one message type, nested ones included. Nesting can multiply fields exponentially.
const MAX_NODES: usize = 1 << 14;

/// Numbers the channels of a type while it builds the tree.
pub(super) struct Builder<'a> {
    schema: &'a Schema,
    pub(super) inventory: Inventory,
    nodes: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, inventory: Inventory::default(), nodes: 0 }
    }

    /// The nodes of one structure. `is_top`: the structure is the message itself.
    pub(super) fn structure(
        &mut self,
        structure: usize,
        prefix: &str,
        is_top: bool,
    ) -> Result<Vec<FieldNode>, MessageError> {
        let members = &self.schema.structures[structure].members;
        // The first array of strings names the elements of those beside it.
        let is_strings =
            |member: &&Member| matches!(member.kind, ElementType::String { .. }) && member.shape != Shape::One;
        let names = members.iter().find(is_strings).map(|_| {
            self.inventory.names.push((None, true));
            self.inventory.names.len() - 1
        });
        let mut nodes = Vec::new();
        for member in members {
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                let rule = "the type has too many fields, at most 16384 are allowed";
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
            let array = self.inventory.arrays.len();
            self.inventory.arrays.push(ArrayRecord {
                label: label.clone(),
                is_fixed: matches!(count, Count::Fixed(_)),
                of_numbers: matches!(member.kind, ElementType::Scalar(_)),
                range: None,
                names: names
                    .filter(|_| !matches!(member.kind, ElementType::Structure(_) | ElementType::WString { .. })),
            });
            let element = match member.kind {
                ElementType::Scalar(scalar) => ArrayElement::Numbers(scalar, ElementChannels::Unknown),
                ElementType::String { bound } => ArrayElement::Strings { bound, names: names.unwrap_or(0) },
                ElementType::WString { bound } => ArrayElement::WideStrings(bound),
                ElementType::Structure(inner) => {
                    ArrayElement::Structure(self.structure(inner, &format!("{label}[]"), false)?)
                }
            };
            nodes.push(FieldNode::Array { array, count, element });
        }
        Ok(nodes)
    }

    fn one(
        &mut self,
        member: &Member,
        label: String,
        is_top: bool,
        nodes: &mut Vec<FieldNode>,
    ) -> Result<(), MessageError> {
        let inner = match member.kind {
            ElementType::Scalar(scalar) => {
                let channel = self.inventory.channel(ChannelLabel::Plain(label));
                nodes.push(FieldNode::Number(scalar, channel));
                return Ok(());
            }
            ElementType::String { bound } => {
                nodes.push(if label == "header.frame_id" {
                    FieldNode::FrameId(bound)
                } else {
                    FieldNode::String(bound)
                });
                return Ok(());
            }
            ElementType::WString { bound } => {
                nodes.push(FieldNode::WideString(bound));
                return Ok(());
            }
            ElementType::Structure(inner) => inner,
        };
        match self.schema.structures[inner].name.to_string().as_str() {
            "builtin_interfaces/msg/Time" => {
                nodes.push(FieldNode::Time(label == "header.stamp" || (is_top && label == "stamp")));
            }
            "builtin_interfaces/msg/Duration" => {
                let channel = self.inventory.channel(ChannelLabel::Plain(label));
                nodes.push(FieldNode::Duration(channel));
            }
            _ => nodes.extend(self.structure(inner, &label, false)?),
        }
        Ok(())
    }
}
