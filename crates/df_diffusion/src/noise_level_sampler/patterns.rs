//! The patterns of the noise level sampler, each drawn into the levels of one window.

use std::ops::Range;

use rand::{Rng, RngExt};

use super::ConditioningSpec;
use crate::TokenSpec;

/// The modality that holds the action; the others are observations.
const ACTION: usize = 0;

// Constants named `SHARE_...` are probabilities in [0, 1]: the share of the named windows or modalities that are drawn
// so.

/// `independent` and `shared` windows that begin with a clean history. Planning always conditions on one; the other
/// half is algorithm 1 of Chen et al. 2024 unchanged.
const SHARE_CLEAN_HISTORY: f64 = 0.5;
/// `planning` windows whose first future action is known. A compensated planner commits it at every tick, an immediate
/// one does not.
const SHARE_COMMITTED_ACTION: f64 = 0.7;
/// `planning` windows with a known future observation. Plans towards a goal condition on one; plans without a goal
/// condition on none.
const SHARE_KNOWN_FUTURE: f64 = 0.75;
/// Known future observations that are of the goal's modality, where there is a goal. Planning conditions on no other,
/// so the rest only keeps the network general.
const SHARE_GOAL_MODALITY: f64 = 0.8;
/// Known goals whose rate is known with them, where the goal has a rate. Planning conditions on both; the half without
/// the rate keeps goals apart from rest.
const SHARE_GOAL_RATE: f64 = 0.5;
/// Known future observations that are single frames; the rest are stretches of frames. Planning uses single frames
/// where `planner.goal_every_s` spaces them, and a stretch otherwise.
const SHARE_SINGLE_FRAMES: f64 = 0.4;
/// Maximum number of these single frames in a window: more of them approach a stretch.
const MAX_SINGLE_FRAMES: usize = 4;
/// A drawn history has at most `tokens / HISTORY_DIVISOR` tokens, rounded up: most of a planning window is future.
const HISTORY_DIVISOR: usize = 3;
/// Rows with all future tokens at one level, as of the matrix `full_sequence`.
const SHARE_FULL_SEQUENCE: f64 = 0.2;
/// Rows in which one token after the other is sampled, as of the matrix `autoregressive`. They are the steepest and the
/// least used, so a few suffice. The rest, 0.7, are rows of `pyramid`, which streaming requires.
const SHARE_AUTOREGRESSIVE: f64 = 0.05;
/// Rows in which both ends are sampled first, as of the matrix `trapezoid`; few, as the matrix is rarely used.
const SHARE_TRAPEZOID: f64 = 0.05;
/// Maximum slope of a drawn pyramid, level per token. A plan's slope is `uncertainty_scale / denoising_steps`: 0.5 / 6
/// by default.
const MAX_SLOPE: f32 = 0.35;
/// `noisy_history` windows whose sensor is silent (level 1) instead of noisy.
const SHARE_SILENT: f64 = 0.25;
/// `noisy_history` windows whose sensor is noisy or silent from the first frame on; in the rest a random frame begins
/// it.
const SHARE_WHOLE_HISTORY: f64 = 0.5;
/// Maximum level of a noisy history. There, noise is as large as the signal (cosine schedule: `tan(pi/4) = 1`); beyond
/// it an observation tells little more than a silent sensor does.
const MAX_HISTORY_LEVEL: f32 = 0.5;
/// `queries` windows in which all sampled parts share one level, as `Planner::answer` samples them. The rest are on
/// rows of scheduling matrices.
const SHARE_ONE_LEVEL: f64 = 0.5;
/// `queries` windows that begin with known frames of all modalities. Predictions of observations and actions do; gaps
/// may not.
const SHARE_KNOWN_PAST: f64 = 0.5;
/// A known past has at most `tokens / PAST_DIVISOR` tokens, rounded up: the rest is for the query.
const PAST_DIVISOR: usize = 2;
/// Modalities of `queries` that are left out (level 1) among those that are not known: a sensor that the robot lacks.
const SHARE_LEFT_OUT: f64 = 0.2;

/// The levels of one window while they are drawn.
pub(super) struct WindowLevels<'a> {
    spec: &'a TokenSpec,
    tokens: usize,
    /// `[token, noise_group]`.
    pub(super) levels: Vec<f32>,
}

impl<'a> WindowLevels<'a> {
    /// Every noise group at level 1.
    pub(super) fn noise(spec: &'a TokenSpec, tokens: usize) -> Self {
        Self { spec, tokens, levels: vec![1.0; tokens * spec.noise_groups()] }
    }

