//! Maps: occupancy grids and their files, polygons, and signed distances to both.

mod distance_field;
mod distance_transform;
mod occupancy;
mod pgm;
mod polygon;

pub use distance_field::{DistanceField, GridError, SharedMap, Unknown};
pub use occupancy::{MapError, OccupancyGrid};
pub use pgm::MAX_PIXELS;
pub use polygon::{Polygon, PolygonError};
