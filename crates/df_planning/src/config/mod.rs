//! The configuration of planner and control loop: the contract, `mode`, and the sections `planner`, `safety` and `costs`.

mod catalogue;
mod planner_config;
mod safety_config;

use std::collections::BTreeMap;
use std::path::Path;

use df_core::settings::{
    Description, Range, Setting, Validation, ValidationError, find_description, flatten, replaced,
};
use df_core::{ConfigError, Contract, Document};
use serde::{Deserialize, Serialize};

use crate::costs::{self, CostConfig};

pub use catalogue::{CATALOGUE, MAX_SEQUENCES};
pub use planner_config::{
    GradientKind, GuidanceConfig, GuidanceStep, Latency, PlannerConfig, PlannerMode, StreamingConfig, WarmStartConfig,
};
pub use safety_config::{FallbackPolicy, OperatingMode, OutOfDistributionConfig, SafetyConfig};

/// The configuration of planner and control loop.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanningConfig {
    /// Topics, fields, period; the goal.
    pub contract: Contract,
    /// The section `planner`.
    pub planner: PlannerConfig,
    /// The key `mode`.
    pub mode: OperatingMode,
    /// The section `safety`.
    pub safety: SafetyConfig,
    /// The list `costs`.
    pub costs: Vec<CostConfig>,
}

/// Every key that may change, as dotted keys see it.
#[derive(Serialize, Deserialize)]
struct Tunable {
    planner: PlannerConfig,
    safety: SafetyConfig,
    /// By [`labels`].
    costs: BTreeMap<String, TunableCost>,
}

/// The keys of one cost that may change.
#[derive(Serialize, Deserialize)]
struct TunableCost {
    weight: f64,
}

impl PlanningConfig {
    /// Reads and checks the sections of a document. It ignores other sections.
    ///
    /// # Errors
    /// [`ConfigError`] with the file. Where one key is at fault, with its line, its value and the rule that it breaks.
    pub fn read(document: Document) -> Result<Self, ConfigError> {
        let config = Self::read_unchecked(document)?;
        config
            .contract
            .check()
            .and_then(|()| config.check())
            .map_err(|broken| config.contract.document.locate(broken))?;
        Ok(config)
    }

    /// Reads the sections of a document without checking any rule.
    ///
    /// # Errors
    /// [`ConfigError::Malformed`].
    pub fn read_unchecked(document: Document) -> Result<Self, ConfigError> {
        let planner = document.section("planner")?;
        let mode = document.section("mode")?;
        let safety = document.section("safety")?;
        let mut costs: Vec<CostConfig> = document.section("costs")?;
        costs.iter_mut().for_each(|cost| cost.folder = document.folder().into());
        Ok(Self { contract: Contract::read(document)?, planner, mode, safety, costs })
    }

    /// As [`PlanningConfig::read`], from a text. Errors cite `file`.
    ///
    /// # Errors
    /// As [`PlanningConfig::read`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        Self::read(Document::new(text, file))
    }

    /// Checks every rule on planner, safety and costs.
    ///
    /// # Errors
    /// Key, value and rule.
    pub fn check(&self) -> Validation {
        costs::check(&self.costs, self.contract.goal.is_some())?;
        self.planner.check()?;
        self.safety.check()
    }

    /// Every key that may change while the planner runs, dotted, with its value: `planner.horizon`, `costs.goal.weight`.
    pub fn settings(&self) -> Vec<(String, Setting)> {
        flatten(&self.tunable())
    }

    /// The configuration with some of [`PlanningConfig::settings`] changed.
    ///
    /// # Errors
    /// The first key that is unknown or whose value has a wrong type or range; or a rule that the values break together.
    pub fn changed(&self, changes: &[(String, Setting)]) -> Result<Self, ValidationError> {
        let mut tunable = self.tunable();
        for (key, value) in changes {
            let range = description(key).map_or(Range::Any, |described| described.range);
            tunable = replaced(&tunable, key, value, range)?;
        }
        let mut config = Self { planner: tunable.planner, safety: tunable.safety, ..self.clone() };
        for (cost, label) in config.costs.iter_mut().zip(labels(&self.costs)) {
            cost.weight = tunable.costs.get(&label).map_or(cost.weight, |tuned| tuned.weight);
        }
        config.check()?;
        Ok(config)
    }

    fn tunable(&self) -> Tunable {
        let weights = self.costs.iter().map(|cost| TunableCost { weight: cost.weight });
        let costs = labels(&self.costs).into_iter().zip(weights).collect();
        Tunable { planner: self.planner.clone(), safety: self.safety.clone(), costs }
    }
}

/// The description of a key that may change, by its dotted name.
pub fn description(key: &str) -> Option<&'static Description> {
    find_description(CATALOGUE, key)
}

