//! The score of the shadow mode: the difference between planned actions and the commands in effect, tick by tick.

use std::collections::VecDeque;

/// Compared ticks that the score covers.
const WINDOW: usize = 500;

/// The score over the newest compared ticks.
#[derive(Clone, Debug, Default)]
pub struct ShadowScore {
    /// Ticks at which a planned action and a command of the other controller were compared.
    pub compared: u64,
    /// Ticks with a command of the other controller, but without a new plan.
    pub unplanned: u64,
    /// Squared differences per channel, the oldest tick first.
    squares: VecDeque<Vec<f64>>,
}

impl ShadowScore {
    /// Counts a tick without a plan.
    pub fn unplanned(&mut self) {
        self.unplanned += 1;
    }

    /// Compares a planned action with the mean command in effect during its period, both `[channel]` in units.
    pub fn compare(&mut self, planned: &[f64], in_effect: &[f32]) {
        self.compared += 1;
        let mut squares = if self.squares.len() < WINDOW { None } else { self.squares.pop_front() }.unwrap_or_default();
        squares.clear();
        squares.extend(planned.iter().zip(in_effect).map(|(p, e)| (p - f64::from(*e)).powi(2)));
        self.squares.push_back(squares);
    }

    /// Root mean square of planned minus commanded, per channel, in units, over the newest 500 compared ticks. Empty before the
    /// first one.
    pub fn rmse(&self) -> Vec<f64> {
        let channels = self.squares.front().map_or(0, Vec::len);
        let mean = |c: usize| self.squares.iter().map(|s| s[c]).sum::<f64>() / self.squares.len() as f64;
        (0..channels).map(|c| mean(c).sqrt()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_that_of_the_newest_ticks() {
        let mut score = ShadowScore::default();
        assert!(score.rmse().is_empty());
        score.compare(&[1.0, 2.0], &[4.0, 2.0]);
        score.compare(&[1.0, 2.0], &[0.0, 0.0]);
        // sqrt((9 + 1) / 2), sqrt((0 + 4) / 2).
        assert_eq!(score.rmse(), [5f64.sqrt(), 2f64.sqrt()]);
        (0..WINDOW).for_each(|_| score.compare(&[0.0, 0.0], &[0.5, 0.0]));
        assert_eq!((score.rmse(), score.compared), (vec![0.5, 0.0], 502));
    }
}
