//! Matrix products of planning's sizes (some 50 rows, at most 512 columns) on the calling thread, vectorised at run time. Training
//! on `flex` puts its larger ones together from such (src/model/gradient/flex.rs).
//!
//! While planning, weights do not change, so they are packed once. At these sizes this reaches 95 % of what a core can do, where
//! `gemm` reaches 30 % (docs/performance.md). Every element is one sum in ascending order of the inner index, whatever the number of rows:
//! how sequences are dealt out to threads does not change a bit of the result.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
pub use super::tile::Start;
use super::tile::{ROWS, Tile, vectors_of_a_tile};

/// Columns of a panel: four vectors of AVX-512.
const PANEL: usize = 64;
/// Inner indices of one pass: a panel of them, 32 KiB, stays in the first-level cache.
const INNER: usize = 128;

/// Values in a cache line: what is turned, is in blocks of them.
const LINE: usize = 16;

/// The left operand: `rows x inner`, row `r` at `r * stride`.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    pub values: &'a [f32],
    pub rows: usize,
    pub inner: usize,
    pub stride: usize,
}

/// The right operand: `inner x columns`, in panels of columns.
#[derive(Clone, Copy)]
pub struct Right<'a> {
    values: &'a [f32],
    inner: usize,
    columns: usize,
    /// Between rows of a panel.
    stride: usize,
    /// Between panels.
    panel: usize,
}

/// A right operand that stays: packed panel by panel, the last one padded.
pub struct Packed {
    values: Buffer,
    inner: usize,
    columns: usize,
}

/// Where the product goes: row `r` at `r * stride`.
pub struct Out<'a> {
    pub values: &'a mut [f32],
    pub stride: usize,
    /// Negative results become zero.
    pub relu: bool,
}

impl<'a> Right<'a> {
    /// An operand where it lies: row `k` at `k * stride`.
    pub fn in_place(values: &'a [f32], inner: usize, columns: usize, stride: usize) -> Self {
        Self { values, inner, columns, stride, panel: PANEL }
    }
}

impl Packed {
    /// Of an operand `[inner, column]`, on all threads.
    pub fn of_rows(values: &[f32], inner: usize, columns: usize) -> Self {
        Self::panels(inner, columns, |panel, first, count| {
            for (k, to) in panel.chunks_mut(PANEL).enumerate() {
                to[..count].copy_from_slice(&values[k * columns + first..][..count]);
            }
        })
    }

    /// Of an operand `[column, inner]`, on all threads.
    pub fn of_columns(values: &[f32], inner: usize, columns: usize) -> Self {
        Self::panels(inner, columns, |panel, first, count| {
            for (k, rows) in panel.chunks_mut(LINE * PANEL).enumerate() {
                for c in 0..count {
                    let column = &values[(first + c) * inner + k * LINE..];
                    rows.chunks_mut(PANEL).zip(column).for_each(|(row, &value)| row[c] = value);
                }
            }
        })
    }

    /// `fill(panel, its first column, how many it has)`.
    fn panels(inner: usize, columns: usize, fill: impl Fn(&mut [f32], usize, usize) + Sync) -> Self {
        let mut values = Buffer::zeros(inner * columns.next_multiple_of(PANEL));
        values.par_chunks_mut(PANEL * inner).enumerate().for_each(|(i, panel)| {
            let first = i * PANEL;
            fill(panel, first, PANEL.min(columns - first));
        });
        Self { values, inner, columns }
    }

    pub fn right(&self) -> Right<'_> {
        let Self { inner, columns, .. } = *self;
        Right { values: &self.values, inner, columns, stride: PANEL, panel: PANEL * inner }
    }
}

/// `out = start + left right`.
///
/// # Panics
/// Sizes do not fit: a mistake of the program.
pub fn product(left: Left, right: Right, start: Start, out: Out) {
    assert_eq!(left.inner, right.inner, "inner sizes of a matrix product");
    Arch::new().dispatch(Product { left, right, start, out });
}

