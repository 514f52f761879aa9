//! Soft limits of any channels.

use serde::Deserialize;

use super::binding::{Binding, PerChannel, Selection};
use super::cost::{Cost, Rollout};
use super::error::CostError;
use super::factory::CostFactory;

/// `weight` times the time integral, over channels, of `(max(0, min - v, v - max) / scale)^2`, in (unit / scale)^2 s.
pub(super) struct LimitsCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// Channels of a frame.
    pub(super) of: Vec<usize>,
    /// Lower limits, one per channel of `of`; negative infinity without a limit.
    pub(super) min: Vec<f64>,
    /// Upper limits, one per channel of `of`; infinity without a limit.
    pub(super) max: Vec<f64>,
    /// `1 / scale^2`, one per channel of `of`.
    pub(super) inverse_squares: Vec<f64>,
}

/// The keys of [`LimitsCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsCostConfig {
    of: Selection,
    /// `~`: no limit on this side.
    #[serde(default = "none")]
    min: PerChannel<Option<f64>>,
    #[serde(default = "none")]
    max: PerChannel<Option<f64>>,
    #[serde(default = "PerChannel::one")]
    scale: PerChannel<f64>,
}

fn none() -> PerChannel<Option<f64>> {
    PerChannel::Same(None)
}

impl CostFactory for LimitsCost {
    const NAME: &'static str = "limits";
    type Config = LimitsCostConfig;

    fn bind(config: LimitsCostConfig, binding: &Binding) -> Result<Self, CostError> {
        let of = binding.channels("of", &config.of)?;
        let side = |name: &str, values: &PerChannel<Option<f64>>, open: f64| {
            let values = binding.per_channel(name, values, of.len())?;
            let finite = values.iter().flatten().all(|v| v.is_finite());
            binding.require(finite, name, format!("{values:?}"), "must be finite, or ~ for no limit")?;
            Ok(values.into_iter().map(|v| v.unwrap_or(open)).collect::<Vec<f64>>())
        };
        let min = side("min", &config.min, f64::NEG_INFINITY)?;
        let max = side("max", &config.max, f64::INFINITY)?;
        for (i, (min, max)) in min.iter().zip(&max).enumerate() {
            let limited = min.is_finite() || max.is_finite();
            binding.require(limited, "of", &config.of, format!("its channel {i} has neither min nor max"))?;
            let rule = format!("must be at most max, which is {max} for channel {i} of `of`");
            binding.require(min <= max, "min", min, rule)?;
        }
        let inverse_squares = binding.inverse_squares(&config.scale, of.len())?;
        Ok(Self { weight: binding.config.weight, of, min, max, inverse_squares })
    }
}

impl Cost for LimitsCost {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        let mut cost = 0.0;
        for (frame, gradient) in rollout.frames().zip(gradient.chunks_exact_mut(rollout.channels)) {
            for (i, &c) in self.of.iter().enumerate() {
                let value = f64::from(frame[c]);
                // Negative below the lower limit, positive above the upper one.
                let beyond = (value - self.max[i]).max(0.0) + (value - self.min[i]).min(0.0);
                let factor = self.weight * rollout.period_s * self.inverse_squares[i];
                cost += factor * beyond * beyond;
                gradient[c] += (2.0 * factor * beyond) as f32;
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use crate::costs::test_support::{assert_gradient, bound, cost_of, refusal};

    fn frame(vx: f32, vy: f32) -> [f32; 8] {
        [9.0, 9.0, 9.0, 9.0, vx, vy, 9.0, 9.0]
    }

    #[test]
    fn the_cost_is_the_one_computed_by_hand() {
        // vx within [-1, 1], vy at most 2. Beyond by 2 and 1; by -1 and nothing; nothing twice.
        // 0.5 * 0.1 s * (2^2 + 1^2 + 1^2) = 0.3.
        let cost = bound("{kind: limits, weight: 0.5, of: velocity, min: [-1, ~], max: [1, 2]}").unwrap();
        let values = [frame(3.0, 3.0), frame(-2.0, -50.0), frame(1.0, 2.0)].concat();
        assert!((cost_of(&*cost, &values, 8) - 0.3).abs() < 1e-9);
        assert_gradient(&*cost, &[frame(3.0, 3.0), frame(-2.0, -50.0), frame(0.9, 1.9)].concat(), 8, &[]);
        // Only a lower limit, on a scale of 0.5: 0.1 s * ((-3 - -2.5) / 0.5)^2.
        let cost = bound("{kind: limits, weight: 1, of: velocity.1, min: -2.5, scale: 0.5}").unwrap();
        assert!((cost_of(&*cost, &frame(-99.0, -3.0), 8) - 0.1).abs() < 1e-9);
    }

    #[test]
    fn every_channel_has_a_limit_and_min_is_at_most_max() {
        for (settings, message) in [
            ("of: velocity", "costs[0].of: velocity: its channel 0 has neither min nor max"),
            ("of: velocity, min: [1, ~]", "costs[0].of: velocity: its channel 1 has neither min nor max"),
            ("of: vx, min: 2, max: 1", "costs[0].min: 2: must be at most max, which is 1 for channel 0 of `of`"),
            ("of: vx, min: .inf", "costs[0].min: [Some(inf)]: must be finite, or ~ for no limit"),
        ] {
            assert_eq!(refusal(&format!("{{kind: limits, weight: 1, {settings}}}")), message);
        }
    }
}
