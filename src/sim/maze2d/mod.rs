//! Maze2D (Fu et al. 2020, D4RL): a point mass with MuJoCo's physics in one of three mazes, its expert, its tasks and scores.
//!
//! Positions are those of the joints: the free cell of row r and column c is at (r, c), its centre at (r - 0.2, c - 0.2).

mod episode;
mod expert;
mod point_mass;

pub use episode::{Episode, REACHED_M, Task};
pub use expert::{Demonstration, Waypoints};
pub use point_mass::PointMass;

use std::str::FromStr;

use nalgebra::Vector2;

use super::maze::{CELL_M, Cell, Maze};

/// The body stands at world (1.2, 1.2) and the wall of row r and column c at world (r + 1, c + 1): with respect to the joints'
/// position, a cell's centre lies at its indices less this, metres.
const CENTRE_OFFSET_M: f64 = 0.2;

/// The three mazes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maze2d {
    /// The U-shaped maze of D4RL.
    U,
    /// The medium maze of D4RL.
    Medium,
    /// The large maze of D4RL.
    Large,
}

impl Maze2d {
    /// All three, from small to large.
    pub const ALL: [Self; 3] = [Self::U, Self::Medium, Self::Large];

    /// The name in arguments and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::U => "u",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }

    /// Its walls.
    pub fn maze(self) -> Maze {
        let rows: &[&str] = match self {
            Self::U => &["#####", "#GOO#", "###O#", "#OOO#", "#####"],
            Self::Medium => {
                &["########", "#OO##OO#", "#OO#OOO#", "##OOO###", "#OO#OOO#", "#O#OO#O#", "#OOO#OG#", "########"]
            }
            Self::Large => &[
                "############",
                "#OOOO#OOOOO#",
                "#O##O#O#O#O#",
                "#OOOOOO#OOO#",
                "#O####O###O#",
                "#OO#O#OOOOO#",
                "##O#O#O#O###",
                "#OO#OOO#OGO#",
                "############",
            ],
        };
        // The texts are constant, and a unit test parses each.
        Maze::parse(&rows.join("\n")).expect("the texts above are mazes")
    }

    /// Length of an episode.
    pub fn episode_steps(self) -> usize {
        match self {
            Self::U => 300,
            Self::Medium => 600,
            Self::Large => 800,
        }
    }

    /// The return as a share of the way from a random policy's return to that of a reference controller, in percent (D4RL).
    pub fn normalised_score(self, raw_return: f64) -> f64 {
        let (min, max) = match self {
            Self::U => (23.85, 161.86),
            Self::Medium => (13.13, 277.39),
            Self::Large => (6.7, 273.99),
        };
        100.0 * (raw_return - min) / (max - min)
    }
}

/// `maze2d_u`, `maze2d_medium` or `maze2d_large`.
impl FromStr for Maze2d {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |maze: &Self| text.strip_prefix("maze2d_").unwrap_or(text) == maze.name();
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| format!("`{text}` is none of maze2d_u, maze2d_medium, maze2d_large"))
    }
}

/// The joint position that stands for a cell, metres.
fn place_of(cell: Cell) -> Vector2<f64> {
    Vector2::new(cell.row as f64, cell.column as f64) * CELL_M
}

/// Where a joint position lies on the map of [`Maze`]: x along the columns, y along the rows, the corner of the first cell at 0; metres.
pub fn on_map(position: Vector2<f64>) -> Vector2<f64> {
    Vector2::new(position.y, position.x).add_scalar(CENTRE_OFFSET_M + 0.5 * CELL_M)
}

/// The row and column of the cell that a joint position lies in, wall or not.
fn indices_at(position: Vector2<f64>) -> (i64, i64) {
    let index = |x: f64| ((x + CENTRE_OFFSET_M) / CELL_M).round() as i64;
    (index(position.x), index(position.y))
}

/// The free cell that a joint position lies in; `None` inside a wall.
pub fn cell_at(maze: &Maze, position: Vector2<f64>) -> Option<Cell> {
    let (row, column) = indices_at(position);
    (!maze.is_wall(row, column)).then_some(Cell { row: row as usize, column: column as usize })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mazes_have_their_goals_and_names() {
        let goals =
            Maze2d::ALL.map(|maze| maze.maze().goal_cells().iter().map(|c| (c.row, c.column)).collect::<Vec<_>>());
        assert_eq!(goals, [vec![(1, 1)], vec![(6, 6)], vec![(7, 9)]]);
        assert_eq!(Maze2d::ALL.map(|maze| maze.maze().free_cells().len()), [7, 26, 46]);
        assert_eq!("maze2d_large".parse(), Ok(Maze2d::Large));
        assert!("maze2d_small".parse::<Maze2d>().unwrap_err().contains("maze2d_medium"));
    }

    #[test]
    fn a_cells_centre_is_the_same_on_the_map() {
        let cell = Cell { row: 2, column: 3 };
        let centre = on_map(place_of(cell) - Vector2::repeat(CENTRE_OFFSET_M));
        assert!((centre - cell.centre()).norm() < 1e-12, "{centre}");
    }

    #[test]
    fn scores_by_hand() {
        // Half way from 13.13 to 277.39: 145.26.
        assert!((Maze2d::Medium.normalised_score(145.26) - 50.0).abs() < 1e-9);
        assert!((Maze2d::U.normalised_score(161.86) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn a_cell_reaches_from_seven_tenths_below_its_indices_to_three_tenths_above() {
        let maze = Maze2d::Medium.maze();
        let at = |x: f64, y: f64| cell_at(&maze, Vector2::new(x, y));
        assert_eq!(at(0.31, 1.29), Some(Cell { row: 1, column: 1 }));
        assert_eq!((at(0.29, 1.0), at(1.0, 2.31)), (None, None));
        assert_eq!(at(1.29, 2.29), Some(Cell { row: 1, column: 2 }));
        assert_eq!(place_of(Cell { row: 2, column: 6 }), Vector2::new(2.0, 6.0));
    }
}
