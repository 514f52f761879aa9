//! Demonstrations as a rosbag2 recording: the same topics, types and rates that the live world has, without ROS.

use std::path::Path;

use nalgebra::Vector2;

use super::demonstration::Step;
use super::world::STEP_S;
use df_data::{BagError, BagWriter};
use df_message::{Definitions, Encoder, MessageError, SchemaDefinitions};

/// Stamp of the first step: a fixed date, so that the same seed gives the same bytes.
const EPOCH_NS: i64 = 1_700_000_000_000_000_000;
/// Time between the last stamp of an episode and the first of the next one, where readers split, seconds.
const PAUSE_S: f64 = 2.0;
/// The frame of positions and the one of the robot.
pub const MAP_FRAME: &str = "map";
/// The coordinate frame of the robot.
pub const ROBOT_FRAME: &str = "base_link";

/// The definition texts as a bag's schemas hold them: without comments, the nested types after the type itself.
const ODOMETRY: (&str, &str) = ("nav_msgs/msg/Odometry", include_str!("definitions/Odometry.msg"));
const WRENCH: (&str, &str) = ("geometry_msgs/msg/WrenchStamped", include_str!("definitions/WrenchStamped.msg"));
const POSE: (&str, &str) = ("geometry_msgs/msg/PoseStamped", include_str!("definitions/PoseStamped.msg"));

/// The definitions of the world's messages.
pub fn definitions() -> SchemaDefinitions {
    SchemaDefinitions::new([ODOMETRY, WRENCH, POSE])
}

/// The names of the world's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// `nav_msgs/msg/Odometry`.
    pub odometry: String,
    /// `geometry_msgs/msg/WrenchStamped`: the commanded force.
    pub force: String,
    /// `geometry_msgs/msg/PoseStamped`.
    pub goal: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self { odometry: "odom".into(), force: "force".into(), goal: "goal".into() }
    }
}

/// What is recorded, how much, and from which seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Of [`STEP_S`] each.
    pub steps: u64,
    /// Steps of one episode, at least 1; the last one may be shorter.
    pub episode_steps: u64,
    /// Seed of the episodes.
    pub seed: u64,
    /// Names of the topics.
    pub topics: Topics,
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Episodes written.
    pub episodes: u64,
    /// Simulation steps written.
    pub steps: u64,
    /// Goals written.
    pub goals: u64,
}

