//! Noise schedules: from level to amplitudes of signal and noise.

use serde::{Deserialize, Serialize};

/// Which noise schedule; see [`NoiseSchedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseScheduleKind {
    /// `alpha = cos(pi/2 s)` (Nichol and Dhariwal 2021).
    Cosine,
    /// Linear `beta` (Ho et al. 2020).
    Linear,
    /// A sigmoid in `alpha^2` (Jabri et al. 2022).
    Sigmoid,
}

/// A variance-preserving schedule: `x = alpha x0 + sigma noise` with `alpha^2 + sigma^2 = 1`.
///
/// `alpha^2` is `alpha_bar_k` of Chen et al. 2024, and the level `s` is `k / K`, continuous in [0, 1]. Level 0 is
/// exactly clean (alpha 1), level 1 exactly pure noise (alpha 0).
///
/// - cosine: `alpha = cos(pi/2 s)` (Nichol and Dhariwal 2021, eq. 17, without the offset)
/// - linear: `alpha^2` falls like `exp(-integral of beta)` with beta linear from 0.1 to 20 (Ho et al. 2020 in the
///   continuous form of Song et al. 2021, appendix C)
/// - sigmoid: `alpha^2` is a sigmoid from +3 to -3, rescaled to [0, 1] (Jabri et al. 2022, algorithm 1, tau 1)
///
/// The latter two are shifted and scaled in `alpha^2` by their end values, so that they meet 0 and 1 exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoiseSchedule(pub NoiseScheduleKind);

/// Ends of the linear schedule's beta, per unit of level (Song et al. 2021, appendix C).
const BETA: (f64, f64) = (0.1, 20.0);
/// The sigmoid runs from this argument to its negative (Jabri et al. 2022, algorithm 1: start -3, end 3).
const SIGMOID_END: f64 = 3.0;

/// A schedule that caches its last results.
///
/// The frames of a token have few different levels, and a sine costs more than everything else that is done with a
/// level.
#[derive(Clone, Debug)]
pub struct RecentLevels {
    schedule: NoiseSchedule,
    /// Levels with their results.
    cached: [(f32, (f32, f32)); RECENT],
    next: usize,
}

/// Cached levels: more than most contracts have modalities.
const RECENT: usize = 4;

impl RecentLevels {
    /// An empty cache of `schedule`.
    pub fn new(schedule: NoiseSchedule) -> Self {
        Self { schedule, cached: [(0.0, schedule.alpha_sigma(0.0)); RECENT], next: 0 }
    }

    /// `(alpha, sigma)` at a level in [0, 1]: the result of [`NoiseSchedule::alpha_sigma`].
    pub fn alpha_sigma(&mut self, level: f32) -> (f32, f32) {
        if let Some((_, result)) = self.cached.iter().find(|(cached, _)| *cached == level) {
            return *result;
        }
        let result = self.schedule.alpha_sigma(level);
        self.cached[self.next] = (level, result);
        self.next = (self.next + 1) % RECENT;
        result
    }
}

impl NoiseSchedule {
    /// `(alpha, sigma)` at a level in [0, 1]; levels outside are clamped.
    pub fn alpha_sigma(self, level: f32) -> (f32, f32) {
        // Exact at the ends: a known value must stay as it is, and pure noise must hold nothing of the value.
        if level <= 0.0 {
            return (1.0, 0.0);
        }
        if level >= 1.0 {
            return (0.0, 1.0);
        }
        let s = f64::from(level);
        let (alpha, sigma) = match self.0 {
            NoiseScheduleKind::Cosine => {
                ((s * std::f64::consts::FRAC_PI_2).cos(), (s * std::f64::consts::FRAC_PI_2).sin())
            }
            NoiseScheduleKind::Linear => {
                let signal = |s: f64| (-(BETA.0 * s + 0.5 * (BETA.1 - BETA.0) * s * s)).exp();
                from_signal((signal(s) - signal(1.0)) / (1.0 - signal(1.0)))
            }
            NoiseScheduleKind::Sigmoid => {
                let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
                let signal = |s: f64| sigmoid(SIGMOID_END * (1.0 - 2.0 * s));
                from_signal((signal(s) - signal(1.0)) / (signal(0.0) - signal(1.0)))
            }
        };
        (alpha as f32, sigma as f32)
    }

