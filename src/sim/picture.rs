//! The picture of a drive: walls, the way driven coloured by time, start, goal, and the rollouts sampled at a few moments.
//!
//! x to the right, y up.

use std::path::Path;

use nalgebra::Vector2;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::maze::{CELL_M, Cell, Maze};
use super::world::{ROBOT_RADIUS_M, STEP_S};
use df_data::charts::ChartError;
use df_data::charts::canvas::{Area, Drawn, FAINT_INK, FINE, GRID, INK, Image, PAPER, bold, px, text};

/// Size of the file, pixels.
const SIZE: (usize, usize) = (1160, 800);
/// Place of the maze: its left edge, its upper edge, and the room for its larger side; pixels of the file.
const MAZE_LEFT: f64 = 44.0;
const MAZE_TOP: f64 = 44.0;
const MAZE_ROOM: f64 = 712.0;
/// So much of the outer walls is cut off, metres.
const CUT_M: f64 = 0.6;
/// Left edge of the text and its width.
const TEXT_LEFT: f64 = 800.0;
const TEXT_WIDTH: f64 = 316.0;
/// Bars of the colour scale.
const SCALE_STEPS: usize = 200;

/// Moments whose rollouts are shown.
const MOMENTS: usize = 4;

const FLOOR: RGBColor = RGBColor(246, 247, 249);
const WALL: RGBColor = RGBColor(58, 66, 80);
const START: RGBColor = RGBColor(33, 38, 48);
const GOAL: RGBColor = RGBColor(14, 159, 110);
const FAILED: RGBColor = RGBColor(200, 40, 40);
/// Time from start to end: violet, magenta, orange (matplotlib's plasma without its pale end, which paper swallows).
const TIME: [(u8, u8, u8); 5] = [(48, 18, 160), (126, 3, 168), (190, 48, 120), (230, 102, 58), (250, 162, 26)];

/// What the planner foresaw at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// Since the start, seconds.
    pub time_s: f64,
    /// Sampled rollouts, each a line of positions, metres.
    pub rollouts: Vec<Vec<Vector2<f64>>>,
}

impl Moment {
    /// Chooses a few of many moments, evenly along the way driven. A long rest at the goal counts little. A short
    /// list stays as it is.
    pub fn choose(all: &[Moment], trail: &[Vector2<f64>]) -> Vec<Moment> {
        let mut way_m = vec![0.0];
        way_m.extend(trail.windows(2).scan(0.0, |sum, pair| {
            *sum += (pair[1] - pair[0]).norm();
            Some(*sum)
        }));
        let end_m = way_m[way_m.len() - 1];
        let mut chosen: Vec<usize> = Vec::new();
        for k in 0..MOMENTS {
            let wanted_m = end_m * k as f64 / MOMENTS as f64;
            let from_s = way_m.partition_point(|way| *way < wanted_m) as f64 * STEP_S;
            let next = all.iter().position(|moment| moment.time_s >= from_s && !moment.rollouts.is_empty());
            chosen.extend(next.filter(|index| chosen.last() != Some(index)));
        }
        chosen.into_iter().map(|index| all[index].clone()).collect()
    }
}

/// Everything that the picture shows.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// The walls.
    pub maze: &'a Maze,
    /// One position per step of the world, metres.
    pub trail: &'a [Vector2<f64>],
    /// The goal, metres.
    pub goal: Vector2<f64>,
    /// Radius of the goal, metres.
    pub tolerance_m: f64,
    /// Where the scale of times ends, seconds; the trail may end before.
    pub end_s: f64,
    /// Moments with their sampled rollouts.
    pub moments: &'a [Moment],
    /// True if the goal was reached.
    pub reached: bool,
    /// The line above the picture.
    pub headline: &'a str,
    /// Names and values, one line each.
    pub facts: &'a [(String, String)],
}

/// Draws a sign of the legend round a point.
type Sign = fn(&Area, (i32, i32)) -> Drawn;

