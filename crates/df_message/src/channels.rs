//! A field list, looked up in a message type: the numbers to read, what is made of them, and the channels that result.

use super::compile::Wanted;
use super::error::MessageError;
use super::error::{DecodeError, DecodeFailure};
use super::field::Expression;
use super::resolve::{Leaf, Lookup, MAX_CHANNELS};
use super::schema::Schema;

/// A shorter quaternion is no rotation.
const QUATERNION_NORM_MIN: f64 = 1e-6;

/// A field list, looked up. Numbers live in slots: those read from the message, and those made of others.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    pub(crate) wanted: Wanted,
    /// In the order in which they must be done.
    pub(crate) operations: Vec<Operation>,
    /// The slot of each channel.
    pub(crate) slots: Vec<usize>,
    /// One per channel.
    pub(crate) labels: Vec<String>,
    /// One per slot.
    pub(crate) slot_labels: Vec<String>,
}

/// A slot made of others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    Yaw { from: [usize; 4], to: usize },
    Sin { from: usize, to: usize },
    Cos { from: usize, to: usize },
}

impl Operation {
    /// Computes the slot. `offset_of` gives the place of a slot in the message, for errors.
    pub(crate) fn apply(
        &self,
        slots: &mut [f64],
        labels: &[String],
        offset_of: &dyn Fn(usize) -> usize,
    ) -> Result<(), DecodeFailure> {
        match *self {
            Self::Sin { from, to } => slots[to] = slots[from].sin(),
            Self::Cos { from, to } => slots[to] = slots[from].cos(),
            Self::Yaw { from, to } => {
                let [x, y, z, w] = from.map(|slot| slots[slot]);
                let norm = (x * x + y * y + z * z + w * w).sqrt();
                if norm < QUATERNION_NORM_MIN {
                    let field = labels[to].clone();
                    let error = DecodeError::QuaternionNorm { field, expected: QUATERNION_NORM_MIN, got: norm };
                    return Err(DecodeFailure { offset: offset_of(from[0]), error });
                }
                // The first column of the rotation matrix, not divided by the squared norm: atan2 needs no scale.
                slots[to] = (2.0 * (w * z + x * y)).atan2(w * w + x * x - y * y - z * z);
            }
        }
        Ok(())
    }
}

impl Channels {
    /// Looks a field list up in a message type.
    ///
    /// # Errors
    /// [`MessageError::Expression`] with the position and the rule.
    pub(crate) fn new(schema: &Schema, fields: &[String]) -> Result<Self, MessageError> {
        let mut channels = Self::default();
        for text in fields {
            let lookup = Lookup { schema, text };
            for slot in channels.add(&lookup, &Expression::parse(text)?)? {
                channels.labels.push(channels.slot_labels[slot].clone());
                channels.slots.push(slot);
            }
            if channels.slots.len() > MAX_CHANNELS {
                return Err(lookup.refuse(0, format!("a field list has at most {MAX_CHANNELS} channels")));
            }
        }
        Ok(channels)
    }

    /// The slots of the channels of one expression.
    fn add(&mut self, lookup: &Lookup, expression: &Expression) -> Result<Vec<usize>, MessageError> {
        match expression {
            Expression::Path(path) => {
                lookup.numbers(path)?.into_iter().map(|leaf| self.add_leaf(lookup, leaf)).collect()
            }
            Expression::Yaw(path) => {
                let quaternions = lookup.quaternions(path)?;
                let yaw = |[x, y, z, w]: [Leaf; 4]| {
                    let label = x.label.strip_suffix(".x").unwrap_or(&x.label);
                    let label = format!("yaw({label})");
                    let mut from = [0; 4];
                    for (slot, leaf) in from.iter_mut().zip([x, y, z, w]) {
                        *slot = self.add_leaf(lookup, leaf)?;
                    }
                    let to = self.add_slot(label);
                    self.operations.push(Operation::Yaw { from, to });
                    Ok(to)
                };
                quaternions.into_iter().map(yaw).collect()
            }
            Expression::SinCos(inner) => {
                let inner = self.add(lookup, inner)?;
                if inner.len() > MAX_CHANNELS / 2 {
                    return Err(lookup.refuse(0, format!("a field list has at most {MAX_CHANNELS} channels")));
                }
                let mut both = Vec::with_capacity(2 * inner.len());
                for from in inner {
                    let label = self.slot_labels[from].clone();
                    let (sin, cos) = (self.add_slot(format!("sin({label})")), self.add_slot(format!("cos({label})")));
                    self.operations.push(Operation::Sin { from, to: sin });
                    self.operations.push(Operation::Cos { from, to: cos });
                    both.extend([sin, cos]);
                }
                Ok(both)
            }
        }
    }

    /// The slot of a number of the message; one that is wanted twice is read once.
    fn add_leaf(&mut self, lookup: &Lookup, leaf: Leaf) -> Result<usize, MessageError> {
        let next = self.slot_labels.len();
        let slot = self.wanted.number(&leaf.places, next).map_err(|rule| lookup.refuse(0, rule))?;
        if slot == next {
            self.slot_labels.push(leaf.label);
        }
        Ok(slot)
    }

    fn add_slot(&mut self, label: String) -> usize {
        self.slot_labels.push(label);
        self.slot_labels.len() - 1
    }
}
