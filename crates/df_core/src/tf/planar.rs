//! A transform in the plane, for grids and costs that have neither height nor tilt.

use nalgebra::{Isometry3, Vector3};

/// Largest height of a grid above or below the plane of the robot, m.
const MAX_HEIGHT_M: f64 = 0.1;
/// Largest tilt, rad. At this tilt the far end of a grid of 20 m is 0.2 m off.
const MAX_TILT_RAD: f64 = 0.01;

/// The pose of a plane's origin in another plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planar {
    /// x and y of the origin, m.
    pub at_m: [f64; 2],
    /// Heading, rad.
    pub yaw_rad: f64,
}

/// A transform that leaves the plane.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "lies {height_m:.3} m high and tilted by {tilt_rad:.3} rad, expected at most {MAX_HEIGHT_M} m and {MAX_TILT_RAD} rad"
)]
pub struct NotPlanar {
    /// Height above the plane, m.
    pub height_m: f64,
    /// Angle between the two vertical axes, rad.
    pub tilt_rad: f64,
}

impl TryFrom<&Isometry3<f64>> for Planar {
    type Error = NotPlanar;

    fn try_from(place: &Isometry3<f64>) -> Result<Self, NotPlanar> {
        let height_m = place.translation.z;
        let tilt_rad = (place.rotation * Vector3::z()).angle(&Vector3::z());
        if height_m.abs() > MAX_HEIGHT_M || tilt_rad > MAX_TILT_RAD {
            return Err(NotPlanar { height_m, tilt_rad });
        }
        let along = place.rotation * Vector3::x();
        Ok(Self { at_m: [place.translation.x, place.translation.y], yaw_rad: along.y.atan2(along.x) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_yaw_is_kept_and_a_tilt_refused() {
        let place = |z, roll: f64, yaw| {
            let turn = nalgebra::UnitQuaternion::from_euler_angles(roll, 0.0, yaw);
            Isometry3::from_parts(Vector3::new(1.0, 2.0, z).into(), turn)
        };
        let planar = Planar::try_from(&place(0.05, 0.0, -3.0)).unwrap();
        assert!(planar.at_m == [1.0, 2.0] && (planar.yaw_rad + 3.0).abs() < 1e-12);
        assert!(Planar::try_from(&place(0.0, 0.009, 1.0)).is_ok());
        let tilted = Planar::try_from(&place(0.0, 0.02, 1.0)).unwrap_err().to_string();
        assert_eq!(tilted, "lies 0.000 m high and tilted by 0.020 rad, expected at most 0.1 m and 0.01 rad");
        assert!(Planar::try_from(&place(-0.2, 0.0, 0.0)).is_err());
    }
}
