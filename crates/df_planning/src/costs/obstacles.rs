//! Obstacles of a map: the robot keeps a distance from the occupied cells of a grid.

use std::path::PathBuf;

use serde::Deserialize;

use super::binding::{Binding, Selection};
use super::cost::{Cost, Rollout};
use super::error::CostError;
use super::factory::CostFactory;
use df_core::map::{OccupancyGrid, SharedMap, Unknown};
use df_core::{MapTopic, is_frame_id};

/// `weight` times the time integral of `max(0, margin + radius - d)^2`, in m^2 s. `d` is the signed distance of the position
/// to the occupied area, negative inside.
pub(super) struct ObstaclesCost {
    /// Factor of the cost.
    pub(super) weight: f64,
    /// The channels of the position: x and y, m.
    pub(super) of: [usize; 2],
    /// `margin + radius`, m.
    pub(super) reach_m: f64,
    /// The map, which can be replaced between two evaluations.
    pub(super) map: SharedMap,
}

/// The keys of [`ObstaclesCost`].
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObstaclesCostConfig {
    of: Selection,
    map: MapSource,
    /// Whether unknown cells, and all beyond the grid, are free or occupied.
    #[serde(default)]
    unknown: Unknown,
    /// Distance to keep, m.
    #[serde(default)]
    margin: f64,
    /// Radius of the robot, m.
    #[serde(default)]
    radius: f64,
}

/// Source of the map.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be a file of Nav2's map_server, or {topic, frame_id, qos} of a nav_msgs/msg/OccupancyGrid"
)]
enum MapSource {
    File(PathBuf),
    Topic(MapTopic),
}

impl MapSource {
    fn map(self, unknown: Unknown, binding: &Binding) -> Result<SharedMap, CostError> {
        match self {
            Self::File(file) => {
                let grid =
                    OccupancyGrid::load(&binding.file(&file)).map_err(|e| binding.refuse("map", file.display(), e))?;
                SharedMap::new(&grid, unknown).map_err(|cause| CostError::Grid {
                    key: binding.key("map"),
                    got: file.display().to_string(),
                    cause,
                })
            }
            Self::Topic(topic) => {
                let name = &topic.topic;
                let named = !name.is_empty() && !name.contains(' ');
                binding.require(named, "map.topic", name, "must be a ROS topic name")?;
                binding.require(topic.qos.depth > 0, "map.qos.depth", topic.qos.depth, "must be at least 1")?;
                let frame_id = topic.frame_id.as_deref();
                let rule = "must be a frame's name, without a leading slash, or be left out";
                binding.require(
                    frame_id.is_none_or(is_frame_id),
                    "map.frame_id",
                    frame_id.unwrap_or_default(),
                    rule,
                )?;
                Ok(SharedMap::awaited(topic, unknown))
            }
        }
    }
}

impl CostFactory for ObstaclesCost {
    const NAME: &'static str = "obstacles";
    type Config = ObstaclesCostConfig;

    fn bind(config: ObstaclesCostConfig, binding: &Binding) -> Result<Self, CostError> {
        let ObstaclesCostConfig { of, map, unknown, margin, radius } = config;
        binding.not_negative("margin", margin)?;
        binding.not_negative("radius", radius)?;
        let map = map.map(unknown, binding)?;
        Ok(Self { weight: binding.config.weight, of: binding.position("of", &of)?, reach_m: margin + radius, map })
    }
}

impl Cost for ObstaclesCost {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn weight(&mut self) -> &mut f64 {
        &mut self.weight
    }

    fn evaluate(&self, rollout: &Rollout, gradient: &mut [f32]) -> f64 {
        // The planner makes no plan while a map is missing. It warms up without one.
        let Some(map) = self.map.current() else { return 0.0 };
        let per_frame = self.weight * rollout.period_s;
        let mut cost = 0.0;
        for (frame, gradient) in rollout.frames().zip(gradient.chunks_exact_mut(rollout.channels)) {
            let (distance, direction) = map.at(self.of.map(|c| f64::from(frame[c])));
            let inside = self.reach_m - distance;
            if inside > 0.0 {
                cost += per_frame * inside * inside;
                for (c, direction) in self.of.into_iter().zip(direction) {
                    gradient[c] -= (2.0 * per_frame * inside * direction) as f32;
                }
            }
        }
        cost
    }

    fn map(&self) -> Option<&SharedMap> {
        Some(&self.map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PlanningConfig;
    use crate::costs::bind_costs;
    use crate::costs::test_support::{assert_gradient, cost_of, layout};

    /// Cells of 1 m from (0, 0) on; the two on the right are occupied.
    const MAP: &str =
        "image: map.pgm\nresolution: 1\norigin: [0, 0, 0]\nnegate: 0\noccupied_thresh: 0.65\nfree_thresh: 0.25\n";
    const WALL: &str = "P2 4 3 255\n254 254 0 0\n254 254 0 0\n254 254 0 0\n";

    /// A configuration with one cost, in a folder of its own beside the folder `maps`.
    fn bound(settings: &str, image: &str) -> Result<Box<dyn Cost>, Box<(CostError, String)>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("maps")).unwrap();
        std::fs::write(folder.path().join("maps/map.yaml"), MAP).unwrap();
        std::fs::write(folder.path().join("maps/map.pgm"), image).unwrap();
        let maze = include_str!("../../../../config/point_maze.yaml");
        let text =
            format!("{}costs:\n- {{kind: obstacles, weight: 2, {settings}}}\n", &maze[..maze.find("costs:").unwrap()]);
        let file = folder.path().join("robot.yaml");
        std::fs::write(&file, text).unwrap();
        let config = PlanningConfig::read(df_core::Document::load(&file).unwrap()).unwrap();
        bind_costs(&config.costs, Some("position"), &layout())
            .map(|mut costs| costs.remove(0))
            .map_err(|e| Box::new((e.clone(), e.located(&config.contract.document).to_string())))
    }

