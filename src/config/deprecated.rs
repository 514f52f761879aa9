//! Keys of version 0.1 that have a new name. They are accepted for one release, with a warning.
//!
//! The sections read an old key as an alias of the new one. Here is the one list of all of them, from which the
//! warnings are made.

use serde_yaml::Value;

/// An old key and its new name, both dotted; `*` stands for one part.
const RENAMED: [(&str, &str); 14] = [
    ("planner.futures", "planner.rollouts"),
    ("planner.horizon_max", "planner.max_horizon"),
    ("planner.blend", "planner.cost_temperature"),
    ("planner.streaming.refresh", "planner.streaming.renoise_level"),
    ("planner.streaming.fresh", "planner.streaming.num_fresh"),
    ("planner.continued.candidates", "planner.warm_start.candidates"),
    ("planner.continued.refresh", "planner.warm_start.renoise_level"),
    ("planner.warm_start.refresh", "planner.warm_start.renoise_level"),
    ("safety.rest_s", "safety.max_plan_age_s"),
    ("observations.*.uncertainty.deviation", "observations.*.uncertainty.std"),
    ("training.stays", "training.dwell_share"),
    ("training.noise_mix.questions", "training.noise_levels.queries"),
    ("training.noise_levels.questions", "training.noise_levels.queries"),
    ("model.known_values", "model.condition_on_clean_values"),
];
/// Sections whose own name is old.
const RENAMED_SECTIONS: [(&str, &str); 2] =
    [("planner.continued", "planner.warm_start"), ("training.noise_mix", "training.noise_levels")];
/// A key, its old value and the new one.
const RENAMED_VALUES: [(&str, &str, &str); 1] = [("planner.guidance.gradient", "off", "none")];

/// The new name of a dotted key, if it is an old one.
pub fn current_key(key: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(old, _)| *old == key).map(|(_, new)| *new)
}

/// The new name of an old value of a dotted key, if it is one.
pub fn current_value(key: &str, value: &str) -> Option<&'static str> {
    RENAMED_VALUES.iter().find(|(of, old, _)| (*of, *old) == (key, value)).map(|(_, _, new)| *new)
}

/// One line for each old key or value in the text of a configuration. What is no YAML gives none.
pub(super) fn warnings(text: &str) -> Vec<String> {
    let Ok(document) = serde_yaml::from_str::<Value>(text) else { return Vec::new() };
    let mut found = Vec::new();
    for (old, new) in RENAMED_SECTIONS.into_iter().chain(RENAMED) {
        if contains(&document, old) {
            found.push(format!("`{old}` is now `{new}`; the old name is accepted in this release only"));
        }
    }
    for (key, old, new) in RENAMED_VALUES {
        if at(&document, key).and_then(Value::as_str) == Some(old) {
            found.push(format!("`{key}: {old}` is now `{key}: {new}`; the old value is accepted in this release only"));
        }
    }
    found
}

fn at<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(value, |value, part| value.get(part))
}

fn contains(value: &Value, key: &str) -> bool {
    match key.split_once(".*.") {
        None => at(value, key).is_some(),
        Some((before, after)) => {
            let groups = at(value, before).and_then(Value::as_mapping);
            groups.is_some_and(|groups| groups.values().any(|group| contains(group, after)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const NEW: &str = include_str!("../../config/maze2d_large.yaml");

    /// The shipped configuration in the names of version 0.1.
    fn old() -> String {
        let mut text = NEW.to_string();
        for (new, old) in [
            ("  rollouts: ", "  futures: "),
            ("cost_temperature: ", "blend: "),
            ("gradient: none", "gradient: off"),
            ("warm_start: {candidates: 4, renoise_level: 0.7}", "continued: {candidates: 4, refresh: 0.7}"),
            ("renoise_level: 0.7, steps_per_tick: 3, num_fresh: 4", "refresh: 0.7, steps_per_tick: 3, fresh: 4"),
            ("dwell_share: ", "stays: "),
            ("noise_levels: ", "noise_mix: "),
            ("queries: ", "questions: "),
            ("condition_on_clean_values: ", "known_values: "),
            ("  policy: safe", "  policy: safe\n  rest_s: 0.25"),
            ("  temperature: 1.0", "  temperature: 1.0\n  horizon_max: 64"),
            ("max_age_s: 0.045", "max_age_s: 0.045\n    uncertainty: {deviation: 0.0}"),
        ] {
            assert!(text.contains(new), "the shipped configuration no longer has `{new}`");
            text = text.replacen(new, old, 1);
        }
        text
    }

    #[test]
    fn old_keys_mean_what_the_new_ones_mean_and_each_is_warned_of() {
        let file = Path::new("c.yaml");
        let (new, old) = (Config::parse(NEW, file).unwrap(), Config::parse(&old(), file).unwrap());
        assert_eq!((&old.planner, &old.safety, &old.model), (&new.planner, &new.safety, &new.model));
        assert_eq!(old.contract.observations, new.contract.observations);
        #[cfg(feature = "training")]
        assert_eq!(old.training, new.training);
        assert!(new.warnings.is_empty(), "{:?}", new.warnings);
        // Twelve keys, two sections and a value.
        assert_eq!(old.warnings.len(), 15, "{:#?}", old.warnings);
        let expected = "`planner.futures` is now `planner.rollouts`; the old name is accepted in this release only";
        assert!(old.warnings.iter().any(|warning| warning == expected), "{:#?}", old.warnings);
        assert!(old.warnings.iter().any(|warning| warning.contains("`planner.guidance.gradient: none`")));
    }

    #[test]
    fn an_old_and_a_new_key_together_are_refused() {
        let both = NEW.replacen("  rollouts: 1", "  rollouts: 1\n  futures: 1", 1);
        assert_ne!(both, NEW);
        let error = Config::parse(&both, Path::new("c.yaml")).unwrap_err().to_string();
        assert!(error.contains("duplicate field `rollouts`"), "{error}");
    }

    #[test]
    fn every_old_name_has_a_key_of_today() {
        let settings: Vec<String> =
            Config::parse(NEW, Path::new("c.yaml")).unwrap().settings().into_iter().map(|(key, _)| key).collect();
        for (old, new) in RENAMED.iter().filter(|(old, _)| old.starts_with("planner.") || old.starts_with("safety.")) {
            assert!(settings.iter().any(|key| key == new), "{old}: there is no {new}");
            assert_eq!(current_key(old), Some(*new));
        }
    }
}
