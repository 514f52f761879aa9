"""Launches the demo: the embedded maze world and the planner node that drives through it.

    ros2 launch df_planner demo.launch.py seed:=3 rviz:=true

The launch ends when one of the two ends: the world when the goal is reached or the time is up, the planner when its
configuration or model is invalid.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare


def share(*parts):
    """A path in the installed package."""
    return PathJoinSubstitution([FindPackageShare("df_planner"), *parts])


def generate_launch_description():
    passed_on = {
        "namespace": ("", "Namespace of both nodes and of their topics."),
        "params_file": ("", "ROS parameter file of the planner node; it overrides the arguments below."),
        "config": (
            share("config", "point_maze_mapped.yaml"),
            "Configuration file: topics, limits, settings of the planner, costs.",
        ),
        "model": (share("models", "point_maze"), "Checkpoint directory, as df_train writes it."),
        "device": ("cpu", "Device of the planner: cpu (always available), flex; tch, cuda:N or wgpu:N where compiled in."),
        "log_level": ("info", "Log level of the planner node: debug, info, warn, error or fatal."),
        "rviz": ("false", "true: starts RViz (package rviz2) in the namespace, with config/planner.rviz."),
    }
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in passed_on.items()
    ]
    arguments += [
        DeclareLaunchArgument("seed", default_value="0", description="Seed of the world: the positions of robot and goal."),
        DeclareLaunchArgument("picture", default_value="demo.png", description="Picture of the drive to write (PNG)."),
    ]
    planner = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(share("launch", "planner.launch.py")),
        launch_arguments={name: LaunchConfiguration(name) for name in passed_on}.items(),
    )
    world = Node(
        package="df_planner",
        executable="df_sim",
        namespace=LaunchConfiguration("namespace"),
        arguments=[
            "run",
            "--config",
            LaunchConfiguration("config"),
            "--seed",
            LaunchConfiguration("seed"),
            "--picture",
            LaunchConfiguration("picture"),
        ],
        output="screen",
    )
    ends = RegisterEventHandler(OnProcessExit(on_exit=[Shutdown(reason="the world or the planner has ended")]))
    return LaunchDescription([*arguments, planner, world, ends])
