//! The patterns, on one window.

use std::ops::Range;

use rand::{Rng, RngExt};

use super::super::TokenSpec;
use super::ConditioningSpec;

/// The modality that commands; the others observe.
const ACTION: usize = 0;
/// Share of `independent` and `shared` windows that begin with a clean history.
const CLEAN_HISTORY: f64 = 0.5;
/// Share of `planning` windows whose first future action is already committed, and so known.
const COMMITTED_ACTION: f64 = 0.7;
/// Share of `planning` windows with a known future observation.
const KNOWN_FUTURE: f64 = 0.75;
/// Share of the known future observations that are of the goal's modality, where there is a goal.
const GOAL_MODALITY: f64 = 0.8;
/// Share of these in which its rate is known with it, where it has one: as planning takes the rest at the goal.
const WITH_RATE: f64 = 0.5;
/// Share of the known future observations that are single frames, one or some.
const MOMENTS: f64 = 0.4;
/// The most of these.
const MAX_MOMENTS: usize = 4;
/// Rows of scheduling matrices, as shares: all future tokens at one level; one after the other; both ends first. The
/// rest are rows of pyramids.
const FULL_SEQUENCE: f64 = 0.2;
const AUTOREGRESSIVE: f64 = 0.05;
const TRAPEZOID: f64 = 0.05;
/// Steepest pyramid in training: fall of the level from one token to the one before it.
const STEEPEST: f32 = 0.35;
/// Share of `noisy_history` windows whose modality is silent (level 1) in place of noisy.
const SILENT: f64 = 0.25;
/// Highest level of a noisy history; there, noise is as large as the signal (cosine: tan(pi/4) = 1).
const NOISIEST: f32 = 0.5;
/// Share of `queries` windows in which everything that is asked stands at one level.
const TOGETHER: f64 = 0.5;
/// Share of `queries` windows in which all frames of a first part are known.
const KNOWN_PAST: f64 = 0.5;
/// Share of the modalities of `queries` that are left out among those that are not known.
const NOT_ASKED: f64 = 0.2;

/// The levels of one window while they are drawn, `[token, noise_group]`.
pub struct Window<'a> {
    spec: &'a TokenSpec,
    tokens: usize,
    pub levels: Vec<f32>,
}

impl<'a> Window<'a> {
    pub fn unknown(spec: &'a TokenSpec, tokens: usize) -> Self {
        Self { spec, tokens, levels: vec![1.0; tokens * spec.noise_groups()] }
    }

    /// A level per token and modality, or per token; in half of the windows after a clean history.
    pub fn per_token(&mut self, shared: bool, rng: &mut impl Rng) {
        let clean = if rng.random_bool(CLEAN_HISTORY) { rng.random_range(0..self.tokens) } else { 0 };
        for token in 0..clean {
            self.fill_token(token, 0.0);
        }
        for token in clean..self.tokens {
            self.fill_token(token, rng.random());
            if !shared {
                let first = token * self.spec.frame_stack;
                for modality in 0..self.spec.modalities {
                    self.fill(first..first + self.spec.frame_stack, modality, rng.random());
                }
            }
        }
    }

    /// What planning uses.
    pub fn planning(&mut self, conditioning: &ConditioningSpec, rng: &mut impl Rng) {
        self.plan(0, conditioning, rng);
    }

    /// Planning without one modality.
    pub fn hidden_modality(&mut self, conditioning: &ConditioningSpec, rng: &mut impl Rng) {
        self.plan(0, conditioning, rng);
        let hidden = rng.random_range(0..self.spec.modalities);
        self.fill(0..self.frames(), hidden, 1.0);
    }

    /// A sensor that is noisy throughout the history, or since a while; or silent.
    pub fn noisy_history(&mut self, conditioning: &ConditioningSpec, rng: &mut impl Rng) {
        let first = self.plan(1, conditioning, rng);
        let min = ACTION + usize::from(self.spec.modalities > 1);
        let modality = rng.random_range(min..self.spec.modalities);
        let since = if rng.random_bool(0.5) { 0 } else { rng.random_range(0..first) };
        let level = if rng.random_bool(SILENT) { 1.0 } else { rng.random_range(0.0..=NOISIEST) };
        self.fill(since..first, modality, level);
    }

