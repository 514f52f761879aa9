//! Images: drawn [`FINE`] times larger and averaged down, since plotters does not smooth the edges of thick lines;
//! written beside their place and renamed.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Pixels drawn per pixel of the file, per axis.
pub const FINE: i32 = 3;

/// The background.
pub const PAPER: RGBColor = RGBColor(255, 255, 255);
/// Titles and names.
pub const INK: RGBColor = RGBColor(33, 38, 48);
/// Axes and their texts.
pub const FAINT_INK: RGBColor = RGBColor(112, 120, 134);
/// Lines at the ticks.
pub const GRID: RGBColor = RGBColor(226, 229, 234);

/// What is drawn on, in fine pixels.
pub type Area<'a> = DrawingArea<BitMapBackend<'a>, plotters::coord::Shift>;
/// The result of drawing.
pub type Drawn = Result<(), ChartError>;

/// Why a picture cannot be drawn or written.
#[derive(Debug, thiserror::Error)]
#[error("the picture cannot be drawn: {0}")]
pub struct ChartError(String);

impl ChartError {
    /// Wraps an error of plotters or of the file system.
    pub fn of(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// An image in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    size: (usize, usize),
    /// Red, green and blue of every pixel, row by row.
    pixels: Vec<u8>,
}

impl Image {
    /// White paper of this size in pixels.
    pub fn blank(width: usize, height: usize) -> Self {
        Self { size: (width, height), pixels: [PAPER.0, PAPER.1, PAPER.2].repeat(width * height) }
    }

    /// What `draw` draws on white paper, in fine pixels: see [`px`].
    ///
    /// # Errors
    /// What `draw` says.
    pub fn drawn(width: usize, height: usize, draw: impl FnOnce(&Area) -> Drawn) -> Result<Self, ChartError> {
        register_fonts()?;
        let large = (width * FINE as usize, height * FINE as usize);
        let mut fine = vec![0; large.0 * large.1 * 3];
        {
            let area = BitMapBackend::with_buffer(&mut fine, (large.0 as u32, large.1 as u32)).into_drawing_area();
            area.fill(&PAPER).map_err(ChartError::of)?;
            draw(&area)?;
            area.present().map_err(ChartError::of)?;
        }
        Ok(Self { size: (width, height), pixels: averaged(&fine, width, height) })
    }

    /// Lays another image on this one, its upper left corner at `left`, `top`; it must fit.
    pub fn lay(&mut self, other: &Self, left: usize, top: usize) {
        for (row, pixels) in other.pixels.chunks_exact(other.size.0 * 3).enumerate() {
            let start = ((top + row) * self.size.0 + left) * 3;
            self.pixels[start..start + pixels.len()].copy_from_slice(pixels);
        }
    }

    /// Red, green and blue of every pixel, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Writes a PNG beside its place and renames it: whoever looks sees the one before or this one, whole.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(self, file: &Path) -> Drawn {
        let at = |error: &dyn std::fmt::Display| ChartError(format!("{}: {error}", file.display()));
        let name = file.file_name().ok_or_else(|| at(&"is no file"))?;
        // The encoder goes by the ending.
        let new = file.with_file_name(format!(".{}.new.png", name.to_string_lossy()));
        let size = (self.size.0 as u32, self.size.1 as u32);
        let image = BitMapElement::with_owned_buffer((0, 0), size, self.pixels)
            .ok_or_else(|| at(&"the image has another size than its pixels"))?;
        {
            let paper = BitMapBackend::new(&new, size).into_drawing_area();
            paper.draw(&image).map_err(|error| at(&error))?;
            paper.present().map_err(|error| at(&error))?;
        }
        std::fs::rename(&new, file).map_err(|error| at(&error))
    }
}

/// Pixels of the file to fine pixels.
pub fn px(pixels: f64) -> i32 {
    (pixels * f64::from(FINE)).round() as i32
}

/// Words whose upper edge is at `at`; `side` says where of them `at` lies. `size` in pixels of the file.
pub fn text(area: &Area, words: &str, at: (i32, i32), size: i32, colour: RGBColor, side: HPos) -> Drawn {
    let style = TextStyle::from(("sans-serif", size * FINE).into_font()).color(&colour);
    area.draw(&Text::new(words, at, style.pos(Pos::new(side, VPos::Top)))).map_err(ChartError::of)
}

/// As [`text`], in bold and with `at` at the left.
pub fn bold(area: &Area, words: &str, at: (i32, i32), size: i32, colour: RGBColor) -> Drawn {
    let style = TextStyle::from(("sans-serif", size * FINE, FontStyle::Bold).into_font()).color(&colour);
    area.draw(&Text::new(words, at, style)).map_err(ChartError::of)
}

/// The width of what [`text`] draws, fine pixels.
pub fn text_width(area: &Area, words: &str, size: i32) -> Result<i32, ChartError> {
    let style = TextStyle::from(("sans-serif", size * FINE).into_font());
    Ok(area.estimate_text_size(words, &style).map_err(ChartError::of)?.0 as i32)
}

/// The mean of each square of `FINE` by `FINE` pixels.
fn averaged(fine: &[u8], width: usize, height: usize) -> Vec<u8> {
    let n = FINE as usize;
    let mut small = Vec::with_capacity(width * height * 3);
    for (y, x, channel) in
        (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |channel| (y, x, channel))))
    {
        let square = (0..n).flat_map(|j| (0..n).map(move |i| ((y * n + j) * width * n + x * n + i) * 3 + channel));
        let sum: usize = square.map(|index| usize::from(fine[index])).sum();
        small.push((sum / (n * n)) as u8);
    }
    small
}

/// The bundled font: plotters would ask the system for one, which a small machine need not have.
fn register_fonts() -> Drawn {
    let fonts: [(FontStyle, &'static [u8]); 2] = [
        (FontStyle::Normal, include_bytes!("../../assets/fonts/DejaVuSans.ttf")),
        (FontStyle::Bold, include_bytes!("../../assets/fonts/DejaVuSans-Bold.ttf")),
    ];
    for (style, bytes) in fonts {
        register_font("sans-serif", style, bytes).map_err(|_| ChartError::of("the bundled font is damaged"))?;
    }
    Ok(())
}
