//! The rolling window of past frames.

use std::collections::VecDeque;

use super::{Frame, Layout};
use crate::ObservationGroup;

/// The newest `capacity` frames, oldest first. Frames not yet seen are missing frames: no padding tricks.
#[derive(Clone, Debug)]
pub struct History {
    frames: VecDeque<Frame>,
}

impl History {
    /// A history of `tokens` tokens in which everything is missing.
    pub fn new(layout: &Layout, tokens: usize) -> Self {
        Self { frames: vec![Frame::missing(layout); tokens * layout.frame_stack].into() }
    }

    /// Adds the newest frame and drops the oldest.
    pub fn push(&mut self, frame: Frame) {
        if self.frames.pop_front().is_some() {
            self.frames.push_back(frame);
        }
    }

    /// Its newest `tokens` tokens; what it does not reach back to is missing.
    pub fn resized(&self, layout: &Layout, tokens: usize) -> Self {
        let frames = tokens * layout.frame_stack;
        let missing = std::iter::repeat_n(Frame::missing(layout), frames.saturating_sub(self.frames.len()));
        let kept = self.frames.iter().skip(self.frames.len().saturating_sub(frames)).cloned();
        Self { frames: missing.chain(kept).collect() }
    }

    /// The frames, oldest first.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = &Frame> + DoubleEndedIterator {
        self.frames.iter()
    }

    /// Whether the newest `frames` frames hold every required group: where the robot is and how it moves is known. True for a
    /// history of no frames, which promises nothing. Modality 0 is the action, group i is modality i + 1.
    pub fn is_known(&self, frames: usize, groups: &[ObservationGroup]) -> bool {
        let holds = |frame: &Frame| groups.iter().enumerate().all(|(i, group)| !group.required || frame.present[i + 1]);
        self.frames.iter().rev().take(frames).all(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_missing_and_keeps_the_newest() {
        let layout = Layout::new(2, [("action".into(), vec!["a".into()]), ("pose".into(), vec!["x".into()])]);
        let mut history = History::new(&layout, 2);
        assert_eq!(history.frames().filter(|f| f.present == [false, false]).count(), 4);
        for k in 0..6 {
            history.push(Frame { values: vec![k as f32, 0.0], present: vec![true, true], std: Vec::new() });
        }
        let seen = |history: &History| history.frames().map(|f| f.values[0]).collect::<Vec<_>>();
        assert_eq!(seen(&history), [2.0, 3.0, 4.0, 5.0]);
        assert_eq!(seen(&history.resized(&layout, 1)), [4.0, 5.0]);
        let longer = history.resized(&layout, 3);
        assert_eq!(seen(&longer), [0.0, 0.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(longer.frames().map(|f| f.present[0]).collect::<Vec<_>>()[..3], [false, false, true]);
    }
}
