//! The rules of the table. They need no ROS.

use std::path::Path;

use super::*;

fn config() -> Config {
    Config::parse(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/point_maze.yaml")), Path::new("c.yaml"))
        .unwrap()
}

fn shape() -> Option<GoalShape> {
    Some(GoalShape { group: "position".into(), channels: 2 })
}

fn parameters(given: &[(&str, Given)]) -> Parameters {
    let about = |key, range, fixed| Description { key, text: "", range, fixed };
    let start = vec![
        (about("model", Range::Any, false), Setting::Text("m".into())),
        (about("mode", Range::OneOf(&["drive", "shadow"]), false), Setting::Text("drive".into())),
        (about("node", Range::Any, true), Setting::Text("n".into())),
    ];
    Parameters::new(given.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(), start)
}

fn configured(given: &[(&str, Given)]) -> Parameters {
    let mut parameters = parameters(given);
    parameters.configure(&config(), shape()).unwrap();
    parameters
}

/// Records changes. Refuses a horizon of 7 and any `model`.
#[derive(Default)]
struct Recorder(Vec<Change>);

impl Target for Recorder {
    fn may_configure(&self, name: &str) -> Result<(), String> {
        if name == "model" { Err("the node is active".into()) } else { Ok(()) }
    }

    fn apply(&mut self, change: &Change) -> Result<(), String> {
        if change.config.as_ref().is_some_and(|config| config.planner.horizon == 7) {
            return Err("7 tokens do not fit".into());
        }
        self.0.push(change.clone());
        Ok(())
    }
}

fn set(parameters: &mut Parameters, changes: &[(&str, Given)], recorder: &mut Recorder) -> Result<(), String> {
    let changes: Vec<_> = changes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    parameters.set(&changes, recorder)
}

fn number(value: f64) -> Given {
    Ok(Setting::Number(value))
}

fn integer(value: i64) -> Given {
    Ok(Setting::Integer(value))
}

#[test]
fn set_values_are_stored_and_applied_including_the_goal() {
    let (mut parameters, mut recorder) = (configured(&[]), Recorder::default());
    let goal = Ok(Setting::Numbers(vec![1.0, 2.0]));
    let changes = [("planner.eta", number(0.5)), ("costs.goal.weight", number(3.0)), ("goal", goal)];
    set(&mut parameters, &changes, &mut recorder).unwrap();
    assert_eq!(parameters.get("planner.eta").unwrap().value, Setting::Number(0.5));
    let change = &recorder.0[0];
    let config = change.config.as_ref().unwrap();
    assert_eq!((config.planner.eta, config.costs[0].weight), (0.5, 3.0));
    assert_eq!(change.goal, Some(vec![1.0, 2.0]));
    // The next change starts from the last one. It has no goal, so the goal does not change.
    set(&mut parameters, &[("planner.horizon", integer(5))], &mut recorder).unwrap();
    let change = &recorder.0[1];
    assert_eq!(change.config.as_ref().unwrap().planner.eta, 0.5);
    assert_eq!(change.goal, None);
    // A parameter that `configure` reads is not part of the configuration.
    set(&mut parameters, &[("mode", Ok(Setting::Text("shadow".into())))], &mut recorder).unwrap();
    assert_eq!(recorder.0[2].start, [("mode".to_string(), Setting::Text("shadow".into()))]);
    assert!(recorder.0[2].config.is_none());
}

#[test]
fn a_refused_request_says_why_and_changes_nothing() {
    let (mut parameters, mut recorder) = (configured(&[]), Recorder::default());
    let before: Vec<_> = parameters.all().map(|(name, entry)| (name.to_string(), entry.clone())).collect();
    let numbers = |values: &[f64]| Ok(Setting::Numbers(values.to_vec()));
    for (name, value, reason) in [
        ("planner.etta", number(1.0), "parameter 'planner.etta' cannot be set because it was not declared"),
        ("node", Ok(Setting::Text("x".into())), "parameter 'node' cannot be set because it is read-only"),
        ("planner.max_horizon", integer(99), "parameter 'planner.max_horizon' cannot be set because it is read-only"),
        ("model", Ok(Setting::Text("x".into())), "the node is active"),
        ("mode", Ok(Setting::Text("x".into())), "mode: x: must be one of drive, shadow"),
        ("planner.eta", integer(1), "planner.eta: 1: must be of type double (such as 1.0), got integer"),
        ("planner.eta", Err(NOT_SET), "parameter 'planner.eta' cannot be undeclared because it is statically typed"),
        ("planner.eta", number(1.5), "planner.eta: 1.5: must lie in [0, 1]"),
        ("planner.eta", number(f64::NAN), "planner.eta: NaN: must lie in [0, 1]"),
        ("planner.horizon", integer(65), "planner.horizon: 65: must be at most planner.max_horizon, which is 64"),
        ("planner.horizon", integer(7), "7 tokens do not fit"),
        ("goal", numbers(&[1.0]), "goal: [1.0]: must have 2 values, one for each channel of position, or none"),
        ("goal", numbers(&[1.0, f64::INFINITY]), "goal: [1.0, inf]: must be finite"),
        (
            "goal",
            Err("integer_array"),
            "goal: a value: must be of type double_array (such as [1.0, 2.5]), got integer_array",
        ),
    ] {
        // A valid change stands before the invalid one. It must not be set either.
        let changes = [("planner.temperature", number(0.5)), (name, value)];
        assert_eq!(set(&mut parameters, &changes, &mut recorder).unwrap_err(), reason);
    }
    assert!(set(&mut parameters, &[], &mut recorder).unwrap_err().contains("empty"));
    let after: Vec<_> = parameters.all().map(|(name, entry)| (name.to_string(), entry.clone())).collect();
    assert_eq!(before, after);
    assert!(recorder.0.is_empty());
}

#[test]
fn a_given_value_overrides_the_file_and_outlives_a_cleanup() {
    let given = [("planner.horizon", integer(5)), ("goal", Ok(Setting::Numbers(vec![1.0, 2.0])))];
    let mut parameters = parameters(&given);
    let (config, goal) = parameters.configure(&self::config(), shape()).unwrap();
    assert_eq!((config.planner.horizon, goal), (5, vec![1.0, 2.0]));
    set(&mut parameters, &[("planner.horizon", integer(6))], &mut Recorder::default()).unwrap();
    let (config, _) = parameters.configure(&self::config(), shape()).unwrap();
    assert_eq!(config.planner.horizon, 6);
    // rcl gives `goal:=[]` no value.
    assert_eq!(configured(&[("goal", Err(NOT_SET))]).get("goal").unwrap().value, Setting::Numbers(Vec::new()));
    // Without a goal in the contract there is no such parameter.
    let (_, goal) = parameters.configure(&self::config(), None).unwrap();
    assert!(goal.is_empty() && parameters.get("goal").is_none());
}

#[test]
fn an_invalid_value_at_start_is_refused_with_its_name() {
    let refusal = |name: &str, value: Given| {
        let mut parameters = parameters(&[(name, value)]);
        parameters.configure(&config(), shape()).unwrap_err().to_string()
    };
    assert_eq!(
        refusal("planner.horizon", number(5.0)),
        "parameter planner.horizon: 5: must be of type integer, got double"
    );
    assert_eq!(refusal("planner.eta", number(2.0)), "parameter planner.eta: 2: must lie in [0, 1]");
    assert!(refusal("goal", Ok(Setting::Numbers(vec![1.0]))).contains("must have 2 values"));
}

#[test]
fn a_mistyped_name_is_reported_with_a_similar_name() {
    let parameters = configured(&[("planner.horison", integer(5)), ("qos_overrides./clock.depth", integer(1))]);
    let unknown = parameters.unknown();
    assert_eq!(unknown, [("planner.horison", Some("planner.horizon")), ("qos_overrides./clock.depth", None)]);
}

/// The rules are those of rclcpp's `NodeParameters::list_parameters`.
#[test]
fn lists_follow_prefixes_and_depth() {
    let parameters = configured(&[]);
    let list = |prefixes: &[&str], depth| {
        let prefixes: Vec<String> = prefixes.iter().map(|p| p.to_string()).collect();
        parameters.list(&prefixes, depth)
    };
    let (all, prefixes) = list(&[], 0);
    assert_eq!(all.len(), parameters.all().count());
    assert!(all.is_sorted());
    let costs = ["costs.consistency", "costs.goal"];
    let planner = ["planner", "planner.guidance", "planner.streaming", "planner.warm_start"];
    assert_eq!(prefixes, [&costs[..], &planner[..], &["safety", "safety.out_of_distribution"]].concat());
    assert_eq!(list(&[], 1).0, ["goal", "mode", "model", "node"]);
    assert!(list(&[], 2).0.contains(&"planner.eta".to_string()));
    assert!(!list(&[], 2).0.contains(&"planner.guidance.scale".to_string()));
    assert_eq!(
        list(&["planner.streaming"], 1).0,
        ["num_fresh", "renoise_level", "steps_per_tick"].map(|name| format!("planner.streaming.{name}"))
    );
    assert_eq!(list(&["costs"], 1).0, [""; 0]);
    assert_eq!(list(&["costs"], 2).0, ["costs.consistency.weight", "costs.goal.weight"]);
    assert_eq!(list(&["goal", "plan"], 0).0, ["goal"]);
}

#[test]
fn an_old_name_is_taken_at_start_an_old_value_always_and_a_change_names_the_new_name() {
    let mut parameters = configured(&[("planner.futures", integer(4))]);
    assert_eq!(parameters.get("planner.rollouts").unwrap().value, Setting::Integer(4));
    let text = |text: &str| Ok(Setting::Text(text.into()));
    let gradient = |parameters: &Parameters| parameters.get("planner.guidance.gradient").unwrap().value.to_string();
    set(&mut parameters, &[("planner.guidance.gradient", text("exact"))], &mut Recorder::default()).unwrap();
    assert_eq!(gradient(&parameters), "exact");
    set(&mut parameters, &[("planner.guidance.gradient", text("off"))], &mut Recorder::default()).unwrap();
    assert_eq!(gradient(&parameters), "none");
    let refused = set(&mut parameters, &[("planner.futures", integer(8))], &mut Recorder::default()).unwrap_err();
    assert!(refused.ends_with("it was not declared; it is now 'planner.rollouts'"), "{refused}");
}
