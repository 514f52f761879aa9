//! Receives the goal. A goal in another frame than the contract's is transformed. It waits a
//! bounded time for its transform; the log says what becomes of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::geometry::{check_type, transformed};
use super::sample_sink::SampleSink;
use super::tf_listener::TfListener;
use crate::ros::lock::lock;
use crate::ros::node_handle::{NodeHandle, RosError};
use df_core::Goal;
use df_core::tf::{LookupError, When};
use df_message::Extractor;

/// The maximum time that a goal waits for its transform.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The first log of a waiting goal. Transforms of odometry and localisation lag by a few periods:
/// a shorter wait is normal.
const LOG_AFTER: Duration = Duration::from_millis(500);
/// The time between two logs of a waiting goal.
const LOG_EVERY: Duration = Duration::from_secs(2);

/// Takes goal messages and hands goals in the contract's frame to the sink.
pub(super) struct Goals {
    config: Goal,
    extractor: Extractor,
    sink: SampleSink,
    transforms: TfListener,
    waiting: Mutex<Option<WaitingGoal>>,
}

/// A goal whose transform is not known yet.
struct WaitingGoal {
    bytes: Vec<u8>,
    frame_id: String,
    when: When,
    /// The number of goals that were set before it came.
    goals_before: u64,
    since: Instant,
    log_at: Instant,
}

impl Goals {
    /// `extractor` reads the goal from a message of the contract's type.
    pub(super) fn new(config: Goal, extractor: Extractor, sink: SampleSink, transforms: TfListener) -> Self {
        Self { config, extractor, sink, transforms, waiting: Mutex::new(None) }
    }

    /// Subscribes to the goal's topic.
    ///
    /// # Errors
    /// As [`NodeHandle::subscribe`].
    pub(super) fn subscribe(self, handle: &mut NodeHandle) -> Result<(), RosError> {
        let Goal { topic, message_type, qos, .. } = self.config.clone();
        let goals = Arc::new(self);
        let waiting = goals.clone();
        handle.subscribe(&topic, &message_type, &qos, move |received| goals.receive(received.bytes, Instant::now()))?;
        handle.after_each_spin(move || waiting.retry(Instant::now()));
        Ok(())
    }

    fn receive(&self, bytes: &[u8], now: Instant) {
        let topic = &self.config.topic;
        let Some(sample) = self.sink.decode(topic, &self.extractor, bytes) else { return };
        let got = sample.frame_id.unwrap_or_default();
        let Some(expected) = self.config.frame_id.as_ref().filter(|expected| **expected != got) else {
            self.replace_waiting(None);
            return self.sink.set_goal(topic, &sample.values, &got);
        };
        if got.is_empty() {
            return self.log(format!("{topic}: goal refused: its frame id is empty, the contract's is `{expected}`"));
        }
        if let Err(error) = check_type(&self.config.message_type) {
            let text =
                format!("{topic}: goal refused: it is in `{got}`, the contract's frame is `{expected}`: {error}");
            return self.log(text);
        }
        self.replace_waiting(Some(WaitingGoal {
            bytes: bytes.to_vec(),
            frame_id: got,
            when: sample.stamp_ns.map_or(When::Newest, When::At),
            goals_before: lock(&self.sink.last).goals,
            since: now,
            log_at: now + LOG_AFTER,
        }));
        self.retry(now);
    }

    /// Replaces the waiting goal. Logs if there was one.
    fn replace_waiting(&self, newer: Option<WaitingGoal>) {
        let older = std::mem::replace(&mut *lock(&self.waiting), newer);
        if let Some(WaitingGoal { frame_id, .. }) = older {
            let topic = &self.config.topic;
            self.log(format!("{topic}: a newer goal replaces the one in `{frame_id}` that waited for its transform"));
        }
    }

    /// Sets the waiting goal if its transform is known. Refuses it if it waited too long.
    fn retry(&self, now: Instant) {
        let mut waiting = lock(&self.waiting);
        let (Some(goal), Some(expected)) = (waiting.as_mut(), &self.config.frame_id) else { return };
        // Meanwhile a goal was set as a parameter: it is newer.
        if goal.goals_before != lock(&self.sink.last).goals {
            drop(waiting);
            return self.replace_waiting(None);
        }
        let topic = &self.config.topic;
        let waited_s = now.duration_since(goal.since).as_secs_f64();
        match self.transforms.lookup(expected, &goal.frame_id, goal.when) {
            Ok(expected_from_goal) => {
                let bytes = transformed(&self.config.message_type, &goal.bytes, &expected_from_goal, expected);
                *waiting = None;
                drop(waiting);
                match bytes {
                    Ok(bytes) => {
                        let sample = self.sink.decode(topic, &self.extractor, &bytes);
                        sample.iter().for_each(|sample| self.sink.set_goal(topic, &sample.values, expected));
                    }
                    Err(error) => self.log(format!("{topic}: goal refused: {error}")),
                }
            }
            // A transform that is too old to be in the buffer does not come again.
            Err(error) if waited_s >= MAX_WAIT.as_secs_f64() || matches!(error, LookupError::TooOld { .. }) => {
                let after = if waited_s > 0.0 { format!(" after {waited_s:.1} s") } else { String::new() };
                self.log(format!("{topic}: goal refused{after}: it is in `{}`, and {error}", goal.frame_id));
                *waiting = None;
            }
            Err(error) if now >= goal.log_at => {
                goal.log_at = now + LOG_EVERY;
                let max_s = MAX_WAIT.as_secs();
                self.log(format!(
                    "{topic}: the goal in `{}` has waited {waited_s:.1} s of at most {max_s} s for its transform: {error}",
                    goal.frame_id
                ));
            }
            Err(_) => {}
        }
    }

