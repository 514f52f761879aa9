//! The rolling window of past frames.

use std::collections::VecDeque;

use super::{Frame, Layout};
use crate::config::ObservationGroup;

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

    /// Makes room for `tokens` tokens; the newest frames stay, and what is new is missing.
    pub fn resize(&mut self, layout: &Layout, tokens: usize) {
        let frames = tokens * layout.frame_stack;
        while self.frames.len() > frames {
            self.frames.pop_front();
        }
        while self.frames.len() < frames {
            self.frames.push_front(Frame::missing(layout));
        }
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
            history.push(Frame { values: vec![k as f32, 0.0], present: vec![true, true], deviation: Vec::new() });
        }
        let seen: Vec<f32> = history.frames().map(|f| f.values[0]).collect();
        assert_eq!(seen, [2.0, 3.0, 4.0, 5.0]);
        history.resize(&layout, 1);
        history.resize(&layout, 2);
        let seen: Vec<_> = history.frames().map(|f| (f.present[0], f.values[0])).collect();
        assert_eq!(seen, [(false, 0.0), (false, 0.0), (true, 4.0), (true, 5.0)]);
    }
}
