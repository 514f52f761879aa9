//! One matrix product, safe to call: sizes are checked, then the `gemm` crate does the work on the calling thread.

use gemm::{Parallelism, gemm};

/// A row-major matrix, or the transpose of one.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Operand<'a> {
    /// `rows x columns`.
    pub fn plain(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "a matrix of {rows} x {columns}");
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The `columns x rows` transpose of a `rows x columns` matrix.
    pub fn transposed(values: &'a [f32], rows: usize, columns: usize) -> Self {
        let plain = Self::plain(values, rows, columns);
        Self { rows: columns, columns: rows, row_stride: 1, column_stride: columns, ..plain }
    }
}

/// `out += left right`, `out` row-major.
///
/// # Panics
/// Sizes do not fit: a mistake of the program.
pub fn product(left: Operand, right: Operand, out: &mut [f32]) {
    assert_eq!(left.columns, right.rows, "inner sizes of a matrix product");
    assert_eq!(out.len(), left.rows * right.columns, "size of a matrix product");
    // SAFETY: every index that gemm touches lies below rows * row_stride (or its transpose), which the constructors and
    // the assertions above have checked against the lengths of the slices; `out` is borrowed mutably, so nothing overlaps.
    unsafe {
        gemm(
            left.rows,
            right.columns,
            left.columns,
            out.as_mut_ptr(),
            1,
            right.columns as isize,
            true,
            left.values.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.values.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_the_product_plain_and_transposed() {
        // [1 2; 3 4; 5 6] [1 0 2; 0 1 3] = [1 2 8; 3 4 18; 5 6 28], added to ones.
        let left = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut out = [1.0; 9];
        product(Operand::plain(&left, 3, 2), Operand::plain(&[1.0, 0.0, 2.0, 0.0, 1.0, 3.0], 2, 3), &mut out);
        assert_eq!(out, [2.0, 3.0, 9.0, 4.0, 5.0, 19.0, 6.0, 7.0, 29.0]);
        let mut same = [1.0; 9];
        product(Operand::plain(&left, 3, 2), Operand::transposed(&[1.0, 0.0, 0.0, 1.0, 2.0, 3.0], 3, 2), &mut same);
        assert_eq!(same, out);
    }
}
