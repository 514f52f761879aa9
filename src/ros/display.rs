//! Plans for people: the chosen one as `nav_msgs/Path`, the sampled futures as `visualization_msgs/MarkerArray`.

use std::ops::Range;

use r2r::geometry_msgs::msg::{Point, PoseStamped};
use r2r::nav_msgs::msg::Path;
use r2r::std_msgs::msg::ColorRGBA;
use r2r::visualization_msgs::msg::{Marker, MarkerArray};

use super::diagnostics::stamp;
use crate::config::Config;
use crate::planning::Plan;
use crate::signal::Layout;

/// Points per drawn future, at most: enough for the eye, little to send.
const POINTS_MAX: usize = 48;
/// Line widths in metres; the chosen candidate is drawn thicker.
const WIDTH_M: f64 = 0.015;
const CHOSEN_WIDTH_M: f64 = 0.04;

/// How frames become points.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// The channels of the goal's group in a frame; the first two are drawn as x and y, in metres.
    pub position: Range<usize>,
    pub period_ns: i64,
}

impl Drawing {
    /// Draws the goal's group.
    pub fn new(config: &Config, layout: &Layout) -> Self {
        let modality = config.goal.as_ref().and_then(|goal| layout.modality(&goal.group));
        let position = modality.map_or(0..0, |m| layout.modalities[m].channels.clone());
        Self { position, period_ns: config.contract.period_ns() }
    }

    /// The chosen candidate's first future; the pose of frame i is stamped with its tick. Orientations are neutral.
    pub fn path(&self, plan: &Plan, frame_id: &str) -> Path {
        let mut path = Path::default();
        path.header.frame_id = frame_id.into();
        path.header.stamp = stamp(plan.first_tick_ns);
        let chosen = plan.futures.get(plan.chosen * plan.futures_per_candidate);
        for (i, frame) in chosen.into_iter().flatten().enumerate() {
            let mut pose = PoseStamped::default();
            pose.header.frame_id = frame_id.into();
            pose.header.stamp = stamp(plan.first_tick_ns + i as i64 * self.period_ns);
            pose.pose.position = self.point(frame);
            pose.pose.orientation.w = 1.0;
            path.poses.push(pose);
        }
        path
    }

    /// One line strip per future, from green (the cheapest candidate) to red; they vanish after two periods.
    pub fn futures(&self, plan: &Plan, frame_id: &str) -> MarkerArray {
        let lifetime = stamp(2 * self.period_ns);
        let markers = plan.futures.iter().enumerate().map(|(f, future)| {
            let candidate = f / plan.futures_per_candidate.max(1);
            let mut marker = Marker::default();
            marker.header.frame_id = frame_id.into();
            marker.header.stamp = stamp(plan.first_tick_ns);
            marker.ns = "futures".into();
            marker.id = f as i32;
            marker.type_ = Marker::LINE_STRIP as i32;
            marker.action = Marker::ADD as i32;
            marker.pose.orientation.w = 1.0;
            marker.scale.x = if candidate == plan.chosen { CHOSEN_WIDTH_M } else { WIDTH_M };
            marker.color = color(&plan.candidate_costs, candidate);
            marker.lifetime.sec = lifetime.sec;
            marker.lifetime.nanosec = lifetime.nanosec;
            marker.points = decimated(future.len()).map(|i| self.point(&future[i])).collect();
            marker
        });
        MarkerArray { markers: markers.collect() }
    }

    fn point(&self, frame: &[f32]) -> Point {
        let channel = |c| self.position.clone().nth(c).and_then(|i| frame.get(i)).map_or(0.0, |&v| f64::from(v));
        Point { x: channel(0), y: channel(1), z: 0.0 }
    }
}

/// Indices of at most [`POINTS_MAX`] of `length` frames: evenly spaced, the first and the last among them.
fn decimated(length: usize) -> impl Iterator<Item = usize> {
    let points = length.min(POINTS_MAX);
    (0..points).map(move |i| if points < 2 { 0 } else { i * (length - 1) / (points - 1) })
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

    fn plan() -> Plan {
        let future = |x: f32| (0..100).map(|i| vec![9.0, x, i as f32]).collect::<Vec<_>>();
        Plan {
            first_tick_ns: 1_900_000_000,
            futures: vec![future(0.0), future(1.0), future(2.0), future(3.0)],
            candidate_costs: vec![4.0, 2.0],
            futures_per_candidate: 2,
            chosen: 1,
            ..Plan::default()
        }
    }

    #[test]
    fn the_path_is_the_chosen_candidates_first_future() {
        let drawing = Drawing { position: 1..3, period_ns: 50_000_000 };
        let path = drawing.path(&plan(), "odom");
        assert_eq!(path.poses.len(), 100);
        // Candidate 1 of two futures each: future 2. Frame 3 is stamped 1.9 s + 3 * 0.05 s = 2.05 s.
        let pose = &path.poses[3];
        assert_eq!((pose.pose.position.x, pose.pose.position.y), (2.0, 3.0));
        assert_eq!((pose.header.stamp.sec, pose.header.stamp.nanosec), (2, 50_000_000));
    }

    #[test]
    fn futures_are_coloured_by_cost_and_decimated() {
        let drawing = Drawing { position: 1..3, period_ns: 50_000_000 };
        let markers = drawing.futures(&plan(), "odom").markers;
        assert_eq!(markers.len(), 4);
        assert_eq!((markers[0].color.r, markers[0].color.g), (1.0, 0.0));
        assert_eq!((markers[2].color.r, markers[2].color.g), (0.0, 1.0));
        assert!(markers[2].scale.x > markers[0].scale.x);
        assert_eq!(markers[0].points.len(), POINTS_MAX);
        assert_eq!((markers[3].points[0].y, markers[3].points[POINTS_MAX - 1].y), (0.0, 99.0));
        assert_eq!((markers[0].lifetime.sec, markers[0].lifetime.nanosec), (0, 100_000_000));
    }

    #[test]
    fn short_futures_are_drawn_whole() {
        assert_eq!(decimated(0).count(), 0);
        assert_eq!(decimated(1).collect::<Vec<_>>(), [0]);
        assert_eq!(decimated(3).collect::<Vec<_>>(), [0, 1, 2]);
    }
}
