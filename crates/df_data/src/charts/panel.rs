//! A panel of lines over a common x.

use plotters::prelude::*;

use super::axis::Axis;
use super::canvas::{Area, ChartError, Drawn, px};
use super::plot::{Plot, Words, colour, stroke};

/// Some of the range stays free above and below the lines.
const Y_MARGIN: f64 = 0.06;

/// Lines over a common x.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Panel {
    /// Above the plot, in bold.
    pub title: String,
    /// Below the x axis.
    pub x_label: String,
    /// Above the y axis.
    pub y_label: String,
    /// The y axis is logarithmic; values of 0 and below are left out.
    pub log_y: bool,
    /// In the order of their colours.
    pub lines: Vec<Line>,
}

/// A line through points in their order; it is broken where one is not finite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Its text in the legend.
    pub name: String,
    /// x and y.
    pub points: Vec<(f64, f64)>,
}

impl Panel {
    pub(super) fn draw(&self, area: &Area) -> Drawn {
        let can_be_shown = |(x, y): &&(f64, f64)| x.is_finite() && y.is_finite() && (!self.log_y || *y > 0.0);
        let points = || self.lines.iter().flat_map(|line| &line.points).filter(can_be_shown);
        let legend: Vec<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        let words = Words { title: &self.title, x_label: &self.x_label, y_label: &self.y_label, legend: &legend };
        let x = Axis::around(points().map(|point| point.0), false, 0.0);
        let y = Axis::around(points().map(|point| point.1), self.log_y, Y_MARGIN);
        let Some(plot) = Plot::begin(area, &words, x, y)? else { return Ok(()) };
        for (number, line) in self.lines.iter().enumerate() {
            let placed: Vec<Option<(i32, i32)>> =
                line.points.iter().map(|(x, y)| Some((plot.x(*x)?, plot.y(*y)?))).collect();
            for run in placed.split(Option::is_none) {
                let run: Vec<(i32, i32)> = thinned(run.iter().flatten().copied());
                if let [point] = run[..] {
                    let (colour, _) = colour(number);
                    area.draw(&Circle::new(point, px(2.5), colour.filled())).map_err(ChartError::of)?;
                }
                stroke(area, &run, number)?;
            }
        }
        Ok(())
    }
}

/// Of neighbours with the same x only the first, the lowest, the highest and the last: the picture is the same, and a
/// million points are drawn as quickly as a thousand.
fn thinned(points: impl Iterator<Item = (i32, i32)>) -> Vec<(i32, i32)> {
    let mut kept: Vec<(i32, i32)> = Vec::new();
    let mut column: Vec<(i32, i32)> = Vec::new();
    let mut close = |column: &mut Vec<(i32, i32)>| {
        let lowest = column.iter().copied().min_by_key(|point| point.1);
        let highest = column.iter().copied().max_by_key(|point| point.1);
        for point in [column.first().copied(), lowest, highest, column.last().copied()].into_iter().flatten() {
            if kept.last() != Some(&point) {
                kept.push(point);
            }
        }
        column.clear();
    };
    for point in points {
        if column.first().is_some_and(|first| first.0 != point.0) {
            close(&mut column);
        }
        match column[..] {
            // All but the four that count may go.
            [first, lowest, highest, _] if column.len() == 4 => {
                let lowest = if point.1 < lowest.1 { point } else { lowest };
                let highest = if point.1 > highest.1 { point } else { highest };
                column = vec![first, lowest, highest, point];
            }
            [.., last] if last == point => {}
            _ => column.push(point),
        }
    }
    close(&mut column);
    kept
}
