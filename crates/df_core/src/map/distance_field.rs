//! The signed distance to the occupied cells of a grid at any position, with its gradient.

use std::sync::{Arc, PoisonError, RwLock};

use serde::Deserialize;

use super::distance_transform::distances;
use super::occupancy::OccupancyGrid;
use crate::contract::MapTopic;

/// Probability from which on a cell is occupied, percent. It is the default `occupied_thresh` of Nav2's map_saver.
const OCCUPIED_FROM: i8 = 65;

/// The distance in a grid without an occupied cell, m.
const MAX_DISTANCE_M: f32 = 1e6;

/// How unknown cells are counted, and all cells outside the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// Unknown cells count as obstacles.
    #[default]
    Occupied,
    /// Unknown cells count as free.
    Free,
}

/// Why a grid has no distance field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GridError {
    /// Every cell is occupied.
    #[error(
        "the grid {name} of {width} x {height} cells has no free cell ({unknown} unknown cells count as {counted_as:?})"
    )]
    NoFreeCell {
        /// File or topic of the grid.
        name: String,
        /// Cells along x.
        width: usize,
        /// Cells along y.
        height: usize,
        /// Number of unknown cells.
        unknown: usize,
        /// How unknown cells are counted.
        counted_as: Unknown,
    },
    /// The number of cells is not width times height, or is 0.
    #[error("the grid {name} of {width} x {height} cells must have at least 1 and as many values, got {got}")]
    Size {
        /// File or topic of the grid.
        name: String,
        /// Cells along x.
        width: usize,
        /// Cells along y.
        height: usize,
        /// What was found.
        got: usize,
    },
    /// A cell value outside -1 to 100.
    #[error("the grid {name} has the value {got} in cell {cell}, expected -1 to 100")]
    Cell {
        /// File or topic of the grid.
        name: String,
        /// Index of the cell, row by row.
        cell: usize,
        /// What was found.
        got: i8,
    },
    /// A resolution or an origin that is not finite, or a resolution that is not positive.
    #[error("the grid {name} has the {what} {got}, expected a finite number{rule}")]
    Place {
        /// File or topic of the grid.
        name: String,
        /// The name of the value.
        what: &'static str,
        /// What was found.
        got: f64,
        /// The rule beyond being finite, or nothing.
        rule: &'static str,
    },
}

/// The signed distance to the boundary of the occupied area, negative inside. It is exact at the centre of every cell and
/// bilinear between centres.
///
/// [`Unknown`] says whether the outside of the grid is free or occupied. The field has one ring of such cells around the
/// grid. Outside the ring, the distance to the ring is added (free) or subtracted (occupied).
#[derive(Clone, Debug, PartialEq)]
pub struct DistanceField {
    /// Cells along x, the ring included.
    width: usize,
    height: usize,
    resolution_m: f64,
    /// Centre of the ring's corner cell in the map, m.
    corner_m: [f64; 2],
    cos_yaw: f64,
    sin_yaw: f64,
    /// Distances at the cells' centres, m, row by row. Copies made by [`DistanceField::moved`] share them.
    values: Arc<[f32]>,
    beyond: Unknown,
}

impl DistanceField {
    /// The distance field of a grid.
    ///
    /// # Errors
    /// [`GridError`]: no free cell, a wrong number of cells, or a value out of range.
    pub fn new(grid: &OccupancyGrid, unknown: Unknown) -> Result<Self, GridError> {
        check(grid)?;
        let is_occupied = |cell: i8| if cell < 0 { unknown == Unknown::Occupied } else { cell >= OCCUPIED_FROM };
        if grid.cells.iter().all(|&cell| is_occupied(cell)) {
            return Err(GridError::NoFreeCell {
                name: grid.name.clone(),
                width: grid.width,
                height: grid.height,
                unknown: grid.cells.iter().filter(|&&cell| cell < 0).count(),
                counted_as: unknown,
            });
        }
        let (width, height) = (grid.width + 2, grid.height + 2);
        let mut occupied = vec![unknown == Unknown::Occupied; width * height];
        for (row, cells) in grid.cells.chunks_exact(grid.width).enumerate() {
            let start = (row + 1) * width + 1;
            occupied[start..start + grid.width].iter_mut().zip(cells).for_each(|(to, &cell)| *to = is_occupied(cell));
        }
        let outside = distances(&occupied, width);
        occupied.iter_mut().for_each(|cell| *cell = !*cell);
        let inside = distances(&occupied, width);
        let resolution = grid.resolution_m as f32;
        let values =
            outside.iter().zip(&inside).map(|(out, into)| ((out - into) * resolution).min(MAX_DISTANCE_M)).collect();
        let (sin_yaw, cos_yaw) = grid.yaw_rad.sin_cos();
        // The centre of the ring's corner cell is half a cell outside the grid's corner.
        let back = -0.5 * grid.resolution_m;
        let [x, y] = grid.origin_m;
        let corner_m = [x + back * (cos_yaw - sin_yaw), y + back * (sin_yaw + cos_yaw)];
        Ok(Self { width, height, resolution_m: grid.resolution_m, corner_m, cos_yaw, sin_yaw, values, beyond: unknown })
    }

    /// The same field in another coordinate frame. `at_m` and `yaw_rad`: the pose of the map's frame in that frame.
    pub fn moved(&self, at_m: [f64; 2], yaw_rad: f64) -> Self {
        let (sin, cos) = yaw_rad.sin_cos();
        let [x, y] = self.corner_m;
        Self {
            corner_m: [at_m[0] + cos * x - sin * y, at_m[1] + sin * x + cos * y],
            cos_yaw: cos * self.cos_yaw - sin * self.sin_yaw,
            sin_yaw: sin * self.cos_yaw + cos * self.sin_yaw,
            ..self.clone()
        }
    }

