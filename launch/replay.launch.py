"""Plays a recorded bag to the planner node in shadow mode: the node plans on recorded data, shows its plans, publishes no
command, and compares its commands with the recorded ones (/diagnostics).

    ros2 launch df_planner replay.launch.py bag:=demos model:=models/mine config:=my_robot.yaml rviz:=true

Ticks follow the time of the recording (/clock). The launch ends with the bag. `df_replay` does the same without ROS,
faster and deterministically.
"""

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

# Publishes /clock every 5 ms of real time, well below any period.
CLOCK_HZ = 200
# Topics of a planner that ran during the recording are not played: they would mix with those of this node.
OWN_TOPICS = r".*/df_planner/.*|/diagnostics|/rosout|/parameter_events"


def share(*parts):
    """A path in the installed package."""
    return PathJoinSubstitution([FindPackageShare("df_planner"), *parts])


def generate_launch_description():
    passed_on = {
        "namespace": ("", "Namespace of the node. Relative topics of the configuration need the namespace of the recorded ones."),
        "params_file": ("", "ROS parameter file of the node; it overrides the arguments below."),
        "config": (
            share("config", "point_maze.yaml"),
            "Configuration file: topics, limits, settings of the planner, costs.",
        ),
        "model": (share("models", "point_maze"), "Checkpoint directory, as df_train writes it."),
        "device": ("cpu", "Device of the planner: cpu (always available), flex; tch, cuda:N or wgpu:N where compiled in."),
        "log_level": ("info", "Log level of the node: debug, info, warn, error or fatal."),
        "rviz": ("false", "true: starts RViz (package rviz2) in the namespace, with config/planner.rviz."),
    }
    arguments = [
        DeclareLaunchArgument("bag", description="The bag to play: a folder or file that ros2 bag play reads."),
        DeclareLaunchArgument("rate", default_value="1.0", description="Playback speed; 2.0 is twice as fast as recorded."),
        DeclareLaunchArgument("start_offset", default_value="0.0", description="Start of the playback in the bag, seconds."),
        DeclareLaunchArgument(
            "delay", default_value="5.0", description="Seconds until the bag starts, in which the node loads its model."
        ),
        # Declared so that --show-args shows the values of a replay instead of the defaults of planner.launch.py.
        DeclareLaunchArgument(
            "mode",
            default_value="shadow",
            choices=["shadow"],
            description="shadow: publishes all but the command, and compares it with the recorded ones.",
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="true",
            choices=["true"],
            description="Ticks follow /clock, which is the time of the recording.",
        ),
    ]
    arguments += [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in passed_on.items()
    ]
    planner = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(share("launch", "planner.launch.py")),
        launch_arguments={name: LaunchConfiguration(name) for name in ["mode", "use_sim_time", *passed_on]}.items(),
    )
    player = ExecuteProcess(
        cmd=[
            *["ros2", "bag", "play", LaunchConfiguration("bag"), "--clock", str(CLOCK_HZ)],
            *["--rate", LaunchConfiguration("rate"), "--start-offset", LaunchConfiguration("start_offset")],
            *["--delay", LaunchConfiguration("delay"), "--exclude-regex", OWN_TOPICS, "--disable-keyboard-controls"],
        ],
        output="screen",
    )
    # Only the end of the player ends the launch; closing RViz does not.
    ended = OnProcessExit(target_action=player, on_exit=[Shutdown(reason="the bag has ended")])
    return LaunchDescription([*arguments, planner, player, RegisterEventHandler(ended)])
