//! The transforms from one frame to its parent: one static transform, or samples over a time window.

use std::collections::VecDeque;

use nalgebra::Isometry3;

/// Most samples of one edge. Above 200 Hz they cover less than the default window of 10 s.
pub(super) const MAX_SAMPLES: usize = 2000;

/// The edge of the tree from one child frame to its parent.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) parent: String,
    pub(super) places: EdgeTransforms,
}

/// The transforms `parent_from_child` of an edge.
#[derive(Clone, Debug)]
pub(super) enum EdgeTransforms {
    /// The same at any time.
    Static(Isometry3<f64>),
    /// By ascending stamps, at least one.
    Dynamic(VecDeque<(i64, Isometry3<f64>)>),
}

/// A time outside the samples of an edge, with the nearest stamp that the edge has, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutOfWindow {
    Newest(i64),
    Oldest(i64),
}

impl Edge {
    /// The newest stamp, nanoseconds. `None` for a static transform.
    pub(super) fn newest_ns(&self) -> Option<i64> {
        match &self.places {
            EdgeTransforms::Static(_) => None,
            EdgeTransforms::Dynamic(samples) => samples.back().map(|(stamp_ns, _)| *stamp_ns),
        }
    }

    /// `parent_from_child` at a time: translation linear, rotation along the shortest arc. It does not extrapolate.
    pub(super) fn at(&self, stamp_ns: i64) -> Result<Isometry3<f64>, OutOfWindow> {
        let samples = match &self.places {
            EdgeTransforms::Static(place) => return Ok(*place),
            EdgeTransforms::Dynamic(samples) => samples,
        };
        let after = samples.partition_point(|(stamp, _)| *stamp < stamp_ns);
        match (after.checked_sub(1).map(|i| samples[i]), samples.get(after)) {
            (_, Some(&(stamp, place))) if stamp == stamp_ns => Ok(place),
            (Some((from, before)), Some(&(to, later))) => {
                Ok(between(&before, &later, (stamp_ns - from) as f64 / (to - from) as f64))
            }
            (Some((newest, _)), None) => Err(OutOfWindow::Newest(newest)),
            (None, Some(&(oldest, _))) => Err(OutOfWindow::Oldest(oldest)),
            (None, None) => Err(OutOfWindow::Newest(i64::MIN)),
        }
    }

    /// Inserts a sample by stamp and replaces a sample of the same stamp. Drops samples outside the window.
    pub(super) fn add(
        samples: &mut VecDeque<(i64, Isometry3<f64>)>,
        stamp_ns: i64,
        place: Isometry3<f64>,
        window_ns: i64,
    ) {
        let at = samples.partition_point(|(stamp, _)| *stamp < stamp_ns);
        match samples.get_mut(at) {
            Some(same) if same.0 == stamp_ns => same.1 = place,
            _ => samples.insert(at, (stamp_ns, place)),
        }
        let newest_ns = samples.back().map_or(stamp_ns, |(stamp, _)| *stamp);
        while samples.len() > MAX_SAMPLES
            || samples.front().is_some_and(|(s, _)| newest_ns.saturating_sub(*s) > window_ns)
        {
            samples.pop_front();
        }
    }
}

fn between(before: &Isometry3<f64>, later: &Isometry3<f64>, share: f64) -> Isometry3<f64> {
    let translation = before.translation.vector.lerp(&later.translation.vector, share);
    // Half a turn between two samples has no unique shortest arc: the earlier rotation holds.
    let rotation = before.rotation.try_slerp(&later.rotation, share, 1e-9).unwrap_or(before.rotation);
    Isometry3::from_parts(translation.into(), rotation)
}
