//! The innermost loops of a matrix product: a tile of the output whose sums stay in registers.

use pulp::Simd;

/// Rows of a tile. With four vectors of columns: 24 sums, which with 4 vectors of the right operand and one of the left fill
/// the 32 registers of AVX-512 without spilling; with two vectors, 12 sums in the 16 registers of AVX2.
pub const ROWS: usize = 6;

/// Vectors of columns of a tile, see [`ROWS`].
pub fn vectors_of_a_tile<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 4 } else { 2 }
}

/// What the product is added to.
#[derive(Clone, Copy)]
pub enum Start<'a> {
    Zero,
    /// One value per column.
    Bias(&'a [f32]),
    /// What the output holds.
    Old,
    OldAndBias(&'a [f32]),
}

/// A few rows and columns of a product.
pub struct Tile<'a> {
    pub left: &'a [f32],
    pub left_stride: usize,
    pub right: &'a [f32],
    pub right_stride: usize,
    pub inner: usize,
    pub columns: usize,
    pub start: Start<'a>,
    pub out: &'a mut [f32],
    pub out_stride: usize,
    pub relu: bool,
}

impl Tile<'_> {
    #[inline(always)]
    pub fn of_rows<S: Simd, const VECTORS: usize, const PARTIAL: bool>(self, simd: S, rows: usize) {
        match rows {
            6 => self.run::<S, 6, VECTORS, PARTIAL>(simd),
            5 => self.run::<S, 5, VECTORS, PARTIAL>(simd),
            4 => self.run::<S, 4, VECTORS, PARTIAL>(simd),
            3 => self.run::<S, 3, VECTORS, PARTIAL>(simd),
            2 => self.run::<S, 2, VECTORS, PARTIAL>(simd),
            _ => self.run::<S, 1, VECTORS, PARTIAL>(simd),
        }
    }

    /// `PARTIAL`: one vector of columns that is not full. Plain counting loops throughout: with iterators or copies of arrays
    /// the compiler leaves the sums in memory.
    #[inline(always)]
    #[expect(clippy::needless_range_loop, clippy::manual_memcpy)]
    fn run<S: Simd, const ROWS: usize, const VECTORS: usize, const PARTIAL: bool>(self, simd: S) {
        let Self { right, right_stride, inner, columns, out, out_stride, .. } = self;
        let mut left: [&[f32]; ROWS] = [&[]; ROWS];
        for r in 0..ROWS {
            left[r] = &self.left[r * self.left_stride..][..inner];
        }
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        if let Start::Bias(bias) | Start::OldAndBias(bias) = self.start {
            let bias = load::<S, VECTORS, PARTIAL>(simd, bias, columns);
            for r in 0..ROWS {
                for v in 0..VECTORS {
                    sums[r][v] = bias[v];
                }
            }
        }
        if let Start::Old | Start::OldAndBias(_) = self.start {
            for r in 0..ROWS {
                let old = load::<S, VECTORS, PARTIAL>(simd, &out[r * out_stride..], columns);
                for v in 0..VECTORS {
                    sums[r][v] = simd.add_f32s(sums[r][v], old[v]);
                }
            }
        }
        for k in 0..inner {
            let right = load::<S, VECTORS, PARTIAL>(simd, &right[k * right_stride..], columns);
            for r in 0..ROWS {
                let factor = simd.splat_f32s(left[r][k]);
                for v in 0..VECTORS {
                    // Fused where the processor can, else not: a fused one in software would be a hundred times slower.
                    sums[r][v] = simd.mul_add_e_f32s(factor, right[v], sums[r][v]);
                }
            }
        }
        if self.relu {
            for r in 0..ROWS {
                for v in 0..VECTORS {
                    // The second operand is the answer where one is not a number: such a sum must show.
                    sums[r][v] = simd.max_f32s(simd.splat_f32s(0.0), sums[r][v]);
                }
            }
        }
        for r in 0..ROWS {
            let row = &mut out[r * out_stride..];
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

impl<'a> Start<'a> {
    /// For some of the columns.
    pub fn of_columns(self, first: usize, count: usize) -> Self {
        match self {
            Self::Bias(bias) => Self::Bias(&bias[first..first + count]),
            Self::OldAndBias(bias) => Self::OldAndBias(&bias[first..first + count]),
            other => other,
        }
    }
}
