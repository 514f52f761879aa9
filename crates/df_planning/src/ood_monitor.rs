//! Out of distribution: an observation that is unlike everything that the network was trained on.
//!
//! The distance is the largest one of any channel from its mean, in standard deviations of the training data. Not a sum over
//! channels: one sensor gone wrong must not drown among a hundred that are well, the limit must not depend on how many channels
//! there are, and an operator wants to hear which one it is. A measurement that states its deviation `s` (normalised) is divided
//! by `sqrt(1 + s^2)`, which is how far it may stray by itself.

use super::command::Reason;
use crate::OutOfDistributionConfig;
use df_core::{ACTION_MODALITY, Frame, Layout, Normaliser};

/// Watches observations, with hysteresis.
#[derive(Clone, Debug)]
pub struct OodMonitor {
    normaliser: Normaliser,
    is_out: bool,
    /// Of the newest frame with any observation.
    distance: Option<f64>,
}

impl OodMonitor {
    pub fn new(normaliser: Normaliser) -> Self {
        Self { normaliser, is_out: false, distance: None }
    }

    /// Time begins anew.
    pub fn clear(&mut self) {
        (self.is_out, self.distance) = (false, None);
    }

    /// Of the newest frame with any observation, in standard deviations.
    pub fn distance(&self) -> Option<f64> {
        self.distance
    }

    /// Takes the frame of a tick; why no plan should be followed now. A frame without any observation changes nothing.
    pub fn judge(&mut self, frame: &Frame, layout: &Layout, settings: &OutOfDistributionConfig) -> Option<Reason> {
        let observed = (ACTION_MODALITY + 1..layout.modalities.len()).filter(|&m| frame.present[m]);
        let channels = observed.flat_map(|m| layout.modalities[m].channels.clone().map(move |c| (m, c)));
        let (distance, m, c) =
            channels.map(|(m, c)| (self.distance_of(frame, c), m, c)).max_by(|(a, ..), (b, ..)| a.total_cmp(b))?;
        self.distance = Some(distance);
        let limit = if self.is_out { settings.leave } else { settings.enter };
        self.is_out = settings.enabled && distance > limit;
        self.is_out.then(|| Reason::OutOfDistribution {
            group: layout.modalities[m].name.clone(),
            channel: layout.labels[c].clone(),
            distance,
            limit,
        })
    }

    fn distance_of(&self, frame: &Frame, c: usize) -> f64 {
        let std = f64::from(self.normaliser.std[c]);
        let own = frame.std.get(c).map_or(0.0, |&own| f64::from(own) / std);
        (f64::from(frame.values[c]) - f64::from(self.normaliser.mean[c])).abs() / std / (1.0 + own * own).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_farthest_channel_counts_and_a_while_of_calm_is_needed() {
        let pair = |name: &str| (name.to_string(), vec![format!("{name}.x"), format!("{name}.y")]);
        let layout = Layout::new(1, [("action".into(), vec!["u".into()]), pair("pose"), pair("speed")]);
        let normaliser = Normaliser::new(vec![0.0, 1.0, 0.0, 0.0, 0.0], vec![1.0, 2.0, 1.0, 1.0, 0.5]);
        let mut ood_monitor = OodMonitor::new(normaliser);
        let settings = OutOfDistributionConfig { enabled: true, enter: 6.0, leave: 5.0 };
        let mut judge = |values: [f32; 4], present: [bool; 2], std: Vec<f32>, settings: &_| {
            // The action is ours: however large, it is not observed.
            let values = [&[99.0], values.as_slice()].concat();
            let frame = Frame { values, present: vec![true, present[0], present[1]], std };
            let reason = ood_monitor.judge(&frame, &layout, settings).map(|reason| match reason {
                Reason::OutOfDistribution { channel, distance, .. } => (channel, distance),
                other => panic!("{other}"),
            });
            (reason, ood_monitor.distance())
        };
        let both = [true, true];
        // |13 - 1| / 2 = 6 is not beyond 6; |2.75| / 0.5 = 5.5.
        assert_eq!(judge([13.0, 0.0, 0.0, 2.75], both, vec![], &settings), (None, Some(6.0)));
        // |-12 - 1| / 2 = 6.5.
        let out = (Some(("pose.x".to_string(), 6.5)), Some(6.5));
        assert_eq!(judge([-12.0, 0.0, 0.0, 2.75], both, vec![], &settings), out);
        // 5.5 would not have entered, but is not yet left.
        assert_eq!(judge([1.0, 0.0, 0.0, 2.75], both, vec![], &settings).0, Some(("speed.y".to_string(), 5.5)));
        assert_eq!(judge([1.0, 0.0, 0.0, 2.5], both, vec![], &settings), (None, Some(5.0)));
        // Missing; measured with a normalised deviation of 2 / 2 = 1, so 20 / sqrt(2); unknown; switched off.
        assert_eq!(judge([41.0, 0.0, 0.0, 0.0], [false, true], vec![], &settings), (None, Some(0.0)));
        let noisy = |std: f32| vec![0.0, std, 0.0, 0.0, 0.0];
        assert!(
            (judge([41.0, 0.0, 0.0, 0.0], both, noisy(2.0), &settings).1.unwrap() - 20.0 / 2f64.sqrt()).abs() < 1e-9
        );
        assert_eq!(judge([41.0, 0.0, 0.0, 0.0], both, noisy(f32::INFINITY), &settings), (None, Some(0.0)));
        let off = OutOfDistributionConfig { enabled: false, ..settings };
        assert_eq!(judge([41.0, 0.0, 0.0, 0.0], both, vec![], &off), (None, Some(20.0)));
    }
}
