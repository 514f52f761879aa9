//! The section `columns`: which columns of a dataset (LeRobot, HDF5) the observation groups and the action are. Bags
//! need none: their topics stand in the contract. Whether a dataset has the columns is checked where it is opened.

use std::collections::BTreeMap;

use serde::Deserialize;

use df_core::settings::{Validation, require};
use df_core::{ACTION, ContractKey};

/// Columns by observation group or `action`, each list in the order of the group's channels.
pub type Columns = BTreeMap<String, Vec<String>>;

/// Every key of the section `columns`: the text of the reference.
pub const COLUMNS_KEYS: &[ContractKey] = &[
    ContractKey {
        key: "columns.lerobot.NAME",
        kind: "list",
        default: "none",
        text: "columns of a LeRobot dataset, in the order of the group's channels; `[0:2]` takes a part of a list",
    },
    ContractKey {
        key: "columns.hdf5.NAME",
        kind: "list",
        default: "none",
        text: "the same of HDF5 files (D4RL, Minari)",
    },
];

/// Columns by the kind of dataset.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnsConfig {
    /// Of LeRobot datasets.
    pub lerobot: Columns,
    /// Of HDF5 files (D4RL, Minari).
    pub hdf5: Columns,
}

impl ColumnsConfig {
    /// Whether the columns belong to groups of the contract. `groups`: the names of the observation groups.
    ///
    /// # Errors
    /// Key, value and rule.
    pub fn check(&self, groups: &[&str]) -> Validation {
        for (kind, columns) in [("lerobot", &self.lerobot), ("hdf5", &self.hdf5)] {
            for (name, list) in columns {
                let key = format!("columns.{kind}.{name}");
                let rule = format!("must be `{ACTION}` or one of the groups {groups:?}");
                require(name == ACTION || groups.contains(&name.as_str()), &key, name, rule)?;
                require(!list.is_empty(), &key, "[]", "at least one column is needed")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_belong_to_groups() {
        let check = |text: &str| {
            let columns: ColumnsConfig = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
            columns.check(&["pose"]).map_err(|broken| broken.to_string())
        };
        assert_eq!(check("{}"), Ok(()));
        assert_eq!(check("lerobot: {pose: ['observation.state[0:2]'], action: [action]}"), Ok(()));
        let unknown = check("hdf5: {position: [observations]}").unwrap_err();
        assert!(unknown.starts_with("columns.hdf5.position: position: must be `action` or one of"), "{unknown}");
        assert!(check("hdf5: {pose: []}").unwrap_err().contains("at least one column"));
        assert!(check("minari: {}").unwrap_err().contains("unknown field `minari`"));
    }
}
