//! Decodes `tf2_msgs/msg/TFMessage`, a list of transforms that no field list can name.
//! The layout is written out here, so that decoding needs no definition of the package.

use super::cdr::Cursor;
use super::error::DecodeFailure;
use super::error::MessageError;
use super::header::NS_PER_S;
use super::schema::Scalar;

/// The name of the message type that [`transforms`] decodes.
pub const TF_MESSAGE: &str = "tf2_msgs/msg/TFMessage";
/// Fewest bytes of a `geometry_msgs/msg/TransformStamped`: stamp, two lengths of strings, seven numbers.
const TRANSFORM_MIN: u64 = 8 + 2 * 4 + 7 * 8;

/// The content of a `geometry_msgs/msg/TransformStamped`: the pose of `child` in `parent`. Values are not checked.
#[derive(Clone, Debug, PartialEq)]
pub struct StampedTransform {
    /// `header.stamp`, nanoseconds.
    pub stamp_ns: i64,
    /// `header.frame_id`.
    pub parent: String,
    /// `child_frame_id`.
    pub child: String,
    /// x, y, z in metres.
    pub translation_m: [f64; 3],
    /// Quaternion x, y, z, w; not normalised.
    pub rotation: [f64; 4],
}

/// Decodes a serialized [`TF_MESSAGE`] (4-byte encapsulation header, then CDR).
///
/// # Errors
/// Truncated or malformed bytes.
pub fn transforms(bytes: &[u8]) -> Result<Vec<StampedTransform>, MessageError> {
    decode(bytes).map_err(|failure| failure.of(TF_MESSAGE))
}

fn decode(bytes: &[u8]) -> Result<Vec<StampedTransform>, DecodeFailure> {
    let mut cursor = Cursor::new(bytes)?;
    let count = cursor.length(None, TRANSFORM_MIN)?;
    let transforms = (0..count).map(|_| transform(&mut cursor)).collect::<Result<_, _>>()?;
    cursor.end(usize::from(count == 0))?;
    Ok(transforms)
}

fn transform(cursor: &mut Cursor) -> Result<StampedTransform, DecodeFailure> {
    let seconds = number(cursor, Scalar::I32)? as i64;
    let stamp_ns = seconds * NS_PER_S + number(cursor, Scalar::U32)? as i64;
    let mut name = || Ok(String::from_utf8_lossy(cursor.string(None)?).into_owned());
    let (parent, child) = (name()?, name()?);
    let mut numbers = [0.0; 7];
    for value in &mut numbers {
        *value = number(cursor, Scalar::F64)?;
    }
    let [x, y, z, qx, qy, qz, qw] = numbers;
    Ok(StampedTransform { stamp_ns, parent, child, translation_m: [x, y, z], rotation: [qx, qy, qz, qw] })
}

fn number(cursor: &mut Cursor, scalar: Scalar) -> Result<f64, DecodeFailure> {
    // f64 holds every value of i32, u32 and f64 exactly, so the conversion is never used.
    cursor.number(scalar).or_else(|beyond| beyond.map(|integer| integer as f64))
}
