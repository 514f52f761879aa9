//! Looks a field path up in a message type: which numbers of the message it names, and how it gets to them.

use super::error::MessageError;
use super::field::{FieldPath, PathSegment, Selector};
use super::schema::{ElementType, Member, Scalar, Schema, Shape};

/// Most channels of one field list.
pub(crate) const MAX_CHANNELS: usize = 1 << 16;

/// One step from a structure towards a number: a member, and an element of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MemberElement {
    pub(crate) member: usize,
    pub(crate) element: ElementIndex,
    /// The length that the contract states for the array.
    pub(crate) length: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ElementIndex {
    /// 0 where the member is no array.
    Index(u32),
    /// The index that `name` has in the string array that is member `names`.
    Named { names: usize, name: String },
}

/// A number of the message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) places: Vec<MemberElement>,
    pub(crate) scalar: Scalar,
    pub(crate) label: String,
}

/// One field expression, being looked up in a message type.
pub(crate) struct Lookup<'a> {
    pub(crate) schema: &'a Schema,
    /// The expression, for messages.
    pub(crate) text: &'a str,
}

/// What a path reaches: elements of one kind.
struct Reached {
    kind: ElementType,
    elements: Vec<(Vec<MemberElement>, String)>,
}

impl Lookup<'_> {
    /// The numbers that a path names, in order.
    ///
    /// # Errors
    /// [`MessageError::Expression`] with the position and the rule.
    pub(crate) fn numbers(&self, path: &FieldPath) -> Result<Vec<Leaf>, MessageError> {
        let reached = self.follow(path)?;
        let scalar = match reached.kind {
            ElementType::Scalar(scalar) => scalar,
            ElementType::String { .. } | ElementType::WString { .. } => {
                return Err(self.refuse_end(path, "a string cannot be a channel".into()));
            }
            ElementType::Structure(structure) => {
                let rule = format!("name one of its fields: {}", self.members(structure));
                return Err(self.refuse_end(path, rule));
            }
        };
        Ok(reached.elements.into_iter().map(|(places, label)| Leaf { places, scalar, label }).collect())
    }

    /// The numbers x, y, z, w of each quaternion that a path names.
    ///
    /// # Errors
    /// [`MessageError::Expression`] with the position and the rule.
    pub(crate) fn quaternions(&self, path: &FieldPath) -> Result<Vec<[Leaf; 4]>, MessageError> {
        let reached = self.follow(path)?;
        let refuse =
            || self.refuse_end(path, "yaw(...) takes a structure with the floating-point fields x, y, z, w".into());
        let ElementType::Structure(structure) = reached.kind else { return Err(refuse()) };
        let member = |name: &str| {
            let members = &self.schema.structures[structure].members;
            let index = members.iter().position(|m| m.name == name && m.shape == Shape::One)?;
            match members[index].kind {
                ElementType::Scalar(scalar @ (Scalar::F32 | Scalar::F64)) => Some((index, name.to_string(), scalar)),
                _ => None,
            }
        };
        let [Some(x), Some(y), Some(z), Some(w)] = ["x", "y", "z", "w"].map(member) else { return Err(refuse()) };
        let leaf = |places: &[MemberElement], label: &str, (member, name, scalar): &(usize, String, Scalar)| {
            let last = MemberElement { member: *member, element: ElementIndex::Index(0), length: None };
            let places = places.iter().cloned().chain([last]).collect();
            Leaf { places, scalar: *scalar, label: format!("{label}.{name}") }
        };
        Ok(reached
            .elements
            .iter()
            .map(|(p, l)| [leaf(p, l, &x), leaf(p, l, &y), leaf(p, l, &z), leaf(p, l, &w)])
            .collect())
    }

    /// A refusal of the expression.
    pub(crate) fn refuse(&self, position: usize, rule: String) -> MessageError {
        MessageError::Expression { expression: self.text.into(), position, rule }
    }

    fn refuse_end(&self, path: &FieldPath, rule: String) -> MessageError {
        let last = path.segments.last();
        let name = last.map_or("", |s| s.name.as_str());
        self.refuse(last.map_or(0, |s| s.position), format!("`{name}`: {rule}"))
    }

    fn members(&self, structure: usize) -> String {
        self.schema.structures[structure].members.iter().map(|m| m.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn follow(&self, path: &FieldPath) -> Result<Reached, MessageError> {
        let mut reached = Reached { kind: ElementType::Structure(0), elements: vec![(Vec::new(), String::new())] };
        for segment in &path.segments {
            let refuse = |rule: String| self.refuse(segment.position, rule);
            let ElementType::Structure(structure) = reached.kind else {
                return Err(refuse(format!("`{}` is asked of something that has no fields", segment.name)));
            };
            let Some(index) = self.member(structure, &segment.name) else {
                let name = &self.schema.structures[structure].name;
                let fields = self.members(structure);
                return Err(refuse(format!("{name} has no field `{}`; it has {fields}", segment.name)));
            };
            let member = &self.schema.structures[structure].members[index];
            let chosen = self.choose(structure, member, segment).map_err(refuse)?;
            if chosen.elements.len() * reached.elements.len() > MAX_CHANNELS {
                return Err(refuse(format!("a field list has at most {MAX_CHANNELS} channels")));
            }
            let mut elements = Vec::with_capacity(chosen.elements.len() * reached.elements.len());
            for (places, label) in &reached.elements {
                for (which, suffix) in &chosen.elements {
                    let dot = if label.is_empty() { "" } else { "." };
                    let place = MemberElement { member: index, element: which.clone(), length: chosen.length };
                    let places = places.iter().cloned().chain([place]).collect();
                    elements.push((places, format!("{label}{dot}{}{suffix}", segment.name)));
                }
            }
            reached = Reached { kind: member.kind, elements };
        }
        Ok(reached)
    }

    fn member(&self, structure: usize, name: &str) -> Option<usize> {
        self.schema.structures[structure].members.iter().position(|m| m.name == name)
    }

    /// The elements of a member that a segment names.
    fn choose(&self, structure: usize, member: &Member, segment: &PathSegment) -> Result<Chosen, String> {
        let indexed = |i: u32| (ElementIndex::Index(i), format!("[{i}]"));
        let Some(selector) = &segment.selector else {
            return match member.shape {
                Shape::One => Ok(Chosen { elements: vec![(ElementIndex::Index(0), String::new())], length: None }),
                Shape::Fixed(length) if length as usize <= MAX_CHANNELS => {
                    Ok(Chosen { elements: (0..length).map(indexed).collect(), length: None })
                }
                Shape::Fixed(_) => Err(format!("a field list has at most {MAX_CHANNELS} channels")),
                Shape::Dynamic(_) => Err(format!(
                    "`{}` is an array of varying length: it needs an index, a name, or a slice that states the length",
                    member.name
                )),
            };
        };
        if member.shape == Shape::One {
            return Err(format!("`{}` is not an array", member.name));
        }
        match selector {
            Selector::Index { index, length } => {
                check_length(member, *length, *index)?;
                Ok(Chosen { elements: vec![indexed(*index)], length: *length })
            }
            Selector::Slice { start, end, step, length } => {
                check_length(member, Some(*length), end - 1)?;
                if (end - start).div_ceil(*step) as usize > MAX_CHANNELS {
                    return Err(format!("a field list has at most {MAX_CHANNELS} channels"));
                }
                let elements = (*start..*end).step_by(*step as usize).map(indexed).collect();
                Ok(Chosen { elements, length: Some(*length) })
            }
            Selector::Named { names, name } => {
                let index = self.member(structure, names);
                let is_names = |m: &Member| matches!(m.kind, ElementType::String { .. }) && m.shape != Shape::One;
                match index.filter(|&index| is_names(&self.schema.structures[structure].members[index])) {
                    Some(index) => {
                        let which = ElementIndex::Named { names: index, name: name.clone() };
                        Ok(Chosen { elements: vec![(which, format!("[{names}={name}]"))], length: None })
                    }
                    None => {
                        let owner = &self.schema.structures[structure].name;
                        Err(format!("{owner} has no array of strings `{names}` beside `{}`", member.name))
                    }
                }
            }
        }
    }
}

struct Chosen {
    elements: Vec<(ElementIndex, String)>,
    length: Option<u32>,
}

/// The length that the contract states and the greatest index, against the definition.
fn check_length(member: &Member, stated: Option<u32>, index: u32) -> Result<(), String> {
    let name = &member.name;
    match (member.shape, stated) {
        (Shape::Fixed(length), Some(stated)) if stated != length => {
            Err(format!("`{name}` has {length} elements, the expression states {stated}"))
        }
        (Shape::Fixed(length), _) if index >= length => {
            Err(format!("`{name}` has {length} elements, no index {index}"))
        }
        (Shape::Dynamic(Some(bound)), _) if stated.unwrap_or(index.saturating_add(1)) > bound => {
            Err(format!("`{name}` has at most {bound} elements"))
        }
        _ => Ok(()),
    }
}
