//! One optimizer step: the gradient of a batch, in parts, shortened as a whole.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};

use super::TrainError;
use super::batch::Batch;
use crate::diffusion::{NoiseSchedule, Tokens};
use crate::model::{Network, level_feature_tensor};

/// The gradient of a batch.
pub struct Gradient {
    pub of_weights: GradientsParams,
    /// The weighted mean squared error of the target.
    pub loss: f64,
}

/// Computes the gradient of the loss over all parts together: `sum(weight error^2) / total`, where `total` is the sum of the weights
/// of the whole batch, of which other processes may hold the rest.
///
/// # Errors
/// The backend fails.
pub fn gradient(
    network: &Network,
    parts: &[Batch],
    total: f64,
    schedule: NoiseSchedule,
    device: &Device,
) -> Result<Gradient, TrainError> {
    let mut accumulator = GradientsAccumulator::new();
    let mut loss = 0.0;
    for part in parts {
        let features = level_feature_tensor(&part.levels, schedule, device);
        let error = network.forward(tensor(&part.noisy, device), features) - tensor(&part.target, device);
        let sum = (error.clone() * error * tensor(&part.weight, device)).sum().mul_scalar(1.0 / total);
        loss += f64::from(host(sum.clone())?[0]);
        let of_weights = GradientsParams::from_grads(sum.backward(), network);
        if parts.len() == 1 {
            return Ok(Gradient { of_weights, loss });
        }
        accumulator.accumulate(network, of_weights);
    }
    Ok(Gradient { of_weights: accumulator.grads(), loss })
}

/// Shortens the gradient of all weights together to `longest` (Pascanu et al. 2013, "On the difficulty of training recurrent neural
/// networks", algorithm 1), and returns how long it was. Burn's own clipping takes each parameter for itself, which turns the
/// gradient.
///
/// # Errors
/// The backend fails.
pub fn clip(gradients: &mut GradientsParams, network: &Network, longest: f64) -> Result<f64, TrainError> {
    let mut squares = Squares { gradients, sums: Vec::new() };
    network.visit(&mut squares);
    let norm = norm(squares.sums)?;
    if norm > longest {
        network.visit(&mut Scale { gradients, by: longest / norm });
    }
    Ok(norm)
}

/// The length of all weights together.
///
/// # Errors
/// The backend fails.
pub fn weight_norm(network: &Network) -> Result<f64, TrainError> {
    let mut squares = WeightSquares(Vec::new());
    network.visit(&mut squares);
    norm(squares.0)
}

/// The prediction for a batch, `[batch, token, channel]`.
///
/// # Errors
/// The backend fails.
pub fn predict(
    network: &Network,
    batch: &Batch,
    schedule: NoiseSchedule,
    device: &Device,
) -> Result<Vec<f32>, TrainError> {
    host(network.forward(tensor(&batch.noisy, device), level_feature_tensor(&batch.levels, schedule, device)))
}

fn tensor(tokens: &Tokens, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(tokens.data.clone(), [tokens.batch, tokens.tokens, tokens.channels]), device)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainError> {
    tensor.into_data().try_to_vec::<f32>().map_err(|e| TrainError::Backend(format!("{e:?}")))
}

/// Of sums of squares; one transfer for all.
fn norm(sums: Vec<Tensor<1>>) -> Result<f64, TrainError> {
    Ok(host(Tensor::cat(sums, 0))?.iter().map(|&sum| f64::from(sum)).sum::<f64>().sqrt())
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sums: Vec<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.sums.extend(self.gradients.get::<D>(param.id).map(|gradient| gradient.square().sum()));
    }
}

struct WeightSquares(Vec<Tensor<1>>);

impl ModuleVisitor for WeightSquares {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().inner().square().sum());
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    by: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient.mul_scalar(self.by));
        }
    }
}
