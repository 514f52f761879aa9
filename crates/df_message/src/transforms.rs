//! The bytes of a `tf2_msgs/msg/TFMessage`: a list of transforms, which no field list can name. Decoded by hand, so that it
//! needs neither the package's definition nor r2r's support for it.

use super::MessageError;
use super::cdr::Cursor;
use super::error::Damage;
use super::extract::NS_PER_S;
use super::schema::Scalar;

pub const TF_MESSAGE: &str = "tf2_msgs/msg/TFMessage";
/// What a `geometry_msgs/msg/TransformStamped` takes at least: stamp, two lengths of strings, seven numbers.
const TRANSFORM_MIN: u64 = 8 + 2 * 4 + 7 * 8;

/// What a `geometry_msgs/msg/TransformStamped` says, unchecked: where `child` lies in `parent`.
#[derive(Clone, Debug, PartialEq)]
pub struct StampedTransform {
    pub stamp_ns: i64,
    /// `header.frame_id`.
    pub parent: String,
    /// `child_frame_id`.
    pub child: String,
    pub translation_m: [f64; 3],
    /// x, y, z, w.
    pub rotation: [f64; 4],
}

/// Decodes a serialized message (4-byte encapsulation header, then CDR).
///
/// # Errors
/// Truncated or malformed bytes.
pub fn transforms(bytes: &[u8]) -> Result<Vec<StampedTransform>, MessageError> {
    decode(bytes).map_err(|Damage { offset, fault }| MessageError::Bytes {
        message_type: TF_MESSAGE.into(),
        offset,
        fault,
    })
}

fn decode(bytes: &[u8]) -> Result<Vec<StampedTransform>, Damage> {
    let mut cursor = Cursor::new(bytes)?;
    let count = cursor.length(None, TRANSFORM_MIN)?;
    let transforms = (0..count).map(|_| transform(&mut cursor)).collect::<Result<_, _>>()?;
    cursor.end(usize::from(count == 0))?;
    Ok(transforms)
}

fn transform(cursor: &mut Cursor) -> Result<StampedTransform, Damage> {
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

fn number(cursor: &mut Cursor, scalar: Scalar) -> Result<f64, Damage> {
    // None of these scalars is an integer that f64 cannot hold.
    cursor.number(scalar).or_else(|beyond| beyond.map(|integer| integer as f64))
}
