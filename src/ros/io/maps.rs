//! Receives maps for the costs that use them.
//!
//! Computing the distances of a large grid takes long, so each topic has its own thread. The place
//! of the grid in the cost's frame is looked up again as transforms arrive.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nalgebra::Isometry3;

use super::grid_message::{GRID_TYPE, GridInFrame, MapError, PlaceError};
use super::mailbox::Mailbox;
use super::tf_listener::TfListener;
use crate::ros::lock::lock;
use crate::ros::node_handle::{NodeHandle, RosError};
use crate::ros::report::{Severity, ThrottledLog};
use df_core::MapTopic;
use df_core::map::{DistanceField, SharedMap};
use df_core::tf::{Planar, When};

/// The time between two lookups of a grid's place.
const LOOKUP_EVERY: Duration = Duration::from_millis(100);
/// The time between two logs of a grid without a place.
const LOG_EVERY: Duration = Duration::from_secs(2);
/// A smaller move of a grid is ignored, metres.
const MIN_MOVE_M: f64 = 1e-3;
/// A smaller turn of a grid is ignored, radians: a centimetre at 10 m.
const MIN_TURN_RAD: f64 = 1e-3;
const THREAD: &str = "map";

/// The threads that compute distances. Dropping it ends and joins them.
#[derive(Default)]
pub(crate) struct Maps {
    mailboxes: Vec<Arc<Mailbox<Vec<u8>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Maps {
    /// Subscribes to every topic that feeds one of `maps`.
    ///
    /// # Errors
    /// As [`NodeHandle::subscribe`]; [`RosError::Thread`] if the system gives no thread.
    pub(crate) fn subscribe(
        handle: &mut NodeHandle,
        maps: &[SharedMap],
        transforms: &TfListener,
        log: &ThrottledLog,
    ) -> Result<Self, RosError> {
        let mut all = Self::default();
        let mut sources: Vec<Source> = Vec::new();
        for map in maps {
            let Some(topic) = map.topic() else { continue };
            match sources.iter_mut().find(|source| source.topic == *topic) {
                Some(source) => source.maps.push(map.clone()),
                None => sources.push(Source {
                    topic: topic.clone(),
                    maps: vec![map.clone()],
                    transforms: transforms.clone(),
                    log: log.clone(),
                    grid: Mutex::default(),
                }),
            }
        }
        for source in sources {
            all.start(handle, Arc::new(source))?;
        }
        Ok(all)
    }

    fn start(&mut self, handle: &mut NodeHandle, source: Arc<Source>) -> Result<(), RosError> {
        let mailbox = Arc::new(Mailbox::<Vec<u8>>::default());
        let (sender, receiver, worker) = (mailbox.clone(), mailbox.clone(), source.clone());
        let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || {
            while let Some(bytes) = receiver.take() {
                worker.load(&bytes);
            }
        });
        self.threads.push(thread.map_err(|cause| RosError::Thread { name: THREAD, cause })?);
        self.mailboxes.push(mailbox);
        let MapTopic { topic, qos, .. } = &source.topic;
        handle.subscribe(topic, GRID_TYPE, qos, move |received| sender.put(received.bytes.to_vec()))?;
        let mut next = Instant::now();
        let placed = source.clone();
        handle.after_each_spin(move || {
            let now = Instant::now();
            if now >= next {
                next = now + LOOKUP_EVERY;
                placed.place(now);
            }
        });
        Ok(())
    }
}

impl Drop for Maps {
    fn drop(&mut self) {
        self.mailboxes.iter().for_each(|mailbox| mailbox.close());
        for thread in self.threads.drain(..) {
            // The panic hook has already printed a panic of the thread.
            let _ = thread.join();
        }
    }
}

/// One topic and the maps that it feeds.
struct Source {
    topic: MapTopic,
    maps: Vec<SharedMap>,
    transforms: TfListener,
    log: ThrottledLog,
    grid: Mutex<Option<Grid>>,
}

/// The newest grid.
struct Grid {
    frame_id: String,
    /// One field per map, in the grid's own frame.
    fields: Vec<DistanceField>,
    since: Instant,
    log_at: Instant,
    /// Its place in the contract's frame as the maps have it.
    shown: Option<Planar>,
}

