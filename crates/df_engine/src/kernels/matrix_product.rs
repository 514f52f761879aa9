//! Matrix products of planning's sizes (some 50 rows, at most 512 columns) on the calling thread, vectorised at run
//! time. It is no general GEMM: one operand is packed beforehand or small, and larger products are put together by the
//! caller.
//!
//! `dst = accumulate + lhs rhs`, with these layouts:
//! - [`Lhs`]: `[row, inner]`, row `r` at `r * stride`
//! - [`Rhs`]: `[inner, column]`; in place (row `k` at `k * stride`), or [`Packed`]: panels of 64 columns, in each row
//!   `k` of the panel at `k * 64`, the last panel padded with zeros
//! - [`Dst`]: `[row, column]`, row `r` at `r * stride`; values between rows are not touched
//!
//! Weights do not change while planning, so they are packed once. At these sizes this reaches 95 % of what a core can
//! do, where `gemm` reaches 30 % (docs/src/reference/results/beside-pytorch.md). Every element is one sum in ascending
//! order of the inner index, whatever the number of rows. So the result is the same, bit for bit, however sequences are
//! distributed to threads.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::buffer::Buffer;
pub use super::tile::Accumulate;
use super::tile::{ROWS, Tile, vectors_of_a_tile};

/// Columns of a panel: four vectors of AVX-512.
const PANEL: usize = 64;
/// Inner indices of one pass. A panel of that many, 32 KiB, stays in the first-level cache.
const INNER: usize = 128;

/// Values in a cache line: a transposed copy moves blocks of that many rows.
const LINE: usize = 16;

/// The left operand, `[row, inner]`.
#[derive(Clone, Copy)]
pub struct Lhs<'a> {
    /// Row `r` at `r * stride`.
    pub values: &'a [f32],
    /// How many rows.
    pub rows: usize,
    /// Length of a row.
    pub inner: usize,
    /// Between the starts of two rows, at least `inner`.
    pub stride: usize,
}

/// The right operand, `[inner, column]`, in panels of columns.
#[derive(Clone, Copy)]
pub struct Rhs<'a> {
    values: &'a [f32],
    inner: usize,
    columns: usize,
    /// Between the starts of two rows of a panel.
    stride: usize,
    /// Between the starts of two panels.
    panel: usize,
}

/// A right operand that is used often: packed panel by panel, the last one padded with zeros.
pub struct Packed {
    values: Buffer,
    inner: usize,
    columns: usize,
}

/// Where the product goes, `[row, column]`.
pub struct Dst<'a> {
    /// Row `r` at `r * stride`.
    pub values: &'a mut [f32],
    /// Between the starts of two rows, at least the number of columns.
    pub stride: usize,
    /// Whether negative results become zero.
    pub relu: bool,
}

impl<'a> Rhs<'a> {
    /// An operand that is not packed: row `k` at `k * stride`.
    pub fn in_place(values: &'a [f32], inner: usize, columns: usize, stride: usize) -> Self {
        Self { values, inner, columns, stride, panel: PANEL }
    }
}

impl Packed {
    /// Packs an operand `[inner, column]`, on all threads.
    pub fn of_rows(values: &[f32], inner: usize, columns: usize) -> Self {
        Self::panels(inner, columns, |panel, first, count| {
            for (k, to) in panel.chunks_mut(PANEL).enumerate() {
                to[..count].copy_from_slice(&values[k * columns + first..][..count]);
            }
        })
    }

    /// Packs an operand `[column, inner]`, the transposed one, on all threads.
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

    /// Fills every panel with `fill(panel, its first column, how many columns it has)`.
    fn panels(inner: usize, columns: usize, fill: impl Fn(&mut [f32], usize, usize) + Sync) -> Self {
        let mut values = Buffer::zeros(inner * columns.next_multiple_of(PANEL));
        values.par_chunks_mut(PANEL * inner).enumerate().for_each(|(i, panel)| {
            let first = i * PANEL;
            fill(panel, first, PANEL.min(columns - first));
        });
        Self { values, inner, columns }
    }

    /// The operand of [`product`].
    pub fn rhs(&self) -> Rhs<'_> {
        let Self { inner, columns, .. } = *self;
        Rhs { values: &self.values, inner, columns, stride: PANEL, panel: PANEL * inner }
    }
}

