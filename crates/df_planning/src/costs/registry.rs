//! The list of all costs, and how an entry of the configuration becomes one.

use super::binding::Binding;
use super::config::CostConfig;
use super::consistency::ConsistencyCost;
use super::cost::Cost;
use super::effort::EffortCost;
use super::error::CostError;
use super::factory::CostFactory;
use super::gate::GatedCost;
use super::goal::GoalCost;
use super::keep_out::KeepOutCost;
use super::limits::LimitsCost;
use super::obstacles::ObstaclesCost;
use super::path::PathCost;
use super::smoothness::SmoothnessCost;
use super::target::TargetCost;
use df_core::Layout;

/// Every cost that the configuration can name.
const REGISTRY: &[Entry] = &[
    Entry::of::<ConsistencyCost>(),
    Entry::of::<EffortCost>(),
    Entry::of::<GoalCost>(),
    Entry::of::<KeepOutCost>(),
    Entry::of::<LimitsCost>(),
    Entry::of::<ObstaclesCost>(),
    Entry::of::<PathCost>(),
    Entry::of::<SmoothnessCost>(),
    Entry::of::<TargetCost>(),
];

type Bind = fn(&Binding) -> Result<Box<dyn Cost>, CostError>;

struct Entry {
    name: &'static str,
    bind: Bind,
}

impl Entry {
    const fn of<F: CostFactory>() -> Self {
        Self { name: F::NAME, bind: bind::<F> }
    }
}

fn bind<F: CostFactory>(binding: &Binding) -> Result<Box<dyn Cost>, CostError> {
    let config = binding.config.raw.read().map_err(|unreadable| CostError::Rule {
        key: unreadable.key.map_or_else(|| format!("costs[{}]", binding.index), |key| binding.key(&key)),
        got: unreadable.value,
        rule: unreadable.message,
    })?;
    Ok(Box::new(F::bind(config, binding)?))
}

/// The costs of a configuration, bound to the channels of a layout. `goal_group`: the group that the goal is a value of.
///
/// # Errors
/// [`CostError`] of the first cost that is refused. [`CostError::located`] adds file and line.
pub fn bind_costs(
    configured: &[CostConfig],
    goal_group: Option<&str>,
    layout: &Layout,
) -> Result<Vec<Box<dyn Cost>>, CostError> {
    let goal = goal_group.and_then(|group| layout.modality(group)).map(|m| layout.modalities[m].channels.clone());
    let bind = |(index, config): (usize, &CostConfig)| {
        let binding = Binding { index, config, goal: goal.clone(), layout };
        let entry = REGISTRY.iter().find(|entry| entry.name == config.kind).ok_or_else(|| CostError::UnknownKind {
            key: binding.key("kind"),
            got: config.kind.clone(),
            known: REGISTRY.iter().map(|entry| entry.name).collect(),
        })?;
        GatedCost::wrap((entry.bind)(&binding)?, &binding)
    };
    configured.iter().enumerate().map(bind).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::PlanningConfig;
    use crate::costs::test_support::{MAZE, bound, layout, refusal};

    #[test]
    fn a_cost_is_made_by_its_kind_and_says_its_name() {
        for (kind, rest) in [
            ("goal", ""),
            ("consistency", ", of: position, rate: velocity, over_s: 0.4, tolerance: 0.3"),
            ("path", ", of: position, points: [[0, 0], [1, 0]]"),
            ("keep_out", ", of: position, polygons: [[[0, 0], [1, 0], [0, 1]]]"),
            ("effort", ""),
            ("smoothness", ""),
            ("limits", ", of: velocity.0, max: 1"),
            ("target", ", of: velocity, value: 0"),
        ] {
            assert_eq!(bound(&format!("{{kind: {kind}, weight: 1{rest}}}")).unwrap().name(), kind);
        }
    }

    #[test]
    fn every_registered_name_is_unique() {
        let names: std::collections::BTreeSet<_> = REGISTRY.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), REGISTRY.len());
    }

    #[test]
    fn a_refusal_can_be_located_in_the_file() {
        let text = MAZE.replace("of: position, rate: velocity", "of: postion, rate: velocity");
        let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap();
        let error = bind_costs(&config.costs, Some("position"), &layout()).err().unwrap();
        assert!(matches!(&error, CostError::UnknownChannel { got, .. } if got == "postion"), "{error}");
        let line = 1 + text.lines().position(|l| l.contains("postion,")).unwrap();
        let message = error.located(&config.contract.document).to_string();
        assert!(
            message.starts_with(&format!("c.yaml:{line}: costs[1].of: postion: is no group or channel")),
            "{message}"
        );
    }

    #[test]
    fn unknown_kinds_and_keys_are_refused() {
        assert!(
            refusal("{kind: gaol, weight: 1}").starts_with("costs[0].kind: gaol: must be one of [\"consistency\",")
        );
        let unknown = refusal("{kind: goal, weight: 1, wieght: 2}");
        assert!(unknown.starts_with("costs[0].wieght: 2: unknown field `wieght`"), "{unknown}");
        let missing = refusal("{kind: target, weight: 1, of: action}");
        assert_eq!(missing, "costs[0]: {of: action}: missing field `value`");
    }

    #[test]
    fn a_goal_cost_needs_a_goal() {
        let config = PlanningConfig::parse(MAZE, Path::new("c.yaml")).unwrap();
        let error = bind_costs(&config.costs, None, &layout()).err().unwrap().to_string();
        assert_eq!(error, "costs[0].kind: goal: needs the section `goal`");
    }
}
