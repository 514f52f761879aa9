//! Solvers: the update of noisy tokens from one level to a lower one, given the predicted clean tokens.

use serde::{Deserialize, Serialize};

use crate::{Levels, NoiseSchedule, TokenSpec, Tokens};

/// Which update takes tokens from one level to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverKind {
    /// DDIM (Song et al. 2021, "Denoising Diffusion Implicit Models", eq. 12 and 16).
    Ddim,
    /// DPM-Solver++(2M) (Lu et al. 2022, "DPM-Solver++", algorithm 2): deterministic, second order by the previous
    /// prediction. It is first order in the first step and at the levels 0 and 1, where the log-SNR is infinite.
    DpmSolver,
}

/// What a [`Solver`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SolverConfig {
    /// The update.
    pub kind: SolverKind,
    /// Fresh noise of DDIM, at least 0: 0 is deterministic, 1 is ancestral sampling. DPM-Solver++ ignores it.
    pub eta: f32,
}

impl SolverConfig {
    /// DDIM with fresh noise `eta`.
    pub const fn ddim(eta: f32) -> Self {
        Self { kind: SolverKind::Ddim, eta }
    }

    /// DPM-Solver++(2M).
    pub const fn dpm_solver() -> Self {
        Self { kind: SolverKind::DpmSolver, eta: 0.0 }
    }
}

/// Moves tokens from level to level, noise group by noise group.
///
/// DPM-Solver++ keeps the previous prediction of each noise group, so a solver serves one sampling run.
#[derive(Clone, Debug)]
pub struct Solver {
    config: SolverConfig,
    schedule: NoiseSchedule,
    noise_group_of_channel: Vec<usize>,
    previous: Option<Previous>,
}

#[derive(Clone, Debug)]
struct Previous {
    x0: Tokens,
    /// The levels at which `x0` was predicted, `[batch, token, noise_group]`; NaN: no prediction yet.
    levels: Levels,
}

/// `x' = sample_weight x + clean_weight x0 + previous_weight x0_previous + noise_weight noise` for one noise group.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Coefficients {
    sample_weight: f32,
    clean_weight: f32,
    previous_weight: f32,
    noise_weight: f32,
}

impl Solver {
    /// A solver for tokens of `spec`, without a previous prediction.
    pub fn new(config: SolverConfig, schedule: NoiseSchedule, spec: &TokenSpec) -> Self {
        Self { config, schedule, noise_group_of_channel: spec.noise_group_of_channel.clone(), previous: None }
    }

    /// True if [`Solver::step`] uses its noise.
    pub fn is_stochastic(&self) -> bool {
        self.config.kind == SolverKind::Ddim && self.config.eta > 0.0
    }

    /// Moves the noise groups of `x` whose level falls from `from` to `to`; the others stay unchanged, bit for bit.
    ///
    /// `x`, `x0`, `noise`: `[batch, token, channel]`; `from`, `to`: `[batch, token, noise_group]`. `x0` are the clean
    /// tokens predicted at `from`. `noise` is standard normal and required if [`Solver::is_stochastic`].
    /// [`Solver::renoise`] raises levels.
    pub fn step(&mut self, x: &mut Tokens, x0: &Tokens, from: &Levels, to: &Levels, noise: Option<&Tokens>) {
        if self.config.kind == SolverKind::DpmSolver && self.previous.is_none() {
            self.previous = Some(Previous {
                x0: Tokens::zeros(x.batch, x.tokens, x.channels),
                levels: Levels::filled(from.batch, from.tokens, from.noise_groups, f32::NAN),
            });
        }
        let mut coefficients = vec![None; from.noise_groups];
        // Keyed by bits: a missing previous level is NaN, which equals nothing.
        let mut cached: Option<([u32; 3], Coefficients)> = None;
        for batch in 0..x.batch {
            for token in 0..x.tokens {
                let (from_levels, to_levels) = (from.at(batch, token), to.at(batch, token));
                for noise_group in 0..from.noise_groups {
                    let (s, r) = (from_levels[noise_group], to_levels[noise_group]);
                    coefficients[noise_group] = (r < s).then(|| {
                        let before =
                            self.previous.as_ref().map_or(f32::NAN, |p| p.levels.at(batch, token)[noise_group]);
                        // Neighbouring noise groups often share their levels.
                        let key = [s, r, before].map(f32::to_bits);
                        match cached {
                            Some((known_key, known)) if known_key == key => known,
                            _ => {
                                let fresh = self.coefficients(s, r, before);
                                cached = Some((key, fresh));
                                fresh
                            }
                        }
                    });
                }
                let predicted = x0.at(batch, token);
                let noise = noise.map(|noise| noise.at(batch, token));
                let mut previous = self.previous.as_mut().map(|p| p.x0.at_mut(batch, token));
                for (channel, value) in x.at_mut(batch, token).iter_mut().enumerate() {
                    let Some(c) = coefficients[self.noise_group_of_channel[channel]] else { continue };
                    let mut next = c.sample_weight * *value + c.clean_weight * predicted[channel];
                    if let Some(previous) = previous.as_mut() {
                        next += c.previous_weight * previous[channel];
                        previous[channel] = predicted[channel];
                    }
                    if let Some(noise) = noise {
                        next += c.noise_weight * noise[channel];
                    }
                    *value = next;
                }
                if let Some(previous) = self.previous.as_mut() {
                    let remembered = previous.levels.at_mut(batch, token);
                    for noise_group in 0..from.noise_groups {
                        if to_levels[noise_group] < from_levels[noise_group] {
                            remembered[noise_group] = from_levels[noise_group];
                        }
                    }
                }
            }
        }
    }

