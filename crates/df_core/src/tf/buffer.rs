//! The buffer: a tree of coordinate frames, each with its transforms to its parent over a time window.

use std::collections::{HashMap, VecDeque};

use nalgebra::Isometry3;

use super::edge::{Edge, EdgeTransforms, OutOfWindow};
use super::error::{LookupError, TransformError};
use super::transform::{Transform, check_name};

/// Most frames with a parent. With 2000 samples of 64 bytes per frame, the buffer takes at most 64 MB.
pub(super) const MAX_FRAMES: usize = 500;

/// Frames from one frame up to an ancestor, each with its edge to the next.
type Way<'a> = Vec<(&'a str, &'a Edge)>;

/// The time at which a transform is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The newest time that all transforms between the frames have. ROS writes it as a stamp of 0.
    Newest,
    /// Nanoseconds.
    At(i64),
}

/// The effect of an inserted transform on the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The edge is new or has one more sample.
    Added,
    /// The child had another parent. The old transforms are dropped.
    Reparented {
        /// The former parent.
        from: String,
    },
}

/// A buffer of static and dynamic transforms. Time is an argument.
#[derive(Clone, Debug)]
pub struct Buffer {
    window_ns: i64,
    /// By child frame. The edges form trees.
    edges: HashMap<String, Edge>,
    now_ns: i64,
}

impl Buffer {
    /// A buffer that keeps dynamic transforms for `window_s` seconds before the newest one of their edge.
    pub fn new(window_s: f64) -> Self {
        Self { window_ns: (window_s * 1e9) as i64, edges: HashMap::new(), now_ns: i64::MIN }
    }

    /// Inserts a transform at the time `now_ns`. A clock that went backwards clears the dynamic transforms: a recording
    /// was restarted, and the buffer holds its future.
    ///
    /// # Errors
    /// [`TransformError`]. The tree is then unchanged.
    pub fn insert(&mut self, transform: Transform, is_static: bool, now_ns: i64) -> Result<Inserted, TransformError> {
        self.set_time(now_ns);
        let Transform { parent, child, stamp_ns, parent_from_child } = transform;
        let ahead_ns = stamp_ns.saturating_sub(now_ns);
        if !is_static && ahead_ns > self.window_ns {
            let (by_s, max_s) = (seconds(ahead_ns), seconds(self.window_ns));
            return Err(TransformError::Ahead { parent, child, by_s, max_s });
        }
        if parent == child || self.way_up(&parent).any(|(_, edge)| edge.parent == child) {
            return Err(TransformError::Loop { parent, child });
        }
        let known = self.edges.get(&child);
        if known.is_none() && self.edges.len() >= MAX_FRAMES {
            return Err(TransformError::Full { parent, child, max: MAX_FRAMES });
        }
        let behind_ns = known.and_then(Edge::newest_ns).map_or(0, |newest| newest.saturating_sub(stamp_ns));
        if !is_static && behind_ns > self.window_ns {
            let (by_s, max_s) = (seconds(behind_ns), seconds(self.window_ns));
            return Err(TransformError::Old { parent, child, by_s, max_s });
        }
        if !is_static
            && let Some(Edge { parent: same, places: EdgeTransforms::Dynamic(samples) }) = self.edges.get_mut(&child)
            && *same == parent
        {
            Edge::add(samples, stamp_ns, parent_from_child, self.window_ns);
            return Ok(Inserted::Added);
        }
        let places = if is_static {
            EdgeTransforms::Static(parent_from_child)
        } else {
            EdgeTransforms::Dynamic(VecDeque::from([(stamp_ns, parent_from_child)]))
        };
        let before = self.edges.insert(child, Edge { parent: parent.clone(), places });
        Ok(match before {
            Some(before) if before.parent != parent => Inserted::Reparented { from: before.parent },
            _ => Inserted::Added,
        })
    }

    /// Sets the time. A time before the last one clears the dynamic transforms. Static ones stay, as in tf2.
    pub fn set_time(&mut self, now_ns: i64) {
        if now_ns < self.now_ns {
            self.edges.retain(|_, edge| matches!(edge.places, EdgeTransforms::Static(_)));
        }
        self.now_ns = now_ns;
    }

