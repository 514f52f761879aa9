//! Noise levels for training: a mix of patterns, so that one network answers every question that planning asks.

use rand::{Rng, RngExt};

use super::TokenSpec;
use crate::config::NoiseMix;

/// The modality that commands; the others observe.
const ACTION: usize = 0;
/// Share of `independent` windows in which all modalities of a token share its level (the paper's own pattern).
const SHARED_LEVEL: f64 = 0.3;
/// Share of `independent` windows that begin with a clean history.
const CLEAN_HISTORY: f64 = 0.5;
/// Share of `planning` windows whose first future action is already committed, and so known.
const COMMITTED_ACTION: f64 = 0.7;
/// Share of `planning` windows with a known future observation.
const KNOWN_FUTURE: f64 = 0.75;
/// Share of the known future observations that are of the goal's modality, where there is a goal.
const GOAL_MODALITY: f64 = 0.8;
/// Share of the known future observations that last one frame only.
const SINGLE_MOMENT: f64 = 0.2;
/// Steepest pyramid in training: fall of the level from one token to the one before it.
const STEEPEST: f32 = 0.35;
/// Share of `planning` windows with all future tokens at one level.
const FULL_SEQUENCE: f64 = 0.2;

/// Levels of one window of `tokens` tokens, `[token, slot]`. `goal`: the modality that planning may take as known.
pub fn draw(mix: &NoiseMix, spec: &TokenSpec, goal: Option<usize>, tokens: usize, rng: &mut impl Rng) -> Vec<f32> {
    let mut window = Window { spec, tokens, levels: vec![1.0; tokens * spec.slots()] };
    let pick: f64 = rng.random();
    if pick < mix.independent {
        window.independent(rng);
    } else {
        window.planning(goal, rng);
        if pick >= mix.independent + mix.planning {
            let hidden = rng.random_range(0..spec.modalities);
            window.fill(0..tokens * spec.frame_stack, hidden, 1.0);
        }
    }
    window.levels
}

struct Window<'a> {
    spec: &'a TokenSpec,
    tokens: usize,
    levels: Vec<f32>,
}

impl Window<'_> {
    /// Sets one modality of a range of frames (counted over the whole window).
    fn fill(&mut self, frames: std::ops::Range<usize>, modality: usize, level: f32) {
        for frame in frames {
            self.levels[frame * self.spec.modalities + modality] = level;
        }
    }

    fn token_frames(&self, token: usize) -> std::ops::Range<usize> {
        token * self.spec.frame_stack..(token + 1) * self.spec.frame_stack
    }

    fn independent(&mut self, rng: &mut impl Rng) {
        let shared = rng.random_bool(SHARED_LEVEL);
        let clean = if rng.random_bool(CLEAN_HISTORY) { rng.random_range(0..self.tokens) } else { 0 };
        for token in 0..self.tokens {
            let common: f32 = rng.random();
            for modality in 0..self.spec.modalities {
                let own: f32 = rng.random();
                let level = if token < clean {
                    0.0
                } else if shared {
                    common
                } else {
                    own
                };
                self.fill(self.token_frames(token), modality, level);
            }
        }
    }

    /// What planning uses: a clean history, a future on some row of some pyramid, a committed action, a known future.
    fn planning(&mut self, goal: Option<usize>, rng: &mut impl Rng) {
        let history = rng.random_range(0..=self.tokens.div_ceil(3));
        let future = self.tokens - history;
        let slope = if rng.random_bool(FULL_SEQUENCE) { 0.0 } else { rng.random_range(0.0..STEEPEST) };
        let near: f32 = rng.random_range(-slope * (future as f32 - 1.0)..=1.0);
        for token in 0..self.tokens {
            let level = if token < history { 0.0 } else { (near + slope * (token - history) as f32).clamp(0.0, 1.0) };
            for modality in 0..self.spec.modalities {
                self.fill(self.token_frames(token), modality, level);
            }
        }
        let first = history * self.spec.frame_stack;
        if rng.random_bool(COMMITTED_ACTION) {
            self.fill(first..first + 1, ACTION, 0.0);
        }
        if self.spec.modalities > 1 && rng.random_bool(KNOWN_FUTURE) {
            let any = rng.random_range(1..self.spec.modalities);
            let modality = goal.filter(|_| rng.random_bool(GOAL_MODALITY)).unwrap_or(any);
            let end = self.tokens * self.spec.frame_stack;
            let from = rng.random_range(first..end);
            // One moment, or from a moment on for a while.
            let until = if rng.random_bool(SINGLE_MOMENT) { from + 1 } else { rng.random_range(from + 1..=end) };
            self.fill(from..until, modality, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const SPEC: fn() -> TokenSpec = || TokenSpec::new(&[0, 0, 1, 2], 2);

    fn windows(mix: NoiseMix) -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..500).map(|_| draw(&mix, &SPEC(), Some(1), 6, &mut rng)).collect()
    }

    #[test]
    fn levels_lie_in_the_unit_interval_and_one_per_slot() {
        for window in windows(NoiseMix { independent: 0.4, planning: 0.4, hidden_modality: 0.2 }) {
            assert_eq!(window.len(), 6 * 3 * 2);
            assert!(window.iter().all(|l| (0.0..=1.0).contains(l)));
        }
    }

    #[test]
    fn a_hidden_modality_is_hidden_throughout() {
        for window in windows(NoiseMix { independent: 0.0, planning: 0.0, hidden_modality: 1.0 }) {
            let hidden = (0..3).filter(|m| window.iter().skip(*m).step_by(3).all(|&l| l == 1.0)).count();
            assert!(hidden >= 1);
        }
    }

    #[test]
    fn planning_windows_know_future_observations_and_committed_actions() {
        let all = windows(NoiseMix { independent: 0.0, planning: 1.0, hidden_modality: 0.0 });
        // A known last observation while that frame's action is unknown: 0.6 * 2/3 or more of the cases at random.
        let goal = all.iter().filter(|w| w[33] > 0.0 && (w[34] == 0.0 || w[35] == 0.0)).count();
        assert!((50..450).contains(&goal), "{goal}");
        let committed = all.iter().filter(|w| (0..12).any(|f| w[f * 3] == 0.0 && w[f * 3 + 1] > 0.0)).count();
        assert!((100..490).contains(&committed), "{committed}");
    }
}
