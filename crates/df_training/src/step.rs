//! The gradient of one optimizer step: computed in parts, summed over ranks, clipped as a whole.

use std::ops::Range;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use df_diffusion::Tokens;
use df_engine::ConditioningFeatures;

use crate::batch::Batch;
use crate::native_network::features_tensor;
use crate::parallel::{GradientSum, ParallelError, Ranks};
use crate::{Network, TrainError};

/// The loss of a batch and its gradient.
pub(crate) struct Gradient {
    /// The gradient with respect to every weight.
    pub(crate) of_weights: GradientsParams,
    /// The weighted mean squared error of the prediction.
    pub(crate) loss: f64,
}

/// The division of a batch into parts, which are computed one after the other or by different ranks. The numbers depend
/// on the parts, not on the ranks that compute them.
pub(crate) struct Parts {
    /// Windows of the batch.
    windows: usize,
    /// Parts of the batch.
    count: usize,
    /// The parts of this rank.
    of_this_rank: Range<usize>,
}

/// The inputs of [`gradient`] on one rank.
pub(crate) struct NextGradient<'a> {
    /// The division of the batch.
    pub(crate) parts: &'a Parts,
    /// The parts of this rank.
    pub(crate) batches: &'a [Batch],
    /// What the network is conditioned on.
    pub(crate) features: &'a ConditioningFeatures,
    /// The device of the network, with autodiff.
    pub(crate) device: &'a Device,
}

impl Parts {
    /// Divides `windows` windows into at least `accumulate` parts, the same number for each rank.
    pub(crate) fn new(windows: usize, accumulate: usize, ranks: &dyn Ranks) -> Self {
        let count = accumulate.next_multiple_of(ranks.size());
        Self { windows, count, of_this_rank: ranks.share(count) }
    }

    /// The windows of each part of this rank, as indices into the batch.
    pub(crate) fn of_this_rank(&self) -> impl Iterator<Item = Range<u64>> {
        let start = |part: usize| (self.windows * part / self.count) as u64;
        self.of_this_rank.clone().map(move |part| start(part)..start(part + 1))
    }

    /// The sum of one number per part over all ranks. The order of the sum does not depend on the number of ranks.
    fn total(&self, of_this_rank: impl Iterator<Item = f64>, ranks: &dyn Ranks) -> Result<f64, ParallelError> {
        let mut all = vec![0.0; self.count];
        all[self.of_this_rank.clone()].iter_mut().zip(of_this_rank).for_each(|(slot, value)| *slot = value);
        ranks.sum_f64(&mut all)?;
        Ok(all.iter().sum())
    }
}

/// The gradient of the loss over the whole batch, `sum(weight error^2) / sum(weight)`. All ranks get the same.
///
/// # Errors
/// The backend fails, or another rank has gone.
pub(crate) fn gradient(network: &Network, inputs: &NextGradient, ranks: &dyn Ranks) -> Result<Gradient, TrainError> {
    let NextGradient { parts, batches, features, device } = *inputs;
    let total = parts.total(batches.iter().map(|batch| batch.total_weight), ranks)?.max(1.0);
    let (mut sum, mut losses) = (GradientSum::new(network), Vec::with_capacity(batches.len()));
    for batch in batches {
        let inputs = features_tensor(features, &batch.noisy, &batch.levels, device);
        let error = network.forward(tensor(&batch.noisy, device), inputs) - tensor(&batch.target, device);
        let loss = (error.clone() * error * tensor(&batch.weight, device)).sum().mul_scalar(1.0 / total);
        losses.push(f64::from(host(loss.clone())?[0]));
        let of_weights = GradientsParams::from_grads(loss.backward(), network);
        if parts.count == 1 {
            return Ok(Gradient { of_weights, loss: losses[0] });
        }
        sum.add(of_weights);
    }
    Ok(Gradient { of_weights: sum.over(ranks)?, loss: parts.total(losses.into_iter(), ranks)? })
}

/// Scales the gradient of all weights together to a norm of at most `max_norm` and returns its norm before (Pascanu et
/// al. 2013, "On the difficulty of training recurrent neural networks", algorithm 1).
///
/// Burn clips each parameter separately, which changes the direction of the gradient.
///
/// # Errors
/// The backend fails.
pub(crate) fn clip(gradients: &mut GradientsParams, network: &Network, max_norm: f64) -> Result<f64, TrainError> {
    let mut squares = Squares { gradients, sums: Vec::new() };
    network.visit(&mut squares);
    let norm = norm(squares.sums)?;
    if norm > max_norm {
        network.visit(&mut Scale { gradients, by: max_norm / norm });
    }
    Ok(norm)
}

/// The norm of all weights together.
///
/// # Errors
/// The backend fails.
pub(crate) fn weight_norm(network: &Network) -> Result<f64, TrainError> {
    let mut squares = WeightSquares(Vec::new());
    network.visit(&mut squares);
    norm(squares.0)
}

/// The prediction of the network for a batch, `[batch, token, channel]` in row-major order.
///
/// # Errors
/// The backend fails.
pub(crate) fn predict(
    network: &Network,
    batch: &Batch,
    features: &ConditioningFeatures,
    device: &Device,
) -> Result<Vec<f32>, TrainError> {
    let inputs = features_tensor(features, &batch.noisy, &batch.levels, device);
    host(network.forward(tensor(&batch.noisy, device), inputs))
}

fn tensor(tokens: &Tokens, device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(tokens.data.clone(), [tokens.batch, tokens.tokens, tokens.channels]), device)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, TrainError> {
    tensor.into_data().try_to_vec::<f32>().map_err(|e| TrainError::Backend(format!("{e:?}")))
}

/// The square root of the total of `sums`, which are moved to the host in one transfer.
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