    /// One uniform level per token (`shared`), or per token and modality; in half of the windows after a clean history.
    pub(super) fn per_token(&mut self, shared: bool, rng: &mut impl Rng) {
        let clean = if rng.random_bool(SHARE_CLEAN_HISTORY) { rng.random_range(0..self.tokens) } else { 0 };
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

    /// A clean history, a row of a scheduling matrix, sometimes a committed action and a known future observation.
    pub(super) fn planning(&mut self, conditioning: &ConditioningSpec, rng: &mut impl Rng) {
        self.plan(0, conditioning, rng);
    }

    /// As `planning`, with one modality at level 1 throughout.
    pub(super) fn hidden_modality(&mut self, conditioning: &ConditioningSpec, rng: &mut impl Rng) {
        self.plan(0, conditioning, rng);
        let hidden = rng.random_range(0..self.spec.modalities);
        self.fill(0..self.frames(), hidden, 1.0);
    }

    /// As `planning`, with one sensor of the history noisy or silent, throughout or from a random frame on.
    pub(super) fn noisy_history(&mut self, conditioning: &ConditioningSpec, rng: &mut impl Rng) {
        let first = self.plan(1, conditioning, rng);
        let first_sensor = ACTION + usize::from(self.spec.modalities > 1);
        let modality = rng.random_range(first_sensor..self.spec.modalities);
        let since = if rng.random_bool(SHARE_WHOLE_HISTORY) { 0 } else { rng.random_range(0..first) };
        let level = if rng.random_bool(SHARE_SILENT) { 1.0 } else { rng.random_range(0.0..=MAX_HISTORY_LEVEL) };
        self.fill(since..first, modality, level);
    }

    /// A query: some modalities are known in some frames, some others are left out, and the rest is sampled.
    ///
    /// Known are the action (world model), the observations (inverse model), all modalities, or a random subset. They
    /// are known throughout, in a range (a stretch of a path), or outside of a range (a gap in a recording). Half of
    /// the queries have a known past before that.
    pub(super) fn queries(&mut self, rng: &mut impl Rng) {
        let (modalities, end) = (self.spec.modalities, self.frames());
        if rng.random_bool(SHARE_ONE_LEVEL) {
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
                // Known throughout: at least one modality must be left to sample.
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
            } else if rng.random_bool(SHARE_LEFT_OUT) {
                self.fill(0..end, modality, 1.0);
            }
        }
        if rng.random_bool(SHARE_KNOWN_PAST) {
            let past = rng.random_range(1..=self.tokens.div_ceil(PAST_DIVISOR)) * self.spec.frame_stack;
            (0..modalities).for_each(|modality| self.fill(0..past, modality, 0.0));
        }
    }

    /// [`WindowLevels::schedule`] with the history's actions as `conditioning` says, a committed action and a known
    /// future. Returns the first future frame.
    fn plan(&mut self, min_history: usize, conditioning: &ConditioningSpec, rng: &mut impl Rng) -> usize {
        let (first, end) = (self.schedule(min_history, rng) * self.spec.frame_stack, self.frames());
        if !conditioning.history_actions {
            self.fill(0..first, ACTION, 1.0);
        }
        if first == end {
            return first;
        }
        if rng.random_bool(SHARE_COMMITTED_ACTION) {
            self.fill(first..first + 1, ACTION, 0.0);
        }
        if self.spec.modalities > 1 && rng.random_bool(SHARE_KNOWN_FUTURE) {
            let any = rng.random_range(1..self.spec.modalities);
            let known = match &conditioning.goal[..] {
                goal @ [_, ..] if rng.random_bool(SHARE_GOAL_MODALITY) => {
                    let with_rate = goal.len() > 1 && rng.random_bool(SHARE_GOAL_RATE);
                    &goal[..if with_rate { goal.len() } else { 1 }]
                }
                _ => &[any],
            };
            let mut set_known = |frames: Range<usize>| {
                known.iter().for_each(|&modality| self.fill(frames.clone(), modality, 0.0));
            };
            if rng.random_bool(SHARE_SINGLE_FRAMES) {
                for _ in 0..rng.random_range(1..=MAX_SINGLE_FRAMES) {
                    let at = rng.random_range(first..end);
                    set_known(at..at + 1);
                }
            } else {
                let from = rng.random_range(first..end);
                let until = rng.random_range(from + 1..=end);
                set_known(from..until);
            }
        }
        first
    }