impl Source {
    /// Computes the distances of a grid and shows it to the maps.
    fn load(&self, bytes: &[u8]) {
        let topic = &self.topic.topic;
        let started = Instant::now();
        let (grid, cells) = match self.grid_of(bytes) {
            Ok(loaded) => loaded,
            Err(error) => return self.log.warn(format!("{topic} refused"), format!("{topic}: map refused: {error}")),
        };
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        let text = format!("{topic}: a map of {cells} cells in `{}`, made ready in {took_ms:.0} ms", grid.frame_id);
        self.log.log(Severity::Info, format!("{topic} {}", grid.frame_id), text);
        *lock(&self.grid) = Some(grid);
        self.place(Instant::now());
    }

    /// The grid and its number of cells.
    fn grid_of(&self, bytes: &[u8]) -> Result<(Grid, usize), MapError> {
        let GridInFrame { grid, frame_id } =
            GridInFrame::from_bytes(bytes, &self.topic.topic, self.topic.frame_id.as_deref())?;
        let fields = self.maps.iter().map(|map| map.field_of(&grid)).collect::<Result<_, _>>()?;
        let now = Instant::now();
        Ok((Grid { frame_id, fields, since: now, log_at: now + LOOKUP_EVERY, shown: None }, grid.cells.len()))
    }

    /// Shows the newest grid at its present place.
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
            Err(error) if now >= grid.log_at => {
                grid.log_at = now + LOG_EVERY;
                let what = if grid.shown.is_some() { "keeps its place" } else { "is not used yet" };
                let since_s = now.duration_since(grid.since).as_secs_f64();
                let text = format!("{topic}: the map in `{}`, {since_s:.1} s old, {what}: {error}", grid.frame_id);
                self.log.warn(format!("{topic} place"), text);
            }
            Err(_) => {}
        }
    }

    fn expected_from_grid(&self, grid: &str) -> Result<Planar, PlaceError> {
        let place = match &self.topic.frame_id {
            // A map does not move in its own frame, so the newest transform is right.
            Some(expected) if expected != grid => self.transforms.lookup(expected, grid, When::Newest)?,
            _ => Isometry3::identity(),
        };
        PlaceError::check(&place, self.topic.frame_id.clone().unwrap_or_default())
    }
}

fn is_near(a: &Planar, b: &Planar) -> bool {
    let turn = a.yaw_rad - b.yaw_rad;
    // The chord is close to the angle, and a full turn counts as none.
    let chord = turn.sin().hypot(1.0 - turn.cos());
    (a.at_m[0] - b.at_m[0]).hypot(a.at_m[1] - b.at_m[1]) < MIN_MOVE_M && chord < MIN_TURN_RAD
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use r2r::WrappedTypesupport;
    use r2r::nav_msgs::msg::OccupancyGrid as GridMessage;

    use super::*;
    use crate::ros::report::log_channel;
    use df_core::Qos;
    use df_core::map::Unknown;
    use df_core::tf::Transform;

    /// A map of 3 x 1 cells of 1 m in `map`. The last cell is occupied.
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
    fn a_map_follows_its_frame_and_an_invalid_map_is_refused() {
        let topic = MapTopic { topic: "map".into(), frame_id: Some("odom".into()), qos: Qos::latched() };
        let map = SharedMap::awaited(topic.clone(), Unknown::Free);
        let (log, mut entries) = log_channel();
        let transforms = TfListener::new(log.clone());
        let source = Source { topic, maps: vec![map.clone()], transforms, log, grid: Mutex::default() };
        source.load(&message(|_| ()));
        assert!(map.current().is_none());
        source.place(Instant::now() + Duration::from_secs(1));
        let mut logged = || std::iter::from_fn(|| entries.try_recv().ok()).map(|entry| entry.text).collect::<Vec<_>>();
        let texts = logged();
        assert!(texts[0].starts_with("map: a map of 3 cells in `map`, made ready in "), "{texts:?}");
        assert!(texts[1].ends_with("is not used yet: odom_from_map: no transform names the frame `odom`"), "{texts:?}");

        // A quarter turn: (x, y) of `map` is (1 - y, x) of `odom`. The occupied cell begins at (7,
        // 0.5) of `map`.
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
            source.load(&bytes);
            let texts = logged();
            assert!(texts[0].starts_with("map: map refused: ") && texts[0].contains(refusal), "{texts:?}");
        }
        assert!(map.current().unwrap().at([2.5, 7.0]).0.abs() < 1e-6, "the last valid map stays");
    }
}