    /// The level with `sigma / alpha = std`: that of a measurement with normal noise of this standard deviation.
    ///
    /// `std`: in normalised units, at least 0; infinity gives 1. Bisection, to a resolution of 2^-24.
    pub fn level_of(self, std: f32) -> f32 {
        let (mut low, mut high) = (0.0f32, 1.0f32);
        // 24 halvings: the precision of f32.
        for _ in 0..24 {
            let middle = 0.5 * (low + high);
            let (alpha, sigma) = self.alpha_sigma(middle);
            if sigma < std * alpha { low = middle } else { high = middle }
        }
        if std <= 0.0 { 0.0 } else { high }
    }
}

fn from_signal(alpha_squared: f64) -> (f64, f64) {
    let alpha_squared = alpha_squared.clamp(0.0, 1.0);
    (alpha_squared.sqrt(), (1.0 - alpha_squared).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL_KINDS: [NoiseScheduleKind; 3] =
        [NoiseScheduleKind::Cosine, NoiseScheduleKind::Linear, NoiseScheduleKind::Sigmoid];

    #[test]
    fn cached_results_equal_those_of_the_schedule() {
        // Eight levels, more than are cached. The order meets each while it is cached and after it was replaced.
        let schedule = NoiseSchedule(NoiseScheduleKind::Sigmoid);
        let mut recent = RecentLevels::new(schedule);
        for i in 0..100_u32 {
            let level = (i * i * i / 3 % 8) as f32 / 7.0;
            assert_eq!(recent.alpha_sigma(level), schedule.alpha_sigma(level), "{level}");
        }
    }

    #[test]
    fn level_zero_is_exactly_clean_and_level_one_exactly_noise() {
        for schedule in ALL_KINDS.map(NoiseSchedule) {
            assert_eq!(schedule.alpha_sigma(0.0), (1.0, 0.0));
            assert_eq!(schedule.alpha_sigma(1.0), (0.0, 1.0));
            // Continuous at the ends: no step between an end and its neighbour.
            assert!(schedule.alpha_sigma(1e-4).0 > 0.999 && schedule.alpha_sigma(0.9999).0 < 0.05, "{schedule:?}");
        }
    }

    #[test]
    fn a_measurement_has_the_level_whose_noise_ratio_is_its_deviation() {
        // Cosine: sigma / alpha = tan(pi/2 s), so a standard deviation of 1 is level 1/2, and one of tan(pi/8) level
        // 1/4.
        let cosine = NoiseSchedule(NoiseScheduleKind::Cosine);
        assert!((cosine.level_of(1.0) - 0.5).abs() < 1e-6);
        assert!((cosine.level_of((std::f32::consts::PI / 8.0).tan()) - 0.25).abs() < 1e-6);
        for schedule in ALL_KINDS.map(NoiseSchedule) {
            assert_eq!((schedule.level_of(0.0), schedule.level_of(f32::INFINITY)), (0.0, 1.0));
        }
    }

    proptest! {
        #[test]
        fn variance_is_preserved_and_the_signal_falls_with_the_level(level in 0.0f32..1.0, step in 1e-3f32..0.5) {
            for schedule in ALL_KINDS.map(NoiseSchedule) {
                let (alpha, sigma) = schedule.alpha_sigma(level);
                prop_assert!((alpha * alpha + sigma * sigma - 1.0).abs() < 1e-5);
                prop_assert!(schedule.alpha_sigma((level + step).min(1.0)).0 < alpha);
            }
        }
    }
}
