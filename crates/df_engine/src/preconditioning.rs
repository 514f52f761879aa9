//! Preconditioning: how the clean value follows from a noisy value and the network's prediction.
//!
//! `D(x) = c_skip x + c_out F(c_in x)` per value, with the network F (Karras et al. 2022, EDM, eq. 7). `c_skip` and
//! `c_out` follow from the objective: for v, they are alpha and -sigma. `c_in` is 1, unless the network is conditioned
//! on another level than the value has.

use std::borrow::Cow;

use df_diffusion::{DenoiserError, Levels, NoiseSchedule, Objective, TokenSpec, Tokens};

/// The coefficients of every value of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Preconditioning {
    /// `[batch, token, channel]`; `None`: 1 for all.
    c_in: Option<Vec<f32>>,
    /// `[batch, token, channel]`.
    c_skip: Vec<f32>,
    /// `[batch, token, channel]`.
    c_out: Vec<f32>,
}

/// The coefficients of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coefficients {
    /// Factor of the value before it enters the network.
    pub c_in: f32,
    /// Factor of the value in the clean value.
    pub c_skip: f32,
    /// Factor of the prediction in the clean value.
    pub c_out: f32,
}

impl Preconditioning {
    /// The coefficients for values at these levels.
    ///
    /// `network_levels` are those that the network is conditioned on, if they are others: a network with one level per
    /// token is conditioned on the highest of the token.
    ///
    /// # Shapes
    /// - `levels`, `network_levels`: `[batch, token, noise group]`
    pub fn new(
        spec: &TokenSpec,
        schedule: NoiseSchedule,
        objective: Objective,
        levels: &Levels,
        network_levels: Option<&Levels>,
    ) -> Self {
        let values = levels.batch * levels.tokens * spec.channels();
        let mut c_in = network_levels.map(|_| Vec::with_capacity(values));
        let [mut c_skip, mut c_out] = [(); 2].map(|()| Vec::with_capacity(values));
        let clean = Coefficients { c_in: 1.0, c_skip: 1.0, c_out: 0.0 };
        let mut of_group = vec![clean; levels.noise_groups];
        // Neighbours mostly have one level: the last answer is kept.
        let mut last = ((f32::NAN, f32::NAN), clean);
        let network_data = network_levels.map_or(&levels.data, |levels| &levels.data);
        let tokens = levels.data.chunks(levels.noise_groups).zip(network_data.chunks(levels.noise_groups));
        for (levels, network_levels) in tokens {
            for ((&level, &network_level), of_group) in levels.iter().zip(network_levels).zip(&mut of_group) {
                if last.0 != (level, network_level) {
                    last = ((level, network_level), coefficients(schedule, objective, level, network_level));
                }
                *of_group = last.1;
            }
            for &group in &spec.noise_group_of_channel {
                let coefficients = of_group[group];
                if let Some(c_in) = &mut c_in {
                    c_in.push(coefficients.c_in);
                }
                c_skip.push(coefficients.c_skip);
                c_out.push(coefficients.c_out);
            }
        }
        Self { c_in, c_skip, c_out }
    }

    /// What enters the network: `c_in x`, `[batch, token, channel]`.
    pub fn network_input<'a>(&self, x: &'a Tokens) -> Cow<'a, [f32]> {
        match &self.c_in {
            None => Cow::Borrowed(&x.data),
            Some(c_in) => Cow::Owned(x.data.iter().zip(c_in).map(|(x, c_in)| x * c_in).collect()),
        }
    }

    /// The clean tokens: `c_skip x + c_out prediction`, `[batch, token, channel]`. A clean value (level 0) is its own,
    /// whatever the network predicts.
    pub fn clean(&self, x: &Tokens, prediction: &[f32]) -> Tokens {
        let coefficients = self.c_skip.iter().zip(&self.c_out);
        let values = x.data.iter().zip(prediction).zip(coefficients);
        let data = values.map(|((x, prediction), (c_skip, c_out))| c_skip * x + c_out * prediction).collect();
        Tokens { data, ..*x }
    }

    /// The gradient with respect to the prediction, given that with respect to the clean tokens, both
    /// `[batch, token, channel]`.
    pub fn prediction_cotangent(&self, clean_cotangent: &[f32]) -> Vec<f32> {
        clean_cotangent.iter().zip(&self.c_out).map(|(cotangent, c_out)| cotangent * c_out).collect()
    }

    /// The gradient with respect to `x`: `c_in` times that with respect to the network's input, and the part that
    /// bypasses the network, `c_skip` times that with respect to the clean tokens. All `[batch, token, channel]`.
    pub fn input_gradient(&self, mut network_gradient: Vec<f32>, clean_cotangent: &[f32]) -> Vec<f32> {
        if let Some(c_in) = &self.c_in {
            network_gradient.iter_mut().zip(c_in).for_each(|(gradient, c_in)| *gradient *= c_in);
        }
        let bypass = clean_cotangent.iter().zip(&self.c_skip).map(|(cotangent, c_skip)| cotangent * c_skip);
        network_gradient.iter_mut().zip(bypass).for_each(|(gradient, bypass)| *gradient += bypass);
        network_gradient
    }
}