    const GOOD: &str = "of: position, map: maps/map.yaml, unknown: free, margin: 0.5, radius: 0.25";

    fn at(x: f32, y: f32) -> [f32; 8] {
        [9.0, 9.0, x, y, 9.0, 9.0, 9.0, 9.0]
    }

    #[test]
    fn the_cost_is_the_one_computed_by_hand() {
        let cost = bound(GOOD, WALL).unwrap();
        // The wall begins at x = 2. At 1.5: 0.5 m away, 0.25 m too close; at 0.5: far enough; at 2.5: 0.5 m inside,
        // 1.25 m too close. 2 * 0.1 s * (0.25^2 + 1.25^2) = 0.2 * 1.625.
        let values = [at(1.5, 1.2), at(0.5, 1.2), at(2.5, 1.2)].concat();
        assert!((cost_of(&*cost, &values, 8) - 0.325).abs() < 1e-6);
    }

    #[test]
    fn the_gradient_agrees_with_finite_differences() {
        // Near a wall, inside it, in a corner of the cell pattern, and beyond the grid on two sides.
        let image = "P2 4 3 255\n254 254 254 0\n254 0 254 254\n254 254 254 0\n";
        let values = [at(2.7, 0.7), at(1.3, 1.6), at(1.2, 1.3), at(4.8, 0.2), at(3.7, -0.8), at(0.8, 0.9)].concat();
        for unknown in ["free", "occupied"] {
            let cost = bound(&GOOD.replace("free", unknown), image).unwrap();
            assert_gradient(&*cost, &values, 8, &[]);
        }
    }

    #[test]
    fn the_grid_can_be_replaced_while_the_cost_is_in_use() {
        let cost = bound(GOOD, WALL).unwrap();
        assert!(cost_of(&*cost, &at(2.5, 1.5), 8) > 0.1);
        let grid = OccupancyGrid {
            name: "/map".into(),
            resolution_m: 1.0,
            width: 2,
            height: 2,
            origin_m: [0.0; 2],
            yaw_rad: 0.0,
            cells: vec![0; 4],
        };
        cost.map().unwrap().replace(&grid).unwrap();
        assert_eq!(cost_of(&*cost, &at(2.5, 1.5), 8), 0.0);
    }

    #[test]
    fn a_topic_can_bring_the_map() {
        let cost = bound("of: position, margin: 0.5, map: {topic: map, frame_id: odom}", WALL).unwrap();
        let map = cost.map().unwrap();
        let topic = map.topic().unwrap();
        assert_eq!((topic.topic.as_str(), topic.frame_id.as_deref()), ("map", Some("odom")));
        assert!(topic.qos.transient_local && topic.qos.depth == 1);
        assert!(map.current().is_none());
        for (map, refusal) in [
            ("{topic: ''}", "costs[0].map.topic: : must be a ROS topic name"),
            ("{topic: map, frame_id: /odom}", "costs[0].map.frame_id: /odom: must be a frame's name"),
            ("{topic: map, qos: {depth: 0}}", "costs[0].map.qos.depth: 0: must be at least 1"),
            ("{topic: map, frame: odom}", "costs[0].map: {topic: map, frame: odom}: must be a file of Nav2's"),
        ] {
            let (_, message) = *bound(&format!("of: position, map: {map}"), WALL).err().unwrap();
            assert!(message.contains(refusal), "{message}");
        }
    }

    #[test]
    fn an_unusable_map_is_refused_with_file_and_line() {
        let (error, message) = *bound(GOOD, &WALL.replace("254", "0")).err().unwrap();
        assert!(matches!(error, CostError::Grid { .. }), "{error}");
        assert!(
            message.contains("costs[0].map: maps/map.yaml: the grid ") && message.contains("has no free cell"),
            "{message}"
        );
        let line = include_str!("../../../../config/point_maze.yaml").lines().position(|l| l == "costs:").unwrap() + 2;
        assert!(message.contains(&format!("robot.yaml:{line}: ")), "{message}");
        let (_, message) = *bound(&GOOD.replace("map.yaml", "mop.yaml"), WALL).err().unwrap();
        assert!(message.contains("costs[0].map: maps/mop.yaml: ") && message.contains("cannot be read"), "{message}");
        let (_, message) = *bound(&GOOD.replace("of: position", "of: action.0"), WALL).err().unwrap();
        assert!(message.ends_with("costs[0].of: action.0: must be 2 channels, x and y, and is 1"), "{message}");
        let (_, message) = *bound(&GOOD.replace("unknown: free", "unknown: fre"), WALL).err().unwrap();
        assert!(message.contains("costs[0].unknown: fre: unknown variant"), "{message}");
    }
}
