//! Layer norm with a fused gradient: a loop of this file on `flex`, libtorch's function on `tch`.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::autodiff::{Autodiff, NodeId};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::nn::LayerNorm;
use burn::tensor::Tensor;
use rayon::prelude::*;

use super::flex::{add, tensor};
use super::is_extended;

/// The value in burn-nn, where it is private.
const EPSILON: f64 = 1e-5;
/// Rows per partial sum. The order of sums does not depend on the number of threads.
const ROWS: usize = 128;

/// The layer norm of every row, `[row, width]` to `[row, width]` (Ba et al. 2016, "Layer Normalization", eq. 4).
pub fn layer_norm(layer: &LayerNorm, rows: Tensor<2>) -> Tensor<2> {
    let (Some(beta), true) = (&layer.beta, is_extended(rows.device().as_dispatch())) else {
        return layer.forward(rows);
    };
    let [x, gamma, beta] = [rows.into_dispatch(), layer.gamma.val().into_dispatch(), beta.val().into_dispatch()];
    Tensor::from_dispatch(<Dispatch as Norm>::norm(x, gamma, beta))
}

#[backend_extension(Flex, LibTorch: cfg(feature = "tch"), Autodiff)]
pub trait Norm: Backend {
    fn norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, beta: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::layer_norm(x, gamma, Some(beta), EPSILON)
    }
}

/// The gradients of `x`, `gamma` and `beta`, where `gradient` is that of the output. For a row, with
/// `h = (x - mean) / std` and `g = gradient * gamma`:
///
/// - of `x`: `(g - mean(g) - h mean(g h)) / std`
/// - of `gamma` and `beta`: the sums over rows of `gradient * h` and `gradient`
pub trait NormGradients: Backend {
    /// The gradient of `x`, and those of `gamma` and `beta` if `of_weights`. Planning needs only the former.
    fn gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        of_weights: bool,
    ) -> (FloatTensor<Self>, Option<[FloatTensor<Self>; 2]>);
}

impl Norm for Flex {}

#[cfg(feature = "tch")]
impl Norm for burn::backend::LibTorch {}

impl<B: Backend + NormGradients, C: CheckpointStrategy> Norm for Autodiff<B, C> {
    fn norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, beta: FloatTensor<Self>) -> FloatTensor<Self> {
        let norm =
            B::layer_norm(x.primitive().clone(), gamma.primitive().clone(), Some(beta.primitive().clone()), EPSILON);
        match Step.prepare::<C>([x.node(), gamma.node(), beta.node()]).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let kept = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                prep.finish(kept, norm)
            }
            OpsKind::UnTracked(prep) => prep.finish(norm),
        }
    }
}

#[derive(Debug)]
struct Step;

