"""Builds tf2_msgs/msg/TFMessage, which is not among the ROS 2 wheels, into their environment: scripts/ros_env.sh calls it.

    python scripts/tf2_msgs.py PREFIX CXX

The rosidl generators come with the wheels; what they write is compiled with CXX, a C++ compiler. C only: the type
support that rcl and r2r need, no Python module. A ROS 2 installation of your own has the package tf2_msgs already.
"""

import os
import pathlib
import subprocess
import sys
import tempfile

DEFINITION = "geometry_msgs/TransformStamped[] transforms\n"
IDL = """#include "geometry_msgs/msg/TransformStamped.idl"
module tf2_msgs { module msg { struct TFMessage { sequence<geometry_msgs::msg::TransformStamped> transforms; }; }; };
"""
DEPENDENCIES = ["geometry_msgs", "std_msgs", "builtin_interfaces"]


def generate(source, output, prefix):
    """Writes each generator's files into a folder of its own, as ament does: some have the same name."""
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_type_description.cli import HashTypeDescription
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    idl = [f"{source}:msg/TFMessage.idl"]
    include = [str(prefix / "share" / package) for package in DEPENDENCIES]
    arguments = "tf2_msgs", idl, include
    folder = lambda name: output / name / "tf2_msgs"
    hashes = HashTypeDescription("hash").generate_type_hashes(*arguments, folder("rosidl_generator_c"))
    GenerateC("c").generate(*arguments, folder("rosidl_generator_c"), hashes)
    GenerateIntrospectionCTypesupport("i").generate(*arguments, folder("rosidl_typesupport_introspection_c"))
    GenerateFastRTPSCTypesupport("f").generate(*arguments, folder("rosidl_typesupport_fastrtps_c"))
    both = ["rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c"]
    dispatch = GenerateCTypesupport("t", typesupport_implementations=both)
    dispatch.generate(*arguments, folder("rosidl_typesupport_c"))
    return hashes


def build(output, prefix, compiler):
    include = [f"-I{output / generator}" for generator in os.listdir(output)]
    include += [f"-I{folder}" for folder in [prefix / "include", *(prefix / "include").iterdir()] if folder.is_dir()]
    library = lambda package, part: f"-l{package}__{part}"
    needed = {
        "rosidl_generator_c": [library(package, "rosidl_generator_c") for package in DEPENDENCIES],
        "rosidl_typesupport_introspection_c": ["-lrosidl_typesupport_introspection_c"]
        + [library(package, "rosidl_typesupport_introspection_c") for package in DEPENDENCIES],
        "rosidl_typesupport_fastrtps_c": ["-lrosidl_typesupport_fastrtps_c", "-lrosidl_typesupport_fastrtps_cpp", "-lfastcdr"]
        + [library(package, "rosidl_typesupport_fastrtps_c") for package in DEPENDENCIES],
        "rosidl_typesupport_c": ["-lrosidl_typesupport_c"],
    }
    for part, libraries in needed.items():
        own = [] if part == "rosidl_generator_c" else [library("tf2_msgs", "rosidl_generator_c")]
        sources = [str(path) for path in sorted((output / part).rglob("*.c*")) if path.suffix in (".c", ".cpp")]
        objects = []
        for path in sources:
            objects.append(f"{path}.o")
            language = ["-x", "c"] if path.endswith(".c") else ["-std=c++17"]
            subprocess.run([compiler, *language, "-O1", "-fPIC", *include, "-c", path, "-o", objects[-1]], check=True)
        target = prefix / "lib" / f"libtf2_msgs__{part}.so"
        link = [f"-L{prefix / 'lib'}", "-Wl,-rpath,$ORIGIN", "-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined"]
        subprocess.run([compiler, "-shared", "-o", target, *objects, *link, *own, *libraries, "-lrosidl_runtime_c"], check=True)


def install(source, output, prefix, hashes):
    for part in os.listdir(output):
        for header in (output / part).rglob("*.h"):
            place = prefix / "include/tf2_msgs" / header.relative_to(output / part)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(header.read_bytes())
    share = prefix / "share/tf2_msgs/msg"
    share.mkdir(parents=True, exist_ok=True)
    for file in [*(source / "msg").iterdir(), *hashes]:
        (share / file.name).write_bytes(file.read_bytes())
    # Last: with these the package is there.
    index = prefix / "share/ament_index/resource_index"
    for kind, content in [("packages", ""), ("rosidl_interfaces", "msg/TFMessage.idl\nmsg/TFMessage.msg\n")]:
        (index / kind / "tf2_msgs").write_text(content)


def main():
    prefix, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        source, output = pathlib.Path(folder, "source"), pathlib.Path(folder, "output")
        (source / "msg").mkdir(parents=True)
        (source / "msg/TFMessage.msg").write_text(DEFINITION)
        (source / "msg/TFMessage.idl").write_text(IDL)
        hashes = generate(source, output, prefix)
        build(output, prefix, compiler)
        install(source, output, prefix, hashes)


main()
