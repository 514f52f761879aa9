//! Finds the stamp and the frame id of a message type.

use super::resolve::{ElementIndex, MemberElement};
use super::schema::{ElementType, Scalar, Schema, Shape};

pub(crate) const NS_PER_S: i64 = 1_000_000_000;

/// Where a message type has its stamp and its frame id.
pub(crate) struct Header {
    /// The paths of seconds and nanoseconds.
    pub(crate) stamp: Option<[Vec<MemberElement>; 2]>,
    /// The path of the frame id.
    pub(crate) frame_id: Option<Vec<MemberElement>>,
}

impl Header {
    /// `header` of type std_msgs/Header, or else a top-level `stamp` of type builtin_interfaces/Time.
    pub(crate) fn of(schema: &Schema) -> Self {
        let here = |member| MemberElement { member, element: ElementIndex::Index(0), length: None };
        let find = |structure: usize, name: &str| {
            let members = &schema.structures[structure].members;
            members.iter().position(|m| m.name == name && m.shape == Shape::One).map(|i| (i, members[i].kind))
        };
        let nested = |structure: usize, name: &str, type_name: &str| match find(structure, name)? {
            (member, ElementType::Structure(inner)) if schema.structures[inner].name.to_string() == type_name => {
                Some((member, inner))
            }
            _ => None,
        };
        let header = nested(0, "header", "std_msgs/msg/Header");
        let (prefix, owner) = header.map_or((vec![], 0), |(member, header)| (vec![here(member)], header));
        let path = |members: &[usize]| prefix.iter().cloned().chain(members.iter().map(|&m| here(m))).collect();
        let stamp = nested(owner, "stamp", "builtin_interfaces/msg/Time").and_then(|(stamp, time)| {
            match (find(time, "sec")?, find(time, "nanosec")?) {
                ((sec, ElementType::Scalar(Scalar::I32)), (nanosec, ElementType::Scalar(Scalar::U32))) => {
                    Some([path(&[stamp, sec]), path(&[stamp, nanosec])])
                }
                _ => None,
            }
        });
        let frame_id = header.and_then(|_| match find(owner, "frame_id")? {
            (member, ElementType::String { .. }) => Some(path(&[member])),
            _ => None,
        });
        Self { stamp, frame_id }
    }
}
