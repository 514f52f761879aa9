//! Where one frame lies in its parent: at any time, or at those of a window.

use std::collections::VecDeque;

use nalgebra::Isometry3;

/// Transforms kept of one edge; published faster than 200 Hz, the window is shorter.
pub const MAX_SAMPLES: usize = 2000;

/// One child's way to its parent.
#[derive(Clone, Debug)]
pub struct Edge {
    pub parent: String,
    pub places: Places,
}

#[derive(Clone, Debug)]
pub enum Places {
    /// The same at any time.
    Static(Isometry3<f64>),
    /// By ascending stamps, at least one.
    Dynamic(VecDeque<(i64, Isometry3<f64>)>),
}

/// A time that an edge does not reach, with the nearest one that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    Newest(i64),
    Oldest(i64),
}

impl Edge {
    /// The newest stamp; none where any time is as good.
    pub fn newest_ns(&self) -> Option<i64> {
        match &self.places {
            Places::Static(_) => None,
            Places::Dynamic(samples) => samples.back().map(|(stamp_ns, _)| *stamp_ns),
        }
    }

    /// `parent_from_child` at a time: translation linear, rotation along the shortest arc. Nothing is extrapolated.
    pub fn at(&self, stamp_ns: i64) -> Result<Isometry3<f64>, Beyond> {
        let samples = match &self.places {
            Places::Static(place) => return Ok(*place),
            Places::Dynamic(samples) => samples,
        };
        let after = samples.partition_point(|(stamp, _)| *stamp < stamp_ns);
        match (after.checked_sub(1).map(|i| samples[i]), samples.get(after)) {
            (_, Some(&(stamp, place))) if stamp == stamp_ns => Ok(place),
            (Some((from, before)), Some(&(to, later))) => {
                Ok(between(&before, &later, (stamp_ns - from) as f64 / (to - from) as f64))
            }
            (Some((newest, _)), None) => Err(Beyond::Newest(newest)),
            (None, Some(&(oldest, _))) => Err(Beyond::Oldest(oldest)),
            (None, None) => Err(Beyond::Newest(i64::MIN)),
        }
    }

    /// Adds a sample of this edge in its order; a stamp that is there is replaced.
    pub fn add(samples: &mut VecDeque<(i64, Isometry3<f64>)>, stamp_ns: i64, place: Isometry3<f64>, window_ns: i64) {
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
    // Half a turn between two samples has no shortest arc: the rotation stays as it was.
    let rotation = before.rotation.try_slerp(&later.rotation, share, 1e-9).unwrap_or(before.rotation);
    Isometry3::from_parts(translation.into(), rotation)
}
