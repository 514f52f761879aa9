//! Flattens the bytes of one message into pairs of channel and value.

use super::inventory::{ArrayElement, ChannelLabel, ElementChannels, FieldNode, Inventory, MAX_ELEMENTS};
use crate::cdr::Cursor;
use crate::error::{DecodeError, DecodeFailure};
use crate::projection::Count;
use crate::schema::Scalar;

type Values = Vec<(u32, f64)>;

/// Collects the values of one structure.
pub(super) fn flatten(
    nodes: &mut [FieldNode],
    cursor: &mut Cursor,
    inventory: &mut Inventory,
    values: &mut Values,
) -> Result<(), DecodeFailure> {
    for node in nodes {
        match node {
            FieldNode::Number(scalar, channel) => values.push((*channel, number(cursor, *scalar)?)),
            FieldNode::Duration(channel) => {
                let (seconds, nanoseconds) = (number(cursor, Scalar::I32)?, number(cursor, Scalar::U32)?);
                values.push((*channel, seconds + nanoseconds / 1e9));
            }
            FieldNode::Time(is_stamp) => {
                let (seconds, nanoseconds) = (number(cursor, Scalar::I32)?, number(cursor, Scalar::U32)?);
                if *is_stamp {
                    inventory.stamp_ns = Some(seconds as i64 * 1_000_000_000 + nanoseconds as i64);
                }
            }
            FieldNode::FrameId(bound) => {
                let text = cursor.string(*bound)?;
                if inventory.frame_id.is_none() && !text.is_empty() {
                    inventory.frame_id = Some(String::from_utf8_lossy(text).into_owned());
                }
            }
            FieldNode::String(bound) => drop(cursor.string(*bound)?),
            FieldNode::WideString(bound) => cursor.skip_wide_string(*bound)?,
            FieldNode::Array { array, count, element } => {
                let length = match *count {
                    Count::Fixed(length) => length,
                    Count::Dynamic(bound) => cursor.length(bound, element.min_bytes())?,
                };
                inventory.empty_arrays += usize::from(length == 0);
                let range = inventory.arrays[*array].range.get_or_insert((length, length));
                *range = (range.0.min(length), range.1.max(length));
                flatten_array((*array, length), element, cursor, inventory, values)?;
            }
        }
    }
    Ok(())
}

fn flatten_array(
    (array, length): (usize, u32),
    element: &mut ArrayElement,
    cursor: &mut Cursor,
    inventory: &mut Inventory,
    values: &mut Values,
) -> Result<(), DecodeFailure> {
    match element {
        ArrayElement::Numbers(scalar, channels) => {
            if length > 0 && matches!(channels, ElementChannels::Unknown) {
                *channels = if length as usize <= MAX_ELEMENTS {
                    ElementChannels::Each(Vec::new())
                } else {
                    ElementChannels::All(inventory.channel(ChannelLabel::All { array }))
                };
            }
            for index in 0..length as usize {
                let value = number(cursor, *scalar)?;
                match channels {
                    ElementChannels::All(channel) => values.push((*channel, value)),
                    ElementChannels::Each(each) if index < MAX_ELEMENTS => {
                        if each.len() <= index {
                            each.push(inventory.channel(ChannelLabel::Element { array, index }));
                        }
                        values.push((each[index], value));
                    }
                    // The array is longer than in its first message; `Numbers::arrays` reports the lengths.
                    ElementChannels::Each(_) | ElementChannels::Unknown => {}
                }
            }
        }
        ArrayElement::Strings { bound, names } => {
            let (mut all, is_short) = (Vec::new(), length as usize <= 2 * MAX_ELEMENTS);
            for index in 0..length as usize {
                let text = cursor.string(*bound)?;
                let (known, alike) = &mut inventory.names[*names];
                match known {
                    None if is_short => all.push(String::from_utf8_lossy(text).into_owned()),
                    None => *alike = false,
                    Some(known) => *alike &= known.get(index).is_some_and(|known| known.as_bytes() == text),
                }
            }
            let known = &mut inventory.names[*names].0;
            if known.is_none() && !all.is_empty() {
                *known = Some(all);
            }
        }
        ArrayElement::WideStrings(bound) => (0..length).try_for_each(|_| cursor.skip_wide_string(*bound))?,
        ArrayElement::Structure(nodes) => (0..length).try_for_each(|_| flatten(nodes, cursor, inventory, values))?,
    }
    Ok(())
}

impl ArrayElement {
    /// Fewest bytes of an element. A structure has at least one.
    fn min_bytes(&self) -> u64 {
        match self {
            Self::Numbers(scalar, _) => scalar.size() as u64,
            Self::Strings { .. } | Self::WideStrings(_) => 4,
            Self::Structure(_) => 1,
        }
    }
}

/// A number. An integer beyond 2^53 becomes the nearest f64.
#[inline]
fn number(cursor: &mut Cursor, scalar: Scalar) -> Result<f64, DecodeFailure> {
    match cursor.number(scalar) {
        Ok(value) => Ok(value),
        Err(Ok(integer)) => Ok(integer as f64),
        // A boolean other than 0 and 1 is returned as its value.
        Err(Err(DecodeFailure { error: DecodeError::Bool { got }, .. })) => Ok(f64::from(got)),
        Err(Err(failure)) => Err(failure),
    }
}
