//! Occupancy grids, and their files in the format of Nav2's map_server: a YAML file that names an image.
//!
//! Keys and thresholds follow `nav2_map_server/src/map_io.cpp`. Only the mode `trinary` and PGM images are supported.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::pgm::{Pgm, PgmError};

/// The grey values that map_saver writes. With the free threshold of 0.196, 205 is read as unknown.
const FREE: u8 = 254;
const OCCUPIED: u8 = 0;
const UNKNOWN: u8 = 205;

/// An occupancy grid from a file or from a `nav_msgs/msg/OccupancyGrid`.
#[derive(Clone, Debug, PartialEq)]
pub struct OccupancyGrid {
    /// File or topic, for error messages.
    pub name: String,
    /// Edge length of a cell, m.
    pub resolution_m: f64,
    /// Cells along the grid's x.
    pub width: usize,
    /// Cells along the grid's y.
    pub height: usize,
    /// Outer corner of cell (0, 0) in the map, m.
    pub origin_m: [f64; 2],
    /// Rotation of the grid about that corner, rad.
    pub yaw_rad: f64,
    /// Probability of an obstacle, 0 to 100 percent, or -1 if unknown. Row by row along x, from the origin.
    pub cells: Vec<i8>,
}

/// Why a map file is refused.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// A file that cannot be read.
    #[error("{}: cannot be read: {cause}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// The cause.
        cause: std::io::Error,
    },
    /// A file that is not YAML or lacks a key.
    #[error("{}: {message}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The message of the YAML parser.
        message: String,
    },
    /// A value that breaks a rule.
    #[error("{}: {key}: {value}: {rule}", file.display())]
    Rule {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
    /// The image is not a supported PGM file.
    #[error("{}: {cause}", file.display())]
    Image {
        /// The file.
        file: PathBuf,
        /// The cause.
        cause: PgmError,
    },
}

/// The YAML file. Other keys are ignored, since Nav2 defines the format.
#[derive(Deserialize)]
struct MapFile {
    image: PathBuf,
    resolution: f64,
    /// x, y, yaw.
    origin: [f64; 3],
    negate: Negate,
    occupied_thresh: f64,
    free_thresh: f64,
    mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "negate must be 0, 1, false or true")]
enum Negate {
    Number(i64),
    Flag(bool),
}

impl OccupancyGrid {
    /// Reads a map. A relative `image` starts at the folder of the YAML file.
    ///
    /// # Errors
    /// [`MapError`] with the file.
    pub fn load(file: &Path) -> Result<Self, MapError> {
        let text = std::fs::read_to_string(file).map_err(|cause| MapError::Unreadable { file: file.into(), cause })?;
        let map: MapFile = serde_yaml::from_str(&text)
            .map_err(|cause| MapError::Malformed { file: file.into(), message: cause.to_string() })?;
        map.check().map_err(|(key, value, rule)| MapError::Rule { file: file.into(), key, value, rule })?;
        let image = file.parent().unwrap_or(Path::new("")).join(&map.image);
        let bytes = std::fs::read(&image).map_err(|cause| MapError::Unreadable { file: image.clone(), cause })?;
        let pgm = Pgm::parse(&bytes).map_err(|cause| MapError::Image { file: image, cause })?;
        let [x, y, yaw_rad] = map.origin;
        Ok(Self {
            name: file.display().to_string(),
            resolution_m: map.resolution,
            width: pgm.width,
            height: pgm.height,
            origin_m: [x, y],
            yaw_rad,
            // The image's last row is the grid's first.
            cells: pgm
                .pixels
                .chunks_exact(pgm.width)
                .rev()
                .flatten()
                .map(|&pixel| map.cell(f64::from(pixel) / f64::from(pgm.white)))
                .collect(),
        })
    }

    /// Writes `file` and an image with the same name and the extension `pgm`. Like map_saver, it writes cells up to 25 %
    /// as free, from 65 % on as occupied, and all others as unknown.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn save(&self, file: &Path) -> std::io::Result<()> {
        let image = file.with_extension("pgm");
        let shade = |cell: &i8| match cell {
            0..=25 => FREE,
            65..=100 => OCCUPIED,
            _ => UNKNOWN,
        };
        let mut bytes = format!("P5\n{} {}\n255\n", self.width, self.height).into_bytes();
        bytes.extend(self.cells.chunks_exact(self.width).rev().flatten().map(shade));
        std::fs::write(&image, bytes)?;
        let name = image.file_name().unwrap_or_default().to_string_lossy();
        let ([x, y], yaw, resolution) = (self.origin_m, self.yaw_rad, self.resolution_m);
        let text = format!(
            "image: {name:?}\nresolution: {resolution}\norigin: [{x}, {y}, {yaw}]\nnegate: 0\n\
             occupied_thresh: 0.65\nfree_thresh: 0.196\n"
        );
        std::fs::write(file, text)
    }
}

