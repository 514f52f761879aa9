//! Draws plans: the chosen rollout as `nav_msgs/Path`, the sampled rollouts as
//! `visualization_msgs/MarkerArray`, the guidance statistics as `diagnostic_msgs/DiagnosticArray`.
//! A message is built only if somebody subscribes.

use std::ops::Range;

use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::geometry_msgs::msg::{Point, PoseStamped};
use r2r::nav_msgs::msg::Path;
use r2r::std_msgs::msg::ColorRGBA;
use r2r::visualization_msgs::msg::{Marker, MarkerArray};

use super::guidance::guidance_report;
use crate::config::Config;
use crate::ros::node_handle::{LazyPublisher, NodeHandle, RosError};
use crate::ros::ros_time::stamp;
use df_core::Layout;
use df_planning::Plan;

/// The maximum number of points of a drawn rollout.
const MAX_POINTS: usize = 48;
/// The maximum number of drawn rollouts.
const MAX_ROLLOUTS: usize = 64;
/// The line width of a rollout, metres.
const WIDTH_M: f64 = 0.015;
/// The line width of the chosen candidate's rollouts, metres.
const CHOSEN_WIDTH_M: f64 = 0.04;
/// Rollouts vanish after this many periods without new ones.
const LIFETIME_PERIODS: i64 = 2;
/// The minimum lifetime of a drawn rollout. Viewers draw about 30 pictures a second.
const MIN_LIFETIME_NS: i64 = 500_000_000;

/// Publishes drawings of plans. A clone publishes on the same topics.
#[derive(Clone)]
pub(crate) struct Display {
    path: LazyPublisher<Path>,
    rollouts: LazyPublisher<MarkerArray>,
    guidance: LazyPublisher<DiagnosticArray>,
    drawing: Drawing,
    node: String,
}

impl Display {
    /// Advertises `~/plan`, `~/rollouts` and `~/guidance`.
    ///
    /// # Errors
    /// rcl refuses a topic.
    pub(crate) fn open(handle: &mut NodeHandle, config: &Config, layout: &Layout) -> Result<Self, RosError> {
        Ok(Self {
            path: LazyPublisher::open(handle, "~/plan", 1)?,
            rollouts: LazyPublisher::open(handle, "~/rollouts", 1)?,
            guidance: LazyPublisher::open(handle, "~/guidance", 1)?,
            drawing: Drawing::new(config, layout),
            node: handle.full_name(),
        })
    }

    /// Destroys the topics.
    pub(crate) fn close(self, handle: &mut NodeHandle) {
        self.path.close(handle);
        self.rollouts.close(handle);
        self.guidance.close(handle);
    }

    /// Publishes `plan` where somebody subscribes. Positions are in the frame `frame_id`.
    pub(crate) fn show(&self, plan: &Plan, frame_id: &str) {
        // Publishing fails only while the node is being destroyed.
        let _ = self.path.publish(|| self.drawing.path(plan, frame_id));
        let _ = self.rollouts.publish(|| self.drawing.rollouts(plan, frame_id));
        let _ = self.guidance.publish(|| guidance_report(plan, &self.node));
    }
}

/// How frames become points.
#[derive(Clone, Debug)]
struct Drawing {
    /// The channels of the goal's group in a frame. The first two are x and y, in metres.
    position: Range<usize>,
    period_ns: i64,
}

impl Drawing {
    fn new(config: &Config, layout: &Layout) -> Self {
        let modality = config.contract.goal.as_ref().and_then(|goal| layout.modality(&goal.group));
        let position = modality.map_or(0..0, |m| layout.modalities[m].channels.clone());
        Self { position, period_ns: config.contract.period_ns() }
    }

