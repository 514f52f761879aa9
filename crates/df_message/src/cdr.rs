//! Plain CDR (XCDR1) bytes: the encapsulation header, a checked cursor, and how far runs of fixed layout reach.
//! Knows scalars and alignment, no message type.

use super::error::{DecodeError, DecodeFailure};
use super::schema::Scalar;

/// The encapsulation header, whose end is what alignment counts from.
pub(crate) const HEADER_LENGTH: usize = 4;
/// Largest alignment in plain CDR.
const MAX_ALIGNMENT: usize = 8;
/// Writers pad a message to a multiple of four bytes.
const MAX_PADDING: usize = 3;
/// `rmw_serialize` (rmw_fastrtps, ROS 2 Jazzy: rclpy's serialize_message, and so bags written with it) hands out a buffer of
/// the estimated size, with garbage at its end. The estimate aligns after the length of an empty array, which the
/// serializer does not: up to 4 bytes, and up to 4 more where the next element of 8 bytes is aligned.
const EXCESS_PER_EMPTY_ARRAY: usize = 8;
/// Integers up to this size are exact in f64.
const MAX_EXACT: u64 = 1 << 53;

/// A position in the body of a message.
pub(crate) struct Cursor<'a> {
    body: &'a [u8],
    position: usize,
    big_endian: bool,
}

impl<'a> Cursor<'a> {
    /// Reads the encapsulation header.
    pub(crate) fn new(message: &'a [u8]) -> Result<Self, DecodeFailure> {
        let Some((header, body)) = message.split_at_checked(HEADER_LENGTH) else {
            let error = DecodeError::Truncated { expected: HEADER_LENGTH as u64, got: message.len() };
            return Err(DecodeFailure { offset: 0, error });
        };
        let big_endian = match (header[0], header[1]) {
            (0, 0) => true,
            (0, 1) => false,
            (first, second) => {
                return Err(DecodeFailure { offset: 0, error: DecodeError::Encapsulation { got: [first, second] } });
            }
        };
        Ok(Self { body, position: 0, big_endian })
    }

    /// The position, counted from the end of the encapsulation header.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Goes back to a position that this cursor has had.
    pub(crate) fn return_to(&mut self, position: usize) {
        self.position = position;
    }

    pub(crate) fn remaining(&self) -> usize {
        self.body.len() - self.position
    }

    /// A error at the current position.
    #[cold]
    pub(crate) fn failure(&self, error: DecodeError) -> DecodeFailure {
        self.failure_at(self.position, error)
    }

    /// A error at another position.
    #[cold]
    pub(crate) fn failure_at(&self, position: usize, error: DecodeError) -> DecodeFailure {
        DecodeFailure { offset: HEADER_LENGTH + position, error }
    }