impl<B: Backend + NormGradients> Backward<B, 3> for Step {
    /// `x` and `gamma`.
    type State = (NodeId, NodeId);

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, checkpointer: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let (x, gamma) = ops.state;
        let (x, gamma) = (checkpointer.retrieve_node_output(x), checkpointer.retrieve_node_output(gamma));
        let [to_x, to_gamma, to_beta] = ops.parents;
        let (of_x, of_weights) = B::gradients(x, gamma, gradient, to_gamma.is_some() || to_beta.is_some());
        let of_weights = [to_gamma, to_beta].into_iter().zip(of_weights.into_iter().flatten());
        for (node, gradient) in [(to_x, of_x)].into_iter().chain(of_weights) {
            if let Some(node) = node {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

impl NormGradients for Flex {
    // The gradients of gamma and beta cost next to nothing here, so they are always computed.
    fn gradients(
        x: FlexTensor,
        gamma: FlexTensor,
        gradient: FlexTensor,
        _: bool,
    ) -> (FlexTensor, Option<[FlexTensor; 2]>) {
        let [x, gamma, gradient] = [x, gamma, gradient].map(|tensor| tensor.to_contiguous());
        let (shape, width) = (x.shape(), gamma.shape()[0]);
        let (x, gamma, gradient) = (x.storage::<f32>(), gamma.storage::<f32>(), gradient.storage::<f32>());
        let mut of_x = vec![0.0; x.len()];
        let parts = of_x.par_chunks_mut(ROWS * width).zip(x.par_chunks(ROWS * width));
        let parts = parts.zip(gradient.par_chunks(ROWS * width));
        let sums: Vec<(Vec<f32>, Vec<f32>)> = parts
            .map(|((of_x, x), gradient)| {
                let mut sums = (vec![0.0; width], vec![0.0; width]);
                let rows = of_x.chunks_mut(width).zip(x.chunks(width)).zip(gradient.chunks(width));
                rows.for_each(|((of_x, x), gradient)| of_row(of_x, x, gamma, gradient, &mut sums));
                sums
            })
            .collect();
        let mut of_weights = (vec![0.0; width], vec![0.0; width]);
        for (gamma, beta) in sums {
            add(&mut of_weights.0, &gamma);
            add(&mut of_weights.1, &beta);
        }
        (tensor(of_x, shape.dims::<2>()), Some([of_weights.0, of_weights.1].map(|values| tensor(values, [width]))))
    }
}

/// The gradient of one row. Adds its share of the gradients of gamma and beta to `sums`.
fn of_row(of_x: &mut [f32], x: &[f32], gamma: &[f32], gradient: &[f32], sums: &mut (Vec<f32>, Vec<f32>)) {
    let share = 1.0 / x.len() as f32;
    let mean = sum(x.iter().copied()) * share;
    let variance = sum(x.iter().map(|x| (x - mean) * (x - mean))) * share;
    let scale = 1.0 / (variance + EPSILON as f32).sqrt();
    // `of_x` holds `h` first.
    of_x.iter_mut().zip(x).for_each(|(h, x)| *h = (x - mean) * scale);
    let mean_g = sum(gradient.iter().zip(gamma).map(|(d, gamma)| d * gamma)) * share;
    let mean_gh = sum(gradient.iter().zip(gamma).zip(&*of_x).map(|((d, gamma), h)| d * gamma * h)) * share;
    let sums = sums.0.iter_mut().zip(&mut sums.1);
    for ((h, (d, gamma)), (of_gamma, of_beta)) in of_x.iter_mut().zip(gradient.iter().zip(gamma)).zip(sums) {
        *of_gamma += d * *h;
        *of_beta += d;
        *h = (d * gamma - mean_g - *h * mean_gh) * scale;
    }
}

/// In eight sums, which the compiler can keep in one register.
fn sum(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let mut sums = [0.0; 8];
    values.enumerate().for_each(|(i, value)| sums[i % 8] += value);
    sums.iter().sum()
}

#[cfg(feature = "tch")]
impl NormGradients for burn::backend::LibTorch {
    fn gradients(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        of_weights: bool,
    ) -> (FloatTensor<Self>, Option<[FloatTensor<Self>; 2]>) {
        use burn::backend::libtorch::TchTensor;
        let x = x.tensor.detach().set_requires_grad(true);
        let gamma = gamma.tensor.detach().set_requires_grad(of_weights);
        let beta = of_weights.then(|| gamma.zeros_like().set_requires_grad(true));
        let norm = x.layer_norm(gamma.size(), Some(&gamma), beta.as_ref(), EPSILON, false);
        // The gradient of this sum with respect to the norm is `gradient`.
        (norm * gradient.tensor).sum(x.kind()).backward();
        (TchTensor::new(x.grad()), beta.map(|beta| [gamma, beta].map(|input| TchTensor::new(input.grad()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices;
    use burn::module::Param;
    use burn::nn::LayerNormConfig;
    use burn::tensor::{Device, TensorData};

    /// Output and gradients of input, gamma and beta. The number of rows is no multiple of [`ROWS`].
    fn norm_and_gradients(device: &Device, norm: fn(&LayerNorm, Tensor<2>) -> Tensor<2>) -> [Vec<f32>; 4] {
        const SHAPE: [usize; 2] = [2 * ROWS + 3, 13];
        let tensor = |step: f32, shape: [usize; 2]| {
            let wave = (0..shape[0] * shape[1]).map(|i| (i as f32 * step).sin() * (1.0 + i as f32 * 1e-3)).collect();
            Tensor::<2>::from_data(TensorData::new::<f32, _>(wave, shape), device)
        };
        let mut layer = LayerNormConfig::new(SHAPE[1]).init(device);
        layer.gamma = Param::from_tensor(tensor(0.3, [1, SHAPE[1]]).flatten(0, 1));
        layer.beta = Some(Param::from_tensor(tensor(0.9, [1, SHAPE[1]]).flatten(0, 1)));
        let x = tensor(0.7, SHAPE).require_grad();
        let y = norm(&layer, x.clone());
        let gradients = (y.clone() * tensor(1.1, SHAPE)).sum().backward();
        let host = |data: TensorData| data.try_to_vec::<f32>().unwrap();
        let weights = [&layer.gamma, layer.beta.as_ref().unwrap()];
        let [gamma, beta] = weights.map(|weight| host(weight.val().grad(&gradients).unwrap().into_data()));
        [host(y.into_data()), host(x.grad(&gradients).unwrap().into_data()), gamma, beta]
    }

    #[test]
    fn the_norm_and_its_gradients_equal_those_of_burn() {
        for name in devices() {
            let device = crate::device(&name).unwrap().autodiff();
            let ours = norm_and_gradients(&device, layer_norm);
            for (ours, burns) in ours.iter().zip(norm_and_gradients(&device, |layer, x| layer.forward(x))) {
                let largest = burns.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                for (i, (a, b)) in ours.iter().zip(&burns).enumerate() {
                    assert!((a - b).abs() <= 2e-6 * largest, "{name} {i}: {a}, {b}");
                }
            }
        }
    }

    #[test]
    fn the_gradients_do_not_depend_on_the_number_of_threads() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| norm_and_gradients(&Device::flex().autodiff(), layer_norm))
        };
        assert_eq!(with(1), with(3));
    }
}
