//! The list of all costs, and how an entry of the configuration becomes one.

use serde::de::DeserializeOwned;

use super::CostConfig;
use super::binding::Binding;
use super::gate::Gated;
use super::{Cost, CostError};
use df_core::Layout;

/// Every cost there is: a new one is its file and its line here.
const KINDS: &[Entry] = &[
    Entry::of::<super::consistency::Consistency>(),
    Entry::of::<super::effort::Effort>(),
    Entry::of::<super::goal::Goal>(),
    Entry::of::<super::keep_out::KeepOut>(),
    Entry::of::<super::limits::Limits>(),
    Entry::of::<super::obstacles::Obstacles>(),
    Entry::of::<super::path::Path>(),
    Entry::of::<super::smoothness::Smoothness>(),
    Entry::of::<super::target::Target>(),
];

/// A cost that the configuration can ask for.
pub trait Kind: Cost + Sized + 'static {
    /// As `kind` says it.
    const NAME: &'static str;
    /// Its keys beside `kind`, `weight` and `gate`, with their defaults.
    type Settings: DeserializeOwned;

    /// The cost that these settings mean.
    ///
    /// # Errors
    /// [`CostError`]: a rule that a value breaks, an unknown channel.
    fn bind(settings: Self::Settings, binding: &Binding) -> Result<Self, CostError>;
}

type Bind = fn(&Binding) -> Result<Box<dyn Cost>, CostError>;

struct Entry {
    name: &'static str,
    bind: Bind,
}

impl Entry {
    const fn of<K: Kind>() -> Self {
        Self { name: K::NAME, bind: bind::<K> }
    }
}

fn bind<K: Kind>(binding: &Binding) -> Result<Box<dyn Cost>, CostError> {
    let settings = binding.config.settings.read().map_err(|unread| CostError::Rule {
        key: unread.key.map_or_else(|| format!("costs[{}]", binding.index), |key| binding.key(&key)),
        got: unread.value,
        rule: unread.message,
    })?;
    Ok(Box::new(K::bind(settings, binding)?))
}

/// The costs of a configuration, bound to the channels of a layout. `goal_group`: the group that the goal is a value of.
///
/// # Errors
/// [`CostError`] of the first one that is refused; [`CostError::located`] adds file and line.
pub fn costs(
    configured: &[CostConfig],
    goal_group: Option<&str>,
    layout: &Layout,
) -> Result<Vec<Box<dyn Cost>>, CostError> {
    let goal = goal_group.and_then(|group| layout.modality(group)).map(|m| layout.modalities[m].channels.clone());
    let bind = |(index, config): (usize, &CostConfig)| {
        let binding = Binding { index, config, goal: goal.clone(), layout };
        let entry = KINDS.iter().find(|entry| entry.name == config.kind).ok_or_else(|| CostError::UnknownKind {
            key: binding.key("kind"),
            got: config.kind.clone(),
            known: KINDS.iter().map(|entry| entry.name).collect(),
        })?;
        Gated::wrap((entry.bind)(&binding)?, &binding)
    };
    configured.iter().enumerate().map(bind).collect()
}

#[cfg(test)]
pub mod tests {
    use std::path::Path;

    use super::*;
    use crate::PlanningConfig;

    const MAZE: &str = include_str!("../../../../config/point_maze.yaml");

    /// action: fx fy; position: pose.x pose.y; velocity: vx vy; ghost: pose.x ranges[0].
    pub fn layout() -> Layout {
        let group = |name: &str, labels: [&str; 2]| (name.to_string(), labels.map(String::from).to_vec());
        let groups = [("action", ["fx", "fy"]), ("position", ["pose.x", "pose.y"]), ("velocity", ["vx", "vy"])];
        let ghost = group("ghost", ["pose.x", "ranges[0]"]);
        Layout::new(2, groups.map(|(name, labels)| group(name, labels)).into_iter().chain([ghost]))
    }

    /// The configuration of the maze with one cost, given as a flow mapping, bound to [`layout`].
    pub fn bound(cost: &str) -> Result<Box<dyn Cost>, CostError> {
        let start = MAZE.find("costs:").unwrap();
        let text = format!("{}costs:\n  - {cost}\n", &MAZE[..start]);
        let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap();
        costs(&config.costs, Some("position"), &layout()).map(|mut costs| costs.remove(0))
    }

    /// Why that cost is refused.
    pub fn refusal(cost: &str) -> String {
        bound(cost).err().unwrap_or_else(|| panic!("{cost} is accepted")).to_string()
    }

    #[test]
    fn every_kind_can_be_configured_and_only_once() {
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
        // The one left out needs a file: obstacles.rs.
        assert_eq!(KINDS.len(), 8 + 1);
        let names: std::collections::BTreeSet<_> = KINDS.iter().map(|entry| entry.name).collect();
        assert_eq!(names.len(), KINDS.len());
    }

    #[test]
    fn a_refusal_can_be_located_in_the_file() {
        let text = MAZE.replace("of: position, rate: velocity", "of: postion, rate: velocity");
        let config = PlanningConfig::parse(&text, Path::new("c.yaml")).unwrap();
        let error = costs(&config.costs, Some("position"), &layout()).err().unwrap();
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
        let error = costs(&config.costs, None, &layout()).err().unwrap().to_string();
        assert_eq!(error, "costs[0].kind: goal: needs the section `goal`");
    }
}