    /// Goals are rare: their log is never throttled.
    fn log(&self, text: String) {
        self.sink.log.warn_each(text);
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
    use crate::ros::report::{LogEntry, log_channel};
    use df_core::bind;
    use df_core::tf::Transform;
    use df_core::{Layout, Normaliser};
    use df_message::SchemaDefinitions;
    use df_planning::ControlLoop;

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
        entries: mpsc::Receiver<LogEntry>,
        start: Instant,
    }

    impl Test {
        fn new() -> Self {
            let config = Config::parse(CONFIG, Path::new("c.yaml")).unwrap();
            let pose = include_str!("../../sim/definitions/PoseStamped.msg");
            let bound =
                bind(&config.contract, &SchemaDefinitions::new([("geometry_msgs/msg/PoseStamped", pose)])).unwrap();
            let layout = Layout::new(1, bound.modalities(&config.contract));
            let (log, entries) = log_channel();
            let channels = layout.frame_channels();
            let normaliser = Normaliser::new(vec![0.0; channels], vec![1.0; channels]);
            let control = Arc::new(Mutex::new(ControlLoop::new(&config.planning(), &layout, &normaliser)));
            let sink = SampleSink::new(control, log.clone(), false, 1);
            let goals = Goals::new(config.contract.goal.unwrap(), bound.goal.unwrap(), sink, TfListener::new(log));
            Self { goals, entries, start: Instant::now() }
        }

        /// Receives a goal at x = `x` of `frame`, heading along x, `after_s` seconds after the
        /// start.
        fn receive(&mut self, frame: &str, x: f64, stamp_s: i32, after_s: f64) {
            let mut message = PoseStamped::default();
            message.header.frame_id = frame.into();
            message.header.stamp.sec = stamp_s;
            message.pose.position.x = x;
            message.pose.orientation.w = 1.0;
            self.goals.receive(&message.to_serialized_bytes().unwrap(), self.start + Duration::from_secs_f64(after_s));
        }

        /// Adds map_from_odom: `odom` is at x = 1 of `map`, turned by a half turn.
        fn transform(&self, stamp_s: i64) {
            let transform = Transform::new("map", "odom", stamp_s * S, [1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]).unwrap();
            self.goals.transforms.insert(transform, stamp_s * S);
        }

        fn retry(&self, after_s: f64) {
            self.goals.retry(self.start + Duration::from_secs_f64(after_s));
        }

        fn goal(&self) -> Option<Vec<f64>> {
            lock(&self.goals.sink.last).goal.clone()
        }

        fn logged(&mut self) -> Vec<String> {
            std::iter::from_fn(|| self.entries.try_recv().ok()).map(|entry| entry.text).collect()
        }
    }

    #[test]
    fn a_goal_in_another_frame_waits_for_the_transform_at_its_stamp() {
        let mut test = Test::new();
        test.transform(4);
        test.receive("map", 3.0, 5, 0.0);
        test.retry(0.4);
        assert_eq!((test.goal(), test.logged()), (None, vec![]));
        test.retry(0.6);
        let expected = "goal: the goal in `map` has waited 0.6 s of at most 10 s for its transform: odom_from_map: the newest \
                    map_from_odom is 1.000 s older than the time asked for, 5.000 s";
        assert_eq!(test.logged(), [expected]);
        test.transform(6);
        test.retry(0.7);
        // x = 3 of `map` is x = -2 of `odom`. The heading along x of `map` is a half turn in
        // `odom`.
        let goal = test.goal().unwrap();
        assert!((goal[0] + 2.0).abs() < 1e-12 && (goal[1].abs() - std::f64::consts::PI).abs() < 1e-12, "{goal:?}");
        assert_eq!(lock(&test.goals.sink.last).frame_id(), "odom");
        assert_eq!(test.logged().len(), 1);
        // A goal in the contract's frame is used unchanged.
        test.receive("odom", 7.0, 5, 1.0);
        assert_eq!(test.goal(), Some(vec![7.0, 0.0]));
    }

    #[test]
    fn a_replaced_or_refused_goal_is_logged_with_its_reason() {
        let mut test = Test::new();
        test.transform(4);
        test.receive("moon", 3.0, 0, 0.0);
        test.receive("mars", 3.0, 0, 1.0);
        assert_eq!(test.logged(), ["goal: a newer goal replaces the one in `moon` that waited for its transform"]);
        test.receive("", 3.0, 0, 2.0);
        assert_eq!(test.logged(), ["goal: goal refused: its frame id is empty, the contract's is `odom`"]);
        // The goal in `mars` has waited since 1 s.
        test.retry(10.9);
        assert_eq!(test.logged().len(), 1);
        test.retry(11.0);
        let refused =
            "goal: goal refused after 10.0 s: it is in `mars`, and odom_from_mars: no transform names the frame `mars`";
        assert_eq!(test.logged(), [refused]);
        test.retry(20.0);
        assert!(test.logged().is_empty());
        // While a goal waits, another one is set as a parameter.
        test.receive("mars", 3.0, 0, 20.0);
        test.goals.sink.set_goal("parameter", &[], "odom");
        test.retry(20.1);
        assert_eq!(test.logged(), ["goal: a newer goal replaces the one in `mars` that waited for its transform"]);
        // A stamp before all known transforms: waiting is useless.
        test.receive("map", 3.0, 2, 20.0);
        let old = "goal: goal refused: it is in `map`, and odom_from_map: the oldest map_from_odom is 2.000 s newer than the \
                   time asked for, 2.000 s";
        assert_eq!((test.logged(), test.goal()), (vec![old.to_string()], None));
    }
}
