//! The out-of-distribution monitor: finds observations unlike the training data.
//!
//! The score is the largest distance of any channel from its mean, in standard deviations of the training data. It is no sum
//! over channels: one failed sensor stands out among a hundred, the limit does not depend on the number of channels, and the
//! message names the channel. A measurement that states its standard deviation `s` (normalised) strays by itself, so its
//! distance is divided by `sqrt(1 + s^2)`.

use df_core::{ACTION_MODALITY, Frame, Layout, Normaliser};

use super::command::Reason;
use crate::config::OutOfDistributionConfig;

/// Judges observations, with hysteresis.
#[derive(Clone, Debug)]
pub(super) struct OodMonitor {
    normaliser: Normaliser,
    is_out: bool,
    score: Option<f64>,
}

impl OodMonitor {
    /// A monitor of the data that `normaliser` was fitted on.
    pub(super) fn new(normaliser: Normaliser) -> Self {
        Self { normaliser, is_out: false, score: None }
    }

    /// Forgets what was observed.
    pub(super) fn clear(&mut self) {
        (self.is_out, self.score) = (false, None);
    }

    /// The score of the newest frame with any observation, in standard deviations.
    pub(super) fn score(&self) -> Option<f64> {
        self.score
    }

    /// Takes the frame of a tick. Returns why no plan may be followed now. A frame without any observation changes nothing.
    pub(super) fn judge(&mut self, frame: &Frame, layout: &Layout, config: &OutOfDistributionConfig) -> Option<Reason> {
        let observed = (ACTION_MODALITY + 1..layout.modalities.len()).filter(|&m| frame.present[m]);
        let channels = observed.flat_map(|m| layout.modalities[m].channels.clone().map(move |c| (m, c)));
        let (distance, m, c) =
            channels.map(|(m, c)| (self.distance(frame, c), m, c)).max_by(|(a, ..), (b, ..)| a.total_cmp(b))?;
        self.score = Some(distance);
        let limit = if self.is_out { config.leave } else { config.enter };
        self.is_out = config.enabled && distance > limit;
        self.is_out.then(|| Reason::OutOfDistribution {
            group: layout.modalities[m].name.clone(),
            channel: layout.labels[c].clone(),
            distance,
            limit,
        })
    }

    /// Distance of channel `c` from its mean, in standard deviations.
    fn distance(&self, frame: &Frame, c: usize) -> f64 {
        let std = f64::from(self.normaliser.std[c]);
        let own = frame.std.get(c).map_or(0.0, |&own| f64::from(own) / std);
        (f64::from(frame.values[c]) - f64::from(self.normaliser.mean[c])).abs() / std / (1.0 + own * own).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_channel_decides_with_hysteresis() {
        let pair = |name: &str| (name.to_string(), vec![format!("{name}.x"), format!("{name}.y")]);
        let layout = Layout::new(1, [("action".into(), vec!["u".into()]), pair("pose"), pair("speed")]);
        let normaliser = Normaliser::new(vec![0.0, 1.0, 0.0, 0.0, 0.0], vec![1.0, 2.0, 1.0, 1.0, 0.5]);
        let mut ood_monitor = OodMonitor::new(normaliser);
        let config = OutOfDistributionConfig { enabled: true, enter: 6.0, leave: 5.0 };
        let mut judge = |values: [f32; 4], present: [bool; 2], std: Vec<f32>, config: &_| {
            // The action is not an observation, however large it is.
            let values = [&[99.0], values.as_slice()].concat();
            let frame = Frame { values, present: vec![true, present[0], present[1]], std };
            let reason = ood_monitor.judge(&frame, &layout, config).map(|reason| match reason {
                Reason::OutOfDistribution { channel, distance, .. } => (channel, distance),
                other => panic!("{other}"),
            });
            (reason, ood_monitor.score())
        };
        let both = [true, true];
        // |13 - 1| / 2 = 6 is not beyond 6; |2.75| / 0.5 = 5.5.
        assert_eq!(judge([13.0, 0.0, 0.0, 2.75], both, vec![], &config), (None, Some(6.0)));
        // |-12 - 1| / 2 = 6.5.
        let out = (Some(("pose.x".to_string(), 6.5)), Some(6.5));
        assert_eq!(judge([-12.0, 0.0, 0.0, 2.75], both, vec![], &config), out);
        // 5.5 would not have entered, but is not yet left.
        assert_eq!(judge([1.0, 0.0, 0.0, 2.75], both, vec![], &config).0, Some(("speed.y".to_string(), 5.5)));
        assert_eq!(judge([1.0, 0.0, 0.0, 2.5], both, vec![], &config), (None, Some(5.0)));
        // Missing; measured with a normalised deviation of 2 / 2 = 1, so 20 / sqrt(2); unknown; switched off.
        assert_eq!(judge([41.0, 0.0, 0.0, 0.0], [false, true], vec![], &config), (None, Some(0.0)));
        let noisy = |std: f32| vec![0.0, std, 0.0, 0.0, 0.0];
        assert!((judge([41.0, 0.0, 0.0, 0.0], both, noisy(2.0), &config).1.unwrap() - 20.0 / 2f64.sqrt()).abs() < 1e-9);
        assert_eq!(judge([41.0, 0.0, 0.0, 0.0], both, noisy(f32::INFINITY), &config), (None, Some(0.0)));
        let off = OutOfDistributionConfig { enabled: false, ..config };
        assert_eq!(judge([41.0, 0.0, 0.0, 0.0], both, vec![], &off), (None, Some(20.0)));
    }
}
