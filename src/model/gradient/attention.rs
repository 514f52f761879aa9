//! Attention, of whose weights the gradient is made after they have been computed a second time.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use super::is_extended;

/// `softmax(query key^T / sqrt(width)) value` (Vaswani et al. 2017, "Attention Is All You Need", eq. 1), all of shape
/// `[batch, head, token, width of a head]`.
pub fn attention(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>) -> Tensor<4> {
    if !is_extended(query.device().as_dispatch()) {
        return burn::tensor::module::attention(query, key, value, None, None, Default::default());
    }
    let [query, key, value] = [query, key, value].map(Tensor::into_dispatch);
    Tensor::from_dispatch(<Dispatch as Attention>::attend(query, key, value))
}

#[backend_extension(Flex, LibTorch: cfg(feature = "tch"), Autodiff)]
pub trait Attention: Backend {
    fn attend(query: FloatTensor<Self>, key: FloatTensor<Self>, value: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::attention(query, key, value, None, None, Default::default())
    }
}

impl Attention for Flex {}

#[cfg(feature = "tch")]
impl Attention for burn::backend::LibTorch {}

impl<B: Backend, C: CheckpointStrategy> Attention for Autodiff<B, C> {
    fn attend(query: FloatTensor<Self>, key: FloatTensor<Self>, value: FloatTensor<Self>) -> FloatTensor<Self> {
        let [q, k, v] = [&query, &key, &value].map(|tensor| tensor.primitive().clone());
        let attended = B::attention(q, k, v, None, None, Default::default());
        match Step.prepare::<C>([query.node(), key.node(), value.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = [&query, &key, &value].map(|tensor| prep.checkpoint(tensor));
                prep.finish(kept, attended)
            }
            OpsKind::UnTracked(prep) => prep.finish(attended),
        }
    }
}

#[derive(Debug)]
struct Step;

impl<B: Backend> Backward<B, 3> for Step {
    /// Query, key and value.
    type State = [NodeId; 3];

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let inputs = ops.state.map(|node| checkpointer.retrieve_node_output(node));
        for (node, gradient) in ops.parents.into_iter().zip(of_inputs::<B>(inputs, gradient)) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

/// With the weights `w = softmax(query key^T scale)` and `gradient` that of the result, those of
///
/// - the value: `w^T gradient`
/// - the scores before the softmax: `s = w (p - sum over a row of p w)`, with `p = gradient value^T`
/// - query and key: `scale s key` and `scale s^T query`
fn of_inputs<B: Backend>(
    [query, key, value]: [B::FloatTensorPrimitive; 3],
    gradient: B::FloatTensorPrimitive,
) -> [B::FloatTensorPrimitive; 3] {
    let scale = 1.0 / (query.shape()[3] as f64).sqrt();
    let query = B::float_mul_scalar(query, scale.into());
    let scores = B::float_matmul(query.clone(), B::float_swap_dims(key.clone(), 2, 3));
    let weights = B::softmax(scores, 3);
    let of_value = B::float_matmul(B::float_swap_dims(weights.clone(), 2, 3), gradient.clone());
    let pull = B::float_matmul(gradient, B::float_swap_dims(value, 2, 3));
    let row = B::float_sum_dim(B::float_mul(pull.clone(), weights.clone()), 3);
    let of_scores = B::float_mul(B::float_sub(pull, row), weights);
    let of_key = B::float_matmul(B::float_swap_dims(of_scores.clone(), 2, 3), query);
    let of_query = B::float_mul_scalar(B::float_matmul(of_scores, key), scale.into());
    [of_query, of_key, of_value]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::devices;
    use burn::tensor::{Device, TensorData};

    /// What is attended to, and the gradients of query, key and value.
    fn attended_and_gradients(device: &Device, attend: fn([Tensor<4>; 3]) -> Tensor<4>) -> [Vec<f32>; 4] {
        const SHAPE: [usize; 4] = [3, 2, 5, 7];
        let tensor = |step: f32| {
            let wave = (0..SHAPE.iter().product()).map(|i: usize| (i as f32 * step).sin()).collect();
            Tensor::<4>::from_data(TensorData::new::<f32, _>(wave, SHAPE), device)
        };
        let inputs = [0.7, 0.3, 0.9].map(|step| tensor(step).require_grad());
        let attended = attend(inputs.clone());
        let gradients = (attended.clone() * tensor(1.1)).sum().backward();
        let host = |data: TensorData| data.try_to_vec::<f32>().unwrap();
        let [q, k, v] = inputs.map(|input| host(input.grad(&gradients).unwrap().into_data()));
        [host(attended.into_data()), q, k, v]
    }

    #[test]
    fn attention_and_its_gradients_are_those_that_burn_takes_apart() {
        for name in devices() {
            let device = crate::model::device(&name).unwrap().autodiff();
            let ours = attended_and_gradients(&device, |[q, k, v]| attention(q, k, v));
            let burns = attended_and_gradients(&device, |[q, k, v]| {
                burn::tensor::module::attention(q, k, v, None, None, Default::default())
            });
            // Sums of a few products of numbers up to 1 each, of which the gradients of query and key are small differences.
            for (i, (a, b)) in ours.iter().flatten().zip(burns.iter().flatten()).enumerate() {
                assert!((a - b).abs() <= 1e-6, "{name} {i}: {a}, {b}");
            }
        }
    }
}
