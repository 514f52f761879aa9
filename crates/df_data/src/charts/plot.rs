//! What every chart has: title, frame, axes with ticks, legend; and where a value lies on the paper.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::SIZE;
use super::axis::Axis;
use super::canvas::{Area, ChartError, Drawn, FAINT_INK, FINE, GRID, INK, bold, px, text, text_width};

/// Colours that the colour-blind can tell apart too (Okabe and Ito 2008, without the yellow, which paper swallows).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(60, 60, 60),
];

/// Sizes of text and distances, pixels.
const TITLE_SIZE: i32 = 15;
const TEXT_SIZE: i32 = 12;
const MARGIN: f64 = 14.0;
const TITLE_TOP: f64 = 12.0;
const LEGEND_TOP: f64 = 36.0;
const LEGEND_ROW: f64 = 18.0;
const SWATCH: f64 = 18.0;
const BOTTOM: f64 = 52.0;
const MIN_LEFT: f64 = 52.0;
/// Ticks of either axis, about.
const X_TICKS: usize = 8;
const Y_TICKS: usize = 7;

/// The colour of the line of this number, and whether it is dashed to tell it from those before.
pub(super) fn colour(number: usize) -> (RGBColor, bool) {
    (COLOURS[number % COLOURS.len()], (number / COLOURS.len()) % 2 == 1)
}

/// The words round a plot.
pub(super) struct Words<'a> {
    pub title: &'a str,
    pub x_label: &'a str,
    pub y_label: &'a str,
    /// By number of the line; shown where there is more than one.
    pub legend: &'a [&'a str],
}

/// The area between the axes.
pub(super) struct Plot {
    x: Axis,
    y: Axis,
    /// Left, top, right, bottom, fine pixels.
    edges: [i32; 4],
}

impl Plot {
    /// Draws everything but the data. `None` where there are no data: the chart says so.
    pub(super) fn begin(
        area: &Area,
        words: &Words,
        x: Option<Axis>,
        y: Option<Axis>,
    ) -> Result<Option<Self>, ChartError> {
        let width = SIZE.0 as f64;
        bold(
            area,
            &shortened(area, words.title, px(width - 2.0 * MARGIN))?,
            (px(MARGIN), px(TITLE_TOP)),
            TITLE_SIZE,
            INK,
        )?;
        let top = draw_legend(area, words)?;
        let bottom = px(SIZE.1 as f64 - BOTTOM);
        let (Some(x), Some(y)) = (x, y) else {
            let frame = [(px(MARGIN), top), (px(width - MARGIN), bottom)];
            area.draw(&Rectangle::new(frame, GRID.stroke_width(FINE as u32))).map_err(ChartError::of)?;
            let middle = (px(width / 2.0), (top + bottom) / 2 - px(8.0));
            text(area, "no data", middle, TITLE_SIZE, FAINT_INK, HPos::Center)?;
            return Ok(None);
        };
        let y_ticks = y.ticks(Y_TICKS);
        let mut left = px(MIN_LEFT);
        for tick in &y_ticks {
            left = left.max(text_width(area, &tick.label, TEXT_SIZE)? + px(MARGIN + 8.0));
        }
        let plot = Self { x, y, edges: [left, top, px(width - MARGIN - 8.0), bottom] };
        let [left, top, right, bottom] = plot.edges;
        let line = |from: (i32, i32), to: (i32, i32), colour: RGBColor| {
            area.draw(&PathElement::new([from, to], colour.stroke_width(FINE as u32))).map_err(ChartError::of)
        };
        for tick in y_ticks {
            let at = plot.y(tick.value).unwrap_or(bottom);
            line((left, at), (right, at), GRID)?;
            text(area, &tick.label, (left - px(8.0), at - px(6.0)), TEXT_SIZE, FAINT_INK, HPos::Right)?;
        }
        for tick in plot.x.ticks(X_TICKS) {
            let at = plot.x(tick.value).unwrap_or(left);
            line((at, top), (at, bottom), GRID)?;
            text(area, &tick.label, (at, bottom + px(6.0)), TEXT_SIZE, FAINT_INK, HPos::Center)?;
        }
        line((left, bottom), (right, bottom), FAINT_INK)?;
        line((left, top), (left, bottom), FAINT_INK)?;
        text(area, words.x_label, (right, bottom + px(25.0)), TEXT_SIZE, FAINT_INK, HPos::Right)?;
        Ok(Some(plot))
    }