/// `dst = accumulate + lhs rhs`.
///
/// # Panics
/// If sizes do not fit each other: a mistake of the caller.
pub fn product(lhs: Lhs, rhs: Rhs, accumulate: Accumulate, dst: Dst) {
    assert_eq!(lhs.inner, rhs.inner, "inner sizes of a matrix product");
    Arch::new().dispatch(Product { lhs, rhs, accumulate, dst });
}

struct Product<'a> {
    lhs: Lhs<'a>,
    rhs: Rhs<'a>,
    accumulate: Accumulate<'a>,
    dst: Dst<'a>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { lhs, rhs, accumulate, dst } = self;
        let max_vectors = vectors_of_a_tile::<S>();
        let blocks = lhs.rows.div_ceil(ROWS);
        for panel in 0..rhs.columns.div_ceil(PANEL) {
            let columns = PANEL.min(rhs.columns - panel * PANEL);
            for first in (0..lhs.inner).step_by(INNER) {
                let inner = INNER.min(lhs.inner - first);
                let last = first + inner == lhs.inner;
                let mut column = 0;
                while column < columns {
                    let vectors = ((columns - column) / S::F32_LANES).min(max_vectors);
                    let own = if vectors == 0 { columns - column } else { vectors * S::F32_LANES };
                    let at = panel * PANEL + column;
                    let accumulate = if first == 0 { accumulate.of_columns(at, own) } else { Accumulate::Dst };
                    for block in 0..blocks {
                        // Tiles of nearly equal height: a last tile of one row would cost nearly as much as one of six.
                        let row = lhs.rows * block / blocks;
                        let tile = Tile {
                            lhs: &lhs.values[row * lhs.stride + first..],
                            lhs_stride: lhs.stride,
                            rhs: &rhs.values[panel * rhs.panel + first * rhs.stride + column..],
                            rhs_stride: rhs.stride,
                            inner,
                            columns: own,
                            accumulate,
                            dst: &mut dst.values[row * dst.stride + at..],
                            dst_stride: dst.stride,
                            relu: dst.relu && last,
                        };
                        let rows = lhs.rows * (block + 1) / blocks - row;
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
    fn a_product_equals_sums_in_double_precision() {
        for arch in instruction_sets() {
            for (rows, inner, columns) in
                [(1, 1, 1), (7, 5, 3), (14, 32, 16), (13, 130, 64), (29, 257, 150), (6, 96, 40)]
            {
                let (stride, dst_stride) = (inner + 3, columns + 2);
                let (a, b) = (sequence(rows * stride, 0.7), sequence(inner * columns, 1.3));
                let (bias, old) = (sequence(columns, 0.3), sequence(rows * dst_stride, 0.9));
                let by_rows = Packed::of_rows(&b, inner, columns);
                let transposed: Vec<f32> = (0..b.len()).map(|i| b[i % inner * columns + i / inner]).collect();
                let by_columns = Packed::of_columns(&transposed, inner, columns);
                let in_place = Rhs::in_place(&b, inner, columns, columns);
                for rhs in [by_rows.rhs(), by_columns.rhs(), in_place] {
                    for (number, accumulate) in
                        [Accumulate::Zero, Accumulate::Bias(&bias), Accumulate::Dst, Accumulate::DstAndBias(&bias)]
                            .into_iter()
                            .enumerate()
                    {
                        for relu in [false, true] {
                            let lhs = Lhs { values: &a, rows, inner, stride };
                            let mut values = old.clone();
                            let dst = Dst { values: &mut values, stride: dst_stride, relu };
                            arch.dispatch(Product { lhs, rhs, accumulate, dst });
                            for (i, &got) in values.iter().enumerate() {
                                let (r, c) = (i / dst_stride, i % dst_stride);
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
            let lhs = Lhs { values: &a[..rows * inner], rows, inner, stride: inner };
            product(lhs, packed.rhs(), Accumulate::Zero, Dst { values: &mut values, stride: columns, relu: false });
            values
        };
        let all = of(20);
        (1..20).for_each(|rows| assert_eq!(of(rows), all[..rows * columns], "{rows} rows"));
    }

    #[test]
    fn nan_stays_nan_also_through_a_relu() {
        let mut values = [0.0];
        let lhs = Lhs { values: &[f32::NAN], rows: 1, inner: 1, stride: 1 };
        let dst = Dst { values: &mut values, stride: 1, relu: true };
        product(lhs, Rhs::in_place(&[1.0], 1, 1, 1), Accumulate::Zero, dst);
        assert!(values[0].is_nan());
    }
}