    /// The first rollout of the chosen candidate. Pose i has the stamp of the tick of frame i.
    /// All orientations are neutral.
    fn path(&self, plan: &Plan, frame_id: &str) -> Path {
        let mut path = Path::default();
        path.header.frame_id = frame_id.into();
        path.header.stamp = stamp(plan.first_frame_ns);
        for (i, frame) in plan.active_frames_of(plan.chosen * plan.rollouts_per_candidate).iter().enumerate() {
            let mut pose = PoseStamped::default();
            pose.header.frame_id = frame_id.into();
            pose.header.stamp = stamp(plan.first_frame_ns + i as i64 * self.period_ns);
            pose.pose.position = self.point(frame);
            pose.pose.orientation.w = 1.0;
            path.poses.push(pose);
        }
        path
    }

    /// One line strip per rollout, from green (cheapest candidate) to red. They replace all earlier
    /// markers and vanish after their lifetime.
    fn rollouts(&self, plan: &Plan, frame_id: &str) -> MarkerArray {
        let lifetime = stamp((LIFETIME_PERIODS * self.period_ns).max(MIN_LIFETIME_NS));
        let marker = |rollout: usize| {
            let candidate = plan.candidate_of(rollout);
            let frames = plan.active_frames_of(rollout);
            let mut marker = Marker::default();
            marker.header.frame_id = frame_id.into();
            marker.header.stamp = stamp(plan.first_frame_ns);
            marker.ns = "rollouts".into();
            marker.id = rollout as i32;
            marker.type_ = Marker::LINE_STRIP as i32;
            marker.action = Marker::ADD as i32;
            marker.pose.orientation.w = 1.0;
            marker.scale.x = if candidate == plan.chosen { CHOSEN_WIDTH_M } else { WIDTH_M };
            marker.color = color(&plan.candidate_costs, candidate);
            marker.lifetime.sec = lifetime.sec;
            marker.lifetime.nanosec = lifetime.nanosec;
            marker.points = evenly_spaced(frames.len(), MAX_POINTS).map(|i| self.point(&frames[i])).collect();
            marker
        };
        // Removes the markers of an earlier plan with more candidates.
        let mut clear = Marker::default();
        clear.header.frame_id = frame_id.into();
        clear.action = Marker::DELETEALL as i32;
        clear.pose.orientation.w = 1.0;
        MarkerArray { markers: std::iter::once(clear).chain(drawn(plan).into_iter().map(marker)).collect() }
    }

    fn point(&self, frame: &[f32]) -> Point {
        let channel = |c| self.position.clone().nth(c).and_then(|i| frame.get(i)).map_or(0.0, |&v| f64::from(v));
        Point { x: channel(0), y: channel(1), z: 0.0 }
    }
}

/// The indices of the drawn rollouts: evenly spaced ones and the one that is driven.
fn drawn(plan: &Plan) -> Vec<usize> {
    let mut drawn: Vec<usize> = evenly_spaced(plan.rollouts.len(), MAX_ROLLOUTS).collect();
    let driven = plan.chosen * plan.rollouts_per_candidate;
    if driven < plan.rollouts.len() && !drawn.contains(&driven) {
        drawn.push(driven);
    }
    drawn
}

/// At most `max` of `length` indices, evenly spaced. Includes the first and the last.
fn evenly_spaced(length: usize, max: usize) -> impl Iterator<Item = usize> {
    let count = length.min(max);
    (0..count).map(move |i| if count < 2 { 0 } else { i * (length - 1) / (count - 1) })
}