struct Product<'a> {
    left: Left<'a>,
    right: Right<'a>,
    start: Start<'a>,
    out: Out<'a>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, right, start, out } = self;
        let widest = vectors_of_a_tile::<S>();
        let blocks = left.rows.div_ceil(ROWS);
        for panel in 0..right.columns.div_ceil(PANEL) {
            let columns = PANEL.min(right.columns - panel * PANEL);
            for first in (0..left.inner).step_by(INNER) {
                let inner = INNER.min(left.inner - first);
                let last = first + inner == left.inner;
                let mut column = 0;
                while column < columns {
                    let vectors = ((columns - column) / S::F32_LANES).min(widest);
                    let own = if vectors == 0 { columns - column } else { vectors * S::F32_LANES };
                    let at = panel * PANEL + column;
                    let start = if first == 0 { start.of_columns(at, own) } else { Start::Old };
                    for block in 0..blocks {
                        // As even as can be: a last tile of one row would cost nearly as much as one of six.
                        let row = left.rows * block / blocks;
                        let tile = Tile {
                            left: &left.values[row * left.stride + first..],
                            left_stride: left.stride,
                            right: &right.values[panel * right.panel + first * right.stride + column..],
                            right_stride: right.stride,
                            inner,
                            columns: own,
                            start,
                            out: &mut out.values[row * out.stride + at..],
                            out_stride: out.stride,
                            relu: out.relu && last,
                        };
                        let rows = left.rows * (block + 1) / blocks - row;
                        match vectors {
                            4 => tile.of_rows::<S, 4, false>(simd, rows),
                            3 => tile.of_rows::<S, 3, false>(simd, rows),
                            2 => tile.of_rows::<S, 2, false>(simd, rows),
                            1 => tile.of_rows::<S, 1, false>(simd, rows),
                            _ => tile.of_rows::<S, 1, true>(simd, rows),
                        }
                    }
                    column += own;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every instruction set of this processor.
    fn instruction_sets() -> Vec<Arch> {
        let mut found = vec![Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(pulp::x86::V3::try_new().map(Arch::V3));
            found.extend(pulp::x86::V4::try_new().map(Arch::V4));
        }
        found
    }

    fn sequence(length: usize, step: f32) -> Vec<f32> {
        (0..length).map(|i| (i as f32 * step).sin()).collect()
    }

    /// Sizes around those of tiles, panels and passes; rows further apart than they are long.
    #[test]
    fn equals_sums_in_double_precision() {
        for arch in instruction_sets() {
            for (rows, inner, columns) in
                [(1, 1, 1), (7, 5, 3), (14, 32, 16), (13, 130, 64), (29, 257, 150), (6, 96, 40)]
            {
                let (stride, out_stride) = (inner + 3, columns + 2);
                let (a, b) = (sequence(rows * stride, 0.7), sequence(inner * columns, 1.3));
                let (bias, old) = (sequence(columns, 0.3), sequence(rows * out_stride, 0.9));
                let by_rows = Packed::of_rows(&b, inner, columns);
                let turned: Vec<f32> = (0..b.len()).map(|i| b[i % inner * columns + i / inner]).collect();
                let by_columns = Packed::of_columns(&turned, inner, columns);
                let in_place = Right::in_place(&b, inner, columns, columns);
                for right in [by_rows.right(), by_columns.right(), in_place] {
                    for (number, start) in
                        [Start::Zero, Start::Bias(&bias), Start::Old, Start::OldAndBias(&bias)].into_iter().enumerate()
                    {
                        for relu in [false, true] {
                            let left = Left { values: &a, rows, inner, stride };
                            let mut values = old.clone();
                            let out = Out { values: &mut values, stride: out_stride, relu };
                            arch.dispatch(Product { left, right, start, out });
                            for (i, &got) in values.iter().enumerate() {
                                let (r, c) = (i / out_stride, i % out_stride);
                                if c >= columns {
                                    assert_eq!(got, old[i], "between the rows");
                                    continue;
                                }
                                let mut sum = [0.0, bias[c], old[i], bias[c] + old[i]].map(f64::from)[number];
                                for k in 0..inner {
                                    sum += f64::from(a[r * stride + k]) * f64::from(b[k * columns + c]);
                                }
                                let want = if relu { sum.max(0.0) } else { sum };
                                // 257 roundings of sums below 16: 257 * 16 * 2^-25 would be 1.2e-4 at worst.
                                assert!(
                                    (f64::from(got) - want).abs() < 2e-5,
                                    "{arch:?} {rows} {inner} {columns}: {got} {want}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_is_the_same_bit_for_bit_among_any_number_of_rows() {
        let (inner, columns) = (130, 100);
        let (a, packed) = (sequence(20 * inner, 0.7), Packed::of_rows(&sequence(inner * columns, 1.3), inner, columns));
        let of = |rows: usize| {
            let mut values = vec![0.0; rows * columns];
            let left = Left { values: &a[..rows * inner], rows, inner, stride: inner };
            product(left, packed.right(), Start::Zero, Out { values: &mut values, stride: columns, relu: false });
            values
        };
        let all = of(20);
        (1..20).for_each(|rows| assert_eq!(of(rows), all[..rows * columns], "{rows} rows"));
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let mut values = [0.0];
        let left = Left { values: &[f32::NAN], rows: 1, inner: 1, stride: 1 };
        let out = Out { values: &mut values, stride: 1, relu: true };
        product(left, Right::in_place(&[1.0], 1, 1, 1), Start::Zero, out);
        assert!(values[0].is_nan());
    }
}
