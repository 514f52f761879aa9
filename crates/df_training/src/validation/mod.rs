//! Validation of a network on held-out episodes: its loss, its error per noise band, and the quality of plans.

mod bands;
mod plan_metrics;

use burn::tensor::Device;
use df_core::{Layout, Normaliser};
use df_engine::NetworkConfig;
use df_planning::PlannerConfig;
use serde::{Deserialize, Serialize};

use crate::batch::BatchMaker;
use crate::dataset::Dataset;
use crate::step::predict;
use crate::{Network, TrainError};
pub use bands::Band;
use bands::Bands;
pub(crate) use plan_metrics::NOMINAL_COVERAGE;
pub use plan_metrics::{ActionError, PlanMetrics};

/// Batches of the validation split in each validation; always the same ones.
const BATCHES: u64 = 4;

/// The result of one validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// The training loss, on windows that training never sees.
    pub loss: f64,
    /// The error by noise level.
    pub bands: Vec<Band>,
    /// Metrics of plans. `None` if the network's predictions are not finite.
    pub plans: Option<PlanMetrics>,
}

/// The inputs of a validation.
pub(crate) struct Validator<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) maker: &'a BatchMaker,
    pub(crate) layout: &'a Layout,
    pub(crate) normaliser: &'a Normaliser,
    pub(crate) planner: &'a PlannerConfig,
    pub(crate) batch: usize,
    pub(crate) sizes: &'a NetworkConfig,
    pub(crate) device: &'a Device,
}

impl Validator<'_> {
    /// Validates a network. Equal networks give equal numbers.
    ///
    /// # Errors
    /// The backend fails.
    pub(crate) fn validate(&self, network: &Network) -> Result<Validation, TrainError> {
        let features = self.maker.features();
        let mut bands = Bands::default();
        let (mut error, mut weight) = (0.0, 0.0);
        for number in 0..BATCHES {
            let batch = self.maker.validation_batch(self.dataset, number, self.batch);
            let prediction = predict(network, &batch, &features, self.device)?;
            bands.add(&batch, &prediction, &self.maker.spec);
            for ((p, t), w) in prediction.iter().zip(&batch.target.data).zip(&batch.weight.data) {
                error += f64::from(*w) * f64::from(p - t).powi(2);
            }
            weight += batch.total_weight;
        }
        Ok(Validation {
            loss: error / weight.max(f64::MIN_POSITIVE),
            bands: bands.finish(),
            plans: self.plan(network)?,
        })
    }
}
