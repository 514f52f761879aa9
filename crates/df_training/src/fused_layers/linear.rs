//! A linear layer with fused gradients: the kernels of df_engine on `flex`, one pass with the bias on `tch`.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::nn;
use burn::tensor::Tensor;

use super::{flex, is_extended};

/// `rows weight + bias`, `[row, in]` to `[row, out]`.
pub fn linear(layer: &nn::Linear, rows: Tensor<2>) -> Tensor<2> {
    let (Some(bias), true) = (&layer.bias, is_extended(rows.device().as_dispatch())) else {
        return layer.forward(rows);
    };
    let [x, weight, bias] = [rows.into_dispatch(), layer.weight.val().into_dispatch(), bias.val().into_dispatch()];
    Tensor::from_dispatch(<Dispatch as Linear>::product(x, weight, bias))
}

#[backend_extension(Flex, LibTorch: cfg(feature = "tch"), Autodiff)]
pub trait Linear: Backend {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear(x, weight, Some(bias))
    }
}

/// The gradients of `x`, weight and bias, where `gradient` is that of the output.
pub trait LinearGradients: Backend {
    fn of_x(weight: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear_x_backward(weight, gradient)
    }

    fn of_weight(x: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear_weight_backward(x, gradient)
    }

    fn of_bias(gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::linear_bias_backward(gradient)
    }
}

impl Linear for Flex {
    fn product(x: FlexTensor, weight: FlexTensor, bias: FlexTensor) -> FlexTensor {
        flex::forward(x, weight, bias)
    }
}

impl LinearGradients for Flex {
    fn of_x(weight: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        flex::of_x(weight, gradient)
    }

    fn of_weight(x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        flex::of_weight(x, gradient)
    }

    fn of_bias(gradient: FlexTensor) -> FlexTensor {
        flex::of_bias(gradient)
    }
}

#[cfg(feature = "tch")]
impl Linear for burn::backend::LibTorch {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        burn::backend::libtorch::TchTensor::new(bias.tensor.addmm(&x.tensor, &weight.tensor))
    }
}

#[cfg(feature = "tch")]
impl LinearGradients for burn::backend::LibTorch {}

impl<B: Backend + Linear + LinearGradients, C: CheckpointStrategy> Linear for Autodiff<B, C> {
    fn product(x: FloatTensor<Self>, weight: FloatTensor<Self>, bias: FloatTensor<Self>) -> FloatTensor<Self> {
        let [x_value, weight_value, bias_value] = [&x, &weight, &bias].map(|tensor| tensor.primitive().clone());
        let product = B::product(x_value, weight_value, bias_value);
        match Step.prepare::<C>([x.node(), weight.node(), bias.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                // Each of the two is needed only for the gradient of the other.
                let saved = (
                    weight.is_tracked().then(|| prep.checkpoint(&x)),
                    x.is_tracked().then(|| prep.checkpoint(&weight)),
                );
                prep.finish(saved, product)
            }
            OpsKind::UnTracked(prep) => prep.finish(product),
        }
    }
}

#[derive(Debug)]
struct Step;

impl<B: Backend + LinearGradients> Backward<B, 3> for Step {
    /// `x` and the weight.
    type State = (Option<NodeId>, Option<NodeId>);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let [to_x, to_weight, to_bias] = ops.parents;
        let (x, weight) = ops.state;
        if let (Some(node), Some(weight)) = (to_x, weight) {
            let weight = checkpointer.retrieve_node_output(weight);
            gradients.register::<B>(node.id, B::of_x(weight, gradient.clone()));
        }
        if let (Some(node), Some(x)) = (to_weight, x) {
            let x = checkpointer.retrieve_node_output(x);
            gradients.register::<B>(node.id, B::of_weight(x, gradient.clone()));
        }
        if let Some(node) = to_bias {
            gradients.register::<B>(node.id, B::of_bias(gradient));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices;
    use burn::module::Param;
    use burn::nn::LinearConfig;
    use burn::tensor::TensorData;

    /// The values are integers, so that every sum is exact.
    #[test]
    fn the_product_and_its_gradients_match_the_definition() {
        for name in devices() {
            let device = crate::device(&name).unwrap().autodiff();
            let host = |tensor: TensorData| tensor.try_to_vec::<f32>().unwrap();
            let mut layer = LinearConfig::new(3, 2).init(&device);
            layer.weight = Param::from_tensor(Tensor::from_floats([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &device));
            layer.bias = Some(Param::from_tensor(Tensor::from_floats([10.0, 20.0], &device)));
            let x = Tensor::<2>::from_floats([[1.0, 0.0, 2.0], [0.0, 1.0, 1.0]], &device).require_grad();
            let y = linear(&layer, x.clone());
            let gradients = (y.clone() * Tensor::from_floats([[1.0, 2.0], [3.0, 4.0]], &device)).sum().backward();
            assert_eq!(host(y.into_data()), [21.0, 34.0, 18.0, 30.0], "{name}");
            assert_eq!(host(x.grad(&gradients).unwrap().into_data()), [5.0, 11.0, 17.0, 11.0, 25.0, 39.0], "{name}");
            let of_weight = layer.weight.val().grad(&gradients).unwrap();
            assert_eq!(host(of_weight.into_data()), [1.0, 2.0, 3.0, 4.0, 5.0, 8.0], "{name}");
            let of_bias = layer.bias.unwrap().val().grad(&gradients).unwrap();
            assert_eq!(host(of_bias.into_data()), [4.0, 6.0], "{name}");
        }
    }

    /// 203 rows are more than a thread takes at a time; 18 rows are no whole vector. Columns exceed a panel, inner
    /// sizes a cache line. The values are integers.
    #[test]
    fn large_products_and_their_gradients_equal_those_of_burn() {
        const INPUTS: usize = 37;
        const OUTPUTS: usize = 70;
        for (name, rows) in devices().into_iter().flat_map(|name| [(name.clone(), 203), (name, 18)]) {
            let device = crate::device(&name).unwrap().autodiff();
            let whole = |rows: usize, columns: usize, step: usize| {
                let values = (0..rows * columns).map(|i| (i * step % 11) as f32 - 5.0).collect::<Vec<_>>();
                Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device)
            };
            let mut layer = LinearConfig::new(INPUTS, OUTPUTS).init(&device);
            layer.weight = Param::from_tensor(whole(INPUTS, OUTPUTS, 3));
            layer.bias = Some(Param::from_tensor(whole(1, OUTPUTS, 7).flatten(0, 1)));
            let computed = |forward: fn(&nn::Linear, Tensor<2>) -> Tensor<2>| {
                let x = whole(rows, INPUTS, 5).require_grad();
                let y = forward(&layer, x.clone());
                let gradients = (y.clone() * whole(rows, OUTPUTS, 2)).sum().backward();
                let (of_x, of_weight) = (x.grad(&gradients).unwrap(), layer.weight.val().grad(&gradients).unwrap());
                let of_bias = layer.bias.as_ref().unwrap().val().grad(&gradients).unwrap();
                [y, of_x, of_weight, of_bias.unsqueeze()].map(|t| t.into_data().try_to_vec::<f32>().unwrap())
            };
            assert!(computed(linear) == computed(|layer, x| layer.forward(x)), "{name}, {rows} rows");
        }
    }
}
