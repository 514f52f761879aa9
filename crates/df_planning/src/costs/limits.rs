//! Soft limits of any channels.

use serde::Deserialize;

use super::binding::{Binding, PerChannel, Selection};
use super::kinds::Kind;
use super::{Cost, CostError, Rollout};

/// `weight` times the time integral, over channels, of `(max(0, min - v, v - max) / scale)^2`, in (unit / scale)^2 s.
pub struct Limits {
    pub weight: f64,
    pub of: Vec<usize>,
    /// One per channel of `of`; infinite where a side has no limit.
    pub min: Vec<f64>,
    pub max: Vec<f64>,
    /// `1 / scale^2`, one per channel of `of`.
    pub inverse_squares: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
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

impl Kind for Limits {
    const NAME: &'static str = "limits";
    type Settings = Settings;

    fn bind(settings: Settings, binding: &Binding) -> Result<Self, CostError> {
        let of = binding.channels("of", &settings.of)?;
        let side = |name: &str, values: &PerChannel<Option<f64>>, open: f64| {
            let values = binding.per_channel(name, values, of.len())?;
            let finite = values.iter().flatten().all(|v| v.is_finite());
            binding.require(finite, name, format!("{values:?}"), "must be finite, or ~ for no limit")?;
            Ok(values.into_iter().map(|v| v.unwrap_or(open)).collect::<Vec<f64>>())
        };
        let min = side("min", &settings.min, f64::NEG_INFINITY)?;
        let max = side("max", &settings.max, f64::INFINITY)?;
        for (i, (min, max)) in min.iter().zip(&max).enumerate() {
            let limited = min.is_finite() || max.is_finite();
            binding.require(limited, "of", &settings.of, format!("its channel {i} has neither min nor max"))?;
            let rule = format!("must be at most max, which is {max} for channel {i} of `of`");
            binding.require(min <= max, "min", min, rule)?;
        }
        let inverse_squares = binding.inverse_squares(&settings.scale, of.len())?;
        Ok(Self { weight: binding.config.weight, of, min, max, inverse_squares })
    }
}

impl Cost for Limits {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, future: &Rollout, gradient: &mut [f32]) -> f64 {
        let mut cost = 0.0;
        for (frame, gradient) in future.frames().zip(gradient.chunks_exact_mut(future.channels)) {
            for (i, &c) in self.of.iter().enumerate() {
                let value = f64::from(frame[c]);
                // Negative below the lower limit, positive above the upper one.
                let beyond = (value - self.max[i]).max(0.0) + (value - self.min[i]).min(0.0);
                let factor = self.weight * future.period_s * self.inverse_squares[i];
                cost += factor * beyond * beyond;
                gradient[c] += (2.0 * factor * beyond) as f32;
            }
        }
        cost
    }
}

#[cfg(test)]
mod tests {
    use crate::costs::cost::{assert_gradient, cost_of};
    use crate::costs::kinds::tests::{bound, refusal};

    fn frame(vx: f32, vy: f32) -> [f32; 8] {
        [9.0, 9.0, 9.0, 9.0, vx, vy, 9.0, 9.0]
    }

    #[test]
    fn by_hand() {
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
    fn limits_are_there_and_in_order() {
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