    /// Where a value of x lies, fine pixels; `None` if it cannot be shown.
    pub(super) fn x(&self, value: f64) -> Option<i32> {
        let [left, _, right, _] = self.edges;
        Some(left + (self.x.place(value)? * f64::from(right - left)).round() as i32)
    }

    /// Where a value of y lies, fine pixels; `None` if it cannot be shown.
    pub(super) fn y(&self, value: f64) -> Option<i32> {
        let [_, top, _, bottom] = self.edges;
        Some(bottom - (self.y.place(value)? * f64::from(bottom - top)).round() as i32)
    }

    pub(super) fn top(&self) -> i32 {
        self.edges[1]
    }

    pub(super) fn bottom(&self) -> i32 {
        self.edges[3]
    }

    pub(super) fn right(&self) -> i32 {
        self.edges[2]
    }
}

/// The label of y, then the lines' names, in as many rows as they need; gives where the plot may begin.
fn draw_legend(area: &Area, words: &Words) -> Result<i32, ChartError> {
    let (mut x, mut y) = (px(MARGIN), px(LEGEND_TOP));
    text(area, words.y_label, (x, y), TEXT_SIZE, FAINT_INK, HPos::Left)?;
    if words.legend.len() > 1 {
        x += text_width(area, words.y_label, TEXT_SIZE)? + px(MARGIN);
        for (number, name) in words.legend.iter().enumerate() {
            let width = px(SWATCH + 6.0) + text_width(area, name, TEXT_SIZE)?;
            if x + width > px(SIZE.0 as f64 - MARGIN) && x > px(MARGIN) {
                (x, y) = (px(MARGIN), y + px(LEGEND_ROW));
            }
            stroke(area, &[(x, y + px(8.0)), (x + px(SWATCH), y + px(8.0))], number)?;
            text(area, name, (x + px(SWATCH + 6.0), y), TEXT_SIZE, INK, HPos::Left)?;
            x += width + px(MARGIN);
        }
    }
    Ok(y + px(LEGEND_ROW + 8.0))
}

/// A line in the colour of its number, segment by segment: plotters mitres a path, and inside a sharp turn the mitre is
/// a spike across the picture.
pub(super) fn stroke(area: &Area, points: &[(i32, i32)], number: usize) -> Drawn {
    let (colour, dashed) = colour(number);
    let (dash, period) = (px(6.0), px(9.0));
    let mut way = 0.0;
    for pair in points.windows(2) {
        let style = colour.stroke_width(5);
        let draw = |from, to| area.draw(&PathElement::new([from, to], style)).map_err(ChartError::of);
        let (dx, dy) = (f64::from(pair[1].0 - pair[0].0), f64::from(pair[1].1 - pair[0].1));
        let length = dx.hypot(dy);
        if !dashed {
            draw(pair[0], pair[1])?;
            continue;
        }
        let at = |way: f64| {
            let share = if length > 0.0 { way / length } else { 0.0 };
            (pair[0].0 + (share * dx).round() as i32, pair[0].1 + (share * dy).round() as i32)
        };
        // Dashes begin at multiples of `period` along the whole way.
        let mut begin = (way / f64::from(period)).floor() * f64::from(period) - way;
        while begin < length {
            let (from, to) = (begin.max(0.0), (begin + f64::from(dash)).min(length));
            if from < to {
                draw(at(from), at(to))?;
            }
            begin += f64::from(period);
        }
        way += length;
    }
    Ok(())
}

/// Cut so that it fits into a bold title of so many fine pixels.
fn shortened(area: &Area, words: &str, room: i32) -> Result<String, ChartError> {
    let fits = |words: &str| Ok::<bool, ChartError>(text_width(area, words, TITLE_SIZE)? * 23 / 20 <= room);
    if fits(words)? {
        return Ok(words.into());
    }
    let mut kept: Vec<char> = words.chars().collect();
    while kept.pop().is_some() {
        let cut: String = kept.iter().chain(&['…']).collect();
        if fits(&cut)? {
            return Ok(cut);
        }
    }
    Ok(String::new())
}
