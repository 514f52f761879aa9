//! A maze of square cells of 1 m. The cell of row r and column c has its centre at x = c + 0.5, y = r + 0.5.

use std::collections::VecDeque;

use nalgebra::Vector2;

/// Side of a cell, metres. Positions and cells convert by this unit throughout.
pub(crate) const CELL_M: f64 = 1.0;

/// The maze of the demo: a loop (two ways to some goals), three dead ends, ways of up to 9 cells.
const DEMO: &str = "\
#######
#OOO#O#
#O#O#O#
#OOOOO#
#O###O#
#O##OO#
#######";

/// One cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cell {
    /// Counted from the top.
    pub row: usize,
    /// Counted from the left.
    pub column: usize,
}

impl Cell {
    /// Its centre, metres.
    pub fn centre(self) -> Vector2<f64> {
        Vector2::new(self.column as f64 + 0.5, self.row as f64 + 0.5) * CELL_M
    }
}

/// Walls and free cells. Everything outside is wall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maze {
    rows: usize,
    columns: usize,
    free: Vec<bool>,
    goals: Vec<Cell>,
}

/// Why a text is refused as a maze.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MazeError {
    /// A row is shorter or longer than the first.
    #[error("row {row} has {got} cells, the first one has {expected}")]
    Ragged {
        /// The row.
        row: usize,
        /// Cells of the first row.
        expected: usize,
        /// Cells of this row.
        got: usize,
    },
    /// A symbol is unknown.
    #[error("row {row}, column {column}: `{got}` is none of `#` (wall), `O` (free), `G` (free, goal)")]
    Symbol {
        /// Counted from the top.
        row: usize,
        /// Counted from the left.
        column: usize,
        /// The symbol.
        got: char,
    },
    /// There are too few free cells.
    #[error("fewer than two free cells")]
    TooFewFreeCells,
    /// The free cells are not connected.
    #[error("the free cell at row {row}, column {column} cannot be reached from the first one")]
    Apart {
        /// The row of a cell that is not connected.
        row: usize,
        /// Its column.
        column: usize,
    },
}

impl Maze {
    /// The maze of the demo.
    pub fn demo() -> Self {
        // The text is constant, and every unit test that calls this parses it.
        Self::parse(DEMO).expect("the text above is a maze")
    }

    /// Reads text rows: `#` wall, `O` free, `G` free and a goal.
    ///
    /// # Errors
    /// Rows of unequal length, another symbol, fewer than two free cells, free cells that are not connected.
    pub fn parse(text: &str) -> Result<Self, MazeError> {
        let rows: Vec<&str> = text.lines().collect();
        let columns = rows.first().map_or(0, |row| row.chars().count());
        let mut maze = Self { rows: rows.len(), columns, free: Vec::new(), goals: Vec::new() };
        for (row, line) in rows.iter().enumerate() {
            let got = line.chars().count();
            if got != columns {
                return Err(MazeError::Ragged { row, expected: columns, got });
            }
            for (column, symbol) in line.chars().enumerate() {
                match symbol {
                    '#' => maze.free.push(false),
                    'O' => maze.free.push(true),
                    'G' => {
                        maze.free.push(true);
                        maze.goals.push(Cell { row, column });
                    }
                    got => return Err(MazeError::Symbol { row, column, got }),
                }
            }
        }
        let cells = maze.free_cells();
        let [first, _, ..] = cells[..] else { return Err(MazeError::TooFewFreeCells) };
        let distances = maze.distances(first);
        match cells.iter().find(|cell| distances[maze.index(**cell)].is_none()) {
            Some(cell) => Err(MazeError::Apart { row: cell.row, column: cell.column }),
            None => Ok(maze),
        }
    }

    /// Rows of cells.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Cells in a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Is there a wall? Indices may lie outside, where all is wall.
    pub fn is_wall(&self, row: i64, column: i64) -> bool {
        let inside = (0..self.rows as i64).contains(&row) && (0..self.columns as i64).contains(&column);
        !inside || !self.free[row as usize * self.columns + column as usize]
    }

    /// The free cells, row by row.
    pub fn free_cells(&self) -> Vec<Cell> {
        (0..self.free.len()).filter(|i| self.free[*i]).map(|i| self.cell(i)).collect()
    }

    /// The cells that a goal may lie in: those marked `G`; without any, every free cell.
    pub fn goal_cells(&self) -> Vec<Cell> {
        if self.goals.is_empty() { self.free_cells() } else { self.goals.clone() }
    }

    /// The free cell that a position lies in; `None` inside a wall or outside.
    pub fn cell_at(&self, position: Vector2<f64>) -> Option<Cell> {
        let (row, column) = ((position.y / CELL_M).floor() as i64, (position.x / CELL_M).floor() as i64);
        (!self.is_wall(row, column)).then_some(Cell { row: row as usize, column: column as usize })
    }

    /// The free cells that share a side with `cell`.
    pub fn neighbours(&self, cell: Cell) -> impl Iterator<Item = Cell> {
        [(-1, 0), (0, -1), (0, 1), (1, 0)].into_iter().filter_map(move |(down, right)| {
            let (row, column) = (cell.row as i64 + down, cell.column as i64 + right);
            (!self.is_wall(row, column)).then_some(Cell { row: row as usize, column: column as usize })
        })
    }

