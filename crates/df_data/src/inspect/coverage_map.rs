//! A map of the area that demonstrations covered. A cost can keep plans inside it when no map of the walls exists.

use std::collections::HashSet;

use super::report::InspectError;
use crate::DataConfig;
use crate::{BoundSource, Input, open_all, read_frames};
use df_core::map::{MAX_PIXELS, OccupancyGrid};

/// Returns a map in which every cell with a position of a frame, and its eight neighbours, are free. All other cells
/// are unknown. `group` has the position (x, y). `resolution_m` is the edge of a cell in the unit of the group.
///
/// # Errors
/// [`InspectError::Map`]: a group that is no position, a resolution that is none, no frame with a position, a map too
/// large; inputs that cannot be read or do not fit the contract.
pub fn coverage_map(
    inputs: &[Input],
    config: &DataConfig,
    group: &str,
    resolution_m: f64,
) -> Result<OccupancyGrid, InspectError> {
    let refuse = |what, got: String, rule: String| Err(InspectError::Map { what, got, rule });
    if !(resolution_m.is_finite() && resolution_m > 0.0) {
        return refuse("resolution", resolution_m.to_string(), "must be a finite number above 0".into());
    }
    let sources = open_all(config, inputs)?;
    let mut cells: HashSet<[i32; 2]> = HashSet::new();
    for (input, BoundSource { source, bound, layout, .. }) in inputs.iter().zip(&sources) {
        let Some(modality) = layout.modality(group) else {
            return refuse(
                "group",
                group.into(),
                format!("must be one of {:?}", layout.modalities.iter().map(|m| &m.name).collect::<Vec<_>>()),
            );
        };
        let channels = layout.modalities[modality].channels.clone();
        if channels.len() != 2 {
            return refuse("group", group.into(), format!("must have 2 channels, x and y, and has {}", channels.len()));
        }
        read_frames(&**source, config, bound, layout, &mut |step| {
            if step.frame.present[modality] {
                let cell = |c: usize| (f64::from(step.frame.values[channels.start + c]) / resolution_m).floor() as i32;
                cells.insert([cell(0), cell(1)]);
            }
        })
        .map_err(|cause| InspectError::Bag { path: input.path.clone(), cause })?;
    }
    let ends = |axis: usize| {
        let of_axis = || cells.iter().map(|cell| i64::from(cell[axis]));
        let (min, max) = (of_axis().min()?, of_axis().max()?);
        Some((min - 1, max - min + 3))
    };
    let (Some((left, width)), Some((bottom, height))) = (ends(0), ends(1)) else {
        return refuse("demonstrations", "no frame".into(), format!("must have frames with `{group}`"));
    };
    if width.saturating_mul(height) > MAX_PIXELS as i64 {
        return refuse(
            "resolution",
            resolution_m.to_string(),
            format!("makes {width} x {height} cells, more than {MAX_PIXELS}"),
        );
    }
    let mut map = vec![-1; (width * height) as usize];
    for [x, y] in cells.iter().map(|cell| cell.map(i64::from)) {
        for row in y - bottom - 1..=y - bottom + 1 {
            let start = (row * width + x - left - 1) as usize;
            map[start..start + 3].fill(0);
        }
    }
    // Rounded to 1e-9, so that the product of a decimal resolution stays decimal.
    let edge = |cell: i64| (cell as f64 * resolution_m * 1e9).round() / 1e9;
    Ok(OccupancyGrid {
        name: group.to_string(),
        resolution_m,
        width: width as usize,
        height: height as usize,
        origin_m: [edge(left), edge(bottom)],
        yaw_rad: 0.0,
        cells: map,
    })
}
