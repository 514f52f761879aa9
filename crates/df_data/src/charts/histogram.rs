//! How often values occur: bars, and marks at values worth a name.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::{Area, ChartError, Drawn, INK, px, text};
use super::plot::{Plot, Words, colour};

/// Room above the highest bar, of its height.
const Y_MARGIN: f64 = 0.15;
const MARK_SIZE: i32 = 11;

/// How often values occur.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Above the plot, in bold.
    pub title: String,
    /// Below the x axis.
    pub unit: String,
    /// In ascending order; bins with ends that are not finite are left out.
    pub bins: Vec<Bin>,
    /// Named values.
    pub marks: Vec<Mark>,
}

/// Values from `from` up to `to`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Its lower end.
    pub from: f64,
    /// Its upper end.
    pub to: f64,
    /// Number of values in it.
    pub count: u64,
}

/// A value with a name, such as a percentile.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// Its text.
    pub name: String,
    /// Its place on the x axis.
    pub value: f64,
}

impl Histogram {
    pub(super) fn draw(&self, area: &Area) -> Drawn {
        let bins: Vec<&Bin> = self.bins.iter().filter(|bin| bin.from.is_finite() && bin.to.is_finite()).collect();
        let total = bins.iter().map(|bin| bin.count).sum::<u64>();
        let share = |bin: &Bin| 100.0 * bin.count as f64 / total as f64;
        let tallest = bins.iter().map(|bin| share(bin)).fold(0.0, f64::max);
        let words = Words { title: &self.title, x_label: &self.unit, y_label: "% of the samples", legend: &[] };
        let x = Axis::around(bins.iter().flat_map(|bin| [bin.from, bin.to]).filter(|_| total > 0), false, 0.02);
        let y = Axis::around([0.0, tallest * (1.0 + Y_MARGIN)].into_iter().filter(|_| total > 0), false, 0.0);
        let Some(plot) = Plot::begin(area, &words, x, y)? else { return Ok(()) };
        let (bar, _) = colour(0);
        for bin in bins.iter().filter(|bin| bin.count > 0) {
            let (Some(left), Some(right), Some(top)) = (plot.x(bin.from), plot.x(bin.to), plot.y(share(bin))) else {
                continue;
            };
            // What occurs is seen, however seldom: a pixel of the file at least.
            let (left, right) = if right - left < px(1.0) { (left, left + px(1.0)) } else { (left, right) };
            let top = top.min(plot.bottom() - px(1.0));
            area.draw(&Rectangle::new([(left, top), (right, plot.bottom())], bar.mix(0.75).filled()))
                .map_err(ChartError::of)?;
        }
        let (mark_colour, _) = colour(1);
        // Names in two rows by turns: percentiles may stand close to each other.
        for (k, mark) in self.marks.iter().enumerate() {
            let Some(at) = plot.x(mark.value).filter(|at| *at <= plot.right()) else { continue };
            let row = plot.top() + px(f64::from(MARK_SIZE + 2) * (k % 2) as f64);
            area.draw(&PathElement::new([(at, row + px(15.0)), (at, plot.bottom())], mark_colour.stroke_width(4)))
                .map_err(ChartError::of)?;
            text(area, &mark.name, (at, row), MARK_SIZE, INK, HPos::Center)?;
        }
        Ok(())
    }
}
