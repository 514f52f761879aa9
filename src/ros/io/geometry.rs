//! Transforms messages with a point or a pose into another frame.

use nalgebra::{Isometry3, Matrix6, Point3, Quaternion};
use r2r::WrappedTypesupport;
use r2r::geometry_msgs::msg::{Point, PointStamped, Pose, PoseStamped, PoseWithCovarianceStamped};

/// Why a message cannot be transformed.
#[derive(Debug, thiserror::Error)]
pub(super) enum GeometryError {
    /// Messages of this type cannot be transformed.
    #[error("{message_type} cannot be transformed; these can: {can:?}")]
    Type {
        /// The type of the message.
        message_type: String,
        /// The types that can be transformed.
        can: [&'static str; 3],
    },
    /// The bytes are no message of the type.
    #[error("{message_type}: {cause}")]
    Bytes {
        /// The type of the message.
        message_type: String,
        /// The error of the deserializer.
        cause: r2r::Error,
    },
}

const POINT: &str = "geometry_msgs/msg/PointStamped";
const POSE: &str = "geometry_msgs/msg/PoseStamped";
const POSE_WITH_COVARIANCE: &str = "geometry_msgs/msg/PoseWithCovarianceStamped";

/// Checks that messages of this type can be transformed.
///
/// # Errors
/// [`GeometryError::Type`].
pub(super) fn check_type(message_type: &str) -> Result<(), GeometryError> {
    let can = [POINT, POSE, POSE_WITH_COVARIANCE];
    if can.contains(&message_type) {
        Ok(())
    } else {
        Err(GeometryError::Type { message_type: message_type.into(), can })
    }
}

/// The same message in the frame `target`. Its stamp does not change.
///
/// # Errors
/// [`GeometryError`].
pub(super) fn transformed(
    message_type: &str,
    bytes: &[u8],
    target_from_source: &Isometry3<f64>,
    target: &str,
) -> Result<Vec<u8>, GeometryError> {
    check_type(message_type)?;
    let place = target_from_source;
    let bytes = match message_type {
        POINT => changed::<PointStamped>(bytes, |message| {
            message.header.frame_id = target.into();
            move_point(&mut message.point, place);
        }),
        POSE => changed::<PoseStamped>(bytes, |message| {
            message.header.frame_id = target.into();
            move_pose(&mut message.pose, place);
        }),
        _ => changed::<PoseWithCovarianceStamped>(bytes, |message| {
            message.header.frame_id = target.into();
            move_pose(&mut message.pose.pose, place);
            turn_covariance(&mut message.pose.covariance, place);
        }),
    };
    bytes.map_err(|cause| GeometryError::Bytes { message_type: message_type.into(), cause })
}

fn changed<T: WrappedTypesupport>(bytes: &[u8], change: impl FnOnce(&mut T)) -> r2r::Result<Vec<u8>> {
    let mut message = T::from_serialized_bytes(bytes)?;
    change(&mut message);
    message.to_serialized_bytes()
}

fn move_point(point: &mut Point, place: &Isometry3<f64>) {
    let moved = place * Point3::new(point.x, point.y, point.z);
    (point.x, point.y, point.z) = (moved.x, moved.y, moved.z);
}

/// Does not normalise the quaternion. The contract may not read the orientation, so any is
/// accepted.
fn move_pose(pose: &mut Pose, place: &Isometry3<f64>) {
    move_point(&mut pose.position, place);
    let q = &mut pose.orientation;
    let turned = place.rotation.quaternion() * Quaternion::new(q.w, q.x, q.y, q.z);
    (q.x, q.y, q.z, q.w) = (turned.i, turned.j, turned.k, turned.w);
}

/// Turns a 6 x 6 covariance in row order: position (x, y, z), then rotation about the fixed axes.
fn turn_covariance(covariance: &mut [f64], place: &Isometry3<f64>) {
    if covariance.len() != 36 {
        return;
    }
    let turn = place.rotation.to_rotation_matrix();
    let mut both = Matrix6::zeros();
    both.fixed_view_mut::<3, 3>(0, 0).copy_from(turn.matrix());
    both.fixed_view_mut::<3, 3>(3, 3).copy_from(turn.matrix());
    let turned = both * Matrix6::from_row_slice(covariance) * both.transpose();
    covariance.copy_from_slice(turned.transpose().as_slice());
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2};

    use nalgebra::Vector3;

    use super::*;

    /// A move to (10, 20, 0) and a quarter turn to the left.
    fn place() -> Isometry3<f64> {
        Isometry3::new(Vector3::new(10.0, 20.0, 0.0), Vector3::z() * FRAC_PI_2)
    }

    fn round_trip<T: WrappedTypesupport>(message_type: &str, message: &T) -> T {
        let bytes = transformed(message_type, &message.to_serialized_bytes().unwrap(), &place(), "odom").unwrap();
        T::from_serialized_bytes(&bytes).unwrap()
    }

    #[test]
    fn position_orientation_and_covariance_of_a_pose_are_transformed() {
        let mut message = PoseWithCovarianceStamped::default();
        message.header.stamp.sec = 7;
        message.header.frame_id = "map".into();
        message.pose.pose.position = Point { x: 1.0, y: 2.0, z: 3.0 };
        message.pose.pose.orientation.w = 1.0;
        message.pose.covariance = vec![0.0; 36];
        // The variance along x, and its covariance with the yaw.
        (message.pose.covariance[0], message.pose.covariance[5], message.pose.covariance[30]) = (4.0, 0.5, 0.5);
        let moved = round_trip(POSE_WITH_COVARIANCE, &message);
        assert_eq!((moved.header.frame_id.as_str(), moved.header.stamp.sec), ("odom", 7));
        let p = &moved.pose.pose.position;
        // (x, y) -> (10 - y, 20 + x).
        assert!((p.x - 8.0).abs() < 1e-12 && (p.y - 21.0).abs() < 1e-12 && p.z == 3.0);
        let q = &moved.pose.pose.orientation;
        assert!((q.z - FRAC_1_SQRT_2).abs() < 1e-12 && (q.w - FRAC_1_SQRT_2).abs() < 1e-12);
        // Now along y: rows and columns 1, and 5 for the yaw.
        let c = &moved.pose.covariance;
        assert!((c[7] - 4.0).abs() < 1e-12 && (c[11] - 0.5).abs() < 1e-12 && (c[31] - 0.5).abs() < 1e-12);
        assert!(c[0].abs() < 1e-12);

        let pose = PoseStamped { pose: message.pose.pose.clone(), ..PoseStamped::default() };
        assert!((round_trip(POSE, &pose).pose.position.y - 21.0).abs() < 1e-12);
        let point = PointStamped { point: message.pose.pose.position.clone(), ..PointStamped::default() };
        assert!((round_trip(POINT, &point).point.x - 8.0).abs() < 1e-12);
    }

    #[test]
    fn an_unsupported_type_and_invalid_bytes_are_errors() {
        let error = transformed("nav_msgs/msg/Odometry", &[], &place(), "odom").unwrap_err().to_string();
        assert!(error.starts_with("nav_msgs/msg/Odometry cannot be transformed; these can: [\"geom"), "{error}");
        assert!(matches!(transformed(POSE, &[0, 1, 0, 0, 9], &place(), "odom"), Err(GeometryError::Bytes { .. })));
    }
}