impl Picture<'_> {
    /// Width and height, pixels.
    pub const SIZE: (usize, usize) = SIZE;

    /// Writes a PNG.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, file: &Path) -> Drawn {
        self.image()?.write(file)
    }

    /// What [`Picture::write`] writes.
    ///
    /// # Errors
    /// It cannot be drawn.
    pub fn image(&self) -> Result<Image, ChartError> {
        Image::drawn(SIZE.0, SIZE.1, |area| {
            self.draw_maze(area)?;
            self.draw_rollouts(area)?;
            self.draw_trail(area)?;
            self.draw_ends(area)?;
            self.draw_text(area)
        })
    }

    fn draw_maze(&self, area: &Area) -> Drawn {
        let (rows, columns) = (self.maze.rows(), self.maze.columns());
        let end = self.end();
        let seen = |corner: Vector2<f64>| self.at(corner.sup(&Vector2::repeat(CUT_M)).inf(&end));
        let cell = |row: usize, column: usize| {
            let low = Vector2::new(column as f64, row as f64) * CELL_M;
            [seen(low), seen(low + Vector2::repeat(CELL_M))]
        };
        for (row, column) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
            let wall = self.maze.is_wall(row as i64, column as i64);
            area.draw(&Rectangle::new(cell(row, column), if wall { WALL } else { FLOOR }.filled()))
                .map_err(ChartError::of)?;
        }
        for Cell { row, column } in self.maze.free_cells() {
            area.draw(&Rectangle::new(cell(row, column), GRID.stroke_width(FINE as u32))).map_err(ChartError::of)?;
        }
        for metre in 1..columns {
            let place = self.at(Vector2::new(metre as f64, CUT_M));
            text(area, &metre.to_string(), (place.0, place.1 + 8 * FINE), 14, FAINT_INK, HPos::Center)?;
        }
        for metre in 1..rows {
            let place = self.at(Vector2::new(CUT_M, metre as f64));
            text(area, &metre.to_string(), (place.0 - 8 * FINE, place.1 - 8 * FINE), 14, FAINT_INK, HPos::Right)?;
        }
        let corner = self.at(Vector2::new(end.x, CUT_M));
        text(area, "m", (corner.0, corner.1 + 8 * FINE), 14, FAINT_INK, HPos::Right)
    }

    fn draw_rollouts(&self, area: &Area) -> Drawn {
        for moment in self.moments {
            let colour = self.colour(moment.time_s).mix(0.42);
            for rollout in moment.rollouts.iter().flat_map(|rollout| rollout.split(|point| !self.is_seen(point))) {
                // Segment by segment: plotters mitres a path, and inside a sharp turn the mitre is a spike across the picture.
                for pair in rollout.windows(2) {
                    let segment = [self.at(pair[0]), self.at(pair[1])];
                    area.draw(&PathElement::new(segment, colour.stroke_width(FINE as u32 + 1)))
                        .map_err(ChartError::of)?;
                }
            }
        }
        Ok(())
    }

    fn draw_trail(&self, area: &Area) -> Drawn {
        // A pale border sets the way off from the rollouts below it. Discs round the joints of the segments.
        let widths = [(11, true), (7, false)];
        for (width, border) in widths {
            for (k, pair) in self.trail.windows(2).enumerate() {
                let colour = if border { PAPER } else { self.colour(k as f64 * STEP_S) };
                let (from, to) = (self.at(pair[0]), self.at(pair[1]));
                let style = colour.stroke_width((width * FINE) as u32);
                if from != to {
                    area.draw(&PathElement::new([from, to], style)).map_err(ChartError::of)?;
                }
                area.draw(&Circle::new(to, width * FINE / 2, colour.filled())).map_err(ChartError::of)?;
            }
        }
        for moment in self.moments {
            let Some(position) = self.trail.get((moment.time_s / STEP_S) as usize) else { continue };
            let centre = self.at(*position);
            area.draw(&Circle::new(centre, 10 * FINE, PAPER.filled())).map_err(ChartError::of)?;
            area.draw(&Circle::new(centre, 8 * FINE, self.colour(moment.time_s).filled())).map_err(ChartError::of)?;
            area.draw(&Circle::new(centre, 3 * FINE, PAPER.filled())).map_err(ChartError::of)?;
        }
        Ok(())
    }

    fn draw_ends(&self, area: &Area) -> Drawn {
        if let Some(start) = self.trail.first() {
            let centre = self.at(*start);
            let radius = (ROBOT_RADIUS_M * self.scale()) as i32;
            area.draw(&Circle::new(centre, radius, START.stroke_width(2 * FINE as u32))).map_err(ChartError::of)?;
        }
        let centre = self.at(self.goal);
        let radius = (self.tolerance_m * self.scale()) as i32;
        area.draw(&Circle::new(centre, radius, GOAL.mix(0.14).filled())).map_err(ChartError::of)?;
        area.draw(&Circle::new(centre, radius, GOAL.stroke_width(2 * FINE as u32))).map_err(ChartError::of)?;
        star(area, centre, 15 * FINE, GOAL)
    }

    fn draw_text(&self, area: &Area) -> Drawn {
        let left = px(TEXT_LEFT);
        let right = px(TEXT_LEFT + TEXT_WIDTH);
        let mut y = 52.0;
        bold(area, self.headline, (left, px(y)), 26, INK)?;
        y += 42.0;
        let (words, colour) = if self.reached { ("goal reached", GOAL) } else { ("goal not reached", FAILED) };
        bold(area, words, (left, px(y)), 19, colour)?;
        y += 44.0;
        for (name, value) in self.facts {
            text(area, name, (left, px(y)), 16, FAINT_INK, HPos::Left)?;
            text(area, value, (right, px(y)), 16, INK, HPos::Right)?;
            y += 28.0;
        }

        y += 30.0;
        let rows: [(&str, Sign); 3] = [
            ("the robot at the start", |area, at| {
                area.draw(&Circle::new(at, 9 * FINE, START.stroke_width(2 * FINE as u32))).map_err(ChartError::of)
            }),
            ("the goal and its tolerance", |area, at| {
                area.draw(&Circle::new(at, 12 * FINE, GOAL.mix(0.14).filled())).map_err(ChartError::of)?;
                area.draw(&Circle::new(at, 12 * FINE, GOAL.stroke_width(2 * FINE as u32))).map_err(ChartError::of)?;
                star(area, at, 8 * FINE, GOAL)
            }),
            ("rollouts sampled at a moment", |area, at| {
                let violet = RGBColor(TIME[1].0, TIME[1].1, TIME[1].2);
                for spread in [-9, -4, 1, 6] {
                    let end = (at.0 + 16 * FINE, at.1 + spread * FINE);
                    let line = [(at.0 - 8 * FINE, at.1), (at.0 + 4 * FINE, at.1 + spread * FINE / 3), end];
                    area.draw(&PathElement::new(line, violet.mix(0.5).stroke_width(FINE as u32 + 1)))
                        .map_err(ChartError::of)?;
                }
                area.draw(&Circle::new((at.0 - 9 * FINE, at.1), 7 * FINE, violet.filled())).map_err(ChartError::of)?;
                area.draw(&Circle::new((at.0 - 9 * FINE, at.1), 3 * FINE, PAPER.filled())).map_err(ChartError::of)
            }),
        ];
        for (words, sign) in rows {
            sign(area, (left + 16 * FINE, px(y + 7.0)))?;
            text(area, words, (left + 46 * FINE, px(y)), 16, INK, HPos::Left)?;
            y += 36.0;
        }

        y += 14.0;
        text(area, "the way driven, by time", (left, px(y)), 16, INK, HPos::Left)?;
        y += 30.0;
        let end_s = self.end_s;
        for k in 0..SCALE_STEPS {
            let edge = |k: usize| px(TEXT_LEFT + TEXT_WIDTH * k as f64 / SCALE_STEPS as f64);
            let bar = [(edge(k), px(y)), (edge(k + 1), px(y + 12.0))];
            let colour = self.colour(end_s * k as f64 / SCALE_STEPS as f64);
            area.draw(&Rectangle::new(bar, colour.filled())).map_err(ChartError::of)?;
        }
        text(area, "0 s", (left, px(y + 20.0)), 14, FAINT_INK, HPos::Left)?;
        text(area, &format!("{end_s:.1} s"), (right, px(y + 20.0)), 14, FAINT_INK, HPos::Right)
    }

    /// The upper corner of what is seen, metres; the lower one is at [`CUT_M`].
    fn end(&self) -> Vector2<f64> {
        Vector2::new(self.maze.columns() as f64, self.maze.rows() as f64) * CELL_M - Vector2::repeat(CUT_M)
    }

    fn is_seen(&self, position: &Vector2<f64>) -> bool {
        position.min() >= CUT_M && position.x <= self.end().x && position.y <= self.end().y
    }

    fn colour(&self, time_s: f64) -> RGBColor {
        let share = if self.end_s > 0.0 { (time_s / self.end_s).clamp(0.0, 1.0) } else { 0.0 };
        let place = share * (TIME.len() - 1) as f64;
        let low = (place as usize).min(TIME.len() - 2);
        let (a, b, part) = (TIME[low], TIME[low + 1], place - low as f64);
        let mix = |a: u8, b: u8| (f64::from(a) + part * (f64::from(b) - f64::from(a))).round() as u8;
        RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
    }

    /// Fine pixels per metre.
    fn scale(&self) -> f64 {
        let side = self.maze.rows().max(self.maze.columns()) as f64 * CELL_M - 2.0 * CUT_M;
        MAZE_ROOM * f64::from(FINE) / side
    }

    /// Where a position lies, fine pixels.
    fn at(&self, position: Vector2<f64>) -> (i32, i32) {
        let x = MAZE_LEFT * f64::from(FINE) + (position.x - CUT_M) * self.scale();
        let y = MAZE_TOP * f64::from(FINE) + (self.end().y - position.y) * self.scale();
        (x.round() as i32, y.round() as i32)
    }
}