    /// `target_from_source` at a time. It takes coordinates in `source` to coordinates in `target`.
    ///
    /// # Errors
    /// [`LookupError`] names the missing transform and the time difference.
    pub fn lookup(&self, target: &str, source: &str, when: When) -> Result<Isometry3<f64>, LookupError> {
        for name in [target, source] {
            check_name(name).map_err(|rule| LookupError::Name { name: name.into(), rule })?;
        }
        if target == source {
            return Ok(Isometry3::identity());
        }
        let (from_target, from_source) = self.ways(target, source)?;
        let stamp_ns = match when {
            When::At(stamp_ns) => stamp_ns,
            // Without a dynamic transform every time gives the same result.
            When::Newest => {
                from_target.iter().chain(&from_source).filter_map(|(_, e)| e.newest_ns()).min().unwrap_or(0)
            }
        };
        let ancestor_from = |way: &[(&str, &Edge)]| {
            way.iter().try_fold(Isometry3::identity(), |parent_from_start, (child, edge)| {
                let place = edge.at(stamp_ns).map_err(|outside| {
                    let (asked, parent, child) = (asked(target, source), edge.parent.clone(), child.to_string());
                    let asked_s = seconds(stamp_ns);
                    match outside {
                        OutOfWindow::Newest(ns) => LookupError::TooNew {
                            asked,
                            parent,
                            child,
                            by_s: seconds(stamp_ns.saturating_sub(ns)),
                            asked_s,
                        },
                        OutOfWindow::Oldest(ns) => LookupError::TooOld {
                            asked,
                            parent,
                            child,
                            by_s: seconds(ns.saturating_sub(stamp_ns)),
                            asked_s,
                        },
                    }
                })?;
                Ok(place * parent_from_start)
            })
        };
        Ok(ancestor_from(&from_target)?.inverse() * ancestor_from(&from_source)?)
    }

    /// The edges from both frames up to their nearest common ancestor.
    fn ways<'a>(&'a self, target: &'a str, source: &'a str) -> Result<(Way<'a>, Way<'a>), LookupError> {
        let mut from_target: Way = self.way_up(target).collect();
        let mut from_source: Way = self.way_up(source).collect();
        let top = |way: &[(&str, &Edge)], frame: &str| way.last().map_or(frame, |(_, edge)| &edge.parent).to_string();
        let (target_root, source_root) = (top(&from_target, target), top(&from_source, source));
        if target_root != source_root {
            let asked = asked(target, source);
            return Err(match self.unknown([target, source]) {
                Some(missing) => LookupError::Unknown { asked, missing },
                None => LookupError::NotConnected { asked, target_root, source_root },
            });
        }
        // Both paths share the edges above the common ancestor: drop them.
        while let (Some((a, _)), Some((b, _))) = (from_target.last(), from_source.last())
            && a == b
        {
            from_target.pop();
            from_source.pop();
        }
        Ok((from_target, from_source))
    }

    /// The first of the two frames that no transform names.
    fn unknown(&self, frames: [&str; 2]) -> Option<String> {
        let known = |frame: &str| self.edges.contains_key(frame) || self.edges.values().any(|e| e.parent == frame);
        frames.into_iter().find(|frame| !known(frame)).map(String::from)
    }

    /// Each frame from `frame` up to its root, without the root, with its edge.
    fn way_up<'a>(&'a self, frame: &'a str) -> impl Iterator<Item = (&'a str, &'a Edge)> {
        let first = self.edges.get(frame).map(|edge| (frame, edge));
        std::iter::successors(first, |(_, below)| {
            self.edges.get(&below.parent).map(|edge| (below.parent.as_str(), edge))
        })
    }
}

fn asked(target: &str, source: &str) -> String {
    format!("{target}_from_{source}")
}

fn seconds(ns: i64) -> f64 {
    ns as f64 * 1e-9
}
