//! Plans for people: the chosen one as `nav_msgs/Path`, the sampled futures as `visualization_msgs/MarkerArray`, what guidance
//! did as `diagnostic_msgs/DiagnosticArray`. Made only while someone looks.

use std::ops::Range;

use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::geometry_msgs::msg::{Point, PoseStamped};
use r2r::nav_msgs::msg::Path;
use r2r::std_msgs::msg::ColorRGBA;
use r2r::visualization_msgs::msg::{Marker, MarkerArray};

use super::bridge::{Bridge, RosError};
use super::guidance::guidance;
use super::timing::stamp;
use super::watched::Watched;
use crate::config::Config;
use crate::planning::Plan;
use crate::signal::Layout;

/// Points per drawn future, at most: enough for the eye, little to send.
const POINTS_MAX: usize = 48;
/// Drawn futures, at most.
const FUTURES_MAX: usize = 64;
/// Line widths in metres; the chosen candidate is drawn thicker.
const WIDTH_M: f64 = 0.015;
const CHOSEN_WIDTH_M: f64 = 0.04;
/// Futures vanish after so many periods without new ones, but not sooner than after this time: viewers draw some 30 pictures
/// a second.
const LIFETIME_PERIODS: i64 = 2;
const LIFETIME_LEAST_NS: i64 = 500_000_000;

/// Publishes plans. A clone publishes on the same topics.
#[derive(Clone)]
pub struct Display {
    path: Watched<Path>,
    futures: Watched<MarkerArray>,
    guidance: Watched<DiagnosticArray>,
    drawing: Drawing,
    node: String,
}

impl Display {
    /// Advertises `~/plan`, `~/futures` and `~/guidance`.
    ///
    /// # Errors
    /// As the middleware says.
    pub fn open(bridge: &mut Bridge, config: &Config, layout: &Layout) -> Result<Self, RosError> {
        Ok(Self {
            path: Watched::open(bridge, "~/plan", 1)?,
            futures: Watched::open(bridge, "~/futures", 1)?,
            guidance: Watched::open(bridge, "~/guidance", 1)?,
            drawing: Drawing::new(config, layout),
            node: bridge.full_name(),
        })
    }

    /// Destroys the topics.
    pub fn close(self, bridge: &mut Bridge) {
        self.path.close(bridge);
        self.futures.close(bridge);
        self.guidance.close(bridge);
    }

    /// Publishes what someone looks at; positions are in the frame `frame_id`.
    pub fn show(&self, plan: &Plan, frame_id: &str) {
        // Errors mean that the node is being destroyed: nobody looks any more.
        let _ = self.path.publish(|| self.drawing.path(plan, frame_id));
        let _ = self.futures.publish(|| self.drawing.futures(plan, frame_id));
        let _ = self.guidance.publish(|| guidance(plan, &self.node));
    }
}

/// How frames become points.
#[derive(Clone, Debug)]
struct Drawing {
    /// The channels of the goal's group in a frame; the first two are drawn as x and y, in metres.
    position: Range<usize>,
    period_ns: i64,
}

impl Drawing {
    fn new(config: &Config, layout: &Layout) -> Self {
        let modality = config.goal.as_ref().and_then(|goal| layout.modality(&goal.group));
        let position = modality.map_or(0..0, |m| layout.modalities[m].channels.clone());
        Self { position, period_ns: config.contract.period_ns() }
    }

    /// The chosen candidate's first future; the pose of frame i is stamped with its tick. Orientations are neutral.
    fn path(&self, plan: &Plan, frame_id: &str) -> Path {
        let mut path = Path::default();
        path.header.frame_id = frame_id.into();
        path.header.stamp = stamp(plan.first_frame_ns);
        for (i, frame) in plan.meant_frames(plan.chosen * plan.futures_per_candidate).iter().enumerate() {
            let mut pose = PoseStamped::default();
            pose.header.frame_id = frame_id.into();
            pose.header.stamp = stamp(plan.first_frame_ns + i as i64 * self.period_ns);
            pose.pose.position = self.point(frame);
            pose.pose.orientation.w = 1.0;
            path.poses.push(pose);
        }
        path
    }