    /// Sets the noise groups of `x` whose level falls from `from` to `to` to their predicted clean values `x0`.
    ///
    /// This moves them to level 0 at once. Shapes as in [`Solver::step`].
    pub fn to_clean(&self, x: &mut Tokens, x0: &Tokens, from: &Levels, to: &Levels) {
        let noise_groups = from.noise_groups;
        for (i, (of_token, clean)) in x.data.chunks_mut(x.channels).zip(x0.data.chunks(x.channels)).enumerate() {
            for (c, value) in of_token.iter_mut().enumerate() {
                let noise_group = i * noise_groups + self.noise_group_of_channel[c];
                if to.data[noise_group] < from.data[noise_group] {
                    *value = clean[c];
                }
            }
        }
    }

    /// The factors `(keep, fresh)` that raise a value from level `from` to a higher level `to` by the forward process.
    ///
    /// The result `keep x + fresh noise` has exactly the distribution of level `to`. With `x = a x0 + s n` at `from`,
    /// and `a'`, `s'` at `to`: `keep = a'/a`, `fresh = sqrt(s'^2 - keep^2 s^2)`. At `from = 1` the value is already
    /// noise: `(1, 0)`.
    pub fn renoise(schedule: NoiseSchedule, from: f32, to: f32) -> (f32, f32) {
        let ((a, s), (a_to, s_to)) = (schedule.alpha_sigma(from), schedule.alpha_sigma(to));
        if a <= 0.0 {
            return (1.0, 0.0);
        }
        let ratio = a_to / a;
        (ratio, (s_to * s_to - ratio * ratio * s * s).max(0.0).sqrt())
    }

