"""Launches the planner node.

    ros2 launch df_planner planner.launch.py model:=models/point_maze config:=config/point_maze.yaml namespace:=robot_1

Topics of the configuration that do not start with a slash lie in the namespace. Relative paths start where
`ros2 launch` was called.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import EqualsSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare


def share(*parts):
    """A path in the installed package."""
    return PathJoinSubstitution([FindPackageShare("df_planner"), *parts])


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and of its topics."),
        DeclareLaunchArgument(
            "params_file",
            default_value="",
            description="ROS parameter file with config, model, device or seed; it overrides the arguments below.",
        ),
        DeclareLaunchArgument(
            "config",
            default_value=share("config", "point_maze.yaml"),
            description="Configuration file: topics, limits, settings of the planner, costs.",
        ),
        DeclareLaunchArgument(
            "model",
            default_value=share("models", "point_maze"),
            description="Checkpoint directory, as df_train writes it.",
        ),
        DeclareLaunchArgument(
            "device",
            default_value="cpu",
            description="What plans: cpu (always there), flex; tch or cuda:0 where compiled in.",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            description="Log level of the node: debug, info, warn, error or fatal.",
        ),
    ]
    no_file = EqualsSubstitution(LaunchConfiguration("params_file"), "")
    # Strings, whatever they look like: launch would take a checkpoint named 2026-11-24 for a date.
    parameters = {
        name: ParameterValue(LaunchConfiguration(name), value_type=str) for name in ("config", "model", "device")
    }

    def node(condition, more):
        return Node(
            package="df_planner",
            executable="df_planner_node",
            name="df_planner",
            namespace=LaunchConfiguration("namespace"),
            parameters=[parameters, *more],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            output="screen",
            condition=condition,
        )

    return LaunchDescription(
        [
            *arguments,
            node(IfCondition(no_file), []),
            node(UnlessCondition(no_file), [LaunchConfiguration("params_file")]),
        ]
    )
