//! One optimizer step: the gradient of a batch, in parts, shortened as a whole.

use std::ops::Range;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

use super::TrainError;
use super::batch::Batch;
use super::parallel::{GradientSum, ParallelError, Ranks};
use df_diffusion::Tokens;
use df_engine::ConditioningFeatures;
use crate::native_network::features_tensor;
use crate::Network;

/// The gradient of a batch.
pub struct Gradient {
    pub of_weights: GradientsParams,
    /// The weighted mean squared error of the target.
    pub loss: f64,
}

/// How a batch is divided: in parts that are worked on one after the other or by different ranks. The same parts make the same
/// numbers, whoever works on them.
pub struct Parts {
    windows: usize,
    /// Of the batch.
    count: usize,
    /// Those of this rank.
    mine: Range<usize>,
}

impl Parts {
    /// At least `accumulate` parts, and as many for each rank as for any other.
    pub fn new(windows: usize, accumulate: usize, ranks: &dyn Ranks) -> Self {
        let count = accumulate.next_multiple_of(ranks.size());
        Self { windows, count, mine: ranks.share(count) }
    }

    /// The windows of each part of this rank.
    pub fn mine(&self) -> impl Iterator<Item = Range<u64>> {
        let at = |part: usize| (self.windows * part / self.count) as u64;
        self.mine.clone().map(move |part| at(part)..at(part + 1))
    }

    /// The sum over all parts of one number of each, in the same order whatever the number of ranks.
    fn total(&self, mine: impl Iterator<Item = f64>, ranks: &dyn Ranks) -> Result<f64, ParallelError> {
        let mut all = vec![0.0; self.count];
        all[self.mine.clone()].iter_mut().zip(mine).for_each(|(at, value)| *at = value);
        ranks.sum_f64(&mut all)?;
        Ok(all.iter().sum())
    }
}

/// Computes the gradient of the loss over the whole batch, `sum(weight error^2) / sum(weight)`; `batches` are the parts of this
/// rank. Every rank gets the same.
///
/// # Errors
/// The backend fails, or another rank has.
pub fn gradient(
    network: &Network,
    (parts, batches): (&Parts, &[Batch]),
    ranks: &dyn Ranks,
    features: &ConditioningFeatures,
    device: &Device,
) -> Result<Gradient, TrainError> {
    let total = parts.total(batches.iter().map(|batch| batch.total), ranks)?.max(1.0);
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
pub fn predict(network: &Network, batch: &Batch, features: &ConditioningFeatures, device: &Device) -> Result<Vec<f32>, TrainError> {
    host(network.forward(tensor(&batch.noisy, device), features_tensor(features, &batch.noisy, &batch.levels, device)))
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
