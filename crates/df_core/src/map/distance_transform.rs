//! The exact Euclidean distance from the centre of every cell to the nearest occupied cell, taken as a square.
//!
//! The lower envelope of parabolas of Felzenszwalb & Huttenlocher, "Distance Transforms of Sampled Functions", Theory of
//! Computing 8 (2012), section 2.1. The paper measures to points. Here parabolas also stand at the edges between cells, so
//! that the distance is to squares.

/// Distances in cells, row by row. 0 in occupied cells; infinite if there are none. `cells`: true if occupied.
pub(super) fn distances(cells: &[bool], width: usize) -> Vec<f32> {
    let mut gaps = gaps_along_columns(cells, width);
    let mut row = LowerEnvelope::new(width);
    for gaps in gaps.chunks_exact_mut(width) {
        row.transform(gaps);
    }
    gaps
}

/// The distance of every cell's centre to the nearest occupied square in its column, in cells.
fn gaps_along_columns(cells: &[bool], width: usize) -> Vec<f32> {
    let height = cells.len() / width;
    // Rows to the nearest cell above or at it, then the same from below.
    let mut rows: Vec<f32> = cells.iter().map(|&is| if is { 0.0 } else { f32::INFINITY }).collect();
    for i in width..rows.len() {
        rows[i] = rows[i].min(rows[i - width] + 1.0);
    }
    for i in (0..width * height.saturating_sub(1)).rev() {
        rows[i] = rows[i].min(rows[i + width] + 1.0);
    }
    // From the centre to the square's edge.
    rows.iter_mut().for_each(|rows| *rows = (*rows - 0.5).max(0.0));
    rows
}

/// The lower envelope of one row. Its buffers are reused for all rows.
struct LowerEnvelope {
    /// Squared gaps at the cells' centres and edges: at 0, 1/2, 1, ...
    heights: Vec<f64>,
    /// The parabolas of the envelope, by index in `heights`, and where each one begins.
    parabolas: Vec<usize>,
    begins: Vec<f64>,
}

impl LowerEnvelope {
    fn new(width: usize) -> Self {
        let max = 2 * width;
        Self { heights: Vec::with_capacity(max), parabolas: Vec::with_capacity(max), begins: Vec::with_capacity(max) }
    }

    /// Turns the gaps along columns into distances.
    fn transform(&mut self, gaps: &mut [f32]) {
        let square = |gap: f32| f64::from(gap) * f64::from(gap);
        self.heights.clear();
        for (i, &gap) in gaps.iter().enumerate() {
            if i > 0 {
                // The edge between two cells belongs to the squares of both.
                self.heights.push(square(gap.min(gaps[i - 1])));
            }
            self.heights.push(square(gap));
        }
        self.envelope();
        let mut current = 0;
        for (i, gap) in gaps.iter_mut().enumerate() {
            let at = i as f64;
            while current + 1 < self.begins.len() && self.begins[current + 1] < at {
                current += 1;
            }
            *gap = self.parabolas.get(current).map_or(f32::INFINITY, |&p| {
                let apart = at - 0.5 * p as f64;
                (apart * apart + self.heights[p]).sqrt() as f32
            });
        }
    }

    /// The lowest parabola `(x - p/2)^2 + heights[p]` at every x.
    fn envelope(&mut self) {
        self.parabolas.clear();
        self.begins.clear();
        for p in (0..self.heights.len()).filter(|&p| self.heights[p].is_finite()) {
            let mut begin = f64::NEG_INFINITY;
            while let (Some(&last), Some(&last_begin)) = (self.parabolas.last(), self.begins.last()) {
                let (x, y) = (0.5 * p as f64, 0.5 * last as f64);
                // The position where the two meet. To its right the parabola further right is lower.
                begin = ((self.heights[p] + x * x) - (self.heights[last] + y * y)) / (2.0 * (x - y));
                if begin > last_begin {
                    break;
                }
                self.parabolas.pop();
                self.begins.pop();
                begin = f64::NEG_INFINITY;
            }
            self.parabolas.push(p);
            self.begins.push(begin);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn distances_to_one_corner_cell_are_exact() {
        // One cell in the lower left corner of 3 x 3: its square's corner (0.5, 0.5) is nearest to (1, 1) and (2, 2).
        let mut cells = [false; 9];
        cells[0] = true;
        let diagonal = |x: f32, y: f32| x.hypot(y);
        let expected =
            [0.0, 0.5, 1.5, 0.5, diagonal(0.5, 0.5), diagonal(1.5, 0.5), 1.5, diagonal(0.5, 1.5), diagonal(1.5, 1.5)];
        assert_eq!(distances(&cells, 3), expected);
        assert_eq!(distances(&[false; 4], 2), [f32::INFINITY; 4]);
        assert_eq!(distances(&[true; 4], 2), [0.0; 4]);
    }

    proptest! {
        #[test]
        fn distances_equal_those_of_brute_force(width in 1..14usize, bits in prop::collection::vec(0..5u8, 1..150)) {
            let height = bits.len().div_ceil(width);
            let cells: Vec<bool> = (0..width * height).map(|i| bits.get(i) == Some(&0)).collect();
            let got = distances(&cells, width);
            for (i, got) in got.iter().enumerate() {
                let gap = |a: usize, b: usize| (a.abs_diff(b) as f32 - 0.5).max(0.0);
                let to = |j: usize| gap(i % width, j % width).hypot(gap(i / width, j / width));
                let brute = (0..cells.len()).filter(|&j| cells[j]).map(to).fold(f32::INFINITY, f32::min);
                prop_assert!(*got == brute || (got - brute).abs() < 1e-5, "cell {i}: {got}, brute force {brute}");
            }
        }
    }
}
