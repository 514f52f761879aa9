//! Plain charts as PNG: lines, histograms, many of them on one sheet. Knows no robot and no training.
//!
//! ```text
//! Chart: Panel (lines), Histogram -> plot (axes, legend) -> canvas (fine pixels, averaged) -> sheet -> .png
//! ```

mod axis;
pub mod canvas;
mod histogram;
mod panel;
mod plot;

use std::path::Path;

pub use canvas::ChartError;
use canvas::Image;
pub use histogram::{Bin, Histogram, Mark};
pub use panel::{Line, Panel};

/// The size of one chart, pixels.
const SIZE: (usize, usize) = (640, 340);

/// One chart of a sheet.
#[derive(Clone, Debug, PartialEq)]
pub enum Chart {
    /// Lines over a common x axis.
    Panel(Panel),
    /// Counts of values.
    Histogram(Histogram),
}

impl Chart {
    fn image(&self) -> Result<Image, ChartError> {
        Image::drawn(SIZE.0, SIZE.1, |area| match self {
            Self::Panel(panel) => panel.draw(area),
            Self::Histogram(histogram) => histogram.draw(area),
        })
    }
}

/// Writes charts as one PNG, row by row with so many `columns`. Without any chart there is one empty place.
///
/// # Errors
/// The file cannot be written.
pub fn draw(charts: &[Chart], columns: usize, path: &Path) -> Result<(), ChartError> {
    let columns = columns.clamp(1, charts.len().max(1));
    let rows = charts.len().div_ceil(columns).max(1);
    let mut sheet = Image::blank(columns * SIZE.0, rows * SIZE.1);
    for (k, chart) in charts.iter().enumerate() {
        sheet.lay(&chart.image()?, k % columns * SIZE.0, k / columns * SIZE.1);
    }
    sheet.write(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blue of the first line, vermilion of the second.
    const FIRST: [u8; 3] = [0, 114, 178];
    const SECOND: [u8; 3] = [213, 94, 0];

    /// Where pixels of a colour are, as (column, row).
    fn places(chart: &Chart, colour: [u8; 3]) -> Vec<(usize, usize)> {
        let image = chart.image().unwrap();
        let pixels = image.pixels().chunks_exact(3).enumerate();
        pixels.filter(|(_, pixel)| *pixel == colour).map(|(k, _)| (k % SIZE.0, k / SIZE.0)).collect()
    }

    fn lines(lines: &[&[(f64, f64)]]) -> Chart {
        let line = |(k, points): (usize, &&[(f64, f64)])| Line { name: format!("line {k}"), points: points.to_vec() };
        let lines = lines.iter().enumerate().map(line).collect();
        let [title, x_label, y_label] = ["title", "step", "loss"].map(String::from);
        Chart::Panel(Panel { title, x_label, y_label, log_y: false, lines })
    }

    /// The pixels of the legend lie above this row.
    const LEGEND_END: usize = 60;

    #[test]
    fn a_line_lies_where_its_points_are() {
        let found = places(&lines(&[&[(0.0, 0.0), (1.0, 0.0), (1.0, 8.0), (2.0, 8.0)]]), FIRST);
        // The range of y is 8 with 6 % of margin at either end; from row 62 to 288 the plot is 226 pixels high:
        // 0 lies 0.48 / 8.96 * 226 = 12.1 above its foot. Of 52 to 618 the half is 335.
        let row = |y: f64| 288.0 - (y + 0.48) / 8.96 * 226.0;
        let near = |column: f64, row: f64| {
            found.iter().any(|(x, y)| (*x as f64 - column).abs() <= 2.0 && (*y as f64 - row).abs() <= 2.0)
        };
        for (column, y) in [(60.0, 0.0), (330.0, 0.0), (335.0, 4.0), (340.0, 8.0), (610.0, 8.0)] {
            assert!(near(column, row(y)), "nothing at {column}, {}", row(y));
        }
        for (column, y) in [(200.0, 4.0), (340.0, 0.0), (500.0, 0.0), (60.0, 8.0)] {
            assert!(!near(column, row(y)), "something at {column}, {}", row(y));
        }
    }

    #[test]
    fn a_line_is_broken_where_a_point_is_not_finite() {
        let flat = |k: usize| (k as f64, if (40..60).contains(&k) { f64::NAN } else { 1.0 });
        let points: Vec<(f64, f64)> = (0..101).map(flat).chain([(50.0, f64::INFINITY)]).collect();
        let columns: Vec<usize> = places(&lines(&[&points]), FIRST).iter().map(|(x, _)| *x).collect();
        // From 52 to 618: 39 lies at 272.7, 60 at 391.6.
        assert!(columns.iter().any(|x| *x < 270) && columns.iter().any(|x| *x > 395));
        assert!(!columns.iter().any(|x| (276..389).contains(x)));
    }

    #[test]
    fn a_chart_of_several_lines_has_a_legend() {
        let in_legend = |chart: &Chart, colour| places(chart, colour).iter().any(|(_, row)| *row < LEGEND_END);
        let one = lines(&[&[(0.0, 0.0), (1.0, 1.0)]]);
        assert!(!in_legend(&one, FIRST));
        let two = lines(&[&[(0.0, 0.0), (1.0, 1.0)], &[(0.0, 1.0), (1.0, 0.0)]]);
        assert!(in_legend(&two, FIRST) && in_legend(&two, SECOND));
    }

    /// A line that turns back sharply stays within the plot: see [`plot::stroke`].
    #[test]
    fn sharp_turns_of_a_line_draw_no_spikes() {
        let turns: Vec<(f64, f64)> = (0..400).map(|k| (f64::from(k % 2), 1e-3 * 1.02f64.powi(k))).collect();
        let found = places(&lines(&[&turns]), FIRST);
        assert!(found.len() > 1000);
        assert!(found.iter().all(|(x, y)| (50..=620).contains(x) && (60..=290).contains(y)));
    }

    #[test]
    fn a_million_points_are_drawn_as_their_envelope() {
        // Between two columns of pixels a hundred points each go up and down between -1 and 1.
        let value = |k: usize| if k.is_multiple_of(2) { 1.0 } else { -1.0 };
        let many: Vec<(f64, f64)> = (0..1_000_000).map(|k| (k as f64, value(k))).collect();
        let started = std::time::Instant::now();
        let found = places(&lines(&[&many]), FIRST);
        assert!(started.elapsed().as_secs_f64() < 5.0);
        // The whole band is filled: 565 columns, 226 * 2 / 2.24 = 201 rows.
        assert!(found.len() > 560 * 198, "{}", found.len());
    }

    #[test]
    fn a_chart_without_data_says_so() {
        let ink = |chart: &Chart| {
            let image = chart.image().unwrap();
            // Below the title and the label of y.
            let below = image.pixels().iter().skip(LEGEND_END * SIZE.0 * 3);
            below.filter(|value| **value < 200).count()
        };
        for empty in [
            lines(&[]),
            lines(&[&[(0.0, f64::NAN)]]),
            Chart::Histogram(Histogram::default()),
            Chart::Histogram(Histogram { bins: vec![Bin { from: 0.0, to: 1.0, count: 0 }], ..Histogram::default() }),
        ] {
            assert!((100..2000).contains(&ink(&empty)), "{}", ink(&empty));
        }
    }

    #[test]
    fn bars_are_as_high_as_their_share() {
        let bins = [30, 60, 0, 10].into_iter().enumerate();
        let bin = |(k, count)| Bin { from: k as f64, to: k as f64 + 1.0, count };
        let marks = vec![Mark { name: "median".into(), value: 1.5 }];
        let chart = Chart::Histogram(Histogram { bins: bins.map(bin).collect(), marks, ..Histogram::default() });
        let image = chart.image().unwrap();
        let rows = |column: usize| {
            let at = |row: usize| &image.pixels()[(row * SIZE.0 + column) * 3..][..3];
            // Three quarters of the blue and a quarter of white, give or take what the grid below changes.
            (70..286).filter(|row| at(*row)[2] > 170 && at(*row)[0] < 80).count() as f64
        };
        // Bars stand at 52 + 566 * (k + 0.08) / 4.16; the column of a bar's first third bears no mark.
        let heights: Vec<f64> = (0..4).map(|k| rows(52 + (566.0 * (k as f64 + 0.41) / 4.16) as usize)).collect();
        // 30, 60 and 10 %: in the ratio of 3 to 6 to 1.
        assert!(heights[1] > 150.0 && heights[2] == 0.0, "{heights:?}");
        assert!((heights[0] / heights[1] - 0.5).abs() < 0.03, "{heights:?}");
        assert!((heights[3] / heights[1] - 1.0 / 6.0).abs() < 0.03, "{heights:?}");
    }

    #[test]
    fn a_sheet_is_written_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sheet.png");
        let loss = |from: f64, step: usize| (step as f64, from * 0.05 + from * (-(step as f64) / 9000.0).exp());
        let line = |(k, name): (usize, &str)| {
            let points = (0..40_000).step_by(50).map(|step| loss(1.0 + k as f64, step)).collect();
            Line { name: name.into(), points }
        };
        let names =
            ["training", "validation", "low noise", "high noise", "a", "b", "c", "an eighth with a long name", "d"];
        let of = |log_y| {
            let [title, x_label, y_label] = ["Loss of the run maze_demos", "step", "loss"].map(String::from);
            let lines = names.into_iter().enumerate().map(line).collect();
            Chart::Panel(Panel { title, x_label, y_label, log_y, lines })
        };
        let bell = |k: usize| (1000.0 * (-((k as f64 - 20.0) / 8.0).powi(2)).exp()) as u64;
        let bins = (0..50).map(|k| Bin { from: k as f64 / 10.0, to: (k + 1) as f64 / 10.0, count: bell(k) }).collect();
        let marks = [("1 %", 0.75), ("50 %", 2.05), ("99 %", 3.4)];
        let marks = marks.map(|(name, value)| Mark { name: name.into(), value }).into();
        let [title, unit] =
            ["twist.linear.x of a robot that has a remarkably long name, which is why it is cut off", "m/s"]
                .map(String::from);
        let histogram = Chart::Histogram(Histogram { title, unit, bins, marks });
        draw(&[of(false), of(true), histogram], 2, &file).unwrap();
        if let Ok(keep) = std::env::var("DF_KEEP_PICTURE") {
            std::fs::copy(&file, keep).unwrap();
        }
        // The signature of PNG, then the size in the first chunk, big-endian: 2 * 640 by 2 * 340.
        let bytes = std::fs::read(&file).unwrap();
        assert_eq!(bytes[1..4], *b"PNG");
        assert_eq!(bytes[16..24], [0, 0, 5, 0, 0, 0, 2, 168]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "something lies beside it");
        let refusal = draw(&[], 1, &folder.path().join("none/sheet.png")).unwrap_err().to_string();
        assert!(refusal.contains("none/sheet.png"), "{refusal}");
    }
}
