"""Launches the planner node, and RViz if `rviz:=true`.

    ros2 launch df_planner planner.launch.py model:=models/point_maze config:=config/point_maze.yaml namespace:=robot_1

Topics of the configuration that do not start with a slash are in the namespace. Paths are relative to the directory of
the call of `ros2 launch`.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import EqualsSubstitution, LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

RESPAWN_AFTER_S = 2.0


def share(*parts):
    """A path in the installed package."""
    return PathJoinSubstitution([FindPackageShare("df_planner"), *parts])


def parameters(kind, *names):
    """Arguments as node parameters of one type. Without the type, launch parses a checkpoint named 2026-11-24 as a date."""
    return {name: ParameterValue(LaunchConfiguration(name), value_type=kind) for name in names}


def generate_launch_description():
    arguments = [
        DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node and of its topics."),
        DeclareLaunchArgument(
            "params_file",
            default_value="",
            description="ROS parameter file of the node; it overrides the arguments below.",
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
            description="Device of the planner: cpu (always available), flex; tch, cuda:N or wgpu:N where compiled in.",
        ),
        DeclareLaunchArgument(
            "mode",
            default_value="",
            choices=["", "drive", "shadow"],
            description="drive: publishes commands. shadow: publishes all but the command, and compares it with received commands. "
            "Empty: the mode of the configuration.",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            choices=["true", "false"],
            description="Ticks follow /clock, of a simulator or a bag player, instead of the system clock.",
        ),
        DeclareLaunchArgument(
            "autostart",
            default_value="true",
            choices=["true", "false"],
            description="Configures and activates the node at start; false leaves that to a life cycle manager.",
        ),
        DeclareLaunchArgument(
            "log_level",
            default_value="info",
            choices=["debug", "info", "warn", "error", "fatal"],
            description="Least log level that the node shows.",
        ),
        DeclareLaunchArgument(
            "respawn",
            default_value="false",
            choices=["true", "false"],
            description=f"Starts the node again {RESPAWN_AFTER_S:g} s after it ends for any reason.",
        ),
        DeclareLaunchArgument(
            "rviz",
            default_value="false",
            choices=["true", "false"],
            description="Starts RViz (package rviz2) in the namespace, with config/planner.rviz.",
        ),
    ]
    no_file = EqualsSubstitution(LaunchConfiguration("params_file"), "")

    def node(condition, more):
        return Node(
            package="df_planner",
            executable="df_planner_node",
            name="df_planner",
            namespace=LaunchConfiguration("namespace"),
            parameters=[
                parameters(str, "config", "model", "device", "mode"),
                parameters(bool, "use_sim_time", "autostart"),
                *more,
            ],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            output="screen",
            respawn=LaunchConfiguration("respawn"),
            respawn_delay=RESPAWN_AFTER_S,
            condition=condition,
        )

    rviz = Node(
        package="rviz2",
        executable="rviz2",
        namespace=LaunchConfiguration("namespace"),
        parameters=[parameters(bool, "use_sim_time")],
        arguments=["-d", share("config", "planner.rviz")],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return LaunchDescription(
        [
            *arguments,
            # RViz is first: if rviz2 is not installed, launch ends with an error and leaves earlier processes running.
            rviz,
            node(IfCondition(no_file), []),
            node(UnlessCondition(no_file), [LaunchConfiguration("params_file")]),
        ]
    )
