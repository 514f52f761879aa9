//! One denoising step: from one noise level to a lower one, per token and noise group, given the predicted clean tokens.

use serde::{Deserialize, Serialize};

use super::{Levels, NoiseSchedule, TokenSpec, Tokens};

/// Which update takes tokens from one level to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverKind {
    /// DDIM (Song et al. 2021, "Denoising Diffusion Implicit Models", eq. 12 and 16).
    Ddim,
    /// DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): second order from the previous prediction, deterministic. First
    /// order where there is none, and at the infinite ends of the log-SNR.
    DpmSolver,
}

/// A solver's settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SolverConfig {
    /// The update.
    pub kind: SolverKind,
    /// Fresh noise of DDIM: 0 is deterministic, 1 is as much as ancestral sampling. DPM-Solver ignores it.
    pub eta: f32,
}

impl SolverConfig {
    /// DDIM with so much fresh noise.
    pub const fn ddim(eta: f32) -> Self {
        Self { kind: SolverKind::Ddim, eta }
    }

    /// DPM-Solver++(2M).
    pub const fn dpm_solver() -> Self {
        Self { kind: SolverKind::DpmSolver, eta: 0.0 }
    }
}

/// Steps tokens from level to level. Remembers the previous prediction of each noise group (second order).
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
    /// The level at which `x0` was predicted, per batch, token and noise group; not a number: none yet.
    levels: Levels,
}

/// `x' = on_x x + on_x0 x0 + on_previous x0_previous + on_noise noise` for one noise group.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Coefficients {
    on_x: f32,
    on_x0: f32,
    on_previous: f32,
    on_noise: f32,
}

impl Solver {
    pub fn new(config: SolverConfig, schedule: NoiseSchedule, spec: &TokenSpec) -> Self {
        Self { config, schedule, noise_group_of_channel: spec.noise_group_of_channel.clone(), previous: None }
    }

    /// Whether [`Solver::step`] reads its noise.
    pub fn is_stochastic(&self) -> bool {
        self.config.kind == SolverKind::Ddim && self.config.eta > 0.0
    }

