//! What matters about a network while it trains: its loss, its error per noise band, and what plans made with it are worth.

mod bands;
mod plan_metrics;

use burn::tensor::Device;
use df_engine::NetworkConfig;
use serde::{Deserialize, Serialize};

use super::TrainError;
use super::batch::BatchMaker;
use super::dataset::Dataset;
use super::step::predict;
use df_planning::PlannerConfig;
use crate::Network;
use df_core::{Layout, Normaliser};
pub use bands::{Band, Bands};
pub use plan_metrics::{ActionError, NOMINAL_COVERAGE, PlanMetrics};

/// Batches of the validation split that each validation looks at; always the same ones.
const BATCHES: u64 = 4;

/// One validation of the averaged network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// As the training loss, over windows that training never sees.
    pub loss: f64,
    pub bands: Vec<Band>,
    /// None where the network's predictions are not finite.
    pub plans: Option<PlanMetrics>,
}

/// What validations are made with.
pub struct Validator<'a> {
    pub dataset: &'a Dataset,
    pub maker: &'a BatchMaker,
    pub layout: &'a Layout,
    pub normaliser: &'a Normaliser,
    pub planner: &'a PlannerConfig,
    pub batch: usize,
    pub sizes: &'a NetworkConfig,
    pub device: &'a Device,
}

impl Validator<'_> {
    /// The same network gives the same numbers.
    ///
    /// # Errors
    /// The backend fails.
    pub fn validate(&self, network: &Network) -> Result<Validation, TrainError> {
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
            weight += batch.total;
        }
        Ok(Validation {
            loss: error / weight.max(f64::MIN_POSITIVE),
            bands: bands.finish(),
            plans: self.plan(network)?,
        })
    }
}
