//! How a contract is begun: sizes, names, limits. `tests/inspect.rs` trains on whole ones.

use super::choice::{StreamChoice, sizes};
use super::choose_topics::{choose, unused_name};
use super::message_catalogue::{action_rank, groups, name_rank};
use super::*;
use crate::inspect::report::{RawReport, TopicReport};
use crate::inspect::{ChannelSummary, RateSummary};

fn topic(name: &str, message_type: &str, period_s: f64, labels: &[&str]) -> TopicReport {
    let channel = |label: &&str| ChannelSummary {
        label: (*label).into(),
        count: 100,
        min: -1.23456,
        max: 0.5,
        ..ChannelSummary::default()
    };
    TopicReport {
        name: name.into(),
        message_type: message_type.into(),
        clock: RateSummary {
            messages: 100,
            median_period_s: period_s,
            period_p999_s: period_s,
            ..RateSummary::default()
        },
        channels: labels.iter().map(channel).collect(),
        ..TopicReport::default()
    }
}

fn bag(topics: Vec<TopicReport>) -> RawReport {
    RawReport { kind: "bag", duration_s: 5.0, topics, ..RawReport::default() }
}

const TWIST: &str = "geometry_msgs/msg/Twist";
const ODOMETRY: &str = "nav_msgs/msg/Odometry";

#[test]
fn stack_and_window_follow_the_period_and_the_length_of_the_data() {
    // 0.2 s are 4 frames of 50 ms; 60 s hold 300 such tokens, half of them more than the most.
    assert_eq!(sizes(0.05, 60.0).0, 4);
    assert_eq!(sizes(0.05, 60.0).1, 14);
    // 2.4 s hold 12 tokens: half of them.
    assert_eq!(sizes(0.05, 2.4).1, 6);
    assert_eq!((sizes(1.0, 1.0).0, sizes(1.0, 1.0).1), (1, 3));
    assert_eq!(sizes(0.001, 1.0).0, 8);
}

#[test]
fn the_action_sounds_like_a_command_then_is_of_a_likely_type() {
    let action = |topics: Vec<TopicReport>| choose(&[bag(topics)]).unwrap().action.topic;
    let odom = || topic("/odom", ODOMETRY, 0.02, &["pose.pose.position.x"]);
    let joy = || topic("/joy", "sensor_msgs/msg/Joy", 0.02, &["axes[0]"]);
    let twist = |name: &str| topic(name, TWIST, 0.02, &["linear.x"]);
    assert_eq!(action(vec![odom(), joy()]), "/joy");
    assert_eq!(action(vec![joy(), odom(), twist("/wheels")]), "/wheels");
    let numbers = topic("/arm/commands", "std_msgs/msg/Float64MultiArray", 0.02, &["data[0]"]);
    assert_eq!(action(vec![odom(), twist("/wheels"), numbers]), "/arm/commands");
    assert_eq!(action(vec![odom(), twist("/measured_state"), joy()]), "/joy");
    assert_eq!((name_rank("/cmd_vel"), name_rank("/x"), name_rank("/joint_states")), (0, 1, 2));
    assert_eq!(action_rank("sensor_msgs/msg/Image"), None);
}

#[test]
fn without_an_action_or_an_observation_the_refusal_says_what_there_is() {
    let refusal = |topics| choose(&[bag(topics)]).unwrap_err().to_string();
    let odom = topic("/odom", ODOMETRY, 0.02, &["pose.pose.position.x"]);
    let none = refusal(vec![odom]);
    assert!(none.contains("Twist, TwistStamped") && none.contains("/odom (nav_msgs/msg/Odometry)"), "{none}");
    let image = topic("/image", "sensor_msgs/msg/Image", 0.02, &["height"]);
    let none = refusal(vec![topic("/cmd_vel", TWIST, 0.02, &["linear.x"]), image]);
    assert!(
        none.contains("beside the action `/cmd_vel`") && none.contains("sensor_msgs/msg/Image is not known here"),
        "{none}"
    );
    assert!(refusal(Vec::new()).contains("got none"));
}

#[test]
fn periods_ages_and_limits_come_from_what_was_measured() {
    let command = topic("/cmd_vel", TWIST, 0.0333, &["linear.x"]);
    let odom = topic("/odom", ODOMETRY, 0.011, &["pose.pose.position.x"]);
    let goal = topic("/goal", "geometry_msgs/msg/PoseStamped", 3.0, &["pose.position.x"]);
    let choice = choose(&[bag(vec![command, odom, goal])]).unwrap();
    // 30.03 Hz is nearly 30.
    assert_eq!(choice.period_s, 0.0333333333);
    // Two ticks at least.
    assert_eq!(choice.groups[0].max_age_s, 0.067);
    assert_eq!(choice.action.limits, [[-1.23456, 0.5]]);
    assert_eq!(choice.skipped[0].0, "/goal");
    assert!(choice.skipped[0].1.contains("every 3 s only, 90 ticks; a goal, perhaps"), "{:?}", choice.skipped);
    let yaml = write::yaml(&choice, &[bag(Vec::new())]);
    // Three digits, outwards.
    assert!(yaml.contains("min: [-1.24]") && yaml.contains("max: [0.5]") && yaml.contains("safe: [0.0]"), "{yaml}");
    // 200 Hz: a tick is four commands.
    let fast = choose(&[bag(vec![
        topic("/cmd_vel", TWIST, 0.005, &["linear.x"]),
        topic("/odom", ODOMETRY, 0.01, &["pose.pose.position.x"]),
    ])]);
    assert_eq!(fast.unwrap().period_s, 0.02);
}

#[test]
fn a_robot_that_tilts_has_its_whole_orientation() {
    let parts = ["x", "y", "z", "w"].map(|axis| format!("pose.orientation.{axis}"));
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut pose = topic("/pose", "geometry_msgs/msg/PoseStamped", 0.02, &parts);
    let expressions = |topic: &TopicReport| -> Vec<String> {
        groups(topic).unwrap().into_iter().flat_map(|(_, fields)| fields).map(|field| field.expression).collect()
    };
    assert_eq!(expressions(&pose), ["sin_cos(yaw(pose.orientation))"]);
    pose.channels[0].std = 0.1;
    assert_eq!(expressions(&pose), parts);
}

#[test]
fn group_names_are_unique_and_clean() {
    let mut groups = Vec::new();
    for expected in ["position", "arm_pose_position", "arm_pose_position_2"] {
        let name = unused_name(&groups, "position", "/arm/pose");
        assert_eq!(name, expected);
        groups.push(StreamChoice { name, ..StreamChoice::default() });
    }
    assert_eq!(unused_name(&groups, "action", "/x"), "actions");
    assert_eq!(unused_name(&groups, "Joint Angles", "/x"), "joint_angles");
}