/// Why a recording could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bag cannot be written.
    #[error(transparent)]
    Bag(#[from] BagError),
    /// A message cannot be encoded.
    #[error(transparent)]
    Message(#[from] MessageError),
}

impl Recording {
    /// Lets an expert drive and writes what is seen into a new rosbag2 directory, as fast as it goes. `demonstration` gives the
    /// steps that follow from a seed, one seed per episode; `report` gets the steps so far.
    ///
    /// # Errors
    /// The directory exists or cannot be written.
    pub fn write<D: Iterator<Item = Step>>(
        &self,
        directory: &Path,
        demonstration: impl Fn(u64) -> D,
        mut report: impl FnMut(u64),
    ) -> Result<Recorded, RecordError> {
        let definitions = definitions();
        let encoder = |message_type, fields: &[&str], texts: &[(&str, &str)]| {
            let fields: Vec<String> = fields.iter().map(|field| (*field).into()).collect();
            Encoder::with_texts(&definitions.schema(message_type)?, &fields, texts)
        };
        let odometry = encoder(
            ODOMETRY.0,
            &[
                "pose.pose.position.x",
                "pose.pose.position.y",
                "pose.pose.orientation.w",
                "twist.twist.linear.x",
                "twist.twist.linear.y",
            ],
            &[("child_frame_id", ROBOT_FRAME)],
        )?;
        let force = encoder(WRENCH.0, &["wrench.force.x", "wrench.force.y"], &[])?;
        let pose = encoder(POSE.0, &["pose.position.x", "pose.position.y", "pose.orientation.w"], &[])?;

        let mut bag = BagWriter::create(directory)?;
        let odometry_topic = bag.topic(&absolute(&self.topics.odometry), ODOMETRY.0, ODOMETRY.1)?;
        let force_topic = bag.topic(&absolute(&self.topics.force), WRENCH.0, WRENCH.1)?;
        let goal_topic = bag.topic(&absolute(&self.topics.goal), POSE.0, POSE.1)?;

        let mut recorded = Recorded { episodes: 0, steps: 0, goals: 0 };
        while recorded.steps < self.steps {
            let start_ns = EPOCH_NS + self.start_of(recorded.episodes);
            let steps = self.episode_steps.max(1).min(self.steps - recorded.steps);
            let demonstration = demonstration(self.episode_seed(recorded.episodes));
            let mut last_goal: Option<Vector2<f64>> = None;
            for (k, Step { state, force: f, goal }) in (0..steps).zip(demonstration) {
                let now_ns = start_ns + nanoseconds(k as f64 * STEP_S);
                let (p, v) = (state.position, state.velocity);
                bag.write(odometry_topic, now_ns, &odometry.encode(now_ns, MAP_FRAME, &[p.x, p.y, 1.0, v.x, v.y])?)?;
                bag.write(force_topic, now_ns, &force.encode(now_ns, ROBOT_FRAME, &[f.x, f.y])?)?;
                if last_goal != Some(goal) {
                    bag.write(goal_topic, now_ns, &pose.encode(now_ns, MAP_FRAME, &[goal.x, goal.y, 1.0])?)?;
                    last_goal = Some(goal);
                    recorded.goals += 1;
                }
            }
            recorded.steps += steps;
            recorded.episodes += 1;
            report(recorded.steps);
        }
        bag.finish()?;
        Ok(recorded)
    }

    /// Nanoseconds from the first stamp to that of an episode.
    fn start_of(&self, episode: u64) -> i64 {
        episode as i64 * nanoseconds(self.episode_steps.max(1) as f64 * STEP_S + PAUSE_S)
    }

    /// Seeds of neighbouring recordings must not share episodes: the episode is mixed in, not added.
    fn episode_seed(&self, episode: u64) -> u64 {
        // The multiplier of Knuth's MMIX generator: odd, so that distinct episodes get distinct seeds.
        self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(episode)
    }
}

/// The name that a topic has in a recording: relative ones are those of the root namespace.
fn absolute(topic: &str) -> String {
    if topic.starts_with('/') { topic.into() } else { format!("/{topic}") }
}

fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

#[cfg(test)]
mod tests {
    use super::super::demonstration::Demonstration;
    use super::super::maze::Maze;
    use super::*;
    use df_data::open_bag;
    use df_message::Extractor;

    fn recording(seed: u64) -> Recording {
        Recording { steps: 600, episode_steps: 250, seed, topics: Topics::default() }
    }

    fn of_the_demo(seed: u64) -> Demonstration {
        Demonstration::new(Maze::demo(), seed)
    }

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("bag");
        let recorded = recording(3).write(&directory, of_the_demo, |_| ()).unwrap();
        // 6 s in episodes of 2.5 s: 250 + 250 + 100 steps.
        assert_eq!((recorded.episodes, recorded.steps), (3, 600));

        let definitions = SchemaDefinitions::new([ODOMETRY, WRENCH]);
        let extractor = |t: &str, fields: [&str; 2]| {
            Extractor::new(&definitions.schema(t).unwrap(), &fields.map(String::from)).unwrap()
        };
        let odometry = extractor(ODOMETRY.0, ["pose.pose.position.x", "twist.twist.linear.y"]);
        let force = extractor(WRENCH.0, ["wrench.force.x", "wrench.force.y"]);
        let mut seen = [Vec::new(), Vec::new()];
        let bag = open_bag(&directory).unwrap();
        bag.read(&["/odom", "/force"], &mut |message| {
            let i = usize::from(message.topic == "/force");
            let sample = [&odometry, &force][i].extract(&message.bytes).unwrap();
            assert_eq!(sample.frame_id.as_deref(), Some([MAP_FRAME, ROBOT_FRAME][i]));
            seen[i].push((sample.stamp_ns.unwrap(), sample.values));
        })
        .unwrap();
        // The second episode starts 2.5 + 2 s after the first one.
        let start_ns = EPOCH_NS + 4_500_000_000;
        let steps = of_the_demo(recording(3).episode_seed(1));
        for (k, step) in steps.take(250).enumerate() {
            let stamp_ns = start_ns + k as i64 * 10_000_000;
            assert_eq!(seen[0][250 + k], (stamp_ns, vec![step.state.position.x, step.state.velocity.y]));
            assert_eq!(seen[1][250 + k], (stamp_ns, vec![step.force.x, step.force.y]));
        }
        assert_eq!((seen[0].len(), seen[1].len()), (600, 600));
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = |name: &str, seed| {
            let directory = folder.path().join(name);
            recording(seed).write(&directory, of_the_demo, |_| ()).unwrap();
            let mut messages = Vec::new();
            let bag = open_bag(&directory).unwrap();
            bag.read(&["/odom", "/force", "/goal"], &mut |message| messages.push(message.clone())).unwrap();
            messages
        };
        let first = bytes("a", 1);
        assert!(first.len() > 1200);
        assert_eq!(first, bytes("b", 1));
        assert_ne!(first, bytes("c", 2));
    }
}
