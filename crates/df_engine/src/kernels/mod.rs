//! The loops of the network: matrix products, attention, layer norm, activations, forward and backward.
//!
//! All buffers are row-major slices of `f32`. A *row* is one token of one sequence; a matrix `[row, width]` holds row
//! `r` at `r * width`. Matrices that a product reads may have a larger *stride*, the distance between the starts of
//! two rows.
//!
//! ```text
//! matrix_product   Lhs [row, inner] x Rhs [inner, column] -> Dst [row, column], by tiles (`tile`)
//! attention        query_key_value [token, 3, head, width / heads] -> [token, width], one sequence at a time
//! layer_norm       [row, width] -> [row, width]; gain and shift are part of the next layer's weights
//! activation       SiLU, ReLU, element by element
//! packed_weights   all layers, packed for products in both directions
//! workspace        one thread's pass through all layers: forward, then backward to the input
//! ```
//!
//! Only [`matrix_product`] is public: training's fused layers use it too.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod buffer;
pub(crate) mod dispatch;
pub(crate) mod layer_norm;
pub mod matrix_product;
pub(crate) mod packed_weights;
pub(crate) mod sum;
pub(crate) mod tile;
pub(crate) mod workspace;
