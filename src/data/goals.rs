//! The goals that a recording carries, for replay.

use super::streams::find_topic;
use super::{Bag, BagError};
use crate::config::Config;
use crate::message::Bound;

/// Goals by ascending stamp (header stamp, or log time where there is none), in the units of the goal's group. Those in
/// another frame than the contract's are left out: nothing is transformed here. Empty where the contract has no goal or the
/// bag lacks its topic.
///
/// # Errors
/// Damage of the bag; a goal topic of another type.
pub fn read_goals(bag: &dyn Bag, config: &Config, bound: &Bound) -> Result<Vec<(i64, Vec<f64>)>, BagError> {
    let (Some(goal), Some(extractor)) = (&config.goal, &bound.goal) else { return Ok(Vec::new()) };
    let Ok(found) = find_topic(bag.topics(), &goal.topic) else { return Ok(Vec::new()) };
    if found.message_type != goal.message_type {
        let (expected, got) = (goal.message_type.clone(), found.message_type.clone());
        return Err(BagError::TopicType { topic: found.name.clone(), expected, got });
    }
    let mut goals = Vec::new();
    let read = bag.read(&[found.name.as_str()], &mut |message| {
        if let Ok(sample) = extractor.extract(&message.bytes)
            && goal.frame_id.as_ref().is_none_or(|expected| sample.frame_id.as_ref() == Some(expected))
        {
            goals.push((sample.stamp_ns.unwrap_or(message.log_ns), sample.values));
        }
    });
    match read {
        Err(BagError::Unfinished { .. }) | Ok(()) => {}
        Err(error) => return Err(error),
    }
    goals.sort_by_key(|(stamp, _)| *stamp);
    Ok(goals)
}
