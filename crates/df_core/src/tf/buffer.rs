//! The buffer: a tree of frames, each with its way to its parent over a window of time.

use std::collections::{HashMap, VecDeque};

use nalgebra::Isometry3;

use super::edge::{Beyond, Edge, Places};
use super::{LookupError, Transform, TransformError, check_name};

/// Frames that have a parent. With 2000 samples of 64 bytes each, the buffer takes 64 MB at most.
pub(super) const MAX_FRAMES: usize = 500;

/// Frames on the way up, each with its edge to the next.
type Way<'a> = Vec<(&'a str, &'a Edge)>;

/// The time that a transform is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The newest that all transforms of the way reach; what a stamp of 0 means in ROS.
    Newest,
    /// Nanoseconds.
    At(i64),
}

/// What a transform did to the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    Added,
    /// The child lay in this frame before; what was known of that is forgotten.
    Reparented {
        from: String,
    },
}

/// Static and dynamic transforms. Time, like every clock here, is an argument.
#[derive(Clone, Debug)]
pub struct Buffer {
    window_ns: i64,
    /// By child. Never a loop.
    edges: HashMap<String, Edge>,
    now_ns: i64,
}

impl Buffer {
    /// Keeps dynamic transforms for `window_s` seconds before the newest of their edge.
    pub fn new(window_s: f64) -> Self {
        Self { window_ns: (window_s * 1e9) as i64, edges: HashMap::new(), now_ns: i64::MIN }
    }

    /// Takes what was published at `now_ns`. A clock that went backwards clears the dynamic transforms: a recording was
    /// started again, and what is kept lies in its future.
    ///
    /// # Errors
    /// [`TransformError`]; the tree stays as it was.
    pub fn insert(&mut self, transform: Transform, is_static: bool, now_ns: i64) -> Result<Inserted, TransformError> {
        self.tell_time(now_ns);
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
            && let Some(Edge { parent: same, places: Places::Dynamic(samples) }) = self.edges.get_mut(&child)
            && *same == parent
        {
            Edge::add(samples, stamp_ns, parent_from_child, self.window_ns);
            return Ok(Inserted::Added);
        }
        let places = if is_static {
            Places::Static(parent_from_child)
        } else {
            Places::Dynamic(VecDeque::from([(stamp_ns, parent_from_child)]))
        };
        let before = self.edges.insert(child, Edge { parent: parent.clone(), places });
        Ok(match before {
            Some(before) if before.parent != parent => Inserted::Reparented { from: before.parent },
            _ => Inserted::Added,
        })
    }

    /// Tells the time: one that lies before the last one clears the dynamic transforms. Static ones stay, as in tf2.
    pub fn tell_time(&mut self, now_ns: i64) {
        if now_ns < self.now_ns {
            self.edges.retain(|_, edge| matches!(edge.places, Places::Static(_)));
        }
        self.now_ns = now_ns;
    }

    /// `target_from_source` at a time: coordinates in `source` times it are coordinates in `target`.
    ///
    /// # Errors
    /// [`LookupError`] names the transform that is missing, and by how much.
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
            // Only static ones: any time will do.
            When::Newest => {
                from_target.iter().chain(&from_source).filter_map(|(_, e)| e.newest_ns()).min().unwrap_or(0)
            }
        };
        let ancestor_from = |way: &[(&str, &Edge)]| {
            way.iter().try_fold(Isometry3::identity(), |parent_from_start, (child, edge)| {
                let place = edge.at(stamp_ns).map_err(|beyond| {
                    let (asked, parent, child) = (asked(target, source), edge.parent.clone(), child.to_string());
                    let asked_s = seconds(stamp_ns);
                    match beyond {
                        Beyond::Newest(ns) => LookupError::TooNew {
                            asked,
                            parent,
                            child,
                            by_s: seconds(stamp_ns.saturating_sub(ns)),
                            asked_s,
                        },
                        Beyond::Oldest(ns) => LookupError::TooOld {
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

    /// The edges from both frames up to where they meet.
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
        // What both go at the end is no part of the way.
        while let (Some((a, _)), Some((b, _))) = (from_target.last(), from_source.last())
            && a == b
        {
            from_target.pop();
            from_source.pop();
        }
        Ok((from_target, from_source))
    }

    /// The first of the frames that is neither child nor parent of a transform.
    fn unknown(&self, frames: [&str; 2]) -> Option<String> {
        let known = |frame: &str| self.edges.contains_key(frame) || self.edges.values().any(|e| e.parent == frame);
        frames.into_iter().find(|frame| !known(frame)).map(String::from)
    }

    /// Each frame of the way from `frame` to its root, without the root, with its edge.
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