    /// The action (a world model), the observations (inverse dynamics), all or some modalities are known throughout, in a
    /// range (future actions, a stretch of a path), or outside of a range (a gap in a recording); half of the queries have a
    /// known past before that. What is asked descends together, as `Planner::answer` does, or on a row of a scheduling matrix; what is neither known nor asked is at level 1.
    pub fn queries(&mut self, rng: &mut impl Rng) {
        let (modalities, end) = (self.spec.modalities, self.frames());
        if rng.random_bool(TOGETHER) {
            self.levels.fill(rng.random());
        } else {
            self.schedule(0, rng);
        }
        let who = rng.random_range(0..4);
        let is_known = |modality: usize| match who {
            0 => modality == ACTION,
            1 => modality != ACTION,
            2 => true,
            _ => rng.random(),
        };
        let mut known: Vec<bool> = (0..modalities).map(is_known).collect();
        let from = rng.random_range(0..end);
        let until = rng.random_range(from + 1..=end);
        let ranges = match rng.random_range(0..3) {
            0 => {
                // Something must be left to ask.
                known[rng.random_range(0..modalities)] = false;
                [0..end, end..end]
            }
            1 => [from..until, end..end],
            _ => [0..from, until..end],
        };
        if !known.contains(&true) {
            known[rng.random_range(0..modalities)] = true;
        }
        for (modality, known) in known.into_iter().enumerate() {
            if known {
                ranges.clone().into_iter().for_each(|range| self.fill(range, modality, 0.0));
            } else if rng.random_bool(NOT_ASKED) {
                self.fill(0..end, modality, 1.0);
            }
        }
        // What follows, given what was: nearly every question of use begins with a known past.
        if rng.random_bool(KNOWN_PAST) {
            let past = rng.random_range(1..=self.tokens.div_ceil(2)) * self.spec.frame_stack;
            (0..modalities).for_each(|modality| self.fill(0..past, modality, 0.0));
        }
    }

    /// [`Window::schedule`], a committed action, a known future. Returns the first future frame.
    fn plan(&mut self, min_history: usize, conditioning: &ConditioningSpec, rng: &mut impl Rng) -> usize {
        let (first, end) = (self.schedule(min_history, rng) * self.spec.frame_stack, self.frames());
        if !conditioning.history_actions {
            self.fill(0..first, ACTION, 1.0);
        }
        if first == end {
            return first;
        }
        if rng.random_bool(COMMITTED_ACTION) {
            self.fill(first..first + 1, ACTION, 0.0);
        }
        if self.spec.modalities > 1 && rng.random_bool(KNOWN_FUTURE) {
            let any = rng.random_range(1..self.spec.modalities);
            let known = match &conditioning.goal[..] {
                goal @ [_, ..] if rng.random_bool(GOAL_MODALITY) => {
                    let with_rate = goal.len() > 1 && rng.random_bool(WITH_RATE);
                    &goal[..if with_rate { goal.len() } else { 1 }]
                }
                _ => &[any],
            };
            let mut know = |frames: Range<usize>| {
                known.iter().for_each(|&modality| self.fill(frames.clone(), modality, 0.0));
            };
            // Moments, or from a moment on for a while.
            if rng.random_bool(MOMENTS) {
                for _ in 0..rng.random_range(1..=MAX_MOMENTS) {
                    let at = rng.random_range(first..end);
                    know(at..at + 1);
                }
            } else {
                let from = rng.random_range(first..end);
                let until = rng.random_range(from + 1..=end);
                know(from..until);
            }
        }
        first
    }

    /// A clean history of at least `min` tokens, then a row of a scheduling matrix. Returns the first future token.
    fn schedule(&mut self, min: usize, rng: &mut impl Rng) -> usize {
        let history = rng.random_range(min..=self.tokens.div_ceil(3).max(min));
        let future = self.tokens - history;
        let shape: f64 = rng.random();
        let slope = if shape < FULL_SEQUENCE {
            0.0
        } else if shape < FULL_SEQUENCE + AUTOREGRESSIVE {
            1.0
        } else {
            rng.random_range(0.0..STEEPEST)
        };
        let trapezoid = shape >= 1.0 - TRAPEZOID;
        let lag = |token: usize| {
            let from_the_end = future.saturating_sub(1 + token);
            slope * (if trapezoid { token.min(from_the_end) } else { token }) as f32
        };
        let max = (0..future).map(lag).fold(0.0, f32::max);
        let near = rng.random_range(-max..=1.0);
        for token in 0..self.tokens {
            let level = if token < history { 0.0 } else { (near + lag(token - history)).clamp(0.0, 1.0) };
            self.fill_token(token, level);
        }
        history
    }

