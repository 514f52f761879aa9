//! One published transform, validated.

use nalgebra::{Isometry3, Quaternion, Translation3, UnitQuaternion};

use super::TransformError;

/// Largest accepted distance of a quaternion's norm from 1. The quaternion is then normalised. tf2 has the same bound,
/// `QUATERNION_NORMALIZATION_TOLERANCE` in `tf2/src/buffer_core.cpp`.
const NORM_TOLERANCE: f64 = 1e-2;
/// Longest frame name, bytes. It bounds the memory of the buffer.
const MAX_NAME: usize = 255;

/// The pose of the frame `child` in the frame `parent` at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Transform {
    /// Name of the parent frame.
    pub parent: String,
    /// Name of the child frame.
    pub child: String,
    /// Time, nanoseconds.
    pub stamp_ns: i64,
    /// Takes coordinates in the child frame to coordinates in the parent frame.
    pub parent_from_child: Isometry3<f64>,
}

impl Transform {
    /// From the numbers of a `geometry_msgs/msg/TransformStamped`: the translation in m, the rotation as x, y, z, w. Like
    /// tf2, it removes a leading slash from a name.
    ///
    /// # Errors
    /// [`TransformError`]: an invalid name, a value that is not finite, a quaternion whose norm is not 1.
    pub fn new(
        parent: &str,
        child: &str,
        stamp_ns: i64,
        translation_m: [f64; 3],
        rotation: [f64; 4],
    ) -> Result<Self, TransformError> {
        let (parent, child) = (stripped(parent)?, stripped(child)?);
        if parent == child {
            return Err(TransformError::OwnParent { child: child.into() });
        }
        let names = || (parent.to_string(), child.to_string());
        for (what, values) in [("the translation", &translation_m[..]), ("the rotation", &rotation)] {
            if let Some(&got) = values.iter().find(|v| !v.is_finite()) {
                let (parent, child) = names();
                return Err(TransformError::NotFinite { parent, child, what, got });
            }
        }
        let [x, y, z, w] = rotation;
        let quaternion = Quaternion::new(w, x, y, z);
        let got = quaternion.norm();
        if (got - 1.0).abs() > NORM_TOLERANCE {
            let (parent, child) = names();
            return Err(TransformError::QuaternionNorm { parent, child, got, tolerance: NORM_TOLERANCE });
        }
        let [x, y, z] = translation_m;
        let rotation = UnitQuaternion::from_quaternion(quaternion);
        let parent_from_child = Isometry3::from_parts(Translation3::new(x, y, z), rotation);
        Ok(Self { parent: parent.into(), child: child.into(), stamp_ns, parent_from_child })
    }
}

/// Checks a frame name as tf2 does in a lookup: it is not empty and has no leading slash.
///
/// # Errors
/// The rule that is broken.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("the name is empty"),
        _ if name.starts_with('/') => Err("a name has no leading slash in tf2"),
        _ if name.len() > MAX_NAME => Err("a name has at most 255 bytes"),
        _ => Ok(()),
    }
}

fn stripped(name: &str) -> Result<&str, TransformError> {
    let name = name.strip_prefix('/').unwrap_or(name);
    check_name(name).map_err(|rule| TransformError::Name { name: name.into(), rule })?;
    Ok(name)
}
