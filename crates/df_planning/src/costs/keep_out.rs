//! Keep-out areas: the robot stays out of polygons.

use serde::Deserialize;

use super::binding::{Binding, Selection};
use super::cost::{Cost, Rollout};
use super::error::CostError;
use super::factory::CostFactory;
use df_core::map::Polygon;

/// `weight` times the time integral, over polygons, of `max(0, margin + radius - d)^2`, in m^2 s. `d` is the signed
/// distance to the polygon, negative inside. Where two polygons overlap, both count.
pub(super) struct KeepOutCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// The channels of the position: x and y, m.
    pub(super) of: [usize; 2],
    /// The areas, in the frame of the position.
    pub(super) polygons: Vec<Polygon>,
    /// `margin + radius`, m.
    pub(super) reach_m: f64,
}

/// The keys of [`KeepOutCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeepOutCostConfig {
    of: Selection,
    /// Corners, m, in the frame of the position.
    polygons: Vec<Vec<[f64; 2]>>,
    /// Distance to keep from a polygon, m.
    #[serde(default)]
    margin: f64,
    /// Radius of the robot, m.
    #[serde(default)]
    radius: f64,
}

impl CostFactory for KeepOutCost {
    const NAME: &'static str = "keep_out";
    type Config = KeepOutCostConfig;

    fn bind(config: KeepOutCostConfig, binding: &Binding) -> Result<Self, CostError> {
        let KeepOutCostConfig { of, polygons, margin, radius } = config;
        binding.not_negative("margin", margin)?;
        binding.not_negative("radius", radius)?;
        binding.require(!polygons.is_empty(), "polygons", "[]", "at least one polygon is needed")?;
        let polygon = |(i, points): (usize, &Vec<[f64; 2]>)| {
            Polygon::new(points).map_err(|e| binding.refuse(&format!("polygons[{i}]"), format!("{points:?}"), e))
        };
        let polygons = polygons.iter().enumerate().map(polygon).collect::<Result<_, _>>()?;
        Ok(Self { weight: binding.config.weight, of: binding.position("of", &of)?, polygons, reach_m: margin + radius })
    }
}

impl Cost for KeepOutCost {
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
            let at = self.of.map(|c| f64::from(frame[c]));
            for (distance, direction) in self.polygons.iter().filter_map(|p| p.signed_distance_within(self.reach_m, at))
            {
                let inside = self.reach_m - distance;
                cost += per_frame * inside * inside;
                for (c, direction) in self.of.into_iter().zip(direction) {
                    gradient[c] -= (2.0 * per_frame * inside * direction) as f32;
                }
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::costs::test_support::{assert_gradient, bound, cost_of, refusal};

    /// The unit square and a triangle that overlaps it; the position is in channels 2 and 3.
    fn cost() -> Box<dyn Cost> {
        let polygons = "[[[0, 0], [1, 0], [1, 1], [0, 1]], [[0.5, 0.5], [3, 0.5], [3, 2.5]]]";
        bound(&format!("{{kind: keep_out, weight: 2, of: position, polygons: {polygons}, margin: 0.2, radius: 0.1}}"))
            .unwrap()
    }

    fn at(x: f32, y: f32) -> [f32; 8] {
        [9.0, 9.0, x, y, 9.0, 9.0, 9.0, 9.0]
    }

    #[test]
    fn the_cost_is_the_one_computed_by_hand() {
        // 0.1 m beside the square: 0.2 m too close. 2 * 0.1 s * 0.2^2 = 0.008. Then out of reach.
        let values = [at(-0.1, 0.5), at(-0.4, 0.5)].concat();
        assert!((cost_of(&*cost(), &values, 8) - 0.008).abs() < 1e-7);
        // At (0.9, 0.5): 0.1 m inside the square and on the triangle's edge: 0.2 * (0.4^2 + 0.3^2) = 0.05.
        assert!((cost_of(&*cost(), &at(0.9, 0.5), 8) - 0.05).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        let values = [at(-0.1, 0.4), at(0.3, 0.2), at(0.9, 0.6), at(2.0, 0.3), at(-0.1, -0.15), at(7.0, 7.0)].concat();
        assert_gradient(&*cost(), &values, 8, &[]);
    }

    #[test]
    fn polygons_are_simple_and_positions_have_two_channels() {
        for (settings, message) in [
            ("of: position, polygons: []", "costs[0].polygons: []: at least one polygon is needed"),
            (
                "of: position, polygons: [[[0, 0], [1, 0], [0, 1]], [[0, 0], [1, 0]]]",
                "costs[0].polygons[1]: [[0.0, 0.0], [1.0, 0.0]]: a polygon needs at least 3 points, got 2",
            ),
            (
                "of: position, polygons: [[[0, 0], [1, 0], [0, 1]]], margin: -1",
                "costs[0].margin: -1: must be a finite number of at least 0",
            ),
            (
                "of: [position, vx], polygons: [[[0, 0], [1, 0], [0, 1]]]",
                "costs[0].of: [position, vx]: must be 2 channels, x and y, and is 3",
            ),
        ] {
            assert_eq!(refusal(&format!("{{kind: keep_out, weight: 1, {settings}}}")), message);
        }
    }
}
