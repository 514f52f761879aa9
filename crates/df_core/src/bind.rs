//! Binds the contract's topics and fields to message definitions.

use std::sync::Arc;

use df_message::{Definitions, Encoder, Extractor, MessageError, Schema};

use crate::contract::{ACTION, Contract, ObservationGroup};
use crate::settings::ConfigError;

/// A contract bound to message definitions: decoders for each topic, and an encoder for the action.
pub struct Bound {
    /// Decoders of the observation groups, in the order of the contract.
    pub observations: Vec<Extractor>,
    /// Decoder of the action, for recordings.
    pub action: Extractor,
    /// Encoder of the action.
    pub action_encoder: Encoder,
    /// Decoder of the goal, if the contract has one.
    pub goal: Option<Extractor>,
}

impl Bound {
    /// Pairs of modality name and channel labels, the action first, as [`crate::Layout::new`] takes them.
    pub fn modalities(&self, contract: &Contract) -> Vec<(String, Vec<String>)> {
        let names = contract.observations.iter().map(|group| group.name.clone());
        let labels = self.observations.iter().map(|extractor| extractor.labels().to_vec());
        std::iter::once((ACTION.into(), self.action.labels().to_vec())).chain(names.zip(labels)).collect()
    }
}

/// Binds every topic of a contract to its message definition.
///
/// # Errors
/// [`ConfigError::Rule`] with the key: an unknown type, a field that the type lacks, a goal or action limits with another
/// number of channels than expected.
pub fn bind(contract: &Contract, definitions: &dyn Definitions) -> Result<Bound, ConfigError> {
    let binder = Binder { contract, definitions };
    let mut observations = Vec::new();
    for group in &contract.observations {
        let key = format!("observations.{}", group.name);
        let schema = binder.schema(&key, &group.message_type)?;
        let extractor = binder.observation(&key, group, &schema)?;
        binder.check_frame_id(&key, &extractor, group.frame_id.as_deref())?;
        observations.push(extractor.in_frame(group.frame_id.as_deref()));
    }
    let action = &contract.action;
    let schema = binder.schema(ACTION, &action.message_type)?;
    let action_encoder = binder.fields(ACTION, &action.fields, |fields| Encoder::new(&schema, fields))?;
    let bound = Bound {
        observations,
        action: binder.fields(ACTION, &action.fields, |fields| Extractor::new(&schema, fields))?,
        action_encoder,
        goal: match &contract.goal {
            None => None,
            Some(goal) => {
                let schema = binder.schema("goal", &goal.message_type)?;
                let extractor = binder.fields("goal", &goal.fields, |fields| Extractor::new(&schema, fields))?;
                binder.check_frame_id("goal", &extractor, goal.frame_id.as_deref())?;
                Some(extractor)
            }
        },
    };
    binder.check_counts(&bound)?;
    Ok(bound)
}

struct Binder<'a> {
    contract: &'a Contract,
    definitions: &'a dyn Definitions,
}

impl Binder<'_> {
    fn schema(&self, key: &str, message_type: &str) -> Result<Arc<Schema>, ConfigError> {
        let refuse = |error| self.contract.refuse(&format!("{key}.type"), message_type, error);
        self.definitions.schema(message_type).map_err(refuse)
    }

    /// Binds a field list. The error names the first field that fails on its own.
    fn fields<T>(
        &self,
        key: &str,
        fields: &[String],
        new: impl Fn(&[String]) -> Result<T, MessageError>,
    ) -> Result<T, ConfigError> {
        new(fields).map_err(|error| {
            let alone = fields.iter().enumerate().find_map(|(i, field)| {
                let error = new(std::slice::from_ref(field)).err()?;
                Some(self.contract.refuse(&format!("{key}.fields[{i}]"), field, error))
            });
            alone.unwrap_or_else(|| self.contract.refuse(&format!("{key}.fields"), format!("{fields:?}"), error))
        })
    }

    fn observation(&self, key: &str, group: &ObservationGroup, schema: &Arc<Schema>) -> Result<Extractor, ConfigError> {
        let extractor = self.fields(key, &group.fields, |fields| Extractor::new(schema, fields))?;
        let (variances, channels) = (&group.uncertainty.variances, extractor.labels().len());
        if variances.is_empty() {
            return Ok(extractor);
        }
        let key = format!("{key}.uncertainty.variances");
        let refuse = |rule: String| self.contract.refuse(&key, format!("{variances:?}"), rule);
        let extractor =
            Extractor::with_variances(schema, &group.fields, variances).map_err(|e| refuse(e.to_string()))?;
        let got = extractor.variances();
        if got == channels {
            Ok(extractor)
        } else {
            Err(refuse(format!("must give one variance for each of the {channels} channels of the group; got {got}")))
        }
    }

    fn check_frame_id(&self, key: &str, extractor: &Extractor, frame_id: Option<&str>) -> Result<(), ConfigError> {
        match frame_id {
            Some(frame_id) if !extractor.has_frame_id() => {
                let rule = format!("must be left out: {} has no header", extractor.message_type());
                Err(self.contract.refuse(&format!("{key}.frame_id"), frame_id, rule))
            }
            _ => Ok(()),
        }
    }

    fn check_counts(&self, bound: &Bound) -> Result<(), ConfigError> {
        let contract = &self.contract;
        let channels = bound.action.labels().len();
        let action = &contract.action;
        for (name, values) in [("min", &action.min), ("max", &action.max), ("safe", &action.safe)] {
            if values.len() != channels {
                let rule = format!("must have one value for each of the {channels} channels of the action");
                return Err(self.contract.refuse(&format!("action.{name}"), format!("{values:?}"), rule));
            }
        }
        let Some((goal, extractor)) = self.contract.goal.as_ref().zip(bound.goal.as_ref()) else { return Ok(()) };
        let group = contract.observations.iter().position(|group| group.name == goal.group);
        let expected = group.map_or(0, |group| bound.observations[group].labels().len());
        let got = extractor.labels().len();
        if got != expected {
            let rule = format!("must give {expected} channels, as the group `{}` has; got {got}", goal.group);
            return Err(self.contract.refuse("goal.fields", format!("{:?}", goal.fields), rule));
        }
        Ok(())
    }
}
