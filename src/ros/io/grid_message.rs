//! Converts `nav_msgs/OccupancyGrid` messages to grids.

use nalgebra::Isometry3;
use r2r::WrappedTypesupport;
use r2r::nav_msgs::msg::OccupancyGrid as Message;

use df_core::map::GridError;
use df_core::map::OccupancyGrid;
use df_core::tf::{LookupError, NotPlanar, Planar, Transform, TransformError};

/// The message type of maps.
pub(super) const GRID_TYPE: &str = "nav_msgs/msg/OccupancyGrid";

/// Why a map is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum MapError {
    /// The bytes are no message of the type.
    #[error("the bytes are no {GRID_TYPE}: {0}")]
    Bytes(#[from] r2r::Error),
    /// The origin is no valid transform.
    #[error("info.origin: {0}")]
    Origin(#[from] TransformError),
    /// The origin is not in the plane.
    #[error("info.origin {0}")]
    NotPlanar(#[from] NotPlanar),
    /// The cells cannot be used.
    #[error(transparent)]
    Grid(#[from] GridError),
    /// The map names no frame, but the contract does.
    #[error("its frame id is empty, the contract's is `{0}`")]
    NoFrame(String),
}

/// Why the place of a map in the contract's frame is unknown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// The transform is not known.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The transform leads out of the plane.
    #[error("in the contract's frame `{expected}` it {cause}")]
    NotPlanar {
        /// The contract's frame.
        expected: String,
        /// How far it is out of the plane.
        cause: NotPlanar,
    },
}

impl PlaceError {
    /// The place of a map in the frame `expected`, which must be in the plane.
    ///
    /// # Errors
    /// [`PlaceError::NotPlanar`].
    pub(super) fn check(place: &Isometry3<f64>, expected: String) -> Result<Planar, Self> {
        Planar::try_from(place).map_err(|cause| Self::NotPlanar { expected, cause })
    }
}

/// A grid and the frame that it is in.
pub(super) struct GridInFrame {
    /// The grid in the coordinates of the frame.
    pub grid: OccupancyGrid,
    /// The frame's name.
    pub frame_id: String,
}

impl GridInFrame {
    /// Reads a serialized message. `topic` names the grid in errors. `expected_frame` is the frame
    /// of the contract: if there is one, the message must name a frame.
    ///
    /// # Errors
    /// All of [`MapError`] but [`MapError::Grid`].
    pub(super) fn from_bytes(bytes: &[u8], topic: &str, expected_frame: Option<&str>) -> Result<Self, MapError> {
        let message = Message::from_serialized_bytes(bytes)?;
        if let Some(expected) = expected_frame.filter(|_| message.header.frame_id.is_empty()) {
            return Err(MapError::NoFrame(expected.into()));
        }
        let origin = &message.info.origin;
        let (p, q) = (&origin.position, &origin.orientation);
        let place = Transform::new("map", "origin", 0, [p.x, p.y, p.z], [q.x, q.y, q.z, q.w])?;
        let Planar { at_m, yaw_rad } = Planar::try_from(&place.parent_from_child)?;
        let grid = OccupancyGrid {
            name: topic.into(),
            resolution_m: f64::from(message.info.resolution),
            width: message.info.width as usize,
            height: message.info.height as usize,
            origin_m: at_m,
            yaw_rad,
            cells: message.data,
        };
        Ok(Self { grid, frame_id: message.header.frame_id })
    }
}
