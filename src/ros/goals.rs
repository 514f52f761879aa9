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
    /// How many goals there had been when it came.
    before: u64,
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
        let (bytes, before, tell_at) = (bytes.to_vec(), lock(&self.inbound.heard).goals, now + TELL_AFTER);
        let waiting = Waiting { bytes, frame_id: got, when, before, since: now, tell_at };
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
        // One that came by another way, as a parameter.
        if goal.before != lock(&self.inbound.heard).goals {
            drop(waiting);
            return self.replace(None);
        }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use r2r::WrappedTypesupport;
    use r2r::geometry_msgs::msg::PoseStamped;
    use tokio::sync::mpsc;

    use super::*;
    use crate::config::Config;
    use crate::frames::Transform;
    use crate::message::{SchemaDefinitions, bind};
    use crate::planning::ControlLoop;
    use crate::ros::inbound::Heard;
    use crate::ros::notice::{self, Notice};
    use crate::signal::{Layout, Normaliser};

    const S: i64 = 1_000_000_000;
    const CONFIG: &str = "
period_s: 0.1
frame_stack: 1
observations: {a: {topic: a, type: geometry_msgs/msg/PoseStamped, fields: [pose.position.x, yaw(pose.orientation)], max_age_s: 1}}
action: {topic: u, type: geometry_msgs/msg/PoseStamped, fields: [pose.position.x], min: [-1], max: [1], safe: [0], max_age_s: 1}
goal: {topic: goal, type: geometry_msgs/msg/PoseStamped, fields: [pose.position.x, yaw(pose.orientation)], group: a,
       tolerance: 1, frame_id: odom}
";

    struct Test {
        goals: Goals,
        inbox: mpsc::Receiver<Notice>,
        start: Instant,
    }

    impl Test {
        fn new() -> Self {
            let config = Config::parse(CONFIG, Path::new("c.yaml")).unwrap();
            let pose = include_str!("../sim/definitions/PoseStamped.msg");
            let bound = bind(&config, &SchemaDefinitions::new([("geometry_msgs/msg/PoseStamped", pose)])).unwrap();
            let layout = Layout::new(1, bound.modalities(&config));
            let (notices, inbox) = notice::channel();
            let channels = layout.frame_channels();
            let normaliser = Normaliser::new(vec![0.0; channels], vec![1.0; channels]);
            let control = Arc::new(Mutex::new(ControlLoop::new(&config, &layout, &normaliser)));
            let heard = Arc::new(Mutex::new(Heard { newest_ns: vec![None], ..Heard::default() }));
            let inbound = Inbound { control, heard, notices: notices.clone(), ahead_s: 0.1 };
            let goals = Goals::new(config.goal.unwrap(), bound.goal.unwrap(), inbound, Transforms::new(notices));
            Self { goals, inbox, start: Instant::now() }
        }

        /// A goal at x = `x` of `frame`, looking along x, stamped, `after_s` seconds after the start.
        fn given(&mut self, frame: &str, x: f64, stamp_s: i32, after_s: f64) {
            let mut message = PoseStamped::default();
            message.header.frame_id = frame.into();
            message.header.stamp.sec = stamp_s;
            message.pose.position.x = x;
            message.pose.orientation.w = 1.0;
            self.goals.given(&message.to_serialized_bytes().unwrap(), self.start + Duration::from_secs_f64(after_s));
        }

        /// `odom` lies at x = 1 of `map`, turned by half a turn.
        fn transform(&self, stamp_s: i64) {
            let transform = Transform::new("map", "odom", stamp_s * S, [1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]).unwrap();
            self.goals.transforms.insert(transform, stamp_s * S);
        }

        fn look_again(&self, after_s: f64) {
            self.goals.look_again(self.start + Duration::from_secs_f64(after_s));
        }

        fn goal(&self) -> Option<Vec<f64>> {
            lock(&self.goals.inbound.heard).goal.clone()
        }

        fn said(&mut self) -> Vec<String> {
            std::iter::from_fn(|| self.inbox.try_recv().ok()).map(|notice| notice.text).collect()
        }
    }

    #[test]
    fn a_goal_waits_for_the_transform_at_its_stamp() {
        let mut test = Test::new();
        test.transform(4);
        test.given("map", 3.0, 5, 0.0);
        test.look_again(0.4);
        assert_eq!((test.goal(), test.said()), (None, vec![]));
        test.look_again(0.6);
        let said = "goal: the goal in `map` has waited 0.6 s of at most 10 s for its transform: odom_from_map: the newest \
                    map_from_odom is 1.000 s older than the time asked for, 5.000 s";
        assert_eq!(test.said(), [said]);
        test.transform(6);
        test.look_again(0.7);
        // 3 of `map` lies 2 before `odom`, behind its back; looking along x of `map` is looking back.
        let goal = test.goal().unwrap();
        assert!((goal[0] + 2.0).abs() < 1e-12 && (goal[1].abs() - std::f64::consts::PI).abs() < 1e-12, "{goal:?}");
        assert_eq!(lock(&test.goals.inbound.heard).frame_id(), "odom");
        assert_eq!(test.said().len(), 1);
        // In the contract's frame it is taken as it is.
        test.given("odom", 7.0, 5, 1.0);
        assert_eq!(test.goal(), Some(vec![7.0, 0.0]));
    }

    #[test]
    fn what_becomes_of_a_goal_is_said() {
        let mut test = Test::new();
        test.transform(4);
        test.given("moon", 3.0, 0, 0.0);
        test.given("mars", 3.0, 0, 1.0);
        assert_eq!(test.said(), ["goal: a newer goal replaces the one in `moon` that waited for its transform"]);
        test.given("", 3.0, 0, 2.0);
        assert_eq!(test.said(), ["goal: goal refused: its frame id is empty, the contract's is `odom`"]);
        // The one on mars still waits, since 1 s.
        test.look_again(10.9);
        assert_eq!(test.said().len(), 1);
        test.look_again(11.0);
        let refused =
            "goal: goal refused after 10.0 s: it is in `mars`, and odom_from_mars: no transform names the frame `mars`";
        assert_eq!(test.said(), [refused]);
        test.look_again(20.0);
        assert!(test.said().is_empty());
        // While one waits, another is set as a parameter.
        test.given("mars", 3.0, 0, 20.0);
        test.goals.inbound.use_goal("parameter", &[], "odom");
        test.look_again(20.1);
        assert_eq!(test.said(), ["goal: a newer goal replaces the one in `mars` that waited for its transform"]);
        // Before all that is known: that does not come again.
        test.given("map", 3.0, 2, 20.0);
        let old = "goal: goal refused: it is in `map`, and odom_from_map: the oldest map_from_odom is 2.000 s newer than the \
                   time asked for, 2.000 s";
        assert_eq!((test.said(), test.goal()), (vec![old.to_string()], None));
    }
}
