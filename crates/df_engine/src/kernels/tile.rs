//! The innermost loops of a matrix product: a tile of the result whose sums stay in registers.
//!
//! A tile has at most [`ROWS`] rows and [`vectors_of_a_tile`] vectors of columns. Its left operand is read value by
//! value (row `r` at `r * lhs_stride`), its right operand vector by vector (row `k` at `k * rhs_stride`).

use pulp::Simd;

/// Rows of a tile. With four vectors of columns it has 24 sums. With 4 vectors of the right operand and one of the
/// left they fit the 32 registers of AVX-512; with two vectors, 12 sums fit the 16 registers of AVX2.
pub(super) const ROWS: usize = 6;

/// Vectors of columns of a full tile, see [`ROWS`].
pub(super) fn vectors_of_a_tile<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// What the product is added to (the `beta C` of BLAS, and a bias).
#[derive(Clone, Copy)]
pub enum Accumulate<'a> {
    /// Nothing: `dst = lhs rhs`.
    Zero,
    /// One value per column: `dst = bias + lhs rhs`.
    Bias(&'a [f32]),
    /// What the destination holds: `dst += lhs rhs`.
    Dst,
    /// Both: `dst += bias + lhs rhs`.
    DstAndBias(&'a [f32]),
}

/// A few rows and columns of a product.
pub(super) struct Tile<'a> {
    pub(super) lhs: &'a [f32],
    pub(super) lhs_stride: usize,
    pub(super) rhs: &'a [f32],
    pub(super) rhs_stride: usize,
    pub(super) inner: usize,
    pub(super) columns: usize,
    pub(super) accumulate: Accumulate<'a>,
    pub(super) dst: &'a mut [f32],
    pub(super) dst_stride: usize,
    pub(super) relu: bool,
}

impl Tile<'_> {
    /// Computes a tile of `rows` rows, 1 to [`ROWS`].
    #[inline(always)]
    pub(super) fn of_rows<S: Simd, const VECTORS: usize, const PARTIAL: bool>(self, simd: S, rows: usize) {
        match rows {
            6 => self.run::<S, 6, VECTORS, PARTIAL>(simd),
            5 => self.run::<S, 5, VECTORS, PARTIAL>(simd),
            4 => self.run::<S, 4, VECTORS, PARTIAL>(simd),
            3 => self.run::<S, 3, VECTORS, PARTIAL>(simd),
            2 => self.run::<S, 2, VECTORS, PARTIAL>(simd),
            _ => self.run::<S, 1, VECTORS, PARTIAL>(simd),
        }
    }

    /// `PARTIAL`: one vector of columns that is not full. Loops count with an index throughout: with iterators or
    /// copies of arrays the compiler keeps the sums in memory.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, clippy::manual_memcpy)]
    fn run<S: Simd, const ROWS: usize, const VECTORS: usize, const PARTIAL: bool>(self, simd: S) {
        let Self { rhs, rhs_stride, inner, columns, dst, dst_stride, .. } = self;
        let mut lhs: [&[f32]; ROWS] = [&[]; ROWS];
        for r in 0..ROWS {
            lhs[r] = &self.lhs[r * self.lhs_stride..][..inner];
        }
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        if let Accumulate::Bias(bias) | Accumulate::DstAndBias(bias) = self.accumulate {
            let bias = load::<S, VECTORS, PARTIAL>(simd, bias, columns);
            for r in 0..ROWS {
                for v in 0..VECTORS {
                    sums[r][v] = bias[v];
                }
            }
        }
        if let Accumulate::Dst | Accumulate::DstAndBias(_) = self.accumulate {
            for r in 0..ROWS {
                let old = load::<S, VECTORS, PARTIAL>(simd, &dst[r * dst_stride..], columns);
                for v in 0..VECTORS {
                    sums[r][v] = simd.add_f32s(sums[r][v], old[v]);
                }
            }
        }
        for k in 0..inner {
            let rhs = load::<S, VECTORS, PARTIAL>(simd, &rhs[k * rhs_stride..], columns);
            for r in 0..ROWS {
                let factor = simd.splat_f32s(lhs[r][k]);
                for v in 0..VECTORS {
                    // `mul_add_e` fuses only where the processor can: a software fallback would be far slower.
                    sums[r][v] = simd.mul_add_e_f32s(factor, rhs[v], sums[r][v]);
                }
            }
        }
        if self.relu {
            for r in 0..ROWS {
                for v in 0..VECTORS {
                    // `max` returns its second operand where one is NaN: a NaN sum must stay visible.
                    sums[r][v] = simd.max_f32s(simd.splat_f32s(0.0), sums[r][v]);
                }
            }
        }
        for r in 0..ROWS {
            let row = &mut dst[r * dst_stride..];
            if PARTIAL {
                simd.partial_store_f32s(&mut row[..columns], sums[r][0]);
            } else {
                let (row, _) = S::as_mut_simd_f32s(&mut row[..VECTORS * S::F32_LANES]);
                for v in 0..VECTORS {
                    row[v] = sums[r][v];
                }
            }
        }
    }
}

/// The first vectors of `values`; a partial vector ends in zeros.
#[inline(always)]
#[expect(clippy::manual_memcpy)]
fn load<S: Simd, const VECTORS: usize, const PARTIAL: bool>(
    simd: S,
    values: &[f32],
    columns: usize,
) -> [S::f32s; VECTORS] {
    let mut loaded = [simd.splat_f32s(0.0); VECTORS];
    if PARTIAL {
        loaded[0] = simd.partial_load_f32s(&values[..columns]);
    } else {
        let (vectors, _) = S::as_simd_f32s(&values[..VECTORS * S::F32_LANES]);
        for v in 0..VECTORS {
            loaded[v] = vectors[v];
        }
    }
    loaded
}

impl<'a> Accumulate<'a> {
    /// The same for `count` columns from column `first` on.
    pub(super) fn of_columns(self, first: usize, count: usize) -> Self {
        match self {
            Self::Bias(bias) => Self::Bias(&bias[first..first + count]),
            Self::DstAndBias(bias) => Self::DstAndBias(&bias[first..first + count]),
            other => other,
        }
    }
}
