//! A trained network as a [`Denoiser`], evaluated on the CPU: host buffers in, host buffers out.

use df_diffusion::{Denoiser, DenoiserError, Levels, Objective, Tokens};

use crate::conditioning_features::ConditioningFeatures;
use crate::cpu_network::CpuNetwork;
use crate::preconditioning::{Preconditioning, finite};

/// The network, with all that turns its prediction into clean tokens.
pub struct CpuDenoiser {
    network: CpuNetwork,
    features: ConditioningFeatures,
    objective: Objective,
}

impl CpuDenoiser {
    /// A denoiser for the kind of tokens, the noise schedule and the objective that the network was trained with.
    pub fn new(network: CpuNetwork, features: ConditioningFeatures, objective: Objective) -> Self {
        Self { network, features, objective }
    }

    fn check(&self, x: &Tokens) -> Result<(), DenoiserError> {
        let max = self.network.max_tokens();
        if x.tokens > max {
            return Err(DenoiserError::TooLong { tokens: x.tokens, max });
        }
        Ok(())
    }

    fn preconditioning(&self, levels: &Levels) -> Preconditioning {
        let ConditioningFeatures { spec, schedule, .. } = &self.features;
        Preconditioning::new(spec, *schedule, self.objective, levels, None)
    }
}

impl Denoiser for CpuDenoiser {
    fn max_tokens(&self) -> Option<usize> {
        Some(self.network.max_tokens())
    }

    fn denoise(&mut self, x: &Tokens, levels: &Levels) -> Result<Tokens, DenoiserError> {
        self.check(x)?;
        let preconditioning = self.preconditioning(levels);
        let input = preconditioning.network_input(x);
        let prediction = self.network.forward(&input, &self.features.evaluate(x, levels), x.tokens);
        finite(preconditioning.clean(x, &prediction))
    }

    fn denoise_with_gradient(
        &mut self,
        x: &Tokens,
        levels: &Levels,
        cotangent: &mut dyn FnMut(&Tokens) -> Tokens,
    ) -> Result<(Tokens, Tokens), DenoiserError> {
        self.check(x)?;
        let preconditioning = self.preconditioning(levels);
        let input = preconditioning.network_input(x);
        let features = self.features.evaluate(x, levels);
        let mut clean = Tokens { data: Vec::new(), ..*x };
        let mut clean_cotangent = Vec::new();
        let of_prediction = |prediction: &[f32]| {
            clean = preconditioning.clean(x, prediction);
            clean_cotangent = cotangent(&clean).data;
            preconditioning.prediction_cotangent(&clean_cotangent)
        };
        let (_, gradient) = self.network.forward_and_gradient(&input, &features, x.tokens, of_prediction);
        let gradient = preconditioning.input_gradient(gradient, &clean_cotangent);
        Ok((finite(clean)?, finite(Tokens { data: gradient, ..*x })?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network_config::NetworkConfig;
    use crate::weights::tests::made_up;
    use df_diffusion::{NoiseSchedule, NoiseScheduleKind, ObjectiveKind, TokenSpec};

    /// Two frames of three channels in two modalities a token. Of two sequences of four tokens, the first two tokens
    /// are clean, and the third is pure noise.
    fn denoiser(condition_on_clean_values: bool) -> (CpuDenoiser, Tokens, Levels) {
        let spec = TokenSpec::new(&[0, 1, 1], 2);
        let sizes = NetworkConfig::new(16, 2, 2, spec.channels(), spec.noise_groups(), 5);
        let sizes = NetworkConfig { condition_on_clean_values, ..sizes };
        let network = CpuNetwork::new(&made_up(&sizes), &sizes).unwrap();
        let x = Tokens { batch: 2, tokens: 4, channels: 6, data: (0..48).map(|i| (i as f32 * 0.7).sin()).collect() };
        let mut levels = Levels::filled(2, 4, 4, 0.4);
        levels.data[..8].fill(0.0);
        levels.data[8..12].fill(1.0);
        let schedule = NoiseSchedule(NoiseScheduleKind::Cosine);
        let features = ConditioningFeatures { spec, schedule, condition_on_clean_values };
        (CpuDenoiser::new(network, features, Objective(ObjectiveKind::V)), x, levels)
    }

    #[test]
    fn values_at_level_0_are_returned_unchanged() {
        let (mut denoiser, x, levels) = denoiser(true);
        let clean = denoiser.denoise(&x, &levels).unwrap();
        assert_eq!(clean.data[..12], x.data[..12]);
        assert_ne!(clean.data[12..], x.data[12..]);
    }

    #[test]
    fn the_gradient_equals_a_finite_difference() {
        // Values 0 to 11 are clean: with them among the features, their gradient is not the whole one.
        finite_difference(false, &[0, 5, 13, 20, 30, 47]);
        finite_difference(true, &[13, 20, 30, 47]);
    }

    fn finite_difference(condition_on_clean_values: bool, places: &[usize]) {
        let (mut denoiser, x, levels) = denoiser(condition_on_clean_values);
        // The scalar: sum of weights * clean.
        let weights: Vec<f32> = (0..48).map(|i| (i as f32 * 1.3).cos()).collect();
        let cotangent = Tokens { data: weights.clone(), ..x.clone() };
        let (clean, gradient) = denoiser.denoise_with_gradient(&x, &levels, &mut |_| cotangent.clone()).unwrap();
        assert_eq!(clean, denoiser.denoise(&x, &levels).unwrap());
        let mut scalar = |x: &Tokens| -> f64 {
            let clean = denoiser.denoise(x, &levels).unwrap();
            clean.data.iter().zip(&weights).map(|(c, w)| f64::from(c * w)).sum()
        };
        for &i in places {
            let step = 1e-2;
            let moved = |by: f32| {
                let mut x = x.clone();
                x.data[i] += by;
                x
            };
            let difference = (scalar(&moved(step)) - scalar(&moved(-step))) / (2.0 * f64::from(step));
            let got = gradient.data[i];
            assert!((difference - f64::from(got)).abs() < 2e-2 * difference.abs().max(1.0), "{i}: {difference} {got}");
        }
    }

    #[test]
    fn the_cotangent_is_evaluated_at_the_clean_tokens() {
        let (mut denoiser, x, levels) = denoiser(false);
        let mut seen = None;
        let zeros = |clean: &Tokens| Tokens::zeros(clean.batch, clean.tokens, clean.channels);
        let (clean, gradient) = denoiser
            .denoise_with_gradient(&x, &levels, &mut |clean| {
                seen = Some(clean.clone());
                zeros(clean)
            })
            .unwrap();
        assert_eq!(seen.as_ref(), Some(&clean));
        assert!(gradient.data.iter().all(|v| *v == 0.0), "a constant has no gradient");
    }

    #[test]
    fn a_sequence_longer_than_the_network_allows_is_refused() {
        let (mut denoiser, ..) = denoiser(false);
        let error = denoiser.denoise(&Tokens::zeros(1, 6, 6), &Levels::filled(1, 6, 4, 1.0)).unwrap_err();
        assert_eq!(error, DenoiserError::TooLong { tokens: 6, max: 5 });
    }

    #[test]
    fn a_prediction_that_is_not_finite_is_an_error() {
        let (mut denoiser, mut x, levels) = denoiser(false);
        x.data[20] = f32::NAN;
        assert_eq!(denoiser.denoise(&x, &levels), Err(DenoiserError::NotFinite));
        let gradient = denoiser.denoise_with_gradient(&x, &levels, &mut |clean| clean.clone());
        assert_eq!(gradient, Err(DenoiserError::NotFinite));
    }
}
