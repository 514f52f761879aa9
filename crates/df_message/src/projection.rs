//! A projection: compiled steps that read the wanted numbers of a message and skip the rest.
//! A run allocates nothing, and its work is bounded by the length of the message.

use std::sync::Arc;

use super::cdr::{Advance, Cursor, HEADER_LENGTH, padding};
use super::error::{DecodeError, DecodeFailure};
use super::schema::Scalar;

/// Most arrays at one level of a message that selections by name may use, the arrays of names included.
pub(crate) const MAX_MARKED_ARRAYS: usize = 16;

/// The steps that read one structure.
#[derive(Debug, Default)]
pub(crate) struct Projection {
    pub(crate) steps: Vec<ProjectionStep>,
    /// Resolved after the whole structure, because names can follow the values that they select.
    pub(crate) selections: Vec<NamedSelection>,
}

#[derive(Debug)]
pub(crate) enum ProjectionStep {
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
    Array(ArrayStep),
}

/// Collects something from one element.
#[derive(Clone, Debug)]
pub(crate) enum Read {
    Number { scalar: Scalar, slot: usize },
    Structure(Arc<Projection>),
}

#[derive(Debug)]
pub(crate) struct ArrayStep {
    pub(crate) field: String,
    pub(crate) count: Count,
    pub(crate) element: Element,
    /// Fewest bytes of an element.
    pub(crate) element_min: u64,
    /// The length that the contract states.
    pub(crate) length: Option<u32>,
    /// What is wanted, by ascending index.
    pub(crate) reads: Vec<(u32, Read)>,
    /// Index at which the array's position is noted, for selections by name.
    pub(crate) mark: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    Fixed(u32),
    /// A length on the wire, at most the bound.
    Dynamic(Option<u32>),
}

/// How elements are passed.
#[derive(Clone, Debug)]
pub(crate) enum Element {
    Scalar(Scalar),
    /// A structure of fixed layout.
    Fixed(Advance),
    String {
        bound: Option<u32>,
    },
    WideString {
        bound: Option<u32>,
    },
    Structure(Arc<Projection>),
}

/// The element of the array at mark `values` whose index is that of `name` in the array at mark `names`.
#[derive(Debug)]
pub(crate) struct NamedSelection {
    pub(crate) field: String,
    pub(crate) names: usize,
    pub(crate) names_bound: Option<u32>,
    pub(crate) name: String,
    pub(crate) values: usize,
    pub(crate) element: Element,
    pub(crate) read: Read,
}

/// The place of an array in the message.
#[derive(Clone, Copy, Default)]
struct ArrayMark {
    position: usize,
    count: u32,
}

/// A projection in progress.
pub(crate) struct Projector<'a, 'o> {
    cursor: Cursor<'a>,
    slots: &'o mut [f64],
    labels: &'o [String],
    frame_id: Option<&'a [u8]>,
    empty_arrays: usize,
    /// The slot whose position in the message is requested, and that position.
    watched: (usize, usize),
}

impl<'a, 'o> Projector<'a, 'o> {
    /// `labels`: one per slot, for errors.
    pub(crate) fn new(message: &'a [u8], slots: &'o mut [f64], labels: &'o [String]) -> Result<Self, DecodeFailure> {
        let cursor = Cursor::new(message)?;
        Ok(Self { cursor, slots, labels, frame_id: None, empty_arrays: 0, watched: (usize::MAX, 0) })
    }

