//! Occupancy grids from topics to the costs that use them. A big grid's distances take long, so a thread of its own makes
//! them; where the grid lies in the cost's frame is looked up again as transforms come.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nalgebra::Isometry3;
use r2r::WrappedTypesupport;
use r2r::nav_msgs::msg::OccupancyGrid as GridMessage;

use super::bridge::{Bridge, RosError};
use super::driving::lock;
use super::notice::{Notices, Severity};
use super::slot::Slot;
use super::transforms::Transforms;
use crate::config::{MapTopic, OccupancyGrid};
use crate::frames::{LookupError, NotPlanar, Planar, Transform, TransformError, When};
use crate::guidance::{DistanceField, GridError, SharedMap};

const GRID: &str = "nav_msgs/msg/OccupancyGrid";
/// How often it is looked up where the grid lies.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const TELL_EVERY: Duration = Duration::from_secs(2);
/// A grid that moves less stays where it is, m and rad: a millimetre, and a centimetre at 10 m.
const MOVED_M: f64 = 1e-3;
const TURNED_RAD: f64 = 1e-3;

/// Why a grid is not used.
#[derive(Debug, thiserror::Error)]
enum MapError {
    #[error("the bytes are no {GRID}: {0}")]
    Bytes(#[from] r2r::Error),
    #[error("info.origin: {0}")]
    Origin(#[from] TransformError),
    #[error("info.origin {0}")]
    NotPlanar(#[from] NotPlanar),
    #[error(transparent)]
    Grid(#[from] GridError),
    #[error("its frame id is empty, the contract's is `{0}`")]
    NoFrame(String),
}

/// Why a grid has no place in the cost's frame.
#[derive(Debug, thiserror::Error)]
enum PlaceError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("in the contract's frame `{expected}` it {cause}")]
    NotPlanar { expected: String, cause: NotPlanar },
}

/// The threads that make distances. Dropped: ended.
#[derive(Default)]
pub struct Maps {
    inboxes: Vec<Arc<Slot<Vec<u8>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Maps {
    /// Subscribes to every topic that feeds one of `maps`.
    ///
    /// # Errors
    /// As [`Bridge::subscribe`]; the system gives no thread.
    pub fn subscribe(
        bridge: &mut Bridge,
        maps: &[SharedMap],
        transforms: &Transforms,
        notices: &Notices,
    ) -> Result<Self, RosError> {
        let mut own = Self::default();
        let mut sources: Vec<(MapTopic, Vec<SharedMap>)> = Vec::new();
        for map in maps {
            let Some(topic) = map.topic() else { continue };
            match sources.iter_mut().find(|(known, _)| known == topic) {
                Some((_, maps)) => maps.push(map.clone()),
                None => sources.push((topic.clone(), vec![map.clone()])),
            }
        }
        for (topic, maps) in sources {
            let source = Source {
                topic,
                maps,
                transforms: transforms.clone(),
                notices: notices.clone(),
                grid: Mutex::default(),
            };
            let source = Arc::new(source);
            let slot = Arc::new(Slot::<Vec<u8>>::default());
            let (inbox, outbox, maker) = (slot.clone(), slot.clone(), source.clone());
            let thread = std::thread::Builder::new().name("map".into()).spawn(move || {
                while let Some(bytes) = outbox.take() {
                    maker.make(&bytes);
                }
            });
            let thread = thread.map_err(|cause| RosError::Init(format!("no thread for maps: {cause}")))?;
            own.inboxes.push(slot);
            own.threads.push(thread);
            let MapTopic { topic, qos, .. } = &source.topic;
            bridge.subscribe(topic, GRID, qos, move |received| inbox.put(received.bytes.to_vec()))?;
            let mut next = Instant::now();
            let placed = source.clone();
            bridge.each_spin(move || {
                let now = Instant::now();
                if now >= next {
                    next = now + LOOK_EVERY;
                    placed.place(now);
                }
            });
        }
        Ok(own)
    }
}

impl Drop for Maps {
    fn drop(&mut self) {
        self.inboxes.iter().for_each(|inbox| inbox.close());
        for thread in self.threads.drain(..) {
            // A panic of the thread was already printed by the panic hook.
            let _ = thread.join();
        }
    }
}

/// One topic and the maps that it feeds.
struct Source {
    topic: MapTopic,
    maps: Vec<SharedMap>,
    transforms: Transforms,
    notices: Notices,
    grid: Mutex<Option<Grid>>,
}

/// The newest grid.
struct Grid {
    frame_id: String,
    /// One per map, in the grid's own frame.
    fields: Vec<DistanceField>,
    since: Instant,
    tell_at: Instant,
    /// Where it lies in the contract's frame, as shown.
    shown: Option<Planar>,
}

impl Source {
    /// Makes the distances of a grid; takes long.
    fn make(&self, bytes: &[u8]) {
        let topic = &self.topic.topic;
        let started = Instant::now();
        match self.grid_of(bytes) {
            Ok((grid, cells)) => {
                let took_ms = started.elapsed().as_secs_f64() * 1e3;
                let text =
                    format!("{topic}: a map of {cells} cells in `{}`, made ready in {took_ms:.0} ms", grid.frame_id);
                self.notices.send(Severity::Info, format!("{topic} {}", grid.frame_id), text);
                *lock(&self.grid) = Some(grid);
                self.place(Instant::now());
            }
            Err(error) => self.notices.warn(format!("{topic} refused"), format!("{topic}: map refused: {error}")),
        }
    }

    fn grid_of(&self, bytes: &[u8]) -> Result<(Grid, usize), MapError> {
        let message = GridMessage::from_serialized_bytes(bytes)?;
        let frame_id = message.header.frame_id.clone();
        if let Some(expected) = self.topic.frame_id.as_ref().filter(|_| frame_id.is_empty()) {
            return Err(MapError::NoFrame(expected.clone()));
        }
        let grid = grid(message, &self.topic.topic)?;
        let fields = self.maps.iter().map(|map| map.field_of(&grid)).collect::<Result<_, _>>()?;
        let now = Instant::now();
        Ok((Grid { frame_id, fields, since: now, tell_at: now + LOOK_EVERY, shown: None }, grid.cells.len()))
    }

    /// Shows the newest grid where it lies now.
    fn place(&self, now: Instant) {
        let mut grid = lock(&self.grid);
        let Some(grid) = grid.as_mut() else { return };
        let topic = &self.topic.topic;
        match self.expected_from_grid(&grid.frame_id) {
            Ok(place) if grid.shown.is_some_and(|shown| is_near(&shown, &place)) => {}
            Ok(place) => {
                for (map, field) in self.maps.iter().zip(&grid.fields) {
                    map.show(field.moved(place.at_m, place.yaw_rad));
                }
                grid.shown = Some(place);
            }
            Err(error) if now >= grid.tell_at => {
                grid.tell_at = now + TELL_EVERY;
                let what = if grid.shown.is_some() { "stays where it was" } else { "is not used yet" };
                let since_s = now.duration_since(grid.since).as_secs_f64();
                let text = format!("{topic}: the map in `{}`, {since_s:.1} s old, {what}: {error}", grid.frame_id);
                self.notices.warn(format!("{topic} place"), text);
            }
            Err(_) => {}
        }
    }

    fn expected_from_grid(&self, grid: &str) -> Result<Planar, PlaceError> {
        let place = match &self.topic.frame_id {
            // A map stands still in its own frame, so that the newest transform is the right one.
            Some(expected) if expected != grid => self.transforms.lookup(expected, grid, When::Newest)?,
            _ => Isometry3::identity(),
        };
        let expected = self.topic.frame_id.clone().unwrap_or_default();
        Planar::try_from(&place).map_err(|cause| PlaceError::NotPlanar { expected, cause })
    }
}

fn is_near(a: &Planar, b: &Planar) -> bool {
    let turned = a.yaw_rad - b.yaw_rad;
    // The chord is as long as the arc, and knows no turn of 2 pi.
    let chord = turned.sin().hypot(1.0 - turned.cos());
    (a.at_m[0] - b.at_m[0]).hypot(a.at_m[1] - b.at_m[1]) < MOVED_M && chord < TURNED_RAD
}

/// The message's grid in the message's frame.
fn grid(message: GridMessage, topic: &str) -> Result<OccupancyGrid, MapError> {
    let origin = &message.info.origin;
    let (p, q) = (&origin.position, &origin.orientation);
    let place = Transform::new("map", "origin", 0, [p.x, p.y, p.z], [q.x, q.y, q.z, q.w])?;
    let Planar { at_m, yaw_rad } = Planar::try_from(&place.parent_from_child)?;
    Ok(OccupancyGrid {
        name: topic.into(),
        resolution_m: f64::from(message.info.resolution),
        width: message.info.width as usize,
        height: message.info.height as usize,
        origin_m: at_m,
        yaw_rad,
        cells: message.data,
    })
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use super::*;
    use crate::config::Qos;
    use crate::guidance::Unknown;
    use crate::ros::notice;

    /// 3 x 1 cells of 1 m in `map`, the last one occupied.
    fn message(change: impl FnOnce(&mut GridMessage)) -> Vec<u8> {
        let mut message = GridMessage::default();
        message.header.frame_id = "map".into();
        (message.info.resolution, message.info.width, message.info.height) = (1.0, 3, 1);
        message.info.origin.position.x = 5.0;
        message.info.origin.orientation.w = 1.0;
        message.data = vec![0, 0, 100];
        change(&mut message);
        message.to_serialized_bytes().unwrap()
    }

    #[test]
    fn a_grid_is_shown_where_its_frame_lies_now_and_a_bad_one_refused() {
        let topic = MapTopic { topic: "map".into(), frame_id: Some("odom".into()), qos: Qos::latched() };
        let map = SharedMap::awaited(topic.clone(), Unknown::Free);
        let (notices, mut inbox) = notice::channel();
        let transforms = Transforms::new(notices.clone());
        let source = Source { topic, maps: vec![map.clone()], transforms, notices, grid: Mutex::default() };
        source.make(&message(|_| ()));
        assert!(map.current().is_none());
        source.place(Instant::now() + Duration::from_secs(1));
        let mut said = || std::iter::from_fn(|| inbox.try_recv().ok()).map(|notice| notice.text).collect::<Vec<_>>();
        let told = said();
        assert!(told[0].starts_with("map: a map of 3 cells in `map`, made ready in "), "{told:?}");
        assert!(told[1].ends_with("is not used yet: odom_from_map: no transform names the frame `odom`"), "{told:?}");

        // A quarter turn: (x, y) of `map` is (1 - y, x) of `odom`. The occupied cell begins at (7, 0.5) of `map`.
        let turn = [0.0, 0.0, (FRAC_PI_2 / 2.0).sin(), (FRAC_PI_2 / 2.0).cos()];
        let put = |x: f64, stamp_ns: i64| {
            let transform = Transform::new("odom", "map", stamp_ns, [x, 0.0, 0.0], turn).unwrap();
            source.transforms.insert(transform, stamp_ns);
            source.place(Instant::now());
        };
        put(1.0, 1);
        assert!(map.current().unwrap().at([0.5, 7.0]).0.abs() < 1e-6);
        put(3.0, 2);
        assert!(map.current().unwrap().at([2.5, 7.0]).0.abs() < 1e-6);

        for (bytes, refusal) in [
            (
                message(|m| m.info.origin.orientation.w = 0.0),
                "info.origin: map_from_origin: the quaternion has the norm 0",
            ),
            (message(|m| m.info.origin.position.z = 1.0), "info.origin lies 1.000 m high"),
            (
                message(|m| m.data.truncate(2)),
                "the grid map of 3 x 1 cells must have at least 1 and as many values, got 2",
            ),
            (message(|m| m.data = vec![100; 3]), "has no free cell"),
            (message(|m| m.header.frame_id.clear()), "its frame id is empty, the contract's is `odom`"),
            (message(|_| ())[..30].to_vec(), "the bytes are no nav_msgs/msg/OccupancyGrid"),
        ] {
            source.make(&bytes);
            let told = said();
            assert!(told[0].starts_with("map: map refused: ") && told[0].contains(refusal), "{told:?}");
        }
        assert!(map.current().unwrap().at([2.5, 7.0]).0.abs() < 1e-6, "the grid before stays");
    }
}
