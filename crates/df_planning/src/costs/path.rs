//! Path following: the robot stays on a polyline and advances along it.

use serde::Deserialize;

use super::binding::{Binding, Selection};
use super::cost::{Cost, ROUNDING, Rollout};
use super::error::CostError;
use super::factory::CostFactory;

/// `weight` times the time integral of `sqrt(d^2 + r^2) - r + progress (L - s)`, in unit seconds. `d` is the distance to the
/// nearest point of the polyline, `r` = 0.1, `s` the length of the polyline up to that point, `L` its whole length.
///
/// With `progress` 0 all points of the path cost the same. With `progress` 1 a metre of remaining path costs as much as a
/// metre beside the path, and the cost is 0 at the end of the path.
///
/// The nearest point is that of the whole polyline. Half-way between two parts of the path `s` jumps, and the gradient does
/// not contain the jump. Keep parts that do not follow each other farther apart than the robot strays.
pub(super) struct PathCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// Channels of a frame, one per coordinate of a point.
    pub(super) of: Vec<usize>,
    /// Cost of a unit of remaining path beside that of a unit of distance.
    pub(super) progress: f64,
    segments: Vec<Segment>,
    /// Length of the polyline.
    length: f64,
}

/// One straight piece.
struct Segment {
    /// Per coordinate: the start, and the direction, a unit vector.
    line: Vec<(f64, f64)>,
    length: f64,
    /// Length of the polyline before this piece.
    before: f64,
}

/// The keys of [`PathCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathCostConfig {
    of: Selection,
    /// Corners of the polyline, in the units of the channels.
    points: Vec<Vec<f64>>,
    #[serde(default)]
    progress: f64,
}

impl CostFactory for PathCost {
    const NAME: &'static str = "path";
    type Config = PathCostConfig;

    fn bind(config: PathCostConfig, binding: &Binding) -> Result<Self, CostError> {
        let PathCostConfig { of, points, progress } = config;
        binding.not_negative("progress", progress)?;
        let of = binding.channels("of", &of)?;
        binding.require(points.len() >= 2, "points", format!("{points:?}"), "at least 2 points are needed")?;
        for (i, point) in points.iter().enumerate() {
            let key = format!("points[{i}]");
            let rule = format!("must have a finite coordinate for each of the {} channels of `of`", of.len());
            let whole = point.len() == of.len() && point.iter().all(|v| v.is_finite());
            binding.require(whole, &key, format!("{point:?}"), rule)?;
            let moves = i == 0 || *point != points[i - 1];
            binding.require(moves, &key, format!("{point:?}"), "must differ from the point before it")?;
        }
        Ok(Self::new(binding.config.weight, of, &points, progress))
    }
}

impl PathCost {
    /// `points`: at least two, each unlike the one before, with one coordinate for each channel of `of`.
    fn new(weight: f64, of: Vec<usize>, points: &[Vec<f64>], progress: f64) -> Self {
        let mut length = 0.0;
        let segment = |pair: &[Vec<f64>]| {
            let along: Vec<f64> = pair[0].iter().zip(&pair[1]).map(|(from, to)| to - from).collect();
            let own = along.iter().map(|v| v * v).sum::<f64>().sqrt();
            let line = pair[0].iter().zip(&along).map(|(from, v)| (*from, v / own)).collect();
            let segment = Segment { line, length: own, before: length };
            length += own;
            segment
        };
        let segments = points.windows(2).map(segment).collect();
        Self { weight, of, progress, segments, length }
    }

    /// The segment nearest to a frame, the length along it of the nearest point, and the squared distance.
    fn nearest(&self, frame: &[f32]) -> (&Segment, f64, f64) {
        let mut nearest = (&self.segments[0], 0.0, f64::INFINITY);
        for segment in &self.segments {
            let (mut projection, mut squares) = (0.0, 0.0);
            for (offset, t) in self.offsets(frame, segment) {
                projection += offset * t;
                squares += offset * offset;
            }
            let along = projection.clamp(0.0, segment.length);
            // |o - along t|^2 with |t| = 1.
            let squares = (squares - along * (2.0 * projection - along)).max(0.0);
            if squares < nearest.2 {
                nearest = (segment, along, squares);
            }
        }
        nearest
    }

    /// Per coordinate: from the segment's start to the frame, and the segment's direction.
    fn offsets<'a>(&'a self, frame: &'a [f32], segment: &'a Segment) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.of.iter().zip(&segment.line).map(|(&c, (from, t))| (f64::from(frame[c]) - from, *t))
    }
}

