//! What is known of message types: which may be commands, and which fields of them are worth observing.

use super::choice::FieldChoice;
use crate::inspect::ChannelSummary;
use crate::inspect::report::TopicReport;

/// A smaller standard deviation of x and y of a quaternion is a robot on the floor.
const TILT: f64 = 0.01;
/// Rays of a scan that become channels, about.
const RAYS: u32 = 36;

/// Types that may be the action, the likeliest first.
pub(super) const ACTIONS: [&str; 5] = [
    "geometry_msgs Twist, TwistStamped",
    "ackermann_msgs AckermannDrive, AckermannDriveStamped",
    "geometry_msgs Wrench, WrenchStamped",
    "trajectory_msgs JointTrajectory; std_msgs Float64MultiArray, Float32MultiArray, Float64, Float32",
    "sensor_msgs Joy",
];

/// The place of a type in [`ACTIONS`].
pub(super) fn action_rank(message_type: &str) -> Option<usize> {
    Some(match message_type {
        "geometry_msgs/msg/Twist" | "geometry_msgs/msg/TwistStamped" => 0,
        "ackermann_msgs/msg/AckermannDrive" | "ackermann_msgs/msg/AckermannDriveStamped" => 1,
        "geometry_msgs/msg/Wrench" | "geometry_msgs/msg/WrenchStamped" => 2,
        "trajectory_msgs/msg/JointTrajectory"
        | "std_msgs/msg/Float64MultiArray"
        | "std_msgs/msg/Float32MultiArray"
        | "std_msgs/msg/Float64"
        | "std_msgs/msg/Float32" => 3,
        "sensor_msgs/msg/Joy" => 4,
        _ => return None,
    })
}

/// How much a name sounds like a command: 0 much, 1 neither, 2 like a measurement.
pub(super) fn name_rank(topic: &str) -> usize {
    let name = topic.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if has(&["cmd", "command", "action", "control", "setpoint", "desired"]) {
        0
    } else if has(&[
        "state", "odom", "measured", "actual", "feedback", "imu", "filtered", "sensor", "current", "status",
    ]) {
        2
    } else {
        1
    }
}

/// The fields that make the command of a topic, those that change.
pub(super) fn action_fields(topic: &TopicReport) -> Vec<FieldChoice> {
    let owner = |stamped: &str, plain: &str| {
        if topic.message_type.ends_with("Stamped") { stamped.into() } else { String::from(plain) }
    };
    let look = Look(topic);
    match action_rank(&topic.message_type) {
        Some(0) => {
            let owner = owner("twist.", "");
            [look.axes(&format!("{owner}linear"), "m/s"), look.axes(&format!("{owner}angular"), "rad/s")].concat()
        }
        Some(1) => {
            let owner = owner("drive.", "");
            look.these(&[(&format!("{owner}speed"), "m/s"), (&format!("{owner}steering_angle"), "rad")])
        }
        Some(2) => {
            let owner = owner("wrench.", "");
            [look.axes(&format!("{owner}force"), "N"), look.axes(&format!("{owner}torque"), "N m")].concat()
        }
        Some(3) if topic.message_type.ends_with("JointTrajectory") => {
            // The first point is the one to be reached next.
            let elements = look.elements("points[].positions", "");
            elements
                .into_iter()
                .map(|field| FieldChoice { expression: field.expression.replacen("[]", "[0]", 1), ..field })
                .collect()
        }
        Some(3 | 4) => {
            let arrays = ["data", "axes"].iter().flat_map(|name| look.elements(name, ""));
            arrays.chain(look.these(&[("data", "")])).collect()
        }
        _ => Vec::new(),
    }
}

/// The groups that a topic's type is known to give: name and fields that change. `Err`: why none.
pub(super) fn groups(topic: &TopicReport) -> Result<Vec<(&'static str, Vec<FieldChoice>)>, String> {
    let look = Look(topic);
    let pose = |owner: &str| {
        [
            ("position", look.axes(&format!("{owner}position"), "m")),
            ("heading", look.heading(&format!("{owner}orientation"))),
        ]
    };
    let twist = |owner: &str| {
        let both = [look.axes(&format!("{owner}linear"), "m/s"), look.axes(&format!("{owner}angular"), "rad/s")];
        ("velocity", both.concat())
    };
    let wrench = |owner: &str| {
        let both = [look.axes(&format!("{owner}force"), "N"), look.axes(&format!("{owner}torque"), "N m")];
        ("wrench", both.concat())
    };
    let (package, name) = topic.message_type.split_once("/msg/").unwrap_or_default();
    let groups = match (package, name) {
        ("nav_msgs", "Odometry") => [pose("pose.pose.").to_vec(), vec![twist("twist.twist.")]].concat(),
        ("geometry_msgs", "PoseStamped") => pose("pose.").to_vec(),
        ("geometry_msgs", "PoseWithCovarianceStamped") => pose("pose.pose.").to_vec(),
        ("geometry_msgs", "Pose") => pose("").to_vec(),
        ("geometry_msgs", "PointStamped") => vec![("position", look.axes("point", "m"))],
        ("geometry_msgs", "Point") => vec![("position", look.axes("", "m"))],
        ("geometry_msgs", "TransformStamped") => {
            vec![("position", look.axes("transform.translation", "m")), ("heading", look.heading("transform.rotation"))]
        }
        ("geometry_msgs", "TwistStamped") => vec![twist("twist.")],
        ("geometry_msgs", "Twist") => vec![twist("")],
        ("geometry_msgs", "WrenchStamped") => vec![wrench("wrench.")],
        ("geometry_msgs", "Wrench") => vec![wrench("")],
        ("sensor_msgs", "JointState") => vec![
            ("joint_positions", look.elements("position", "")),
            ("joint_velocities", look.elements("velocity", "")),
        ],
        ("sensor_msgs", "Imu") => vec![
            ("rotation_rate", look.axes("angular_velocity", "rad/s")),
            ("acceleration", look.axes("linear_acceleration", "m/s^2")),
            ("orientation", look.heading("orientation")),
        ],
        ("sensor_msgs", "LaserScan") => vec![("scan", look.rays()?)],
        ("sensor_msgs", "Range") => vec![("range", look.these(&[("range", "m")]))],
        ("std_msgs", "Float64MultiArray" | "Float32MultiArray") => vec![("numbers", look.elements("data", ""))],
        ("std_msgs", "Float64" | "Float32") => vec![("number", look.these(&[("data", "")]))],
        _ => return Err(look.unknown()),
    };
    let groups: Vec<_> = groups.into_iter().filter(|(_, fields)| !fields.is_empty()).collect();
    if groups.is_empty() { Err("nothing in it changes".into()) } else { Ok(groups) }
}