    /// Moves `x` from levels `from` to levels `to`; a noise group whose level does not change is untouched, bit for bit.
    ///
    /// `x0`: the predicted clean tokens at `from`. `noise`: standard normal, same shape; needed where
    /// [`Solver::is_stochastic`]. A noise group whose level rises is not for this function: see [`Solver::raise`].
    pub fn step(&mut self, x: &mut Tokens, x0: &Tokens, from: &Levels, to: &Levels, noise: Option<&Tokens>) {
        if self.config.kind == SolverKind::DpmSolver && self.previous.is_none() {
            self.previous = Some(Previous {
                x0: Tokens::zeros(x.batch, x.tokens, x.channels),
                levels: Levels::filled(from.batch, from.tokens, from.noise_groups, f32::NAN),
            });
        }
        let mut coefficients = vec![None; from.noise_groups];
        // By bits: no level before is a NaN, which equals nothing.
        let mut memo: Option<([u32; 3], Coefficients)> = None;
        for batch in 0..x.batch {
            for token in 0..x.tokens {
                let (from_levels, to_levels) = (from.at(batch, token), to.at(batch, token));
                for noise_group in 0..from.noise_groups {
                    let (s, r) = (from_levels[noise_group], to_levels[noise_group]);
                    coefficients[noise_group] = (r < s).then(|| {
                        let before = self.previous.as_ref().map_or(f32::NAN, |p| p.levels.at(batch, token)[noise_group]);
                        // Neighbouring noise groups mostly share their levels.
                        let key = [s, r, before].map(f32::to_bits);
                        match memo {
                            Some((known_key, known)) if known_key == key => known,
                            _ => {
                                let fresh = self.coefficients(s, r, before);
                                memo = Some((key, fresh));
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
                    let mut next = c.on_x * *value + c.on_x0 * predicted[channel];
                    if let Some(previous) = previous.as_mut() {
                        next += c.on_previous * previous[channel];
                        previous[channel] = predicted[channel];
                    }
                    if let Some(noise) = noise {
                        next += c.on_noise * noise[channel];
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

    /// Moves the noise groups whose level falls from `from` to `to` onto the predicted clean tokens: to level 0 in one go.
    pub fn jump(&self, x: &mut Tokens, x0: &Tokens, from: &Levels, to: &Levels) {
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

    /// Raises values of one level to a higher one by the forward process, exactly: with `x = a x0 + s n`,
    /// `x' = (a'/a) x + sqrt(s'^2 - (a'/a)^2 s^2) noise`. Returns the two factors.
    pub fn raise(schedule: NoiseSchedule, from: f32, to: f32) -> (f32, f32) {
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
                // eq. 16: the noise of ancestral sampling, scaled by eta; and what is left for the direction to x.
                let fresh = eta * ratio * (1.0 - (alpha_s / alpha_r).powi(2)).max(0.0).sqrt();
                let along = (sigma_r * sigma_r - fresh * fresh).max(0.0).sqrt() / sigma_s;
                Coefficients { on_x: along, on_x0: alpha_r - alpha_s * along, on_previous: 0.0, on_noise: fresh }
            }
            SolverKind::DpmSolver => {
                let on_x0 = alpha_r - alpha_s * ratio;
                let log_snr = |alpha: f32, sigma: f32| (alpha / sigma).ln();
                let h = log_snr(alpha_r, sigma_r) - log_snr(alpha_s, sigma_s);
                let (alpha_b, sigma_b) = self.schedule.alpha_sigma(if before.is_nan() { 1.0 } else { before });
                let h_before = log_snr(alpha_s, sigma_s) - log_snr(alpha_b, sigma_b);
                // 1 / (2 r) of the paper, r = h_before / h.
                let extrapolation = h / (2.0 * h_before);
                // A token that begins between two rows comes to the next by a step as short as may be, while its neighbours go a whole
                // one: what its prediction changed by meanwhile must not be carried far. Even rows stay below ln 2 / (2 ln 1.5) = 0.86.
                let extrapolation =
                    if extrapolation.is_finite() && h_before > 0.0 { extrapolation.min(1.0) } else { 0.0 };
                Coefficients {
                    on_x: ratio,
                    on_x0: on_x0 * (1.0 + extrapolation),
                    on_previous: -on_x0 * extrapolation,
                    on_noise: 0.0,
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
        /// With the true x0 given, a deterministic step lands exactly on the forward process at the lower level.
        #[test]
        fn a_step_with_the_true_x0_stays_on_the_ray(x0 in -2.0f32..2.0, n in -2.0f32..2.0, s in 0.05f32..1.0, part in 0.0f32..0.95) {
            let r = s * part;
            let ((a_s, s_s), (a_r, s_r)) = (SCHEDULE.alpha_sigma(s), SCHEDULE.alpha_sigma(r));
            for kind in [SolverConfig::ddim(0.0), SolverConfig::dpm_solver()] {
                let mut x = one(a_s * x0 + s_s * n);
                Solver::new(kind, SCHEDULE, &TokenSpec::new(&[0], 1)).step(&mut x, &one(x0), &level(s), &level(r), None);
                prop_assert!((x.data[0] - (a_r * x0 + s_r * n)).abs() < 2e-4, "{kind:?}");
            }
        }

        /// Raising keeps the forward process: signal a' x0, noise variance s'^2.
        #[test]
        fn raising_is_exact(from in 0.0f32..0.95, step in 0.0f32..0.05) {
            let to = from + step;
            let (keep, fresh) = Solver::raise(SCHEDULE, from, to);
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

    /// Predictions that differ by 0.1 move a step by no more than that part of it which is theirs, however short the step before.
    #[test]
    fn a_short_step_is_not_extrapolated_far() {
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
    fn eta_one_draws_from_the_forward_posterior() {
        // Ancestral sampling: Var[x_r | x_s, x0] = sigma_r^2 / sigma_s^2 (1 - alpha_s^2 / alpha_r^2).
        let solver = Solver::new(SolverConfig::ddim(1.0), SCHEDULE, &TokenSpec::new(&[0], 1));
        let ((a_s, s_s), (a_r, s_r)) = (SCHEDULE.alpha_sigma(0.6), SCHEDULE.alpha_sigma(0.3));
        let c = solver.coefficients(0.6, 0.3, f32::NAN);
        assert!((c.on_noise.powi(2) - (s_r / s_s).powi(2) * (1.0 - (a_s / a_r).powi(2))).abs() < 1e-6);
        // And the total variance at level r is sigma_r^2: (on_x s_s)^2 + on_noise^2.
        assert!(((c.on_x * s_s).powi(2) + c.on_noise.powi(2) - s_r * s_r).abs() < 1e-6);
    }
}
