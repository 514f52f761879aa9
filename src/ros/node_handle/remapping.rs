//! Resolves topic names as rcl does: namespace, node name and the remapping rules of the command
//! line. r2r does not give access to the resolved names.
//!
//! Follows `rcl/src/rcl/remap.c`. The first rule that matches counts. A rule may apply to one node
//! only (`node:from:=to`). A parameter file cannot remap.

/// The remapping rules of this process.
pub(super) struct RemapRules {
    rules: Vec<Rule>,
}

struct Rule {
    /// The node to which it applies; None: all nodes.
    node: Option<String>,
    from: String,
    to: String,
}

impl Default for RemapRules {
    fn default() -> Self {
        Self::of(std::env::args())
    }
}

impl RemapRules {
    fn of(arguments: impl IntoIterator<Item = String>) -> Self {
        let mut rules = Vec::new();
        let (mut for_ros, mut is_rule) = (false, false);
        for argument in arguments {
            match argument.as_str() {
                "--ros-args" => for_ros = true,
                "--" => for_ros = false,
                "-r" | "--remap" if for_ros => {
                    is_rule = true;
                    continue;
                }
                rule if for_ros && is_rule => rules.extend(Rule::parse(rule)),
                _ => {}
            }
            is_rule = false;
        }
        Self { rules }
    }

    /// The name of `topic` in the graph.
    pub(super) fn resolve(&self, node: &r2r::Node, topic: &str) -> String {
        let name = node.name().unwrap_or_default();
        self.remapped(topic, &node.namespace().unwrap_or_default(), &name)
    }

    fn remapped(&self, topic: &str, namespace: &str, node: &str) -> String {
        let expanded = |topic: &str| absolute(topic, namespace, node);
        let topic = expanded(topic);
        let rules = self.rules.iter().filter(|rule| rule.node.as_deref().is_none_or(|only| only == node));
        rules.into_iter().find(|rule| expanded(&rule.from) == topic).map_or(topic.clone(), |rule| expanded(&rule.to))
    }
}

impl Rule {
    /// Parses `[node:]from:=to`, where `from` may begin with `rostopic://`. Returns None for the
    /// special rules (`__ns`, `__node`) and for services.
    fn parse(text: &str) -> Option<Self> {
        let (left, to) = text.split_once(":=")?;
        let (left, named) = match left.split_once("rostopic://") {
            Some((node, from)) => (from, node.strip_suffix(':')),
            None => (left, None),
        };
        let (node, from) = match (named, left.split_once(':')) {
            (Some(node), _) => (Some(node), left),
            (None, Some((node, from))) => (Some(node), from),
            (None, None) => (None, left),
        };
        let is_topic = !from.is_empty() && !from.starts_with("__") && !from.contains("://");
        is_topic.then(|| Self { node: node.map(String::from), from: from.into(), to: to.into() })
    }
}

fn absolute(topic: &str, namespace: &str, node: &str) -> String {
    let namespace = namespace.trim_end_matches('/');
    match topic.strip_prefix('~') {
        Some(rest) => format!("{namespace}/{node}{rest}"),
        None if topic.starts_with('/') => topic.into(),
        None => format!("{namespace}/{topic}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(arguments: &[&str]) -> RemapRules {
        RemapRules::of(arguments.iter().map(|a| a.to_string()))
    }

    #[test]
    fn topic_names_become_absolute_as_in_rcl() {
        assert_eq!(absolute("odom", "/", "planner"), "/odom");
        assert_eq!(absolute("odom", "/robot", "planner"), "/robot/odom");
        assert_eq!(absolute("/odom", "/robot", "planner"), "/odom");
        assert_eq!(absolute("~/plan", "/robot", "planner"), "/robot/planner/plan");
    }

    #[test]
    fn remapping_rules_of_the_command_line_apply() {
        let given = [
            "node",
            "-r",
            "goal:=not_for_ros",
            "--ros-args",
            "-r",
            "__ns:=/robot",
            "-r",
            "odom:=/wheel/odom",
            "-p",
            "a:=b",
            "--remap",
            "other:goal:=g1",
            "-r",
            "planner:goal:=~/target",
            "-r",
            "rostopic:///scan:=front",
            "--",
            "-r",
            "map:=m",
        ];
        let resolved = |topic| rules(&given).remapped(topic, "/robot", "planner");
        assert_eq!(resolved("odom"), "/wheel/odom");
        assert_eq!(resolved("/robot/odom"), "/wheel/odom");
        assert_eq!(resolved("/odom"), "/odom");
        assert_eq!(resolved("goal"), "/robot/planner/target");
        assert_eq!(resolved("/scan"), "/robot/front");
        assert_eq!(resolved("a"), "/robot/a");
        assert_eq!(resolved("map"), "/robot/map");
    }
}
