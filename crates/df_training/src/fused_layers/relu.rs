//! The rectified linear unit with a fused gradient: one pass on `tch`.

use burn::backend::autodiff::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::{Tensor, activation};

use super::is_extended;

/// `max(x, 0)` of every value.
pub fn relu(rows: Tensor<2>) -> Tensor<2> {
    if !is_extended(rows.device().as_dispatch()) {
        return activation::relu(rows);
    }
    Tensor::from_dispatch(<Dispatch as Relu>::rectify(rows.into_dispatch()))
}

#[backend_extension(Flex, LibTorch: cfg(feature = "tch"), Autodiff)]
pub trait Relu: Backend {
    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::relu(x)
    }
}

/// The gradient of `x`, where `gradient` is that of `y = max(x, 0)`: equal where `y` is above 0, else 0.
pub trait ReluGradient: Backend {
    fn gradient(y: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::relu_backward(y, gradient)
    }
}

impl Relu for Flex {}
impl ReluGradient for Flex {}

#[cfg(feature = "tch")]
impl Relu for burn::backend::LibTorch {}

#[cfg(feature = "tch")]
impl ReluGradient for burn::backend::LibTorch {
    fn gradient(y: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        burn::backend::libtorch::TchTensor::new(y.tensor.threshold_backward(&gradient.tensor, 0.0))
    }
}

impl<B: Backend + ReluGradient, C: CheckpointStrategy> Relu for Autodiff<B, C> {
    fn rectify(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let y = B::relu(x.primitive().clone());
        match Step.prepare::<C>([x.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(y.clone(), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

#[derive(Debug)]
struct Step;

impl<B: Backend + ReluGradient> Backward<B, 1> for Step {
    /// The result.
    type State = B::FloatTensorPrimitive;

    fn backward(self, ops: Ops<Self::State, 1>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        if let [Some(node)] = ops.parents {
            gradients.register::<B>(node.id, B::gradient(ops.state, gradient));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices;

    #[test]
    fn the_gradient_passes_where_the_value_is_above_zero() {
        for name in devices() {
            let device = crate::device(&name).unwrap().autodiff();
            let x = Tensor::<2>::from_floats([[-2.0, 0.0, 0.5], [3.0, -0.1, 1e-20]], &device).require_grad();
            let y = relu(x.clone());
            let gradients =
                (y.clone() * Tensor::from_floats([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &device)).sum().backward();
            assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0, 0.5, 3.0, 0.0, 1e-20], "{name}");
            let of_x = x.grad(&gradients).unwrap().into_data().try_to_vec::<f32>().unwrap();
            assert_eq!(of_x, [0.0, 0.0, 3.0, 4.0, 0.0, 6.0], "{name}");
        }
    }
}