    /// The signed distance at a position in the map, m, and its gradient (without unit).
    pub fn at(&self, place_m: [f64; 2]) -> (f64, [f64; 2]) {
        let (x, y) = (place_m[0] - self.corner_m[0], place_m[1] - self.corner_m[1]);
        // Rotated into the grid, in cells.
        let per_m = self.resolution_m.recip();
        let (along, dx, out_x) = within((self.cos_yaw * x + self.sin_yaw * y) * per_m, self.width);
        let (up, dy, out_y) = within((self.cos_yaw * y - self.sin_yaw * x) * per_m, self.height);
        let row = up * self.width + along;
        let corners =
            [self.values[row], self.values[row + 1], self.values[row + self.width], self.values[row + self.width + 1]];
        let [a, b, c, d] = corners.map(f64::from);
        let (low, high) = (a + (b - a) * dx, c + (d - c) * dx);
        let mut distance = low + (high - low) * dy;
        // Outside the field the clamped position is constant, so its gradient is 0.
        let mut slope_x = if out_x == 0.0 { ((b - a) + ((d - c) - (b - a)) * dy) * per_m } else { 0.0 };
        let mut slope_y = if out_y == 0.0 { (high - low) * per_m } else { 0.0 };
        if out_x != 0.0 || out_y != 0.0 {
            let away = out_x.hypot(out_y);
            let sign = if self.beyond == Unknown::Occupied { -1.0 } else { 1.0 };
            distance += sign * away * self.resolution_m;
            slope_x += sign * out_x / away;
            slope_y += sign * out_y / away;
        }
        let gradient =
            [self.cos_yaw * slope_x - self.sin_yaw * slope_y, self.sin_yaw * slope_x + self.cos_yaw * slope_y];
        (distance, gradient)
    }
}

/// Splits a coordinate in cells: index of the cell before it, fraction to the next one, and distance outside the field.
fn within(coordinate: f64, cells: usize) -> (usize, f64, f64) {
    let clamped = coordinate.clamp(0.0, (cells - 1) as f64);
    let cell = (clamped as usize).min(cells - 2);
    (cell, clamped - cell as f64, coordinate - clamped)
}

fn check(grid: &OccupancyGrid) -> Result<(), GridError> {
    let name = || grid.name.clone();
    let (width, height, got) = (grid.width, grid.height, grid.cells.len());
    if got == 0 || width.checked_mul(height) != Some(got) {
        return Err(GridError::Size { name: name(), width, height, got });
    }
    if let Some(cell) = grid.cells.iter().position(|cell| !(-1..=100).contains(cell)) {
        return Err(GridError::Cell { name: name(), cell, got: grid.cells[cell] });
    }
    let place = |what, got: f64, min: f64, rule| {
        let holds = got.is_finite() && got > min;
        if holds { Ok(()) } else { Err(GridError::Place { name: name(), what, got, rule }) }
    };
    place("resolution", grid.resolution_m, 0.0, " above 0")?;
    place("origin x", grid.origin_m[0], f64::NEG_INFINITY, "")?;
    place("origin y", grid.origin_m[1], f64::NEG_INFINITY, "")?;
    place("yaw", grid.yaw_rad, f64::NEG_INFINITY, "")
}

/// A distance field that one thread replaces while another one plans. It is empty until its topic has given a map.
#[derive(Clone, Debug)]
pub struct SharedMap {
    field: Arc<RwLock<Option<Arc<DistanceField>>>>,
    unknown: Unknown,
    topic: Option<Arc<MapTopic>>,
}

impl SharedMap {
    /// A shared map with the distance field of `grid`.
    ///
    /// # Errors
    /// [`GridError`].
    pub fn new(grid: &OccupancyGrid, unknown: Unknown) -> Result<Self, GridError> {
        let map = Self { field: Arc::default(), unknown, topic: None };
        map.replace(grid)?;
        Ok(map)
    }

    /// An empty map that a topic will fill.
    pub fn awaited(topic: MapTopic, unknown: Unknown) -> Self {
        Self { field: Arc::default(), unknown, topic: Some(Arc::new(topic)) }
    }

    /// The topic that gives the map. `None` if it comes from a file.
    pub fn topic(&self) -> Option<&MapTopic> {
        self.topic.as_deref()
    }

    /// The distance field that the cost would use for a grid. This takes long for a large grid.
    ///
    /// # Errors
    /// [`GridError`].
    pub fn field_of(&self, grid: &OccupancyGrid) -> Result<DistanceField, GridError> {
        DistanceField::new(grid, self.unknown)
    }

    /// Replaces the field. The cost uses it from its next evaluation on.
    pub fn show(&self, field: DistanceField) {
        *self.field.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(field));
    }

    /// Replaces the grid. Its field is computed before the lock is taken, so that readers do not wait for it.
    ///
    /// # Errors
    /// [`GridError`]. The former field then stays.
    pub fn replace(&self, grid: &OccupancyGrid) -> Result<(), GridError> {
        self.show(self.field_of(grid)?);
        Ok(())
    }

    /// The current field. `None` before the first map.
    pub fn current(&self) -> Option<Arc<DistanceField>> {
        self.field.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
#[path = "distance_field_tests.rs"]
mod tests;