    fn coefficients(&self, from: f32, to: f32, before: f32) -> Coefficients {
        let ((alpha_s, sigma_s), (alpha_r, sigma_r)) = (self.schedule.alpha_sigma(from), self.schedule.alpha_sigma(to));
        let ratio = sigma_r / sigma_s;
        match self.config.kind {
            SolverKind::Ddim => {
                let eta = self.config.eta;
                // Eq. 16: the noise of ancestral sampling times eta. The rest of sigma_r^2 is along the direction to x.
                let fresh = eta * ratio * (1.0 - (alpha_s / alpha_r).powi(2)).max(0.0).sqrt();
                let along = (sigma_r * sigma_r - fresh * fresh).max(0.0).sqrt() / sigma_s;
                Coefficients {
                    sample_weight: along,
                    clean_weight: alpha_r - alpha_s * along,
                    previous_weight: 0.0,
                    noise_weight: fresh,
                }
            }
            SolverKind::DpmSolver => {
                let clean_weight = alpha_r - alpha_s * ratio;
                let log_snr = |alpha: f32, sigma: f32| (alpha / sigma).ln();
                let h = log_snr(alpha_r, sigma_r) - log_snr(alpha_s, sigma_s);
                let (alpha_b, sigma_b) = self.schedule.alpha_sigma(if before.is_nan() { 1.0 } else { before });
                let h_before = log_snr(alpha_s, sigma_s) - log_snr(alpha_b, sigma_b);
                // 1 / (2 r) of the paper, r = h_before / h.
                let extrapolation = h / (2.0 * h_before);
                // At most 1: a token with a start level between two rows takes a very short first step, which would
                // extrapolate its prediction far. Steps between even rows stay below ln 2 / (2 ln 1.5) = 0.86.
                let extrapolation =
                    if extrapolation.is_finite() && h_before > 0.0 { extrapolation.min(1.0) } else { 0.0 };
                Coefficients {
                    sample_weight: ratio,
                    clean_weight: clean_weight * (1.0 + extrapolation),
                    previous_weight: -clean_weight * extrapolation,
                    noise_weight: 0.0,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoiseScheduleKind;
    use proptest::prelude::*;

    const SCHEDULE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);

    fn one(value: f32) -> Tokens {
        Tokens { batch: 1, tokens: 1, channels: 1, data: vec![value] }
    }

    fn level(value: f32) -> Levels {
        Levels::filled(1, 1, 1, value)
    }

    proptest! {
        #[test]
        fn a_deterministic_step_with_the_true_x0_follows_the_forward_process(x0 in -2.0f32..2.0, n in -2.0f32..2.0, s in 0.05f32..1.0, part in 0.0f32..0.95) {
            let r = s * part;
            let ((a_s, s_s), (a_r, s_r)) = (SCHEDULE.alpha_sigma(s), SCHEDULE.alpha_sigma(r));
            for kind in [SolverConfig::ddim(0.0), SolverConfig::dpm_solver()] {
                let mut x = one(a_s * x0 + s_s * n);
                Solver::new(kind, SCHEDULE, &TokenSpec::new(&[0], 1)).step(&mut x, &one(x0), &level(s), &level(r), None);
                prop_assert!((x.data[0] - (a_r * x0 + s_r * n)).abs() < 2e-4, "{kind:?}");
            }
        }

        #[test]
        fn renoising_gives_the_signal_and_the_noise_variance_of_the_higher_level(from in 0.0f32..0.95, step in 0.0f32..0.05) {
            let to = from + step;
            let (keep, fresh) = Solver::renoise(SCHEDULE, from, to);
            let ((a, s), (a_to, s_to)) = (SCHEDULE.alpha_sigma(from), SCHEDULE.alpha_sigma(to));
            prop_assert!((keep * a - a_to).abs() < 1e-5);
            prop_assert!(((keep * s).powi(2) + fresh * fresh - s_to * s_to).abs() < 1e-5);
        }

        #[test]
        fn an_unchanged_level_leaves_the_value_bit_for_bit(bits in any::<u32>(), s in 0.0f32..=1.0) {
            for kind in [SolverConfig::ddim(1.0), SolverConfig::dpm_solver()] {
                let mut x = one(f32::from_bits(bits));
                Solver::new(kind, SCHEDULE, &TokenSpec::new(&[0], 1)).step(&mut x, &one(3.0), &level(s), &level(s), Some(&one(1.0)));
                prop_assert_eq!(x.data[0].to_bits(), bits);
            }
        }
    }

    #[test]
    fn a_short_step_before_does_not_extrapolate_a_prediction_far() {
        // The predictions differ by 0.1, so second and first order differ by less, however short the step before is.
        for short in [1e-6, 1e-4, 1e-2] {
            let solved = |kind| {
                let mut solver = Solver::new(kind, SCHEDULE, &TokenSpec::new(&[0], 1));
                let mut x = one(0.5);
                solver.step(&mut x, &one(1.0), &level(0.3 + short), &level(0.3), None);
                solver.step(&mut x, &one(1.1), &level(0.3), &level(0.2), None);
                x.data[0]
            };
            let (second, first) = (solved(SolverConfig::dpm_solver()), solved(SolverConfig::ddim(0.0)));
            assert!((second - first).abs() < 0.1, "{short}: {second}, {first}");
        }
    }

    #[test]
    fn ddim_with_eta_one_draws_from_the_posterior_of_the_forward_process() {
        // Ancestral sampling: Var[x_r | x_s, x0] = sigma_r^2 / sigma_s^2 (1 - alpha_s^2 / alpha_r^2).
        let solver = Solver::new(SolverConfig::ddim(1.0), SCHEDULE, &TokenSpec::new(&[0], 1));
        let ((a_s, s_s), (a_r, s_r)) = (SCHEDULE.alpha_sigma(0.6), SCHEDULE.alpha_sigma(0.3));
        let c = solver.coefficients(0.6, 0.3, f32::NAN);
        assert!((c.noise_weight.powi(2) - (s_r / s_s).powi(2) * (1.0 - (a_s / a_r).powi(2))).abs() < 1e-6);
        // The total variance at level r is sigma_r^2: (sample_weight s_s)^2 + noise_weight^2.
        assert!(((c.sample_weight * s_s).powi(2) + c.noise_weight.powi(2) - s_r * s_r).abs() < 1e-6);
    }
}
