//! The walk over the bytes of one message: a compiled list of steps that collects what is wanted and passes the rest.
//! Allocates nothing, and does work only for bytes that are there.

use std::sync::Arc;

use super::cdr::{Advance, Cursor, HEADER_LENGTH, padding};
use super::error::{Damage, Fault};
use super::schema::Scalar;

/// Most arrays at one level of a message that selections by name may use, the arrays of names included.
pub const MAX_MARKS: usize = 16;

/// The steps over one structure.
#[derive(Debug, Default)]
pub struct Walk {
    pub steps: Vec<Step>,
    /// Resolved when the structure has been passed: names may come after the values that they select.
    pub selections: Vec<Selection>,
}

#[derive(Debug)]
pub enum Step {
    /// Passes a run of fixed layout.
    Skip(Advance),
    SkipString {
        bound: Option<u32>,
    },
    SkipWideString {
        bound: Option<u32>,
    },
    FrameId {
        bound: Option<u32>,
    },
    Read(Read),
    Array(Array),
}

/// Collects something from one element.
#[derive(Clone, Debug)]
pub enum Read {
    Number { scalar: Scalar, slot: usize },
    Structure(Arc<Walk>),
}

#[derive(Debug)]
pub struct Array {
    pub field: String,
    pub count: Count,
    pub element: Element,
    /// Fewest bytes of an element.
    pub element_min: u64,
    /// The length that the contract states.
    pub length: Option<u32>,
    /// What is wanted, by ascending index.
    pub reads: Vec<(u32, Read)>,
    /// Where to note the array's place for selections by name.
    pub mark: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
pub enum Count {
    Fixed(u32),
    /// A length on the wire, at most the bound.
    Dynamic(Option<u32>),
}

/// How elements are passed.
#[derive(Clone, Debug)]
pub enum Element {
    Scalar(Scalar),
    /// A structure of fixed layout.
    Fixed(Advance),
    String {
        bound: Option<u32>,
    },
    WideString {
        bound: Option<u32>,
    },
    Structure(Arc<Walk>),
}

/// The element of the array at mark `values` whose index is that of `name` in the array at mark `names`.
#[derive(Debug)]
pub struct Selection {
    pub field: String,
    pub names: usize,
    pub names_bound: Option<u32>,
    pub name: String,
    pub values: usize,
    pub element: Element,
    pub read: Read,
}

/// The place of an array in the message.
#[derive(Clone, Copy, Default)]
struct Mark {
    position: usize,
    count: u32,
}

/// A walk in progress.
pub struct Walker<'a, 'o> {
    cursor: Cursor<'a>,
    slots: &'o mut [f64],
    labels: &'o [String],
    frame_id: Option<&'a [u8]>,
    empty_arrays: usize,
    /// The noise group whose place in the message is asked for, and the place.
    watched: (usize, usize),
}

impl<'a, 'o> Walker<'a, 'o> {
    /// `labels`: one per noise group, for faults.
    pub fn new(message: &'a [u8], slots: &'o mut [f64], labels: &'o [String]) -> Result<Self, Damage> {
        let cursor = Cursor::new(message)?;
        Ok(Self { cursor, slots, labels, frame_id: None, empty_arrays: 0, watched: (usize::MAX, 0) })
    }

    /// Walks the whole message and fills the noise groups. Returns the frame id.
    pub fn run(mut self, walk: &Walk) -> Result<Option<&'a [u8]>, Damage> {
        self.structure(walk)?;
        self.cursor.end(self.empty_arrays)?;
        Ok(self.frame_id)
    }

    /// The offset in the message from which `noise group` was read last.
    pub fn offset_of(mut self, walk: &Walk, slot: usize) -> usize {
        self.watched.0 = slot;
        // Only asked for after a walk over the same bytes that did not fail.
        let _ = self.structure(walk);
        HEADER_LENGTH + self.watched.1
    }

    fn structure(&mut self, walk: &Walk) -> Result<(), Damage> {
        if walk.selections.is_empty() {
            return self.steps(&walk.steps, &mut []);
        }
        let mut marks = [Mark::default(); MAX_MARKS];
        self.steps(&walk.steps, &mut marks)?;
        let end = self.cursor.position();
        for selection in &walk.selections {
            self.select(selection, &marks)?;
        }
        self.cursor.return_to(end);
        Ok(())
    }