fn star(area: &Area, centre: (i32, i32), radius: i32, colour: RGBColor) -> Drawn {
    let points: Vec<(i32, i32)> = (0..10)
        .map(|k| {
            let angle = std::f64::consts::PI * (f64::from(k) / 5.0 - 0.5);
            let r = f64::from(radius) * if k % 2 == 0 { 1.0 } else { 0.42 };
            (centre.0 + (r * angle.cos()) as i32, centre.1 + (r * angle.sin()) as i32)
        })
        .collect();
    area.draw(&Polygon::new(points, colour.filled())).map_err(ChartError::of)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::expert::Expert;
    use super::super::trial::{GOAL_TOLERANCE_M, Trial};
    use super::*;

    #[test]
    fn moments_are_spread_over_the_drive() {
        let moment = |time_s| Moment { time_s, rollouts: vec![vec![]] };
        let all: Vec<Moment> = (0..100).map(|k| moment(0.05 + k as f64 * 0.05)).collect();
        // 2 s at 1 m/s, then 3 s at rest: the first moments at or after 0, 0.5, 1 and 1.5 m.
        let trail: Vec<Vector2<f64>> = (0..500).map(|k| Vector2::new((k as f64 * 0.01).min(2.0), 0.0)).collect();
        let times: Vec<f64> = Moment::choose(&all, &trail).iter().map(|m| m.time_s).collect();
        for (time_s, expected) in times.iter().zip([0.05, 0.5, 1.0, 1.5]) {
            // A moment comes every 0.05 s; rounding may take the next one.
            assert!((time_s - expected).abs() < 0.051, "{times:?}");
        }
        assert_eq!(times.len(), 4);
        assert_eq!(Moment::choose(&all[..1], &trail), [moment(0.05)]);
        assert_eq!(Moment::choose(&[], &trail), []);
    }

    /// Rollouts that turn back sharply stay where their points are: nothing of them is drawn beside the maze.
    #[test]
    fn sharp_turns_throw_no_spikes() {
        let trial = Trial::draw(Maze::demo(), 3);
        let picture = |rollouts: Vec<Vec<Vector2<f64>>>| {
            let moments = [Moment { time_s: 0.0, rollouts }];
            let picture = Picture {
                maze: trial.maze(),
                trail: trial.trail(),
                goal: trial.goal(),
                tolerance_m: GOAL_TOLERANCE_M,
                end_s: trial.elapsed_s(),
                moments: &moments,
                reached: false,
                headline: "h",
                facts: &[],
            };
            let row = SIZE.0 * 3;
            picture
                .image()
                .unwrap()
                .pixels()
                .chunks(row)
                .flat_map(|row| row[TEXT_LEFT as usize * 3..].to_vec())
                .collect::<Vec<u8>>()
        };
        // To the left and back to the right: a spike goes on to the right, the farther the sharper the turn.
        let turn = |k: usize| {
            let (y, bend) = (1.5 + 0.05 * k as f64, 0.001 * 1.05f64.powi(k as i32));
            [(6.0, y), (5.7, y), (6.0, y + bend)].map(|(x, y)| Vector2::new(x, y)).to_vec()
        };
        assert!(picture((0..90).map(turn).collect()) == picture(Vec::new()), "a spike reaches the text");
    }

    #[test]
    fn shows_the_way_driven() {
        let mut trial = Trial::draw(Maze::demo(), 3);
        let maze = trial.maze().clone();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut expert = Expert::towards(&maze, trial.state().position, trial.goal(), &mut rng);
        while !trial.reached() {
            trial.step(expert.force(&maze, trial.state(), &mut rng));
        }
        let end = trial.trail().len() - 1;
        let moments: Vec<Moment> = (0..4)
            .map(|m| {
                let from = end * m / 5;
                let rollout = |bend: f64| {
                    let ahead = trial.trail()[from..(from + 480).min(end)].iter().enumerate().step_by(5);
                    ahead.map(|(k, p)| p + Vector2::new(bend, -bend) * (k as f64 / 480.0)).collect()
                };
                let rollouts = (0..8).map(|_| rollout(rng.random_range(-0.25..0.25))).collect();
                Moment { time_s: from as f64 * STEP_S, rollouts }
            })
            .collect();
        let facts =
            [("time to the goal", "5.2 s"), ("rate of actions", "20.0 Hz"), ("planning p50 / p99", "21 / 38 ms")];
        let facts: Vec<(String, String)> = facts.map(|(name, value)| (name.into(), value.into())).into();
        let picture = Picture {
            maze: &maze,
            trail: trial.trail(),
            goal: trial.goal(),
            tolerance_m: GOAL_TOLERANCE_M,
            end_s: trial.elapsed_s(),
            moments: &moments,
            reached: true,
            headline: "df_planner",
            facts: &facts,
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("demo.png");
        picture.write(&file).unwrap();
        if let Ok(keep) = std::env::var("DF_KEEP_PICTURE") {
            std::fs::copy(&file, keep).unwrap();
        }
        // The signature of PNG, then the size in the first chunk, big-endian.
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes[1..4], *b"PNG");
        assert_eq!(bytes[16..24], [0, 0, 4, 136, 0, 0, 3, 32], "1160 x 800");
    }
}