    /// One line strip per future, from green (the cheapest candidate) to red. They take the place of all that were drawn before,
    /// and vanish where no new ones come.
    fn futures(&self, plan: &Plan, frame_id: &str) -> MarkerArray {
        let lifetime = stamp((LIFETIME_PERIODS * self.period_ns).max(LIFETIME_LEAST_NS));
        let marker = |future: usize| {
            let candidate = plan.candidate_of(future);
            let frames = plan.meant_frames(future);
            let mut marker = Marker::default();
            marker.header.frame_id = frame_id.into();
            marker.header.stamp = stamp(plan.first_frame_ns);
            marker.ns = "futures".into();
            marker.id = future as i32;
            marker.type_ = Marker::LINE_STRIP as i32;
            marker.action = Marker::ADD as i32;
            marker.pose.orientation.w = 1.0;
            marker.scale.x = if candidate == plan.chosen { CHOSEN_WIDTH_M } else { WIDTH_M };
            marker.color = color(&plan.candidate_costs, candidate);
            marker.lifetime.sec = lifetime.sec;
            marker.lifetime.nanosec = lifetime.nanosec;
            marker.points = decimated(frames.len(), POINTS_MAX).map(|i| self.point(&frames[i])).collect();
            marker
        };
        // What is not drawn any more (fewer candidates than before) goes at once.
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

/// Which futures are drawn: evenly spaced ones, and the one that is driven.
fn drawn(plan: &Plan) -> Vec<usize> {
    let mut drawn: Vec<usize> = decimated(plan.futures.len(), FUTURES_MAX).collect();
    let driven = plan.chosen * plan.futures_per_candidate;
    if driven < plan.futures.len() && !drawn.contains(&driven) {
        drawn.push(driven);
    }
    drawn
}

/// At most `most` of `length` indices: evenly spaced, the first and the last among them.
fn decimated(length: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = length.min(most);
    (0..count).map(move |i| if count < 2 { 0 } else { i * (length - 1) / (count - 1) })
}

/// Green for the lowest cost, red for the highest.
fn color(costs: &[f64], candidate: usize) -> ColorRGBA {
    let lowest = costs.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = costs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let cost = costs.get(candidate).copied().unwrap_or(lowest);
    let share = if highest > lowest { ((cost - lowest) / (highest - lowest)) as f32 } else { 0.0 };
    ColorRGBA { r: share, g: 1.0 - share, b: 0.2, a: 0.7 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWING: Drawing = Drawing { position: 1..3, period_ns: 50_000_000 };

    fn plan() -> Plan {
        let future = |x: f32| (0..100).map(|i| vec![9.0, x, i as f32]).collect::<Vec<_>>();
        Plan {
            first_frame_ns: 1_900_000_000,
            futures: vec![future(0.0), future(1.0), future(2.0), future(3.0)],
            meant: vec![100, 80],
            candidate_costs: vec![4.0, 2.0],
            futures_per_candidate: 2,
            chosen: 1,
            ..Plan::default()
        }
    }

    #[test]
    fn the_path_is_the_chosen_candidates_first_future_to_the_end_of_its_stay() {
        let path = DRAWING.path(&plan(), "odom");
        assert_eq!(path.poses.len(), 80);
        // Candidate 1 of two futures each: future 2. Frame 3 is stamped 1.9 s + 3 * 0.05 s = 2.05 s.
        let pose = &path.poses[3];
        assert_eq!((pose.pose.position.x, pose.pose.position.y), (2.0, 3.0));
        assert_eq!((pose.header.stamp.sec, pose.header.stamp.nanosec), (2, 50_000_000));
        assert!(DRAWING.path(&Plan::default(), "odom").poses.is_empty());
    }

    #[test]
    fn futures_replace_those_before_and_are_coloured_by_cost_and_decimated() {
        let markers = DRAWING.futures(&plan(), "odom").markers;
        let (clear, markers) = markers.split_first().unwrap();
        // An empty namespace: all of the topic's markers.
        assert_eq!((clear.action, clear.ns.as_str()), (Marker::DELETEALL as i32, ""));
        assert_eq!(markers.len(), 4);
        assert_eq!((markers[0].color.r, markers[0].color.g), (1.0, 0.0));
        assert_eq!((markers[2].color.r, markers[2].color.g), (0.0, 1.0));
        assert!(markers[2].scale.x > markers[0].scale.x);
        assert_eq!(markers[0].points.len(), POINTS_MAX);
        // Candidate 0 means all 100 frames, candidate 1 the first 80.
        assert_eq!((markers[1].points[0].y, markers[1].points[POINTS_MAX - 1].y), (0.0, 99.0));
        assert_eq!((markers[3].points[0].y, markers[3].points[POINTS_MAX - 1].y), (0.0, 79.0));
        // Two periods of 0.05 s are less than the least.
        assert_eq!((markers[0].lifetime.sec, markers[0].lifetime.nanosec), (0, 500_000_000));
        let slow = Drawing { period_ns: 1_000_000_000, ..DRAWING };
        assert_eq!(slow.futures(&plan(), "odom").markers[1].lifetime.sec, 2);
    }

    #[test]
    fn of_many_futures_some_are_drawn_and_the_driven_one_always() {
        let many = |chosen| Plan {
            futures: vec![vec![vec![0.0; 3]]; 200],
            futures_per_candidate: 2,
            chosen,
            ..Plan::default()
        };
        // 64 of 200: 0, 199 / 63 = 3, 2 * 199 / 63 = 6, ...: candidate 4's first future, 8, is not among them.
        let drawn_of = |chosen| drawn(&many(chosen));
        assert_eq!((drawn_of(3).len(), drawn_of(3)[..3].to_vec()), (64, vec![0, 3, 6]));
        assert_eq!((drawn_of(4).len(), drawn_of(4)[64]), (65, 8));
        assert_eq!(DRAWING.futures(&many(4), "map").markers.len(), 66);
    }

    #[test]
    fn short_futures_are_drawn_whole() {
        assert_eq!(decimated(0, POINTS_MAX).count(), 0);
        assert_eq!(decimated(1, POINTS_MAX).collect::<Vec<_>>(), [0]);
        assert_eq!(decimated(3, POINTS_MAX).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