    fn steps(&mut self, steps: &[Step], marks: &mut [Mark]) -> Result<(), Damage> {
        for step in steps {
            match step {
                Step::Skip(advance) => self.cursor.skip(advance.from(self.cursor.position()))?,
                Step::SkipString { bound } => drop(self.cursor.string(*bound)?),
                Step::SkipWideString { bound } => self.cursor.skip_wide_string(*bound)?,
                Step::FrameId { bound } => self.frame_id = Some(self.cursor.string(*bound)?),
                Step::Read(read) => self.read(read)?,
                Step::Array(array) => {
                    let mark = self.array(array)?;
                    if let Some(place) = array.mark.and_then(|index| marks.get_mut(index)) {
                        *place = mark;
                    }
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn read(&mut self, read: &Read) -> Result<(), Damage> {
        match read {
            Read::Number { scalar, slot } => self.number(*scalar, *slot),
            Read::Structure(walk) => self.structure(walk),
        }
    }

    #[inline]
    fn number(&mut self, scalar: Scalar, slot: usize) -> Result<(), Damage> {
        let field = |walker: &Self| walker.labels[slot].clone();
        let fault = match self.cursor.number(scalar) {
            // Frames are f32: what is infinite there counts as infinite here.
            Ok(value) if value.abs() <= f64::from(f32::MAX) => {
                self.slots[slot] = value;
                if slot == self.watched.0 {
                    self.watched.1 = self.cursor.position() - scalar.size();
                }
                return Ok(());
            }
            Ok(got) => Fault::NotFinite { field: field(self), got },
            Err(Ok(got)) => Fault::Inexact { field: field(self), got },
            Err(Err(damage)) => return Err(damage),
        };
        Err(self.cursor.damage_at(self.cursor.position() - scalar.size(), fault))
    }

    fn array(&mut self, array: &Array) -> Result<Mark, Damage> {
        let start = self.cursor.position();
        let count = match array.count {
            Count::Fixed(count) => count,
            Count::Dynamic(bound) => self.cursor.length(bound, array.element_min)?,
        };
        self.empty_arrays += usize::from(count == 0);
        let field = || array.field.clone();
        if let Some(expected) = array.length.filter(|&length| length != count) {
            return Err(self.cursor.damage_at(start, Fault::ArrayLength { field: field(), expected, got: count }));
        }
        let mark = Mark { position: self.cursor.position(), count };
        let mut next = 0;
        for (index, read) in &array.reads {
            if *index >= count {
                let fault = Fault::ArrayIndex { field: field(), index: *index, got: count };
                return Err(self.cursor.damage_at(start, fault));
            }
            self.pass(&array.element, index - next)?;
            self.read(read)?;
            next = index + 1;
        }
        self.pass(&array.element, count - next)?;
        Ok(mark)
    }

    /// Passes `count` elements.
    fn pass(&mut self, element: &Element, count: u32) -> Result<(), Damage> {
        if count == 0 {
            return Ok(()); // No element, no alignment.
        }
        match element {
            Element::Scalar(scalar) => {
                let length = padding(self.cursor.position(), scalar.size()) + u64::from(count) * scalar.size() as u64;
                self.cursor.skip(length)
            }
            Element::Fixed(advance) => {
                let run = if count == 1 { *advance } else { advance.times(count) };
                self.cursor.skip(run.from(self.cursor.position()))
            }
            Element::String { bound } => (0..count).try_for_each(|_| self.cursor.string(*bound).map(drop)),
            Element::WideString { bound } => (0..count).try_for_each(|_| self.cursor.skip_wide_string(*bound)),
            Element::Structure(walk) => (0..count).try_for_each(|_| self.structure(walk)),
        }
    }

    fn select(&mut self, selection: &Selection, marks: &[Mark; MAX_MARKS]) -> Result<(), Damage> {
        let (names, values) = (marks[selection.names], marks[selection.values]);
        let field = || selection.field.clone();
        self.cursor.return_to(names.position);
        let mut found = None;
        for index in 0..names.count {
            if self.cursor.string(selection.names_bound)? != selection.name.as_bytes() {
                continue;
            }
            if let Some(first) = found.replace(index) {
                let name = selection.name.clone();
                let fault = Fault::NameTwice { field: field(), name, first, second: index };
                return Err(self.cursor.damage_at(names.position, fault));
            }
        }
        let Some(index) = found else {
            let fault = Fault::NameMissing { field: field(), name: selection.name.clone(), got: names.count };
            return Err(self.cursor.damage_at(names.position, fault));
        };
        if index >= values.count {
            let fault = Fault::ArrayIndex { field: field(), index, got: values.count };
            return Err(self.cursor.damage_at(values.position, fault));
        }
        self.cursor.return_to(values.position);
        self.pass(&selection.element, index)?;
        self.read(&selection.read)
    }
}