    /// Walks the whole message and fills the slots. Returns the frame id.
    pub(crate) fn run(mut self, projection: &Projection) -> Result<Option<&'a [u8]>, DecodeFailure> {
        self.structure(projection)?;
        self.cursor.end(self.empty_arrays)?;
        Ok(self.frame_id)
    }

    /// The offset in the message from which `slot` was read last.
    pub(crate) fn offset_of(mut self, projection: &Projection, slot: usize) -> usize {
        self.watched.0 = slot;
        // It follows a successful run over the same bytes, so it cannot fail.
        let _ = self.structure(projection);
        HEADER_LENGTH + self.watched.1
    }

    fn structure(&mut self, projection: &Projection) -> Result<(), DecodeFailure> {
        if projection.selections.is_empty() {
            return self.steps(&projection.steps, &mut []);
        }
        let mut marks = [ArrayMark::default(); MAX_MARKED_ARRAYS];
        self.steps(&projection.steps, &mut marks)?;
        let end = self.cursor.position();
        for selection in &projection.selections {
            self.select(selection, &marks)?;
        }
        self.cursor.return_to(end);
        Ok(())
    }

    fn steps(&mut self, steps: &[ProjectionStep], marks: &mut [ArrayMark]) -> Result<(), DecodeFailure> {
        for step in steps {
            match step {
                ProjectionStep::Skip(advance) => self.cursor.skip(advance.from(self.cursor.position()))?,
                ProjectionStep::SkipString { bound } => drop(self.cursor.string(*bound)?),
                ProjectionStep::SkipWideString { bound } => self.cursor.skip_wide_string(*bound)?,
                ProjectionStep::FrameId { bound } => self.frame_id = Some(self.cursor.string(*bound)?),
                ProjectionStep::Read(read) => self.read(read)?,
                ProjectionStep::Array(array) => {
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
    fn read(&mut self, read: &Read) -> Result<(), DecodeFailure> {
        match read {
            Read::Number { scalar, slot } => self.number(*scalar, *slot),
            Read::Structure(projection) => self.structure(projection),
        }
    }

    #[inline]
    fn number(&mut self, scalar: Scalar, slot: usize) -> Result<(), DecodeFailure> {
        let field = |projector: &Self| projector.labels[slot].clone();
        let error = match self.cursor.number(scalar) {
            // Frames are f32, so a value that overflows f32 counts as infinite.
            Ok(value) if value.abs() <= f64::from(f32::MAX) => {
                self.slots[slot] = value;
                if slot == self.watched.0 {
                    self.watched.1 = self.cursor.position() - scalar.size();
                }
                return Ok(());
            }
            Ok(got) => DecodeError::NotFinite { field: field(self), got },
            Err(Ok(got)) => DecodeError::Inexact { field: field(self), got },
            Err(Err(failure)) => return Err(failure),
        };
        Err(self.cursor.failure_at(self.cursor.position() - scalar.size(), error))
    }

    fn array(&mut self, array: &ArrayStep) -> Result<ArrayMark, DecodeFailure> {
        let start = self.cursor.position();
        let count = match array.count {
            Count::Fixed(count) => count,
            Count::Dynamic(bound) => self.cursor.length(bound, array.element_min)?,
        };
        self.empty_arrays += usize::from(count == 0);
        let field = || array.field.clone();
        if let Some(expected) = array.length.filter(|&length| length != count) {
            return Err(self
                .cursor
                .failure_at(start, DecodeError::ArrayLength { field: field(), expected, got: count }));
        }
        let mark = ArrayMark { position: self.cursor.position(), count };
        let mut next = 0;
        for (index, read) in &array.reads {
            if *index >= count {
                let error = DecodeError::ArrayIndex { field: field(), index: *index, got: count };
                return Err(self.cursor.failure_at(start, error));
            }
            self.pass(&array.element, index - next)?;
            self.read(read)?;
            next = index + 1;
        }
        self.pass(&array.element, count - next)?;
        Ok(mark)
    }

    /// Passes `count` elements.
    fn pass(&mut self, element: &Element, count: u32) -> Result<(), DecodeFailure> {
        if count == 0 {
            return Ok(()); // An empty array has no padding.
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
            Element::Structure(projection) => (0..count).try_for_each(|_| self.structure(projection)),
        }
    }

    fn select(
        &mut self,
        selection: &NamedSelection,
        marks: &[ArrayMark; MAX_MARKED_ARRAYS],
    ) -> Result<(), DecodeFailure> {
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
                let error = DecodeError::NameTwice { field: field(), name, first, second: index };
                return Err(self.cursor.failure_at(names.position, error));
            }
        }
        let Some(index) = found else {
            let error = DecodeError::NameMissing { field: field(), name: selection.name.clone(), got: names.count };
            return Err(self.cursor.failure_at(names.position, error));
        };
        if index >= values.count {
            let error = DecodeError::ArrayIndex { field: field(), index, got: values.count };
            return Err(self.cursor.failure_at(values.position, error));
        }
        self.cursor.return_to(values.position);
        self.pass(&selection.element, index)?;
        self.read(&selection.read)
    }
}
