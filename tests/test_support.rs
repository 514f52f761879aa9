//! Tests of the test support: contracts change only at the given keys, and a missing tool is always reported.

mod support;

use std::path::Path;

use df_planner::config::Config;
use support::contract::ContractYaml;
use support::point_maze;
use support::tools::{DATASETS, LAUNCH, MUJOCO, Missing, NOT_DEMANDED, ROSBAGS, TORCH, missing};

fn parsed(yaml: &ContractYaml) -> Config {
    Config::parse(yaml.text(), Path::new("c.yaml")).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

#[test]
fn the_point_robot_is_a_valid_contract_and_takes_changes() {
    let plain = ContractYaml::point_robot();
    assert_eq!(
        plain.text(),
        "period_s: 0.1
frame_stack: 1
observations: {obs: {topic: obs, type: p/msg/X, fields: [x, y], max_age_s: 1}}
action: {topic: u, type: p/msg/X, fields: [x], min: [-100], max: [100], safe: [0], max_age_s: 1}
goal: {topic: g, type: p/msg/X, fields: [x, y], group: obs, tolerance: 0.1}
"
    );
    parsed(&plain);
    let changed = plain
        .with("planner.horizon", 6)
        .with("planner.guidance.scale", 0.5)
        .with("planner.horizon", 7)
        .without("goal")
        .without("action.max_age_s")
        .with("action.max_age_s", 2)
        .observing("more", &["z"])
        .and("costs: [{kind: effort, weight: 2.0, of: action}]");
    assert_eq!(
        changed.text(),
        "period_s: 0.1
frame_stack: 1
observations: {obs: {topic: obs, type: p/msg/X, fields: [x, y], max_age_s: 1}, more: {topic: more, type: p/msg/X, fields: [z], max_age_s: 1}}
action: {topic: u, type: p/msg/X, fields: [x], min: [-100], max: [100], safe: [0], max_age_s: 2}
planner: {horizon: 7, guidance: {scale: 0.5}}
costs: [{kind: effort, weight: 2.0, of: action}]
"
    );
    let config = parsed(&changed);
    assert_eq!((config.planner.horizon, config.planner.guidance.scale), (7, 0.5));
    assert!(config.contract.goal.is_none() && config.contract.observations.len() == 2);
}

#[test]
fn the_shipped_configuration_changes_in_one_place_and_keeps_its_comments() {
    let shipped = point_maze();
    let changed = shipped
        .clone()
        .with("period_s", 0.1)
        .with("observations.position.max_age_s", 0.25)
        .with("observations.velocity.required", true)
        .with("model.width", 16)
        .with("planner.guidance.scale", 0.0)
        .with("costs", "[{kind: goal, weight: 2.0}]")
        .with("action.qos.depth", 3);
    let differing: Vec<(&str, &str)> =
        shipped.text().lines().zip(changed.text().lines()).filter(|(a, b)| a != b).collect();
    assert_eq!(differing[0], (differing[0].0, "period_s: 0.1              # one control period (tick)"));
    assert!(changed.text().contains("    max_age_s: 0.25          # an older sample is missing"), "{changed}");
    assert!(changed.text().contains("    max_age_s: 0.1\n    required: true\n\naction:"), "{changed}");
    let config = parsed(&changed);
    let groups = &config.contract.observations;
    assert_eq!((config.contract.period_s, groups[0].max_age_s, groups[1].max_age_s), (0.1, 0.25, 0.1));
    assert!(groups[1].required && config.costs.len() == 1);
    assert_eq!((config.model.width, config.planner.guidance.scale), (16, 0.0));
    assert_eq!((config.planner.guidance.max_norm, config.contract.action.qos.depth), (1.0, 3));
    // Changing the value back restores the same text.
    let back = changed
        .with("period_s", 0.05)
        .with("observations.position.max_age_s", 0.1)
        .without("observations.velocity.required")
        .with("model.width", 128)
        .with("planner.guidance.scale", 0.1)
        .with("action.qos.depth", 1)
        .without("costs");
    assert_eq!(back.text(), shipped.clone().without("costs").text());
    let line = shipped.text().lines().position(|line| line.starts_with("  horizon: ")).unwrap() + 1;
    assert_eq!(shipped.line_of("planner.horizon"), line);
    assert_eq!(shipped.clone().renamed("planner.horizon", "horison").line_of("planner.horison"), line);
}

#[test]
fn keys_are_removed_and_list_items_added_in_lines_and_in_braces() {
    for (text, path, expected) in [
        ("{a: 1, b: [2, 3], c: 4}", "a", "{b: [2, 3], c: 4}"),
        ("{a: 1, b: [2, 3], c: 4}", "b", "{a: 1, c: 4}"),
        ("{a: 1, b: [2, 3], c: 4}", "c", "{a: 1, b: [2, 3]}"),
        ("a: {b: 'x, }', c: 1}  # {", "a.c", "a: {b: 'x, }'}  # {"),
        ("a:\n  b: 1\n  # c\n  d: 2\ne: 3", "a.b", "a:\n  # c\n  d: 2\ne: 3"),
        ("a:    # why\n    {b: 1,\n     c: 2}\nd: 3", "a.c", "a:    # why\n    {b: 1}\nd: 3"),
        ("a:\n  - {b: 1}\n  - {b: 2}\ne: 3", "a", "e: 3"),
    ] {
        assert_eq!(
            ContractYaml::from_text(text).without(path).text(),
            format!("{expected}\n"),
            "{text} without {path}"
        );
    }
    let costs = point_maze().with_first("costs", "{kind: effort, weight: 2.0, of: action}");
    let (of_lines, in_brackets) = (parsed(&costs), parsed(&costs.with("costs", "[{kind: goal, weight: 1}]")));
    assert_eq!((of_lines.costs.len(), of_lines.costs[0].weight, in_brackets.costs.len()), (3, 2.0, 1));
    let pair = ContractYaml::from_text("a: [{b: 1}]").with_first("a", "{b: 2}");
    assert_eq!(pair.text(), "a: [{b: 2}, {b: 1}]\n");
    let nowhere = std::panic::catch_unwind(|| point_maze().without("planner.horison"));
    assert!(nowhere.is_err(), "a key that is not there is not removed in silence");
}

#[test]
fn a_missing_tool_is_named_and_is_a_failure_when_all_tools_are_demanded() {
    let text = |of: Missing| match of {
        Missing::Skipped(text) | Missing::Failure(text) => text,
    };
    for tool in [MUJOCO, ROSBAGS, DATASETS, LAUNCH, TORCH] {
        let (usual, demanded) = (missing(&tool, false), missing(&tool, true));
        assert!(matches!(usual, Missing::Skipped(_)), "{usual:?}");
        let exempt = NOT_DEMANDED.iter().any(|(name, _)| *name == tool.name);
        assert_eq!(matches!(demanded, Missing::Skipped(_)), exempt, "{demanded:?}");
        for text in [text(usual), text(demanded)] {
            assert!(text.contains(tool.name) && text.contains(tool.get), "{text}");
        }
    }
    assert_eq!(NOT_DEMANDED.len(), 2);
}
