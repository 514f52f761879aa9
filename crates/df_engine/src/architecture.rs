//! Which network a checkpoint holds. The engine evaluates the native one; the other is evaluated by the training crate.

use df_diffusion::{Levels, NoiseSchedule};
use serde::{Deserialize, Serialize};

/// Which network a checkpoint holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// df_planner's own, see [`crate::CpuNetwork`].
    #[default]
    #[serde(alias = "own")]
    Native,
    /// That of the method's reference code.
    Reference(ReferenceConfig),
}

impl Architecture {
    /// Is it the native one?
    pub fn is_native(&self) -> bool {
        *self == Self::Native
    }
}

/// The transformer of the method's reference code (Chen et al. 2024, github.com/buoyancy99/diffusion-forcing), beside
/// the sizes that both architectures have. It takes one noise step per token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceConfig {
    /// Width of the MLP of a block.
    pub hidden: usize,
    /// Whether a token attends to earlier ones only. If not, sequences are padded to the longest one with tokens of
    /// pure noise, as in training there.
    pub causal: bool,
    /// Share of the signal's variance at each noise step, falling (`alphas_cumprod`).
    pub signal: Vec<f32>,
    /// Per noise group of a token: whether it was in the training data there. One that was not is neither input nor
    /// predicted.
    pub seen: Vec<bool>,
}

impl ReferenceConfig {
    /// The step whose ratio of signal to noise is nearest to that of a level, as logarithms; the first and last for 0
    /// and 1.
    pub fn step(&self, level: f32, schedule: NoiseSchedule) -> usize {
        let (alpha, sigma) = schedule.alpha_sigma(level);
        let ratio = |signal: f32| (f64::from(signal) / (1.0 - f64::from(signal)).max(1e-12)).max(1e-12).ln();
        let wanted = 2.0 * (f64::from(alpha).max(1e-12) / f64::from(sigma).max(1e-12)).ln();
        let after = self.signal.partition_point(|&signal| ratio(signal) > wanted);
        let distance = |step: usize| self.signal.get(step).map_or(f64::INFINITY, |&s| (ratio(s) - wanted).abs());
        match after.checked_sub(1) {
            Some(before) if distance(before) <= distance(after) => before,
            _ => after,
        }
    }

    /// The levels that the network is conditioned on: for noise groups that were seen in training, the highest of
    /// their token. `[batch, token, noise group]`, as `levels`.
    pub fn network_levels(&self, levels: &Levels) -> Levels {
        let mut network_levels = levels.clone();
        for token in network_levels.data.chunks_mut(levels.noise_groups) {
            let seen = || token.iter().zip(&self.seen).filter(|(_, seen)| **seen);
            let highest = seen().fold(0.0f32, |highest, (level, _)| highest.max(*level));
            token.iter_mut().zip(&self.seen).filter(|(_, seen)| **seen).for_each(|(level, _)| *level = highest);
        }
        network_levels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::NoiseScheduleKind;

    const COSINE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);

    /// Four steps with three, one, a third and a tenth of the noise's variance as signal.
    fn config(seen: Vec<bool>) -> ReferenceConfig {
        let signal = vec![3.0 / 4.0, 1.0 / 2.0, 1.0 / 4.0, 1.0 / 11.0];
        ReferenceConfig { hidden: 12, causal: false, signal, seen }
    }

    #[test]
    fn a_level_is_the_step_of_the_nearest_signal_to_noise_ratio() {
        let config = config(vec![true]);
        // Cosine: the ratio of variances is cot^2(pi/2 level): 3 at level 1/3, 1 at 1/2, 1/3 at 2/3.
        let steps = [0.0, 0.2, 1.0 / 3.0, 0.5, 2.0 / 3.0, 1.0].map(|level| config.step(level, COSINE));
        assert_eq!(steps, [0, 0, 0, 1, 2, 3]);
        // Half way between 3 and 1, as logarithms, is sqrt(3): level 2/pi atan(3^-1/4) = 0.4138.
        assert_eq!([0.41, 0.42].map(|level| config.step(level, COSINE)), [0, 1]);
        // The published schedule: beta linear from 1e-4 to 0.02. Its first and last step are not far from the ends.
        let mut product = 1.0f64;
        let signal = (0..1000).map(|k| {
            product *= 1.0 - (1e-4 + (0.02 - 1e-4) * f64::from(k) / 999.0);
            product as f32
        });
        let published = ReferenceConfig { signal: signal.collect(), ..config };
        assert_eq!([0.0, 1e-3, 1.0].map(|level| published.step(level, COSINE)), [0, 0, 999]);
        let round_trip = |step: usize| COSINE.level_of((1.0 / published.signal[step] - 1.0).sqrt());
        assert!((0..1000).all(|step| published.step(round_trip(step), COSINE) == step));
    }

    #[test]
    fn a_token_is_conditioned_on_the_highest_level_of_the_noise_groups_that_were_seen_in_training() {
        let levels = Levels { data: vec![0.1, 0.9, 0.3, 0.0, 1.0, 0.0], ..Levels::filled(1, 2, 3, 0.0) };
        let network_levels = config(vec![true, false, true]).network_levels(&levels);
        assert_eq!(network_levels.data, [0.3, 0.9, 0.3, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn the_old_name_of_the_native_architecture_is_read() {
        assert_eq!(serde_json::from_str::<Architecture>(r#""own""#).unwrap(), Architecture::Native);
        assert_eq!(serde_json::to_string(&Architecture::Native).unwrap(), r#""native""#);
        let reference = Architecture::Reference(config(vec![true]));
        let text = serde_json::to_string(&reference).unwrap();
        assert!(text.starts_with(r#"{"reference":{"hidden":12,"#), "{text}");
        assert_eq!(serde_json::from_str::<Architecture>(&text).unwrap(), reference);
    }
}