impl Cost for PathCost {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        let per_frame = self.weight * rollout.period_s;
        let mut cost = 0.0;
        for (frame, gradient) in rollout.frames().zip(gradient.chunks_exact_mut(rollout.channels)) {
            let (segment, along, squares) = self.nearest(frame);
            let distance = (squares + ROUNDING * ROUNDING).sqrt();
            let left = self.length - segment.before - along;
            cost += per_frame * (distance - ROUNDING + self.progress * left);
            // At a corner or an end the nearest point stays where it is when the frame moves a little.
            let progress = if along > 0.0 && along < segment.length { self.progress } else { 0.0 };
            for (&c, (offset, t)) in self.of.iter().zip(self.offsets(frame, segment)) {
                gradient[c] += (per_frame * ((offset - along * t) / distance - progress * t)) as f32;
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::costs::test_support::{assert_gradient, cost_of, refusal};

    /// 4 m along x, then 3 m along y.
    fn corner(progress: f64) -> PathCost {
        PathCost::new(2.0, vec![1, 0], &[vec![0.0, 0.0], vec![4.0, 0.0], vec![4.0, 3.0]], progress)
    }

    #[test]
    fn the_cost_is_the_one_computed_by_hand() {
        // Channels are y, x. (1, 2) is 2 m beside the point after 1 m: 6 of 7 m are left.
        // 2 * 0.1 s * (sqrt(4.01) - 0.1 + 0.5 * 6).
        let expected = 0.2 * (4.01f64.sqrt() - 0.1 + 3.0);
        assert!((cost_of(&corner(0.5), &[2.0, 1.0], 2) - expected).abs() < 1e-6);
        // 3-4-5 beyond the end of the path: nothing is left. 0.2 * (sqrt(25.01) - 0.1).
        assert!((cost_of(&corner(0.5), &[7.0, 7.0], 2) - 0.2 * (25.01f64.sqrt() - 0.1)).abs() < 1e-6);
        // On the path without progress, and at its end with it.
        assert!(cost_of(&corner(0.0), &[0.0, 3.0], 2).abs() < 1e-9);
        assert!(cost_of(&corner(1.0), &[3.0, 4.0], 2).abs() < 1e-9);
        // Before its start: 2 m, and 7 m are left.
        assert!((cost_of(&corner(1.0), &[0.0, -2.0], 2) - 0.2 * (4.01f64.sqrt() - 0.1 + 7.0)).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        // Beside both legs, beyond both ends, on the path, outside the corner.
        let values = [2.0, 1.0, 1.5, 5.0, 4.0, 6.0, -1.0, -2.0, 0.0, 2.0, -1.0, 5.0];
        for progress in [0.0, 0.7] {
            assert_gradient(&corner(progress), &values, 2, &[]);
        }
        // A path in one channel.
        assert_gradient(&PathCost::new(1.0, vec![0], &[vec![0.0], vec![2.0]], 1.0), &[0.5, 9.0, 3.0, 9.0], 2, &[]);
    }

    #[test]
    fn a_point_has_one_coordinate_per_channel_and_differs_from_the_one_before() {
        for (points, message) in [
            ("[[0, 0]]", "costs[0].points: [[0.0, 0.0]]: at least 2 points are needed"),
            ("[[0, 0], [0, 0]]", "costs[0].points[1]: [0.0, 0.0]: must differ from the point before it"),
            (
                "[[0, 0], [1]]",
                "costs[0].points[1]: [1.0]: must have a finite coordinate for each of the 2 channels of `of`",
            ),
            (
                "[[0, .nan], [1, 0]]",
                "costs[0].points[0]: [0.0, NaN]: must have a finite coordinate for each of the 2 channels of `of`",
            ),
        ] {
            assert_eq!(refusal(&format!("{{kind: path, weight: 1, of: position, points: {points}}}")), message);
        }
    }

    proptest! {
        /// The nearest point is at most as far as any of many points along the polyline, and as far as the nearest of them.
        #[test]
        fn the_distance_agrees_with_a_search_over_many_points(
            points in prop::collection::vec((-5.0..5.0f64, -5.0..5.0f64), 2..6), x in -9.0..9.0f32, y in -9.0..9.0f32,
        ) {
            let points: Vec<Vec<f64>> = points.iter().map(|&(x, y)| vec![x, y]).collect();
            let path = PathCost::new(1.0, vec![0, 1], &points, 0.0);
            let (segment, along, squares) = path.nearest(&[x, y]);
            let (x, y) = (f64::from(x), f64::from(y));
            let steps = 400;
            let brute = points.windows(2).flat_map(|pair| (0..=steps).map(move |i| {
                let at = |c: usize| pair[0][c] + (pair[1][c] - pair[0][c]) * f64::from(i) / f64::from(steps);
                (x - at(0)).hypot(y - at(1))
            })).fold(f64::INFINITY, f64::min);
            // Half a step of the longest possible segment, 10 sqrt(2) / 400.
            prop_assert!(squares.sqrt() <= brute + 1e-6 && brute - squares.sqrt() < 0.5 * 14.2 / 400.0);
            let nearest: Vec<f64> = segment.line.iter().map(|(from, t)| from + along * t).collect();
            prop_assert!(((x - nearest[0]).hypot(y - nearest[1]) - squares.sqrt()).abs() < 1e-6);
            prop_assert!(segment.before + along <= path.length + 1e-9);
        }
    }
}