/// The coefficients of a value at `level` for a network that is conditioned on `network_level`.
pub fn coefficients(schedule: NoiseSchedule, objective: Objective, level: f32, network_level: f32) -> Coefficients {
    let (alpha, sigma) = schedule.alpha_sigma(network_level);
    // A value that is cleaner than the network's level gets that level's amplitude, without its noise.
    let c_in = if network_level > level { alpha / schedule.alpha_sigma(level).0 } else { 1.0 };
    if level <= 0.0 {
        return Coefficients { c_in, c_skip: 1.0, c_out: 0.0 };
    }
    let (of_x, of_prediction) = objective.x0_coefficients(alpha, sigma);
    Coefficients { c_in, c_skip: of_x * c_in, c_out: of_prediction }
}

/// The tokens, if every value is finite.
///
/// # Errors
/// [`DenoiserError::NotFinite`].
pub fn finite(tokens: Tokens) -> Result<Tokens, DenoiserError> {
    if tokens.data.iter().all(|value| value.is_finite()) { Ok(tokens) } else { Err(DenoiserError::NotFinite) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use df_diffusion::{NoiseScheduleKind, ObjectiveKind};

    const COSINE: NoiseSchedule = NoiseSchedule(NoiseScheduleKind::Cosine);
    const V: Objective = Objective(ObjectiveKind::V);

    #[test]
    fn the_coefficients_of_v_are_alpha_and_minus_sigma() {
        // Cosine at level 1/3: alpha = cos(pi/6) = 0.8660254, sigma = 1/2.
        let got = coefficients(COSINE, V, 1.0 / 3.0, 1.0 / 3.0);
        assert!((got.c_skip - 0.866_025_4).abs() < 1e-6 && (got.c_out + 0.5).abs() < 1e-6, "{got:?}");
        assert_eq!(got.c_in, 1.0);
    }

    #[test]
    fn a_value_at_level_0_is_returned_unchanged() {
        assert_eq!(coefficients(COSINE, V, 0.0, 0.0), Coefficients { c_in: 1.0, c_skip: 1.0, c_out: 0.0 });
        // Also for a network that is conditioned on level 1/3: the value is scaled to that level's amplitude on its
        // way in.
        let got = coefficients(COSINE, V, 0.0, 1.0 / 3.0);
        assert!((got.c_in - 0.866_025_4).abs() < 1e-6, "{got:?}");
        assert_eq!((got.c_skip, got.c_out), (1.0, 0.0));
    }

    #[test]
    fn a_value_that_is_cleaner_than_the_networks_level_is_scaled_to_its_amplitude() {
        // Level 1/3 in a network at level 1/2: c_in = cos(pi/4) / cos(pi/6) = 0.8164966; v: c_skip = cos(pi/4) c_in =
        // 0.5773503, c_out = -sin(pi/4) = -1/sqrt(2).
        let got = coefficients(COSINE, V, 1.0 / 3.0, 0.5);
        let expected = Coefficients { c_in: 0.816_496_6, c_skip: 0.577_350_3, c_out: -std::f32::consts::FRAC_1_SQRT_2 };
        let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(near(got.c_in, expected.c_in) && near(got.c_skip, expected.c_skip), "{got:?}");
        assert!(near(got.c_out, expected.c_out), "{got:?}");
    }

    #[test]
    fn every_channel_has_the_coefficients_of_its_noise_group() {
        // One token; group 0 is clean, group 1 pure noise: v gives c_skip 0 and c_out -1 there.
        let spec = TokenSpec::new(&[0, 1, 1], 1);
        let levels = Levels { data: vec![0.0, 1.0], ..Levels::filled(1, 1, 2, 0.0) };
        let x = Tokens { batch: 1, tokens: 1, channels: 3, data: vec![2.0, 3.0, 4.0] };
        let of = |network_levels| Preconditioning::new(&spec, COSINE, V, &levels, network_levels);
        let (same, other) = (of(None), Levels::filled(1, 1, 2, 1.0));
        assert_eq!(same.clean(&x, &[7.0, 8.0, 9.0]).data, [2.0, -8.0, -9.0]);
        assert_eq!(same.network_input(&x).as_ref(), [2.0, 3.0, 4.0]);
        assert_eq!(same.prediction_cotangent(&[1.0, 2.0, 3.0]), [0.0, -2.0, -3.0]);
        assert_eq!(same.input_gradient(vec![5.0, 6.0, 7.0], &[1.0, 2.0, 3.0]), [6.0, 6.0, 7.0]);
        // Conditioned on pure noise: the clean value enters with amplitude 0, and its gradient bypasses the network
        // alone.
        let other = of(Some(&other));
        assert_eq!(other.network_input(&x).as_ref(), [0.0, 3.0, 4.0]);
        assert_eq!(other.input_gradient(vec![5.0, 6.0, 7.0], &[1.0, 2.0, 3.0]), [1.0, 6.0, 7.0]);
    }

    #[test]
    fn tokens_with_a_value_that_is_not_finite_are_refused() {
        let tokens = |value| Tokens { batch: 1, tokens: 1, channels: 2, data: vec![0.0, value] };
        assert_eq!(finite(tokens(1.0)), Ok(tokens(1.0)));
        assert_eq!(finite(tokens(f32::INFINITY)), Err(DenoiserError::NotFinite));
        assert_eq!(finite(tokens(f32::NAN)), Err(DenoiserError::NotFinite));
    }
}
