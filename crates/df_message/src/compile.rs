//! What is wanted of a message type, compiled to the steps of a [`Projection`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cdr::Advance;
use super::error::MessageError;
use super::projection::{
    ArrayStep, Count, Element, MAX_MARKED_ARRAYS, NamedSelection, Projection, ProjectionStep, Read,
};
use super::resolve::{ElementIndex, MemberElement};
use super::schema::{ElementType, Member, Schema, Shape};

/// What is wanted of one structure, by member.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    members: BTreeMap<usize, WantedMember>,
}

#[derive(Debug, Default)]
struct WantedMember {
    length: Option<u32>,
    elements: BTreeMap<u32, Want>,
    named: Vec<(usize, String, Want)>,
}

#[derive(Debug)]
enum Want {
    Slot(usize),
    FrameId,
    Structure(Wanted),
}

impl Wanted {
    /// Wants a number, in `slot`, or in the slot where it is wanted already. Returns the slot.
    ///
    /// # Errors
    /// A rule that is broken: two stated lengths for one array.
    pub(crate) fn number(&mut self, places: &[MemberElement], slot: usize) -> Result<usize, String> {
        match self.want(places, Want::Slot(slot))? {
            Want::Slot(slot) => Ok(*slot),
            _ => Err("it is not a number".into()),
        }
    }

    /// Wants the string at `places` as the frame id.
    ///
    /// # Errors
    /// As [`Wanted::number`].
    pub(crate) fn frame_id(&mut self, places: &[MemberElement]) -> Result<(), String> {
        self.want(places, Want::FrameId).map(|_| ())
    }

    fn want(&mut self, places: &[MemberElement], leaf: Want) -> Result<&mut Want, String> {
        let (place, rest) = places.split_first().ok_or("an empty path")?;
        let member = self.members.entry(place.member).or_default();
        match (member.length, place.length) {
            (Some(one), Some(other)) if one != other => {
                return Err(format!("the fields state two lengths for one array: {one} and {other}"));
            }
            (None, stated) => member.length = stated,
            _ => {}
        }
        let fresh = || if rest.is_empty() { None } else { Some(Want::Structure(Wanted::default())) };
        // `leaf` is used here where the path ends, and handed on where it does not.
        let (want, leaf) = match (fresh(), leaf) {
            (Some(structure), leaf) => (structure, Some(leaf)),
            (None, leaf) => (leaf, None),
        };
        let entry = match &place.element {
            ElementIndex::Index(index) => member.elements.entry(*index).or_insert(want),
            ElementIndex::Named { names, name } => {
                let known = member.named.iter().position(|(n, m, _)| n == names && m == name);
                let index = known.unwrap_or_else(|| {
                    member.named.push((*names, name.clone(), want));
                    member.named.len() - 1
                });
                &mut member.named[index].2
            }
        };
        match leaf {
            None => Ok(entry),
            Some(leaf) => match entry {
                Want::Structure(wanted) => wanted.want(rest, leaf),
                _ => Err("it has no fields".into()),
            },
        }
    }
}

/// Compiles what is wanted; `slot_of` renumbers the slots.
///
/// # Errors
/// More arrays selected by name at one level than a projection can note.
pub(crate) fn compile(schema: &Schema, wanted: &Wanted, slot_of: &[usize]) -> Result<Projection, MessageError> {
    let count = schema.structures.len();
    let mut compiler =
        Compiler { schema, slot_of, sizes: vec![None; count], passes: (0..count).map(|_| None).collect() };
    compiler.structure(0, wanted)
}

/// The layout of a structure: how far it reaches if that is fixed, and its fewest bytes, padding not counted.
#[derive(Clone, Copy)]
struct Size {
    fixed: Option<Advance>,
    min: u64,
}

/// Fewest bytes of a string or of a dynamic array: its length.
const LENGTH_BYTES: u64 = 4;

struct Compiler<'a> {
    schema: &'a Schema,
    slot_of: &'a [usize],
    sizes: Vec<Option<Size>>,
    /// The walks that pass a structure and want nothing, made when needed.
    passes: Vec<Option<Arc<Projection>>>,
}

