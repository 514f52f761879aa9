//! The plan's actions: a weighted mean over candidates.

use std::ops::Range;

/// The weight of each candidate in the plan's actions, in sum 1: `exp(-cost / temperature)`, as in model predictive path
/// integral control (Williams et al. 2017, "Information Theoretic MPC for Model-Based Reinforcement Learning").
///
/// At temperature 0 the cheapest candidate alone has a weight. A candidate whose cost is not finite has the weight 0 beside the
/// cheapest.
pub(super) fn weights(costs: &[f64], cheapest: usize, temperature: f64) -> Vec<f64> {
    let weight = |(c, cost): (usize, &f64)| match ((costs[cheapest] - cost) / temperature).exp() {
        _ if c == cheapest => 1.0,
        weight if temperature > 0.0 && cost.is_finite() && weight.is_finite() => weight,
        _ => 0.0,
    };
    let weights: Vec<f64> = costs.iter().enumerate().map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// The weighted mean of the candidates' actions, `[frame][channel]`. A frame holds the action that led to it.
///
/// `candidates`: the first rollout of each candidate from the plan's first action on, `[frame][channel]`, all of one length.
pub(super) fn actions<'a, I: Iterator<Item = &'a [Vec<f32>]>>(
    candidates: impl Fn() -> I,
    weights: &[f64],
    action: Range<usize>,
) -> Vec<Vec<f64>> {
    let frames = candidates().next().map_or(0, <[_]>::len);
    let mean = |k: usize, channel: usize| {
        candidates().zip(weights).map(|(frames, weight)| weight * f64::from(frames[k][channel])).sum()
    };
    (0..frames).map(|k| action.clone().map(|channel| mean(k, channel)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_candidate_has_the_largest_weight_and_the_only_one_at_temperature_0() {
        assert_eq!(weights(&[2.0, 1.0, 3.0], 1, 0.0), [0.0, 1.0, 0.0]);
        // exp(-1 / 0.5), 1, exp(-2 / 0.5), over their sum.
        let shares = [(-2f64).exp(), 1.0, (-4f64).exp()];
        let sum: f64 = shares.iter().sum();
        let got = weights(&[2.0, 1.0, 3.0], 1, 0.5);
        assert!(got.iter().zip(shares).all(|(weight, share)| (weight - share / sum).abs() < 1e-12), "{got:?}");
        // Weights depend on differences of costs only. Huge costs do not overflow.
        assert_eq!(weights(&[1e9, 1e9 + 1e6], 0, 0.1), [1.0, 0.0]);
        // Weights are finite for any costs.
        let none = f64::NAN;
        assert_eq!(weights(&[2.0, none, f64::INFINITY], 0, 0.5), [1.0, 0.0, 0.0]);
        assert_eq!(weights(&[none, none], 0, 0.5), [1.0, 0.0]);
        assert_eq!(weights(&[f64::INFINITY; 2], 1, 0.5), [0.0, 1.0]);
    }

    #[test]
    fn actions_are_weighted_means_of_the_action_channels() {
        let candidates = [vec![vec![9.0, 1.0], vec![9.0, 2.0]], vec![vec![9.0, 5.0], vec![9.0, -2.0]]];
        let of_candidates = || candidates.iter().map(|frames: &Vec<Vec<f32>>| &frames[..]);
        assert_eq!(actions(of_candidates, &[0.75, 0.25], 1..2), [[2.0], [1.0]]);
        assert_eq!(actions(|| candidates[..0].iter().map(|c| &c[..]), &[], 1..2), Vec::<Vec<f64>>::new());
    }
}
