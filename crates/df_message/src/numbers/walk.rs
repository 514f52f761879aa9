//! The walk over the bytes of one message.

use super::super::cdr::Cursor;
use super::super::error::{Damage, Fault};
use super::super::schema::Scalar;
use super::{Channels, Count, MAX_ELEMENTS, Element, Found, Label, Node};

type Values = Vec<(u32, f64)>;

/// Collects the values of one structure.
pub fn walk(nodes: &mut [Node], cursor: &mut Cursor, found: &mut Found, values: &mut Values) -> Result<(), Damage> {
    for node in nodes {
        match node {
            Node::Number(scalar, channel) => values.push((*channel, number(cursor, *scalar)?)),
            Node::Duration(channel) => {
                let (seconds, nanoseconds) = (number(cursor, Scalar::I32)?, number(cursor, Scalar::U32)?);
                values.push((*channel, seconds + nanoseconds / 1e9));
            }
            Node::Time(is_stamp) => {
                let (seconds, nanoseconds) = (number(cursor, Scalar::I32)?, number(cursor, Scalar::U32)?);
                if *is_stamp {
                    found.stamp_ns = Some(seconds as i64 * 1_000_000_000 + nanoseconds as i64);
                }
            }
            Node::FrameId(bound) => {
                let text = cursor.string(*bound)?;
                if found.frame_id.is_none() && !text.is_empty() {
                    found.frame_id = Some(String::from_utf8_lossy(text).into_owned());
                }
            }
            Node::String(bound) => drop(cursor.string(*bound)?),
            Node::WideString(bound) => cursor.skip_wide_string(*bound)?,
            Node::Array { array, count, element } => {
                let length = match *count {
                    Count::Fixed(length) => length,
                    Count::Dynamic(bound) => cursor.length(bound, element.min_bytes())?,
                };
                found.empty_arrays += usize::from(length == 0);
                let range = found.arrays[*array].range.get_or_insert((length, length));
                *range = (range.0.min(length), range.1.max(length));
                walk_array((*array, length), element, cursor, found, values)?;
            }
        }
    }
    Ok(())
}

fn walk_array(
    (array, length): (usize, u32),
    element: &mut Element,
    cursor: &mut Cursor,
    found: &mut Found,
    values: &mut Values,
) -> Result<(), Damage> {
    match element {
        Element::Numbers(scalar, channels) => {
            if length > 0 && matches!(channels, Channels::Unknown) {
                *channels = if length as usize <= MAX_ELEMENTS {
                    Channels::Each(Vec::new())
                } else {
                    Channels::All(found.channel(Label::All { array }))
                };
            }
            for index in 0..length as usize {
                let value = number(cursor, *scalar)?;
                match channels {
                    Channels::All(channel) => values.push((*channel, value)),
                    Channels::Each(each) if index < MAX_ELEMENTS => {
                        if each.len() <= index {
                            each.push(found.channel(Label::Element { array, index }));
                        }
                        values.push((each[index], value));
                    }
                    // Longer than at first: [`Numbers::arrays`] says so.
                    Channels::Each(_) | Channels::Unknown => {}
                }
            }
        }
        Element::Strings { bound, names } => {
            let (mut all, is_short) = (Vec::new(), length as usize <= 2 * MAX_ELEMENTS);
            for index in 0..length as usize {
                let text = cursor.string(*bound)?;
                let (known, alike) = &mut found.names[*names];
                match known {
                    None if is_short => all.push(String::from_utf8_lossy(text).into_owned()),
                    None => *alike = false,
                    Some(known) => *alike &= known.get(index).is_some_and(|known| known.as_bytes() == text),
                }
            }
            let known = &mut found.names[*names].0;
            if known.is_none() && !all.is_empty() {
                *known = Some(all);
            }
        }
        Element::WideStrings(bound) => (0..length).try_for_each(|_| cursor.skip_wide_string(*bound))?,
        Element::Structure(nodes) => (0..length).try_for_each(|_| walk(nodes, cursor, found, values))?,
    }
    Ok(())
}

impl Element {
    /// Fewest bytes of an element; a structure has one at least.
    fn min_bytes(&self) -> u64 {
        match self {
            Self::Numbers(scalar, _) => scalar.size() as u64,
            Self::Strings { .. } | Self::WideStrings(_) => 4,
            Self::Structure(_) => 1,
        }
    }
}

/// A number; integers beyond 2^53 as near as f64 comes.
#[inline]
fn number(cursor: &mut Cursor, scalar: Scalar) -> Result<f64, Damage> {
    match cursor.number(scalar) {
        Ok(value) => Ok(value),
        Err(Ok(integer)) => Ok(integer as f64),
        // Odd booleans are odd values, not damage.
        Err(Err(Damage { fault: Fault::Bool { got }, .. })) => Ok(f64::from(got)),
        Err(Err(damage)) => Err(damage),
    }
}