    /// Moves on by `length` bytes.
    #[inline]
    pub(crate) fn skip(&mut self, length: u64) -> Result<(), DecodeFailure> {
        if length > self.remaining() as u64 {
            return Err(self.failure(DecodeError::Truncated { expected: length, got: self.remaining() }));
        }
        self.position += length as usize;
        Ok(())
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeFailure> {
        let start = self.position;
        self.skip(length as u64)?;
        Ok(&self.body[start..self.position])
    }

    /// The next `N` bytes at the alignment of `N`, in little-endian order.
    #[inline]
    fn aligned<const N: usize>(&mut self) -> Result<[u8; N], DecodeFailure> {
        self.skip(padding(self.position, N))?;
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        if self.big_endian {
            bytes.reverse();
        }
        Ok(bytes)
    }

    /// A number as f64; an integer that f64 cannot hold comes back as `Err(Ok(integer))`.
    #[inline]
    pub(crate) fn number(&mut self, scalar: Scalar) -> Result<f64, Result<i128, DecodeFailure>> {
        let number = match scalar {
            Scalar::Bool => match self.aligned::<1>().map_err(Err)? {
                [bit @ 0..=1] => f64::from(bit),
                [got] => return Err(Err(self.failure_at(self.position - 1, DecodeError::Bool { got }))),
            },
            Scalar::I8 => f64::from(i8::from_le_bytes(self.aligned().map_err(Err)?)),
            Scalar::U8 => f64::from(u8::from_le_bytes(self.aligned().map_err(Err)?)),
            Scalar::I16 => f64::from(i16::from_le_bytes(self.aligned().map_err(Err)?)),
            Scalar::U16 => f64::from(u16::from_le_bytes(self.aligned().map_err(Err)?)),
            Scalar::I32 => f64::from(i32::from_le_bytes(self.aligned().map_err(Err)?)),
            Scalar::U32 => f64::from(u32::from_le_bytes(self.aligned().map_err(Err)?)),
            Scalar::F32 => f64::from(f32::from_le_bytes(self.aligned().map_err(Err)?)),
            Scalar::F64 => f64::from_le_bytes(self.aligned().map_err(Err)?),
            Scalar::I64 => {
                let integer = i64::from_le_bytes(self.aligned().map_err(Err)?);
                if integer.unsigned_abs() > MAX_EXACT {
                    return Err(Ok(integer.into()));
                }
                integer as f64
            }
            Scalar::U64 => {
                let integer = u64::from_le_bytes(self.aligned().map_err(Err)?);
                if integer > MAX_EXACT {
                    return Err(Ok(integer.into()));
                }
                integer as f64
            }
        };
        Ok(number)
    }

    /// The length of a dynamic array whose elements take at least `element_min` bytes each.
    #[inline]
    pub(crate) fn length(&mut self, bound: Option<u32>, element_min: u64) -> Result<u32, DecodeFailure> {
        let length = u32::from_le_bytes(self.aligned()?);
        let at = self.position - 4;
        if let Some(expected) = bound.filter(|&bound| length > bound) {
            return Err(self.failure_at(at, DecodeError::AboveBound { expected, got: length }));
        }
        let expected = u64::from(length).saturating_mul(element_min);
        if expected > self.remaining() as u64 {
            return Err(self.failure_at(at, DecodeError::Truncated { expected, got: self.remaining() }));
        }
        Ok(length)
    }

    /// A string without its terminator. Not checked to be UTF-8.
    #[inline]
    pub(crate) fn string(&mut self, bound: Option<u32>) -> Result<&'a [u8], DecodeFailure> {
        // The terminator counts; some writers leave both out for an empty string.
        let length = self.length(bound.map(|bound| bound.saturating_add(1)), 1)?;
        let bytes = self.take(length as usize)?;
        Ok(bytes.strip_suffix(&[0]).unwrap_or(bytes))
    }

    /// Passes a wide string: a count and four bytes for each character, without a terminator, as rosidl writes it.
    pub(crate) fn skip_wide_string(&mut self, bound: Option<u32>) -> Result<(), DecodeFailure> {
        let length = self.length(bound, 4)?;
        self.skip(u64::from(length) * 4)
    }

    /// The end of a message in which `empty_arrays` were met: nothing but padding may be left.
    pub(crate) fn end(&self, empty_arrays: usize) -> Result<(), DecodeFailure> {
        let expected = MAX_PADDING.saturating_add(empty_arrays.saturating_mul(EXCESS_PER_EMPTY_ARRAY));
        if self.remaining() > expected {
            return Err(self.failure(DecodeError::Trailing { expected, got: self.remaining() }));
        }
        Ok(())
    }
}

/// Bytes from `position` to the next multiple of `alignment`.
#[inline]
pub(crate) fn padding(position: usize, alignment: usize) -> u64 {
    (position.wrapping_neg() & (alignment - 1)) as u64
}

/// How far a run of fixed layout reaches, padding included, by the position modulo 8 at which it starts.
/// A run longer than 2^64 bytes counts as 2^64 - 1: no message holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Advance([u64; MAX_ALIGNMENT]);