/// Green for the lowest cost, red for the highest.
fn color(costs: &[f64], candidate: usize) -> ColorRGBA {
    let lowest = costs.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = costs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let cost = costs.get(candidate).copied().unwrap_or(lowest);
    let red = if highest > lowest { ((cost - lowest) / (highest - lowest)) as f32 } else { 0.0 };
    ColorRGBA { r: red, g: 1.0 - red, b: 0.2, a: 0.7 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWING: Drawing = Drawing { position: 1..3, period_ns: 50_000_000 };

    fn plan() -> Plan {
        let rollout = |x: f32| (0..100).map(|i| vec![9.0, x, i as f32]).collect::<Vec<_>>();
        Plan {
            first_frame_ns: 1_900_000_000,
            rollouts: vec![rollout(0.0), rollout(1.0), rollout(2.0), rollout(3.0)],
            active_frames: vec![100, 80],
            candidate_costs: vec![4.0, 2.0],
            rollouts_per_candidate: 2,
            chosen: 1,
            ..Plan::default()
        }
    }

    #[test]
    fn the_path_is_the_first_rollout_of_the_chosen_candidate_up_to_its_active_length() {
        let path = DRAWING.path(&plan(), "odom");
        assert_eq!(path.poses.len(), 80);
        // Candidate 1 of two rollouts each: rollout 2. Frame 3 is stamped 1.9 s + 3 * 0.05 s = 2.05
        // s.
        let pose = &path.poses[3];
        assert_eq!((pose.pose.position.x, pose.pose.position.y), (2.0, 3.0));
        assert_eq!((pose.header.stamp.sec, pose.header.stamp.nanosec), (2, 50_000_000));
        assert!(DRAWING.path(&Plan::default(), "odom").poses.is_empty());
    }

    #[test]
    fn rollouts_replace_earlier_ones_and_are_coloured_by_cost_and_thinned_out() {
        let markers = DRAWING.rollouts(&plan(), "odom").markers;
        let (clear, markers) = markers.split_first().unwrap();
        // An empty namespace: all of the topic's markers.
        assert_eq!((clear.action, clear.ns.as_str()), (Marker::DELETEALL as i32, ""));
        assert_eq!(markers.len(), 4);
        assert_eq!((markers[0].color.r, markers[0].color.g), (1.0, 0.0));
        assert_eq!((markers[2].color.r, markers[2].color.g), (0.0, 1.0));
        assert!(markers[2].scale.x > markers[0].scale.x);
        assert_eq!(markers[0].points.len(), MAX_POINTS);
        // Candidate 0 has 100 active frames, candidate 1 has 80.
        assert_eq!((markers[1].points[0].y, markers[1].points[MAX_POINTS - 1].y), (0.0, 99.0));
        assert_eq!((markers[3].points[0].y, markers[3].points[MAX_POINTS - 1].y), (0.0, 79.0));
        // Two periods of 0.05 s are less than the minimum lifetime.
        assert_eq!((markers[0].lifetime.sec, markers[0].lifetime.nanosec), (0, 500_000_000));
        let slow = Drawing { period_ns: 1_000_000_000, ..DRAWING };
        assert_eq!(slow.rollouts(&plan(), "odom").markers[1].lifetime.sec, 2);
    }

    #[test]
    fn at_most_64_rollouts_and_the_driven_one_are_drawn() {
        let many = |chosen| Plan {
            rollouts: vec![vec![vec![0.0; 3]]; 200],
            rollouts_per_candidate: 2,
            chosen,
            ..Plan::default()
        };
        // 64 of 200: 0, 199 / 63 = 3, 2 * 199 / 63 = 6, ...: the first rollout of candidate 4, 8,
        // is not among them.
        let drawn_of = |chosen| drawn(&many(chosen));
        assert_eq!((drawn_of(3).len(), drawn_of(3)[..3].to_vec()), (64, vec![0, 3, 6]));
        assert_eq!((drawn_of(4).len(), drawn_of(4)[64]), (65, 8));
        assert_eq!(DRAWING.rollouts(&many(4), "map").markers.len(), 66);
    }

    #[test]
    fn short_rollouts_are_drawn_with_all_their_points() {
        assert_eq!(evenly_spaced(0, MAX_POINTS).count(), 0);
        assert_eq!(evenly_spaced(1, MAX_POINTS).collect::<Vec<_>>(), [0]);
        assert_eq!(evenly_spaced(3, MAX_POINTS).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
