//! The process's arguments without those for ROS.

/// The arguments for the program's own parser: all but `--ros-args ... [--]`.
pub fn own_arguments() -> Vec<String> {
    without_ros_arguments(std::env::args())
}

fn without_ros_arguments(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut for_ros = false;
    let mut own = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--ros-args" => for_ros = true,
            "--" if for_ros => for_ros = false,
            _ if for_ros => {}
            _ => own.push(argument),
        }
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_for_ros_are_removed() {
        let all = [
            "node",
            "--config",
            "c.yaml",
            "--ros-args",
            "-r",
            "a:=b",
            "--",
            "--model",
            "m",
            "--ros-args",
            "-p",
            "x:=1",
        ];
        let own = without_ros_arguments(all.iter().map(|a| a.to_string()));
        assert_eq!(own, ["node", "--config", "c.yaml", "--model", "m"]);
    }
}