impl Advance {
    pub(crate) const NOTHING: Self = Self([0; MAX_ALIGNMENT]);

    pub(crate) fn scalar(scalar: Scalar) -> Self {
        Self(std::array::from_fn(|phase| padding(phase, scalar.size()) + scalar.size() as u64))
    }

    /// This run and then `next`.
    pub(crate) fn then(self, next: Self) -> Self {
        Self(std::array::from_fn(|phase| {
            let own = self.0[phase];
            own.saturating_add(next.0[(own.wrapping_add(phase as u64) % MAX_ALIGNMENT as u64) as usize])
        }))
    }

    /// This run `count` times.
    pub(crate) fn times(self, mut count: u32) -> Self {
        let (mut all, mut power) = (Self::NOTHING, self);
        while count > 0 {
            if count % 2 == 1 {
                all = all.then(power);
            }
            power = power.then(power);
            count /= 2;
        }
        all
    }

    /// Bytes of the run if it starts at `position`.
    #[inline]
    pub(crate) fn from(&self, position: usize) -> u64 {
        self.0[position % MAX_ALIGNMENT]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_pads_by_where_it_starts() {
        // u8 and then f64: from 0: 1 + 7 padding + 8 = 16; from 7: 1 + 0 + 8 = 9; from 3: 1 + 4 + 8 = 13.
        let run = Advance::scalar(Scalar::U8).then(Advance::scalar(Scalar::F64));
        assert_eq!([run.from(0), run.from(7), run.from(3), run.from(16)], [16, 9, 13, 16]);
        // Three times from 7: 9 to 16, then 16 and 16: 41.
        assert_eq!(run.times(3).from(7), 41);
        assert_eq!(run.times(0), Advance::NOTHING);
        // 2^32 - 1 times, four times over: beyond 2^64, held there.
        let long = run.times(u32::MAX).times(u32::MAX).times(u32::MAX);
        assert_eq!(long.from(0), u64::MAX);
    }

    #[test]
    fn numbers_of_both_byte_orders() {
        let little = [0, 1, 0, 0, 1, 0, 0xfe, 0xff, 0, 0, 0x80, 0x3f];
        let big = [0, 0, 0, 0, 1, 0, 0xff, 0xfe, 0x3f, 0x80, 0, 0];
        for message in [&little, &big] {
            let mut cursor = Cursor::new(message).unwrap();
            let numbers = [Scalar::Bool, Scalar::I16, Scalar::F32].map(|scalar| cursor.number(scalar).unwrap());
            assert_eq!(numbers, [1.0, -2.0, 1.0]);
        }
    }

    #[test]
    fn integers_beyond_f64_are_handed_back() {
        let message = |integer: i64| [&[0, 1, 0, 0][..], &integer.to_le_bytes()].concat();
        let read = |integer, scalar| Cursor::new(&message(integer)).unwrap().number(scalar);
        assert_eq!(read(1 << 53, Scalar::I64), Ok(9007199254740992.0));
        assert_eq!(read(-(1 << 53), Scalar::I64), Ok(-9007199254740992.0));
        assert_eq!(read((1 << 53) + 1, Scalar::I64), Err(Ok((1 << 53) + 1)));
        assert_eq!(read(i64::MIN, Scalar::I64), Err(Ok(i64::MIN.into())));
        assert_eq!(read(-1, Scalar::U64), Err(Ok(u64::MAX.into())));
    }

    #[test]
    fn only_plain_cdr_is_read() {
        let open = |bytes: &[u8]| Cursor::new(bytes).map(|_| ()).unwrap_err();
        assert_eq!(
            open(&[0, 1, 0]),
            DecodeFailure { offset: 0, error: DecodeError::Truncated { expected: 4, got: 3 } }
        );
        // 00 03 is a parameter list, 00 07 is XCDR2.
        for got in [[0, 3], [0, 7], [1, 0]] {
            assert_eq!(open(&[got[0], got[1], 0, 0]).error, DecodeError::Encapsulation { got });
        }
    }
}
