//! The history: a rolling window of past frames.

use std::collections::VecDeque;

use crate::contract::ObservationGroup;
use crate::layout::{Frame, Layout};

/// A fixed number of newest frames, oldest first. Frames from before the first one are missing frames.
#[derive(Clone, Debug)]
pub struct History {
    frames: VecDeque<Frame>,
}

impl History {
    /// A history of `tokens` tokens in which every frame is missing.
    pub fn new(layout: &Layout, tokens: usize) -> Self {
        Self { frames: vec![Frame::missing(layout); tokens * layout.frame_stack].into() }
    }

    /// Adds the newest frame and drops the oldest.
    pub fn push(&mut self, frame: Frame) {
        if self.frames.pop_front().is_some() {
            self.frames.push_back(frame);
        }
    }

    /// A history of `tokens` tokens with the newest frames of this one. Older frames than it holds are missing.
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

    /// True if each of the newest `frames` frames has every required group of `groups`. True for `frames` = 0.
    /// Modality 0 is the action, so group i is modality i + 1.
    pub fn is_known(&self, frames: usize, groups: &[ObservationGroup]) -> bool {
        let holds = |frame: &Frame| groups.iter().enumerate().all(|(i, group)| !group.required || frame.present[i + 1]);
        self.frames.iter().rev().take(frames).all(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_starts_missing_and_keeps_the_newest_frames() {
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
