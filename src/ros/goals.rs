//! The goal's topic. A goal in another frame than the contract's is transformed; it waits a bounded time for its transform,
//! and whatever becomes of it is said.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::bridge::{Bridge, RosError};
use super::driving::lock;
use super::geometry::{check_type, moved};
use super::inbound::Inbound;
use super::transforms::Transforms;
use crate::config::Goal;
use crate::frames::{LookupError, When};
use crate::message::Extractor;

/// How long a goal waits for its transform.
const WAITS: Duration = Duration::from_secs(10);
/// A transform that comes within this is not worth a word: those of odometry and localisation lag by a few periods.
const TELL_AFTER: Duration = Duration::from_millis(500);
const TELL_EVERY: Duration = Duration::from_secs(2);

/// What the goal's topic brings, on its way to the control loop.
pub struct Goals {
    config: Goal,
    extractor: Extractor,
    inbound: Inbound,
    transforms: Transforms,
    waiting: Mutex<Option<Waiting>>,
}

/// A goal whose transform is not there yet.
struct Waiting {
    bytes: Vec<u8>,
    frame_id: String,
    when: When,
    since: Instant,
    tell_at: Instant,
}

impl Goals {
    pub fn new(config: Goal, extractor: Extractor, inbound: Inbound, transforms: Transforms) -> Self {
        Self { config, extractor, inbound, transforms, waiting: Mutex::new(None) }
    }

    /// Subscribes to the goal's topic.
    ///
    /// # Errors
    /// As [`Bridge::subscribe`].
    pub fn subscribe(self, bridge: &mut Bridge) -> Result<(), RosError> {
        let Goal { topic, message_type, qos, .. } = self.config.clone();
        let goals = Arc::new(self);
        let waiting = goals.clone();
        bridge.subscribe(&topic, &message_type, &qos, move |received| goals.given(received.bytes, Instant::now()))?;
        bridge.each_spin(move || waiting.look_again(Instant::now()));
        Ok(())
    }

    fn given(&self, bytes: &[u8], now: Instant) {
        let topic = &self.config.topic;
        let Some(sample) = self.inbound.decode(topic, &self.extractor, bytes) else { return };
        let got = sample.frame_id.unwrap_or_default();
        let Some(expected) = self.config.frame_id.as_ref().filter(|expected| **expected != got) else {
            self.replace(None);
            return self.inbound.use_goal(topic, &sample.values, &got);
        };
        if got.is_empty() {
            return self.say(format!("{topic}: goal refused: its frame id is empty, the contract's is `{expected}`"));
        }
        if let Err(error) = check_type(&self.config.message_type) {
            let said =
                format!("{topic}: goal refused: it is in `{got}`, the contract's frame is `{expected}`: {error}");
            return self.say(said);
        }
        let when = sample.stamp_ns.map_or(When::Newest, When::At);
        let waiting = Waiting { bytes: bytes.to_vec(), frame_id: got, when, since: now, tell_at: now + TELL_AFTER };
        self.replace(Some(waiting));
        self.look_again(now);
    }

    /// A newer goal counts, or waits.
    fn replace(&self, newer: Option<Waiting>) {
        let older = std::mem::replace(&mut *lock(&self.waiting), newer);
        if let Some(Waiting { frame_id, .. }) = older {
            let topic = &self.config.topic;
            self.say(format!("{topic}: a newer goal replaces the one in `{frame_id}` that waited for its transform"));
        }
    }

    /// Uses the goal that waits, if its transform has come; refuses it, if that took too long.
    fn look_again(&self, now: Instant) {
        let mut waiting = lock(&self.waiting);
        let (Some(goal), Some(expected)) = (waiting.as_mut(), &self.config.frame_id) else { return };
        let topic = &self.config.topic;
        let waited_s = now.duration_since(goal.since).as_secs_f64();
        match self.transforms.lookup(expected, &goal.frame_id, goal.when) {
            Ok(expected_from_goal) => {
                let bytes = moved(&self.config.message_type, &goal.bytes, &expected_from_goal, expected);
                *waiting = None;
                drop(waiting);
                match bytes {
                    Ok(bytes) => {
                        let sample = self.inbound.decode(topic, &self.extractor, &bytes);
                        sample.iter().for_each(|sample| self.inbound.use_goal(topic, &sample.values, expected));
                    }
                    Err(error) => self.say(format!("{topic}: goal refused: {error}")),
                }
            }
            // What was forgotten does not come again.
            Err(error) if waited_s >= WAITS.as_secs_f64() || matches!(error, LookupError::TooOld { .. }) => {
                let after = if waited_s > 0.0 { format!(" after {waited_s:.1} s") } else { String::new() };
                self.say(format!("{topic}: goal refused{after}: it is in `{}`, and {error}", goal.frame_id));
                *waiting = None;
            }
            Err(error) if now >= goal.tell_at => {
                goal.tell_at = now + TELL_EVERY;
                let most_s = WAITS.as_secs();
                self.say(format!(
                    "{topic}: the goal in `{}` has waited {waited_s:.1} s of at most {most_s} s for its transform: {error}",
                    goal.frame_id
                ));
            }
            Err(_) => {}
        }
    }

    /// Every word about a goal is said: none is of the kind of another.
    fn say(&self, text: String) {
        self.inbound.notices.warn(text.clone(), text);
    }
}
