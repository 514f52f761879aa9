//! A buffer of transforms between coordinate frames over time, like that of tf2. It does not depend on ROS.
//!
//! "Frame" in this module is a coordinate frame (`map`, `odom`), not a frame of the tick grid. The transform
//! `map_from_base` takes coordinates in `base` to coordinates in `map`.
//!
//! ```text
//! parent, child, stamp, parent_from_child -> Transform -> Buffer -> target_from_source at a time, or a LookupError
//! ```

mod buffer;
mod edge;
mod error;
mod planar;
mod transform;

#[cfg(test)]
mod tests;

pub use buffer::{Buffer, Inserted, When};
pub use error::{LookupError, TransformError};
pub use planar::{NotPlanar, Planar};
pub use transform::{Transform, check_name};
