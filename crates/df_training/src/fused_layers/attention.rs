//! Attention with a fused gradient. The attention probabilities are not kept; the gradient computes them again.
//!
//! Query, key and value stay in one matrix. If they were sliced out, Burn would write the gradient of each slice into
//! a matrix of zeros.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Slice, Tensor};

use super::is_extended;

/// `softmax(query key^T / sqrt(width of a head)) value` (Vaswani et al. 2017, "Attention Is All You Need", eq. 1).
///
/// # Shapes
/// - `packed`: `[batch * token, 3 * width]`, query, key and value beside each other
/// - output: `[batch * token, width]`
pub fn attention(packed: Tensor<2>, batch: usize, heads: usize) -> Tensor<2> {
    if !is_extended(packed.device().as_dispatch()) {
        return with_burn(packed, batch, heads);
    }
    Tensor::from_dispatch(<Dispatch as Attention>::attend(packed.into_dispatch(), batch, heads))
}

/// The same attention with Burn's gradients.
fn with_burn(packed: Tensor<2>, batch: usize, heads: usize) -> Tensor<2> {
    let [rows, width] = packed.dims();
    let (tokens, width) = (rows / batch, width / 3);
    // [batch * token, 3 * width] -> [3, batch, head, token, width / heads]
    let all = packed.reshape([batch, tokens, 3, heads, width / heads]).permute([2, 0, 3, 1, 4]);
    let [query, key, value] = [0, 1, 2].map(|i| all.clone().narrow(0, i, 1).squeeze_dim::<4>(0));
    let output = burn::tensor::module::attention(query, key, value, None, None, Default::default());
    output.swap_dims(1, 2).reshape([rows, width])
}

#[backend_extension(Flex, LibTorch: cfg(feature = "tch"), Autodiff)]
pub trait Attention: Backend {
    fn attend(packed: FloatTensor<Self>, batch: usize, heads: usize) -> FloatTensor<Self> {
        let [query, key, value] = unpack::<Self>(packed, batch, heads);
        join_heads::<Self>(Self::attention(query, key, value, None, None, Default::default()))
    }
}

impl Attention for Flex {}

#[cfg(feature = "tch")]
impl Attention for burn::backend::LibTorch {}