    /// A clean history of at least `min` tokens, then a row of a scheduling matrix. Returns the first future token.
    fn schedule(&mut self, min: usize, rng: &mut impl Rng) -> usize {
        let history = rng.random_range(min..=self.tokens.div_ceil(HISTORY_DIVISOR).max(min));
        let future = self.tokens - history;
        let shape: f64 = rng.random();
        let slope = if shape < SHARE_FULL_SEQUENCE {
            0.0
        } else if shape < SHARE_FULL_SEQUENCE + SHARE_AUTOREGRESSIVE {
            1.0
        } else {
            rng.random_range(0.0..MAX_SLOPE)
        };
        let trapezoid = shape >= 1.0 - SHARE_TRAPEZOID;
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

    /// Sets one modality of a range of frames, counted over the whole window.
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
    fn windows(mut draw: impl FnMut(&mut WindowLevels, &mut ChaCha8Rng)) -> Vec<Vec<f32>> {
        let (spec, mut rng) = (TokenSpec::new(&[0, 0, 1, 2], 2), ChaCha8Rng::seed_from_u64(1));
        let mut one = || {
            let mut window = WindowLevels::noise(&spec, TOKENS);
            draw(&mut window, &mut rng);
            window.levels
        };
        (0..500).map(|_| one()).collect()
    }

    fn conditioning(goal: &[usize]) -> ConditioningSpec {
        ConditioningSpec { goal: goal.to_vec(), history_actions: true }
    }

    #[test]
    fn without_history_actions_the_actions_of_the_history_are_at_level_one() {
        let hidden = ConditioningSpec { history_actions: false, ..conditioning(&[1]) };
        let mut histories = 0;
        // The same draws, so that nothing else differs.
        let known = windows(|w, rng| w.planning(&conditioning(&[1]), rng));
        for (known, hidden) in known.into_iter().zip(windows(|w, rng| w.planning(&hidden, rng))) {
            let is_hidden = |frame: &usize| (of(&known, 0)[*frame], of(&hidden, 0)[*frame]) == (0.0, 1.0);
            let history = (0..12).take_while(is_hidden).count();
            let mut expected = known.clone();
            (0..history).for_each(|frame| expected[frame * MODALITIES] = 1.0);
            assert_eq!(hidden, expected);
            histories += usize::from(history > 0);
        }
        // The history has 0, 1 or 2 tokens, equally often: 2/3 of 500 windows have one.
        assert!((300..370).contains(&histories), "{histories}");
    }

    /// The levels of one modality, frame by frame.
    fn of(window: &[f32], modality: usize) -> Vec<f32> {
        window.iter().skip(modality).step_by(MODALITIES).copied().collect()
    }

    #[test]
    fn shared_draws_one_level_per_token_and_independent_one_per_modality() {
        let shared = windows(|w, rng| w.per_token(true, rng));
        assert!(shared.iter().flat_map(|w| w.chunks(2 * MODALITIES)).all(|t| t.iter().all(|l| *l == t[0])));
        let independent = windows(|w, rng| w.per_token(false, rng));
        let tokens = || independent.iter().flat_map(|w| w.chunks(2 * MODALITIES));
        // The two frames of a modality share its level. Modalities differ, except in a clean history.
        assert!(tokens().all(|t| (0..MODALITIES).all(|m| t[m] == t[m + MODALITIES])));
        assert!(tokens().all(|t| t[0] != t[1] || t[0] == 0.0));
    }

    #[test]
    fn a_hidden_modality_is_at_level_one_throughout() {
        for window in windows(|w, rng| w.hidden_modality(&conditioning(&[1]), rng)) {
            assert!((0..MODALITIES).any(|m| of(&window, m).iter().all(|l| *l == 1.0)));
        }
    }

    #[test]
    fn planning_draws_known_goals_and_committed_actions_in_their_shares() {
        let all = windows(|w, rng| w.planning(&conditioning(&[1]), rng));
        // The goal's modality is known in a future frame in 0.75 * (0.8 + 0.2 / 2) = 0.675 of the windows. Windows
        // whose action there is at level 0, too, are not counted.
        let knows_goal = |w: &&Vec<f32>| {
            let (action, goal) = (of(w, 0), of(w, 1));
            (0..12).any(|f| goal[f] == 0.0 && action[f] > 0.0)
        };
        let goal = all.iter().filter(knows_goal).count();
        assert!((250..340).contains(&goal), "{goal}");
        // An action is committed in 0.7 of the windows. Those whose first future observation is known are not counted.
        let committed = all.iter().filter(|w| (0..12).any(|f| w[f * 3] == 0.0 && w[f * 3 + 1] > 0.0)).count();
        assert!((150..350).contains(&committed), "{committed}");
    }

    #[test]
    fn a_goal_is_known_with_its_rate_in_half_of_the_windows() {
        let all = windows(|w, rng| w.planning(&conditioning(&[1, 2]), rng));
        // Counts frames in which the modality is known and the action is not.
        let known = |w: &Vec<f32>, m: usize| (0..12).filter(|&f| of(w, m)[f] == 0.0 && of(w, 0)[f] > 0.0).count();
        let both = all.iter().filter(|w| known(w, 1) > 0 && known(w, 1) == known(w, 2)).count();
        let alone = all.iter().filter(|w| known(w, 1) > 0 && known(w, 2) == 0).count();
        // Each in 0.75 * 0.8 / 2 = 0.3 of the windows. Alone also where the known modality is drawn.
        assert!((100..180).contains(&both) && (110..210).contains(&alone), "{both} {alone}");
        assert!(
            windows(|w, rng| w.planning(&conditioning(&[1]), rng)).iter().all(|w| known(w, 1) == 0 || known(w, 2) == 0)
        );
    }

    #[test]
    fn the_future_of_a_plan_is_a_row_of_a_scheduling_matrix() {
        let (mut flat, mut falls) = (0, 0);
        let schedule = |w: &mut WindowLevels, rng: &mut ChaCha8Rng| {
            w.schedule(0, rng);
        };
        for window in windows(schedule) {
            let levels: Vec<f32> = window.chunks(2 * MODALITIES).map(|t| t[0]).collect();
            assert!(window.chunks(2 * MODALITIES).all(|t| t.iter().all(|l| *l == t[0])));
            // Levels rise with the token; a trapezoid falls again behind its middle.
            let top = (0..TOKENS).max_by(|a, b| levels[*a].total_cmp(&levels[*b])).unwrap();
            assert!(levels[..=top].is_sorted() && levels[top..].is_sorted_by(|a, b| a >= b), "{levels:?}");
            let noisy: Vec<f32> = levels.iter().copied().filter(|l| *l > 0.0).collect();
            flat += usize::from(noisy.len() > 2 && noisy.iter().all(|l| *l == noisy[0] && *l < 1.0));
            falls += usize::from(levels[TOKENS - 1] < levels[top]);
        }
        // Shares: 0.2 of the rows at one level, 0.05 of a trapezoid.
        assert!((60..140).contains(&flat) && (5..45).contains(&falls), "{flat} {falls}");
    }

    #[test]
    fn a_noisy_history_has_one_noisy_sensor_up_to_its_last_frame() {
        let mut silent = 0;
        let all = windows(|w, rng| {
            w.noisy_history(&conditioning(&[]), rng);
            assert!(of(&w.levels, 0)[..2].iter().all(|l| *l == 0.0), "the action of the history is known");
        });
        for window in &all {
            let noisy: Vec<usize> = (1..MODALITIES).filter(|m| of(window, *m)[1] > 0.0).collect();
            assert!(noisy.len() <= 1, "{window:?}");
            silent += noisy.iter().filter(|m| of(window, **m)[1] == 1.0).count();
            assert!(noisy.iter().all(|m| of(window, *m)[1] == 1.0 || of(window, *m)[1] <= MAX_HISTORY_LEVEL));
        }
        // Frame 1 is in every history. It is noisy unless the noise begins later; a quarter of these is silent.
        assert!((50..160).contains(&silent), "{silent}");
    }

    #[test]
    fn queries_draw_world_models_inverse_models_and_gaps() {
        let (mut world, mut inverse, mut gap) = (0, 0, 0);
        for window in windows(|w, rng| w.queries(rng)) {
            let known: Vec<bool> = (0..MODALITIES).map(|m| of(&window, m).iter().all(|l| *l == 0.0)).collect();
            let sampled: Vec<bool> = (0..MODALITIES).map(|m| of(&window, m)[11] > 0.0).collect();
            world += usize::from(known[0] && sampled[1] && sampled[2]);
            inverse += usize::from(sampled[0] && known[1] && known[2]);
            let ends = (0..MODALITIES).all(|m| of(&window, m)[0] == 0.0 && of(&window, m)[11] == 0.0);
            gap += usize::from(ends && window.iter().any(|l| *l > 0.0));
        }
        // Each of the first two in a quarter times a third of 500 windows: 42, and more by chance. As many windows have
        // a gap of all modalities; gaps that reach an end are not counted.
        assert!(world > 25 && inverse > 25 && gap > 15, "{world} {inverse} {gap}");
    }
}