/// Looks for channels of a topic that change.
struct Look<'a>(&'a TopicReport);

impl Look<'_> {
    fn channel(&self, label: &str) -> Option<&ChannelSummary> {
        self.0.channels.iter().find(|channel| channel.label == label && channel.count > 0)
    }

    fn changes(&self, label: &str) -> bool {
        self.channel(label).is_some_and(|channel| !channel.is_constant() && channel.not_finite_share == 0.0)
    }

    fn these(&self, wanted: &[(&str, &'static str)]) -> Vec<FieldChoice> {
        let field = |(label, unit): &(&str, &'static str)| FieldChoice { expression: (*label).into(), unit };
        wanted.iter().filter(|(label, _)| self.changes(label)).map(field).collect()
    }

    fn axes(&self, owner: &str, unit: &'static str) -> Vec<FieldChoice> {
        let dot = if owner.is_empty() { "" } else { "." };
        let labels = ["x", "y", "z"].map(|axis| format!("{owner}{dot}{axis}"));
        self.these(&labels.iter().map(|label| (label.as_str(), unit)).collect::<Vec<_>>())
    }

    /// The heading of a robot on the floor, the quaternion of one that tilts.
    fn heading(&self, orientation: &str) -> Vec<FieldChoice> {
        let part = |axis: &str| format!("{orientation}.{axis}");
        let changes: Vec<String> =
            ["x", "y", "z", "w"].map(part).into_iter().filter(|label| self.changes(label)).collect();
        let tilts = |axis| self.channel(&part(axis)).is_some_and(|channel| channel.std > TILT);
        if changes.is_empty() {
            Vec::new()
        } else if tilts("x") || tilts("y") {
            changes.into_iter().map(|expression| FieldChoice { expression, unit: "1" }).collect()
        } else {
            vec![FieldChoice { expression: format!("sin_cos(yaw({orientation}))"), unit: "1" }]
        }
    }

    /// The elements of an array that change, one by one.
    fn elements(&self, array: &str, unit: &'static str) -> Vec<FieldChoice> {
        let inside = |label: &str| label.strip_prefix(array).is_some_and(|rest| rest.starts_with('[') && rest != "[]");
        let labels = self.0.channels.iter().map(|channel| channel.label.as_str());
        let labels: Vec<(&str, &'static str)> =
            labels.filter(|label| inside(label)).map(|label| (label, unit)).collect();
        if self.0.arrays.iter().any(|(label, min, max)| *label == format!("{array}[]") && min != max) {
            return Vec::new();
        }
        self.these(&labels)
    }

    /// Evenly spaced rays of a scan.
    fn rays(&self) -> Result<Vec<FieldChoice>, String> {
        let array = self.0.details.arrays.iter().find(|array| array.label == "ranges[]");
        let array = array.ok_or("it has no ranges")?;
        if array.min != array.max || array.max == 0 {
            return Err(format!("it has {} to {} ranges: a field needs a length that stays", array.min, array.max));
        }
        let is_whole = |label: &str| label.starts_with("ranges[");
        let odd =
            self.0.channels.iter().filter(|channel| is_whole(&channel.label)).map(|channel| channel.not_finite_share);
        let odd = odd.fold(0.0, f64::max);
        if odd > 0.0 {
            return Err(format!(
                "{:.1} % of its ranges are not finite (no echo), and a message with such a number is refused",
                100.0 * odd
            ));
        }
        let (count, step) = (array.max, array.max.div_ceil(RAYS));
        Ok(vec![FieldChoice { expression: format!("ranges[0:{count}:{step}]"), unit: "m" }])
    }

    /// What a person could take from a type that is not known here.
    fn unknown(&self) -> String {
        let changing: Vec<&str> = self
            .0
            .channels
            .iter()
            .filter(|channel| !channel.is_constant() && channel.count > 0 && !channel.label.contains("[]"))
            .map(|channel| channel.label.as_str())
            .take(8)
            .collect();
        match changing.is_empty() {
            true => "no numbers in it change".into(),
            false => format!("{} is not known here; what changes in it: {}", self.0.message_type, changing.join(", ")),
        }
    }
}
