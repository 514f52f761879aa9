//! The configuration of a training run: the contract and the sections `planner`, `model` and `training`.

use std::path::Path;

use df_core::settings::{Validation, at_least_one, positive, require};
use df_core::{ACTION, ConfigError, Contract, Document};
use df_engine::ModelConfig;
use df_planning::PlannerConfig;

use crate::TrainingConfig;

/// The configuration of a training run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerConfig {
    /// Topics, fields, period; the goal.
    pub contract: Contract,
    /// The section `planner`: the conditions that planning sets, and how validation plans.
    pub planner: PlannerConfig,
    /// The section `model`.
    pub model: ModelConfig,
    /// The section `training`.
    pub training: TrainingConfig,
}

impl TrainerConfig {
    /// Reads and checks the sections of a document. Ignores other sections.
    ///
    /// # Errors
    /// [`ConfigError`] with file, line, key, value and rule.
    pub fn read(document: Document) -> Result<Self, ConfigError> {
        let (planner, model) = (document.section("planner")?, document.section("model")?);
        let training = document.section("training")?;
        let config = Self { contract: Contract::read(document)?, planner, model, training };
        config
            .contract
            .check()
            .and_then(|()| config.check())
            .map_err(|broken| config.contract.document.locate(broken))?;
        Ok(config)
    }

    /// Reads and checks a text. Errors name `file`, which is not opened.
    ///
    /// # Errors
    /// As [`TrainerConfig::read`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        Self::read(Document::new(text, file))
    }

    /// Checks the rules of `model`, `planner` and `training`, and those between them and the contract.
    ///
    /// # Errors
    /// Key, value and rule of the first violation.
    pub fn check(&self) -> Validation {
        self.check_dwell()?;
        self.check_noise_scale()?;
        self.check_model()?;
        self.planner.check()?;
        self.training.check()
    }

    fn check_dwell(&self) -> Validation {
        let (rate, share) =
            (self.contract.goal.as_ref().and_then(|goal| goal.rate.as_ref()), self.training.dwell_share);
        require(share == 0.0 || rate.is_some(), "training.dwell_share", share, "needs goal.rate")
    }

    fn check_noise_scale(&self) -> Validation {
        let names: Vec<&str> = std::iter::once(ACTION).chain(self.contract.group_names()).collect();
        self.training.noise_scale.iter().try_for_each(|(name, scale)| {
            require(names.contains(&name.as_str()), "training.noise_scale", name, format!("must be one of {names:?}"))?;
            positive(format!("training.noise_scale.{name}"), *scale)
        })
    }

    fn check_model(&self) -> Validation {
        let model = &self.model;
        for (key, value) in [("width", model.width), ("layers", model.layers), ("heads", model.heads)] {
            at_least_one(format!("model.{key}"), value)?;
        }
        require(
            model.width.is_multiple_of(2 * model.heads),
            "model.heads",
            model.heads,
            format!("model.width must be a multiple of twice this value; it is {}", model.width),
        )
    }
}