impl<B: Backend + Attention, C: CheckpointStrategy> Attention for Autodiff<B, C> {
    fn attend(packed: FloatTensor<Self>, batch: usize, heads: usize) -> FloatTensor<Self> {
        let output = B::attend(packed.primitive().clone(), batch, heads);
        match Step.prepare::<C>([packed.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let saved = Saved { packed: prep.checkpoint(&packed), batch, heads };
                prep.finish(saved, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// What the gradient needs.
#[derive(Clone, Debug)]
struct Saved {
    /// Query, key and value.
    packed: NodeId,
    batch: usize,
    heads: usize,
}

#[derive(Debug)]
struct Step;

impl<B: Backend> Backward<B, 1> for Step {
    type State = Saved;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (Saved { packed, batch, heads }, [parent]) = (ops.state, ops.parents);
        if let Some(node) = parent {
            let parts = unpack::<B>(checkpointer.retrieve_node_output(packed), batch, heads);
            let slopes = slopes_of_parts::<B>(parts, by_head::<B>(gradient, batch, heads));
            gradients.register::<B>(node.id, pack::<B>(slopes));
        }
    }
}

/// `[batch * token, 3 * width]` to three of `[batch, head, token, width of a head]`.
fn unpack<B: Backend>(packed: FloatTensor<B>, batch: usize, heads: usize) -> [FloatTensor<B>; 3] {
    let [rows, width] = packed.shape().dims();
    let (tokens, head) = (rows / batch, width / (3 * heads));
    let packed = B::float_reshape(packed, Shape::new([batch, tokens, 3, heads, head]));
    let packed = B::float_permute(packed, &[2, 0, 3, 1, 4]);
    let part = |i: usize| {
        let part = B::float_slice(packed.clone(), &[Slice::from(i..i + 1)]);
        B::float_reshape(part, Shape::new([batch, heads, tokens, head]))
    };
    [0, 1, 2].map(part)
}

/// `[batch * token, width]` to `[batch, head, token, width of a head]`.
fn by_head<B: Backend>(rows: FloatTensor<B>, batch: usize, heads: usize) -> FloatTensor<B> {
    let [count, width] = rows.shape().dims();
    B::float_swap_dims(B::float_reshape(rows, Shape::new([batch, count / batch, heads, width / heads])), 1, 2)
}

/// The inverse of [`by_head`].
fn join_heads<B: Backend>(heads: FloatTensor<B>) -> FloatTensor<B> {
    let [batch, count, tokens, head] = heads.shape().dims();
    B::float_reshape(B::float_swap_dims(heads, 1, 2), Shape::new([batch * tokens, count * head]))
}

/// The inverse of [`unpack`].
fn pack<B: Backend>(parts: [FloatTensor<B>; 3]) -> FloatTensor<B> {
    B::float_cat(parts.map(join_heads::<B>).into(), 1)
}

/// The gradients of query, key and value, where `gradient` is that of the output. With the probabilities
/// `w = softmax(query key^T scale)`, the gradients are, for
///
/// - the value: `w^T gradient`
/// - the scores before the softmax: `s = w (p - sum over a row of p w)`, with `p = gradient value^T`
/// - query and key: `scale s key` and `scale s^T query`
fn slopes_of_parts<B: Backend>(
    [query, key, value]: [FloatTensor<B>; 3],
    gradient: FloatTensor<B>,
) -> [FloatTensor<B>; 3] {
    let scale = 1.0 / (query.shape()[3] as f64).sqrt();
    let query = B::float_mul_scalar(query, scale.into());
    let scores = B::float_matmul(query.clone(), B::float_swap_dims(key.clone(), 2, 3));
    let weights = B::softmax(scores, 3);
    let value_slope = B::float_matmul(B::float_swap_dims(weights.clone(), 2, 3), gradient.clone());
    let weight_slope = B::float_matmul(gradient, B::float_swap_dims(value, 2, 3));
    let row = B::float_sum_dim(B::float_mul(weight_slope.clone(), weights.clone()), 3);
    let score_slope = B::float_mul(B::float_sub(weight_slope, row), weights);
    let key_slope = B::float_matmul(B::float_swap_dims(score_slope.clone(), 2, 3), query);
    let query_slope = B::float_mul_scalar(B::float_matmul(score_slope, key), scale.into());
    [query_slope, key_slope, value_slope]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices;
    use burn::tensor::{Device, TensorData};

    /// The output, and the gradient of query, key and value.
    fn output_and_gradient(device: &Device, attend: fn(Tensor<2>, usize, usize) -> Tensor<2>) -> [Vec<f32>; 2] {
        let (batch, tokens, heads, head) = (3, 5, 2, 7);
        let wave = |step: f32, width: usize| {
            let values = (0..batch * tokens * width).map(|i: usize| (i as f32 * step).sin()).collect();
            Tensor::<2>::from_data(TensorData::new::<f32, _>(values, [batch * tokens, width]), device)
        };
        let packed = wave(0.7, 3 * heads * head).require_grad();
        let output = attend(packed.clone(), batch, heads);
        let gradients = (output.clone() * wave(1.1, heads * head)).sum().backward();
        let host = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().unwrap();
        [host(output), host(packed.grad(&gradients).unwrap())]
    }

    #[test]
    fn attention_and_its_gradient_equal_those_of_burn() {
        for name in devices() {
            let device = crate::device(&name).unwrap().autodiff();
            let [ours, burns] = [attention, with_burn].map(|attend| output_and_gradient(&device, attend));
            // The values are sums of a few products of numbers up to 1. The gradients of query and key are small
            // differences of such sums.
            for (i, (a, b)) in ours.iter().flatten().zip(burns.iter().flatten()).enumerate() {
                assert!((a - b).abs() <= 1e-6, "{name} {i}: {a}, {b}");
            }
        }
    }
}