/// A label for each cost: its kind, with a number from the second of a kind on (`goal`, `goal_2`).
pub fn labels(costs: &[CostConfig]) -> Vec<String> {
    let nth = |i: usize| costs[..=i].iter().filter(|cost| cost.kind == costs[i].kind).count();
    let label = |(i, cost): (usize, &CostConfig)| match nth(i) {
        1 => cost.kind.clone(),
        n => format!("{}_{n}", cost.kind),
    };
    costs.iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn config() -> PlanningConfig {
        let text = include_str!("../../../../config/point_maze.yaml").replace(
            "\ncosts:\n",
            "\ncosts:\n  - {kind: effort, weight: 0.5}\n  - {kind: effort, weight: 0.25, of: velocity}\n",
        );
        PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap()
    }

    fn changes(changes: &[(&str, Setting)]) -> Vec<(String, Setting)> {
        changes.iter().map(|(key, value)| (key.to_string(), value.clone())).collect()
    }

    #[test]
    fn a_change_changes_the_keys_that_it_names_and_no_others() {
        let before = config();
        let after = before
            .changed(&changes(&[
                ("planner.horizon", Setting::Integer(5)),
                ("planner.mode", Setting::Text("full".into())),
                ("planner.guidance.schedule", Setting::Numbers(vec![0.0, 1.0, 0.5, 0.2])),
                ("costs.effort_2.weight", Setting::Number(7.0)),
            ]))
            .unwrap();
        assert_eq!((after.planner.horizon, after.planner.mode), (5, PlannerMode::Full));
        assert_eq!(after.planner.guidance.schedule, [(0.0, 1.0), (0.5, 0.2)]);
        let weights: Vec<f64> = after.costs.iter().map(|cost| cost.weight).collect();
        assert_eq!(weights, [0.5, 7.0, 1.0, 20.0]);
        let changed: Vec<String> = before
            .settings()
            .into_iter()
            .zip(after.settings())
            .filter(|(before, after)| before != after)
            .map(|(before, _)| before.0)
            .collect();
        assert_eq!(changed.len(), 4, "{changed:?}");
        // All changes at once give the same configuration.
        let copy = config().changed(&after.settings()).unwrap();
        assert_eq!((copy.planner, copy.costs), (after.planner, after.costs));
    }

    #[test]
    fn a_refusal_names_key_value_and_rule() {
        let refusal = |list: &[(&str, Setting)]| config().changed(&changes(list)).unwrap_err().to_string();
        let (integer, number, text) = (Setting::Integer, Setting::Number, |text: &str| Setting::Text(text.into()));
        for (key, value, named) in [
            ("planner.horizon", integer(-1), "planner.horizon: -1: must be at least 1 and at most 65536"),
            ("planner.horizon", integer(65), "planner.horizon: 65: must be at most planner.max_horizon, which is 64"),
            ("planner.eta", number(1.5), "planner.eta: 1.5: must lie in [0, 1]"),
            ("planner.eta", integer(1), "planner.eta: 1: must be of type double (such as 1.0), got integer"),
            ("planner.mode", text("best"), "planner.mode: best: must be one of full, streaming"),
            ("planner.matrix", text("trapezoid"), "planner.matrix: Trapezoid: must be pyramid in the streaming mode"),
            ("costs.goal.weight", number(-1.0), "costs.goal.weight: -1: must be a finite number of at least 0"),
            ("costs.goal_2.weight", number(1.0), "costs.goal_2.weight: 1: there is no such setting"),
            (
                "planner.guidance.schedule",
                Setting::Numbers(vec![0.5]),
                "planner.guidance.schedule: [0.5]: must be pairs of numbers, one after the other",
            ),
            (
                "planner.guidance.schedule",
                Setting::Numbers(vec![0.5, 1.0, 0.4, 1.0]),
                "planner.guidance.schedule[1]: 0.4: levels must ascend",
            ),
        ] {
            assert_eq!(refusal(&[(key, value)]), named);
        }
        // Each change alone is valid.
        let together = [("planner.solver", text("dpm_solver")), ("planner.eta", number(0.5))];
        assert!(refusal(&together).contains("must be 0 with dpm_solver"));
    }

    #[test]
    fn every_key_that_may_change_is_described_and_every_description_has_its_key() {
        let settings = config().settings();
        let described: BTreeSet<&str> = settings
            .iter()
            .map(|(key, _)| description(key).unwrap_or_else(|| panic!("{key} is not described")).key)
            .collect();
        let entries: BTreeSet<&str> = CATALOGUE.iter().map(|entry| entry.key).collect();
        assert_eq!(described, entries);
        assert_eq!(entries.len(), CATALOGUE.len(), "a key is described twice");
        assert!(description("costs.goal.extra.weight").is_none());
    }

    /// Serde takes each name of the catalogue, and names as many.
    #[test]
    fn the_names_in_the_catalogue_are_the_variants_of_the_enum() {
        let planner = config().planner;
        let mut lists = 0;
        for entry in CATALOGUE {
            let Range::OneOf(names) = entry.range else { continue };
            let text = |name: &str| Setting::Text(name.into());
            let replaced = |name: &str| match entry.key.split_once('.').unwrap() {
                ("safety", key) => replaced(&config().safety, key, &text(name), Range::Any).map(drop),
                (_, key) => replaced(&planner, key, &text(name), Range::Any).map(drop),
            };
            assert!(names.iter().all(|name| replaced(name).is_ok()), "{}", entry.key);
            let refused = replaced("nonsense").unwrap_err().rule;
            // serde lists the old name `off` beside `none`.
            let old_names = usize::from(entry.key == "planner.guidance.gradient");
            assert_eq!(refused.matches('`').count(), 2 * (names.len() + old_names + 1), "{}: {refused}", entry.key);
            lists += 1;
        }
        assert_eq!(lists, 7);
    }
}