    fn frames(&self) -> usize {
        self.tokens * self.spec.frame_stack
    }

    /// Sets one modality of a range of frames (counted over the whole window).
    fn fill(&mut self, frames: Range<usize>, modality: usize, level: f32) {
        for frame in frames {
            self.levels[frame * self.spec.modalities + modality] = level;
        }
    }

    fn fill_token(&mut self, token: usize, level: f32) {
        let noise_groups = self.spec.noise_groups();
        self.levels[token * noise_groups..(token + 1) * noise_groups].fill(level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const TOKENS: usize = 6;
    const MODALITIES: usize = 3;

    /// 500 windows of 6 tokens of two frames of three modalities.
    fn windows(mut draw: impl FnMut(&mut Window, &mut ChaCha8Rng)) -> Vec<Vec<f32>> {
        let (spec, mut rng) = (TokenSpec::new(&[0, 0, 1, 2], 2), ChaCha8Rng::seed_from_u64(1));
        let mut one = || {
            let mut window = Window::unknown(&spec, TOKENS);
            draw(&mut window, &mut rng);
            window.levels
        };
        (0..500).map(|_| one()).collect()
    }

    fn asking(goal: &[usize]) -> ConditioningSpec {
        ConditioningSpec { goal: goal.to_vec(), history_actions: true }
    }

    #[test]
    fn actions_that_are_not_asked_for_stay_unknown_in_the_history() {
        let hidden = ConditioningSpec { history_actions: false, ..asking(&[1]) };
        let mut histories = 0;
        // The same draws, so that nothing else differs.
        let known = windows(|w, rng| w.planning(&asking(&[1]), rng));
        for (known, hidden) in known.into_iter().zip(windows(|w, rng| w.planning(&hidden, rng))) {
            let is_hidden = |frame: &usize| (of(&known, 0)[*frame], of(&hidden, 0)[*frame]) == (0.0, 1.0);
            let history = (0..12).take_while(is_hidden).count();
            let mut expected = known.clone();
            (0..history).for_each(|frame| expected[frame * MODALITIES] = 1.0);
            assert_eq!(hidden, expected);
            histories += usize::from(history > 0);
        }
        // 0, 1 or 2 tokens of history, alike often.
        assert!((300..370).contains(&histories), "{histories}");
    }

    /// The levels of one modality, frame by frame.
    fn of(window: &[f32], modality: usize) -> Vec<f32> {
        window.iter().skip(modality).step_by(MODALITIES).copied().collect()
    }

    #[test]
    fn shared_levels_are_one_per_token_and_independent_ones_are_not() {
        let shared = windows(|w, rng| w.per_token(true, rng));
        assert!(shared.iter().flat_map(|w| w.chunks(2 * MODALITIES)).all(|t| t.iter().all(|l| *l == t[0])));
        let independent = windows(|w, rng| w.per_token(false, rng));
        let tokens = || independent.iter().flat_map(|w| w.chunks(2 * MODALITIES));
        // Both frames of a modality share its level; modalities share one only where they are clean.
        assert!(tokens().all(|t| (0..MODALITIES).all(|m| t[m] == t[m + MODALITIES])));
        assert!(tokens().all(|t| t[0] != t[1] || t[0] == 0.0));
    }

    #[test]
    fn a_hidden_modality_is_hidden_throughout() {
        for window in windows(|w, rng| w.hidden_modality(&asking(&[1]), rng)) {
            assert!((0..MODALITIES).any(|m| of(&window, m).iter().all(|l| *l == 1.0)));
        }
    }

    #[test]
    fn planning_windows_know_future_observations_and_committed_actions() {
        let all = windows(|w, rng| w.planning(&asking(&[1]), rng));
        // The goal's modality is known in the future, beyond some frame in which the action is not: 0.75 * (0.8 + 0.2 / 2)
        // = 0.675 of the windows, less those whose action there is at level 0, too.
        let knows_goal = |w: &&Vec<f32>| {
            let (action, goal) = (of(w, 0), of(w, 1));
            (0..12).any(|f| goal[f] == 0.0 && action[f] > 0.0)
        };
        let goal = all.iter().filter(knows_goal).count();
        assert!((250..340).contains(&goal), "{goal}");
        // A committed action: 0.7 of the windows, less those whose first future frame is at level 0 or known.
        let committed = all.iter().filter(|w| (0..12).any(|f| w[f * 3] == 0.0 && w[f * 3 + 1] > 0.0)).count();
        assert!((150..350).contains(&committed), "{committed}");
    }

    #[test]
    fn a_goal_is_known_with_its_rate_and_without() {
        let all = windows(|w, rng| w.planning(&asking(&[1, 2]), rng));
        // Frames in which the modality is known and the action is not; both are at once or neither, in whole windows.
        let known = |w: &Vec<f32>, m: usize| (0..12).filter(|&f| of(w, m)[f] == 0.0 && of(w, 0)[f] > 0.0).count();
        let both = all.iter().filter(|w| known(w, 1) > 0 && known(w, 1) == known(w, 2)).count();
        let alone = all.iter().filter(|w| known(w, 1) > 0 && known(w, 2) == 0).count();
        // 0.75 * 0.8 / 2 = 0.3 of the windows each; alone also where any observation is drawn.
        assert!((100..180).contains(&both) && (110..210).contains(&alone), "{both} {alone}");
        assert!(windows(|w, rng| w.planning(&asking(&[1]), rng)).iter().all(|w| known(w, 1) == 0 || known(w, 2) == 0));
    }

    #[test]
    fn what_is_not_known_stands_on_a_row_of_a_scheduling_matrix() {
        let (mut flat, mut falls) = (0, 0);
        let schedule = |w: &mut Window, rng: &mut ChaCha8Rng| {
            w.schedule(0, rng);
        };
        for window in windows(schedule) {
            let levels: Vec<f32> = window.chunks(2 * MODALITIES).map(|t| t[0]).collect();
            assert!(window.chunks(2 * MODALITIES).all(|t| t.iter().all(|l| *l == t[0])));
            // Rising, then (both ends first) falling.
            let top = (0..TOKENS).max_by(|a, b| levels[*a].total_cmp(&levels[*b])).unwrap();
            assert!(levels[..=top].is_sorted() && levels[top..].is_sorted_by(|a, b| a >= b), "{levels:?}");
            let noisy: Vec<f32> = levels.iter().copied().filter(|l| *l > 0.0).collect();
            flat += usize::from(noisy.len() > 2 && noisy.iter().all(|l| *l == noisy[0] && *l < 1.0));
            falls += usize::from(levels[TOKENS - 1] < levels[top]);
        }
        // 0.2 at one level; 0.05 with both ends first.
        assert!((60..140).contains(&flat) && (5..45).contains(&falls), "{flat} {falls}");
    }

    #[test]
    fn a_noisy_history_is_noisy_up_to_its_end_in_one_observation() {
        let mut silent = 0;
        let all = windows(|w, rng| {
            w.noisy_history(&asking(&[]), rng);
            assert!(of(&w.levels, 0)[..2].iter().all(|l| *l == 0.0), "the action of the history is known");
        });
        for window in &all {
            let noisy: Vec<usize> = (1..MODALITIES).filter(|m| of(window, *m)[1] > 0.0).collect();
            assert!(noisy.len() <= 1, "{window:?}");
            silent += noisy.iter().filter(|m| of(window, **m)[1] == 1.0).count();
            assert!(noisy.iter().all(|m| of(window, *m)[1] == 1.0 || of(window, *m)[1] <= NOISIEST));
        }
        // Frame 1 is history in all windows, noisy in all but those where it began later; a quarter is silent.
        assert!((50..160).contains(&silent), "{silent}");
    }

    #[test]
    fn questions_ask_for_worlds_actions_and_gaps() {
        let (mut world, mut inverse, mut gap) = (0, 0, 0);
        for window in windows(|w, rng| w.queries(rng)) {
            let known: Vec<bool> = (0..MODALITIES).map(|m| of(&window, m).iter().all(|l| *l == 0.0)).collect();
            let conditioning: Vec<bool> = (0..MODALITIES).map(|m| of(&window, m)[11] > 0.0).collect();
            world += usize::from(known[0] && conditioning[1] && conditioning[2]);
            inverse += usize::from(conditioning[0] && known[1] && known[2]);
            let ends = (0..MODALITIES).all(|m| of(&window, m)[0] == 0.0 && of(&window, m)[11] == 0.0);
            gap += usize::from(ends && window.iter().any(|l| *l > 0.0));
        }
        // Each of the first two: a quarter times a third of the windows, 42, and more by chance. A gap of all modalities: the
        // same, less those that reach an end.
        assert!(world > 25 && inverse > 25 && gap > 15, "{world} {inverse} {gap}");
    }
}