impl MapFile {
    fn check(&self) -> Result<(), (&'static str, String, &'static str)> {
        let mode = self.mode.as_deref().unwrap_or("trinary");
        let thresholds = (self.free_thresh, self.occupied_thresh);
        for (holds, key, value, rule) in [
            (mode == "trinary", "mode", mode.to_string(), "only trinary is supported"),
            (
                self.resolution.is_finite() && self.resolution > 0.0,
                "resolution",
                self.resolution.to_string(),
                "must be a finite number above 0",
            ),
            (self.origin.iter().all(|v| v.is_finite()), "origin", format!("{:?}", self.origin), "must be finite"),
            (
                0.0 <= thresholds.0 && thresholds.0 < thresholds.1 && thresholds.1 <= 1.0,
                "free_thresh",
                self.free_thresh.to_string(),
                "must be at least 0 and below occupied_thresh, which must be at most 1",
            ),
        ] {
            if !holds {
                return Err((key, value, rule));
            }
        }
        Ok(())
    }

    /// The cell value of a pixel with a brightness in [0, 1].
    fn cell(&self, shade: f64) -> i8 {
        let negate = match self.negate {
            Negate::Number(number) => number != 0,
            Negate::Flag(flag) => flag,
        };
        let occupied = if negate { shade } else { 1.0 - shade };
        if occupied > self.occupied_thresh {
            100
        } else if occupied < self.free_thresh {
            0
        } else {
            -1
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "image: a.pgm\nmode: trinary\nresolution: 0.5\norigin: [-1, 2.5, 0.1]\nnegate: 0\n\
                       occupied_thresh: 0.65\nfree_thresh: 0.25\n";

    #[test]
    fn a_saved_map_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("there.yaml");
        let grid = OccupancyGrid {
            name: file.display().to_string(),
            resolution_m: 0.1,
            width: 3,
            height: 2,
            origin_m: [-1.5, 2.25],
            yaw_rad: 0.5,
            cells: vec![0, 100, -1, -1, 0, 0],
        };
        grid.save(&file).unwrap();
        assert_eq!(OccupancyGrid::load(&file).unwrap(), grid);
        let unsure = OccupancyGrid { cells: vec![25, 65, 26, 64, 0, 100], ..grid.clone() };
        unsure.save(&file).unwrap();
        assert_eq!(OccupancyGrid::load(&file).unwrap().cells, [0, 100, -1, -1, 0, 100]);
        assert!(grid.save(&folder.path().join("no/there.yaml")).is_err());
    }

    fn load(yaml: &str, image: &[u8]) -> Result<OccupancyGrid, MapError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("map.yaml"), yaml).unwrap();
        std::fs::write(folder.path().join("a.pgm"), image).unwrap();
        OccupancyGrid::load(&folder.path().join("map.yaml"))
    }

    /// Top row: black, grey, white.
    const IMAGE: &[u8] = b"P2 3 2 255  0 127 254  254 254 0";

    #[test]
    fn pixels_become_cells_from_the_bottom_row_on() {
        let grid = load(MAP, IMAGE).unwrap();
        assert_eq!((grid.width, grid.height, grid.resolution_m), (3, 2, 0.5));
        assert_eq!((grid.origin_m, grid.yaw_rad), ([-1.0, 2.5], 0.1));
        // 1 - 127 / 255 = 0.502 lies between the thresholds; 1 - 254 / 255 = 0.004 is free.
        assert_eq!(grid.cells, [0, 0, 100, 100, -1, 0]);
        // Negated: 127 / 255 = 0.498 is unknown, too.
        for negate in ["negate: 1", "negate: true"] {
            assert_eq!(load(&MAP.replace("negate: 0", negate), IMAGE).unwrap().cells, [100, 100, 0, 0, -1, 100]);
        }
        // The mode may be left out.
        assert_eq!(load(&MAP.replace("mode: trinary\n", ""), IMAGE).unwrap().cells, grid.cells);
        // On the threshold a cell is neither: 0.65 is not above 0.65, here 1 - 35 / 100.
        let edge = load(&MAP.replace("free_thresh: 0.25", "free_thresh: 0.5"), b"P2 2 1 100 35 50").unwrap();
        assert_eq!(edge.cells, [-1, -1]);
    }

    #[test]
    fn a_bad_map_is_refused_with_file_key_and_value() {
        for (from, to, message) in [
            ("mode: trinary", "mode: scale", "map.yaml: mode: scale: only trinary is supported"),
            ("resolution: 0.5", "resolution: 0", "map.yaml: resolution: 0: must be a finite number above 0"),
            ("[-1, 2.5, 0.1]", "[-1, .inf, 0]", "must be finite"),
            ("[-1, 2.5, 0.1]", "[-1, 0]", "origin"),
            ("free_thresh: 0.25", "free_thresh: 0.7", "map.yaml: free_thresh: 0.7: must be at least 0 and below"),
            ("negate: 0", "negate: maybe", "0, 1, false or true"),
            ("image: a.pgm", "image: b.pgm", "b.pgm: cannot be read"),
            ("negate: 0\n", "", "missing field `negate`"),
        ] {
            let error = load(&MAP.replacen(from, to, 1), IMAGE).expect_err(to).to_string();
            assert!(error.contains(message), "{to}: {error}");
        }
        let error = load(MAP, b"P5 9 9 255 ").unwrap_err().to_string();
        assert!(error.ends_with("a.pgm: ends early: 81 bytes of pixels expected, got 0"), "{error}");
    }
}