impl Compiler<'_> {
    fn structure(&mut self, structure: usize, wanted: &Wanted) -> Result<Projection, MessageError> {
        let schema = self.schema;
        let mut projection = Projection::default();
        // The arrays that selections by name use, by member.
        let mut marks: BTreeMap<usize, usize> = BTreeMap::new();
        for (&member, want) in &wanted.members {
            for (names, ..) in &want.named {
                for used in [member, *names] {
                    let next = marks.len();
                    marks.entry(used).or_insert(next);
                }
            }
        }
        if marks.len() > MAX_MARKED_ARRAYS {
            let rule = "selections by name use more than 16 arrays at one level";
            return Err(MessageError::Schema { message_type: schema.name(), rule });
        }
        let nothing = WantedMember::default();
        for (index, member) in schema.structures[structure].members.iter().enumerate() {
            let want = wanted.members.get(&index).unwrap_or(&nothing);
            self.member(member, want, marks.get(&index).copied(), &mut projection)?;
            for (names, name, want) in &want.named {
                let names_member = &schema.structures[structure].members[*names];
                let ElementType::String { bound } = names_member.kind else { continue };
                projection.selections.push(NamedSelection {
                    field: format!("{}[{}={name}]", member.name, names_member.name),
                    names: marks[names],
                    names_bound: bound,
                    name: name.clone(),
                    values: marks[&index],
                    element: self.element(member.kind)?,
                    read: self.read(member.kind, want)?,
                });
            }
        }
        Ok(projection)
    }

    /// Adds the steps over one member.
    fn member(
        &mut self,
        member: &Member,
        want: &WantedMember,
        mark: Option<usize>,
        projection: &mut Projection,
    ) -> Result<(), MessageError> {
        let is_wanted = !want.elements.is_empty() || want.length.is_some() || mark.is_some();
        let count = match member.shape {
            Shape::One => return self.single(member, want, projection),
            Shape::Fixed(count) => Count::Fixed(count),
            Shape::Dynamic(bound) => Count::Dynamic(bound),
        };
        let size = self.size_of(member.kind);
        if let (false, Count::Fixed(count), Some(advance)) = (is_wanted, count, size.fixed) {
            projection.skip(advance.times(count));
            return Ok(());
        }
        let mut reads = Vec::with_capacity(want.elements.len());
        for (&index, want) in &want.elements {
            reads.push((index, self.read(member.kind, want)?));
        }
        projection.steps.push(ProjectionStep::Array(ArrayStep {
            field: member.name.clone(),
            count,
            element: self.element(member.kind)?,
            element_min: size.min,
            length: want.length,
            reads,
            mark,
        }));
        Ok(())
    }

    /// Adds the steps over a member that is no array.
    fn single(
        &mut self,
        member: &Member,
        want: &WantedMember,
        projection: &mut Projection,
    ) -> Result<(), MessageError> {
        let want = want.elements.get(&0);
        match (member.kind, want) {
            (ElementType::String { bound }, Some(Want::FrameId)) => {
                projection.steps.push(ProjectionStep::FrameId { bound })
            }
            (ElementType::String { bound }, _) => projection.steps.push(ProjectionStep::SkipString { bound }),
            (ElementType::WString { bound }, _) => projection.steps.push(ProjectionStep::SkipWideString { bound }),
            (kind, None) => match self.size_of(kind).fixed {
                Some(advance) => projection.skip(advance),
                None => match self.element(kind)? {
                    Element::Structure(pass) => projection.steps.push(ProjectionStep::Read(Read::Structure(pass))),
                    Element::Scalar(_) | Element::Fixed(_) | Element::String { .. } | Element::WideString { .. } => {}
                },
            },
            (ElementType::Structure(nested), Some(Want::Structure(wanted))) => {
                let nested = self.structure(nested, wanted)?;
                if nested.selections.is_empty() {
                    nested.steps.into_iter().for_each(|step| projection.step(step)); // One list of steps, one call less.
                } else {
                    projection.steps.push(ProjectionStep::Read(Read::Structure(Arc::new(nested))));
                }
            }
            (kind, Some(want)) => projection.steps.push(ProjectionStep::Read(self.read(kind, want)?)),
        }
        Ok(())
    }

    fn read(&mut self, kind: ElementType, want: &Want) -> Result<Read, MessageError> {
        Ok(match (kind, want) {
            (ElementType::Scalar(scalar), Want::Slot(slot)) => Read::Number { scalar, slot: self.slot_of[*slot] },
            (ElementType::Structure(structure), Want::Structure(wanted)) => {
                Read::Structure(Arc::new(self.structure(structure, wanted)?))
            }
            _ => {
                let rule = "a wanted field is not what the definition says";
                return Err(MessageError::Schema { message_type: self.schema.name(), rule });
            }
        })
    }

    fn element(&mut self, kind: ElementType) -> Result<Element, MessageError> {
        Ok(match kind {
            ElementType::Scalar(scalar) => Element::Scalar(scalar),
            ElementType::String { bound } => Element::String { bound },
            ElementType::WString { bound } => Element::WideString { bound },
            ElementType::Structure(structure) => match self.size_of(kind).fixed {
                Some(advance) => Element::Fixed(advance),
                None => Element::Structure(match &self.passes[structure] {
                    Some(pass) => pass.clone(),
                    None => {
                        let pass = Arc::new(self.structure(structure, &Wanted::default())?);
                        self.passes[structure].insert(pass).clone()
                    }
                }),
            },
        })
    }

    fn size_of(&mut self, kind: ElementType) -> Size {
        match kind {
            ElementType::Scalar(scalar) => Size { fixed: Some(Advance::scalar(scalar)), min: scalar.size() as u64 },
            ElementType::String { .. } | ElementType::WString { .. } => Size { fixed: None, min: LENGTH_BYTES },
            ElementType::Structure(structure) => match self.sizes[structure] {
                Some(size) => size,
                None => {
                    let size = self.size_of_structure(structure);
                    *self.sizes[structure].insert(size)
                }
            },
        }
    }

    fn size_of_structure(&mut self, structure: usize) -> Size {
        let schema = self.schema;
        let mut all = Size { fixed: Some(Advance::NOTHING), min: 0 };
        for member in &schema.structures[structure].members {
            let element = self.size_of(member.kind);
            let (fixed, min) = match member.shape {
                Shape::One => (element.fixed, element.min),
                Shape::Fixed(n) => (element.fixed.map(|a| a.times(n)), element.min.saturating_mul(n.into())),
                Shape::Dynamic(_) => (None, LENGTH_BYTES),
            };
            all.fixed = all.fixed.zip(fixed).map(|(all, member)| all.then(member));
            all.min = all.min.saturating_add(min);
        }
        all
    }
}

impl Projection {
    /// Adds a step; runs of fixed layout that follow each other become one.
    fn step(&mut self, step: ProjectionStep) {
        match step {
            ProjectionStep::Skip(advance) => self.skip(advance),
            step => self.steps.push(step),
        }
    }

    fn skip(&mut self, advance: Advance) {
        match self.steps.last_mut() {
            Some(ProjectionStep::Skip(last)) => *last = last.then(advance),
            _ => self.steps.push(ProjectionStep::Skip(advance)),
        }
    }
}