    /// Steps between two free cells on a shortest way; `None` where there is no way.
    pub fn distance(&self, from: Cell, to: Cell) -> Option<usize> {
        self.distances(from)[self.index(to)]
    }

    /// A shortest way from `from` to `to`, both included. Where several next cells are equally near, `choose` is given
    /// their number and names one. `None` where there is no way.
    pub fn shortest_path(&self, from: Cell, to: Cell, mut choose: impl FnMut(usize) -> usize) -> Option<Vec<Cell>> {
        let to_go = self.distances(to);
        let mut path = vec![from];
        let mut here = from;
        let mut left = to_go[self.index(from)]?;
        while left > 0 {
            left -= 1;
            let nearer: Vec<Cell> =
                self.neighbours(here).filter(|cell| to_go[self.index(*cell)] == Some(left)).collect();
            here = nearer[choose(nearer.len()).min(nearer.len() - 1)];
            path.push(here);
        }
        Some(path)
    }

    /// Breadth-first: steps from `from` to every cell, by index.
    fn distances(&self, from: Cell) -> Vec<Option<usize>> {
        let mut steps = vec![None; self.free.len()];
        let mut open = VecDeque::from([(from, 0)]);
        steps[self.index(from)] = Some(0);
        while let Some((cell, distance)) = open.pop_front() {
            for next in self.neighbours(cell) {
                let index = self.index(next);
                if steps[index].is_none() {
                    steps[index] = Some(distance + 1);
                    open.push_back((next, distance + 1));
                }
            }
        }
        steps
    }

    fn index(&self, cell: Cell) -> usize {
        cell.row * self.columns + cell.column
    }

    fn cell(&self, index: usize) -> Cell {
        Cell { row: index / self.columns, column: index % self.columns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the demo drives with: the shipped configuration and the map of this maze, nothing else.
    #[test]
    fn the_shipped_map_is_this_maze_and_its_configuration_the_shipped_one() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        let grid = df_core::map::OccupancyGrid::load(&folder.join("maps/point_maze.yaml")).unwrap();
        let maze = Maze::demo();
        assert_eq!((grid.width, grid.height, grid.origin_m), (70, 70, [0.0, 0.0]));
        for (i, occupied) in grid.cells.iter().map(|&cell| cell == 100).enumerate() {
            let centre = Vector2::new((i % 70) as f64 + 0.5, (i / 70) as f64 + 0.5) * grid.resolution_m;
            assert_eq!(maze.cell_at(centre).is_none(), occupied, "{centre}");
        }
        let lines = |name: &str| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            let rest = text.split_once("# --- the contract").unwrap().1.to_string();
            rest.lines().map(String::from).collect::<Vec<_>>()
        };
        let (plain, mut mapped) = (lines("point_maze.yaml"), lines("point_maze_mapped.yaml"));
        let cost = mapped.iter().position(|line| line.contains("kind: obstacles")).unwrap();
        mapped.drain(cost - 1..=cost);
        assert_eq!(mapped, plain);
    }

    #[test]
    fn shortest_ways_round_a_block() {
        let maze = Maze::parse("#####\n#OOO#\n#O#O#\n#OOG#\n#####").unwrap();
        let (a, b) = (Cell { row: 1, column: 1 }, Cell { row: 3, column: 3 });
        // Right 2, down 2, or the other way about.
        assert_eq!(maze.distance(a, b), Some(4));
        let right = maze.shortest_path(a, b, |_| 0).unwrap();
        let down = maze.shortest_path(a, b, |n| n - 1).unwrap();
        assert_eq!((right.len(), right[1]), (5, Cell { row: 1, column: 2 }));
        assert_eq!((down.len(), down[1]), (5, Cell { row: 2, column: 1 }));
        assert_eq!(maze.goal_cells(), [b]);
        assert_eq!(maze.cell_at(Vector2::new(3.9, 3.1)), Some(b));
        assert_eq!(maze.cell_at(Vector2::new(2.5, 2.5)), None);
        assert_eq!(maze.cell_at(Vector2::new(-0.5, 2.5)), None);
    }

    #[test]
    fn what_is_no_maze_is_refused() {
        assert_eq!(Maze::parse("##\n#"), Err(MazeError::Ragged { row: 1, expected: 2, got: 1 }));
        assert_eq!(Maze::parse("#x"), Err(MazeError::Symbol { row: 0, column: 1, got: 'x' }));
        assert_eq!(Maze::parse("#O#"), Err(MazeError::TooFewFreeCells));
        assert_eq!(Maze::parse("O#O"), Err(MazeError::Apart { row: 0, column: 2 }));
        assert_eq!(Maze::parse(""), Err(MazeError::TooFewFreeCells));
    }

    #[test]
    fn the_demo_has_long_ways_dead_ends_and_a_loop() {
        let maze = Maze::demo();
        let cells = maze.free_cells();
        let longest = cells.iter().flat_map(|a| cells.iter().map(|b| maze.distance(*a, *b).unwrap())).max();
        assert_eq!(longest, Some(9));
        assert_eq!(cells.iter().filter(|cell| maze.neighbours(**cell).count() == 1).count(), 3);
        // A connected graph has (links - cells + 1) independent loops.
        let links = cells.iter().map(|cell| maze.neighbours(*cell).count()).sum::<usize>() / 2;
        assert_eq!(links + 1 - cells.len(), 1);
    }
}
