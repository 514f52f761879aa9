//! Test harness of the ROS tests: a node process and rclpy processes in a DDS domain of their own. Each started process
//! is ended by its id, also when a test fails.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;

/// The longest wait.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest wait for a warning. The graph is checked every second, warnings are throttled to one in 2 s, and a goal
/// is refused after 10 s.
const WARNING_WITHIN: Duration = Duration::from_secs(20);
/// The longest time that a process takes to end after a signal.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);

/// Serialises the tests: they measure time, and a machine may have two cores only.
static ALONE: Mutex<()> = Mutex::new(());

/// A DDS domain and a folder for one test.
pub struct Harness {
    domain: u16,
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Actions as the robot received them; times in seconds since 1970, forces in N.
#[derive(Debug, Deserialize)]
pub struct Actions {
    pub stamps: Vec<f64>,
    pub arrivals: Vec<f64>,
    pub values: Vec<[f64; 2]>,
    pub finite: bool,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn config_file() -> String {
    root().join("config/point_maze.yaml").display().to_string()
}

/// The text of the shipped configuration.
pub fn shipped_config() -> String {
    std::fs::read_to_string(config_file()).unwrap()
}

/// The shipped checkpoint.
pub fn model() -> String {
    root().join("models/point_maze").display().to_string()
}

impl Harness {
    pub fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        Self { domain: free_domain(), folder: tempfile::tempdir().unwrap(), _alone: alone }
    }

    /// The node with the shipped configuration and checkpoint; further arguments override them.
    pub fn node(&self, more: &[&str]) -> Node {
        let (config, model) = (config_file(), model());
        let arguments: Vec<&str> =
            if more.is_empty() { vec!["--config", &config, "--model", &model] } else { more.to_vec() };
        self.bare_node(&arguments)
    }

    /// The node in a namespace, with everything given as ROS parameters.
    pub fn node_with_parameters(&self, namespace: &str) -> Node {
        let remap = format!("__ns:={namespace}");
        let (config, model) = (format!("config:={}", config_file()), format!("model:={}", model()));
        self.bare_node(&["--ros-args", "-r", &remap, "-p", &config, "-p", &model, "-p", "planner.seed:=7"])
    }

    /// The node with the shipped configuration and checkpoint and further ROS parameters, `name:=value`.
    pub fn node_given(&self, parameters: &[&str]) -> Node {
        let (config, model) = (config_file(), model());
        let mut arguments = vec!["--config", &config, "--model", &model, "--ros-args"];
        parameters.iter().for_each(|parameter| arguments.extend(["-p", parameter]));
        self.bare_node(&arguments)
    }

    /// The node with these arguments only.
    pub fn bare_node(&self, arguments: &[&str]) -> Node {
        self.node_from(Command::new(env!("CARGO_BIN_EXE_df_planner_node")).args(arguments))
    }

    /// The node as `command` starts it.
    pub fn node_from(&self, command: &mut Command) -> Node {
        let mut child = self.start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()));
        let stderr = Arc::new(Mutex::new(String::new()));
        let (mut pipe, written) = (child.stderr.take().unwrap(), stderr.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Node { child, stderr }
    }

    /// The rclpy robot, ready.
    pub fn robot(&self, arguments: &[&str]) -> Robot {
        self.peer("robot.py", arguments)
    }

    /// Another rclpy process, a script beside this file, which answers each line with a line. Waits until it is ready.
    pub fn peer(&self, script: &str, arguments: &[&str]) -> Robot {
        let python = std::env::var("DF_TEST_PYTHON")
            .expect("DF_TEST_PYTHON is not set: run these tests with `make test`, or `. .ros/env.sh` first");
        let mut command = Command::new(python);
        command.arg(root().join("tests/ros").join(script)).args(arguments);
        let mut child = self.start(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()));
        let (sender, responses) = channel();
        let stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        let input = child.stdin.take().unwrap();
        let mut robot = Robot { child, input, responses };
        assert_eq!(robot.response(), "ready");
        robot
    }

    /// Runs `work` in this process with the environment of the harness's domain.
    pub fn enter<T>(&self, join: impl FnOnce() -> T) -> T {
        for (name, value) in
            [("ROS_DOMAIN_ID", self.domain.to_string()), ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST".into())]
        {
            // SAFETY: called before this test file has started a second thread that reads the environment.
            unsafe { std::env::set_var(name, value) };
        }
        join()
    }

    /// A Python program with rclpy, given as text; its stdout is piped.
    pub fn python(&self, program: &str, arguments: &[&str]) -> Child {
        let python = std::env::var("DF_TEST_PYTHON").expect("DF_TEST_PYTHON is not set: `. .ros/env.sh` first");
        self.start(Command::new(python).args(["-c", program]).args(arguments).stdout(Stdio::piped()))
    }

    /// A file in the test's folder; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn start(&self, command: &mut Command) -> Child {
        command
            .env("ROS_DOMAIN_ID", self.domain.to_string())
            .env("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
            .env("ROS_LOG_DIR", self.folder.path())
            .env_remove("RMW_IMPLEMENTATION")
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()))
    }
}

/// A domain that is unused on this machine. DDS takes UDP port 7400 + 250 * domain + 10 for its first participant.
/// Domains above 101 overlap the ephemeral ports of the system.
fn free_domain() -> u16 {
    let start = std::process::id() % 101;
    (0..101)
        .map(|i| 1 + ((start + i) % 101) as u16)
        .find(|domain| UdpSocket::bind(("0.0.0.0", 7410 + 250 * domain)).is_ok())
        .expect("a DDS domain that is not in use")
}

/// The node's process.
pub struct Node {
    child: Child,
    stderr: Arc<Mutex<String>>,
}

impl Node {
    /// The stderr of the process so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until the process has written `text` to stderr.
    pub fn wait_for_log(&self, text: &str) {
        let until = Instant::now() + WARNING_WITHIN;
        while !self.stderr().contains(text) {
            assert!(Instant::now() < until, "the node did not say `{text}` but: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The resident memory of the process.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// Waits for the end of the process. Returns the exit code, or `None` if a signal killed it.
    pub fn exit_code(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                // The last lines may still be in the pipe.
                std::thread::sleep(Duration::from_millis(50));
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the node does not end: {}", self.stderr());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Ends with SIGTERM, so that DDS removes its shared memory.
        if self.is_running() {
            self.signal("TERM");
        }
        end(&mut self.child);
    }
}

/// The rclpy process.
pub struct Robot {
    child: Child,
    input: ChildStdin,
    responses: Receiver<String>,
}

impl Robot {
    /// Sends a command and waits for the response.
    pub fn request(&mut self, command: &str) -> Value {
        writeln!(self.input, "{command}").expect("the rclpy robot takes commands");
        self.response()
    }

    /// Kills the process, as a crash or an unplugged cable would.
    pub fn kill(mut self) {
        let _ = self.child.kill();
    }

    /// Actions that arrive during so many seconds.
    pub fn record(&mut self, seconds: f64) -> Actions {
        actions(self.request(&format!("record {seconds}")))
    }

    /// Actions that arrived since the last request for actions.
    pub fn take_actions(&mut self) -> Actions {
        actions(self.request("actions"))
    }

    fn response(&mut self) -> Value {
        let line = self
            .responses
            .recv_timeout(PATIENCE)
            .expect("no response of the rclpy process; its errors are printed above");
        serde_json::from_str(&line).unwrap()
    }
}

fn actions(response: Value) -> Actions {
    serde_json::from_value(response.clone())
        .unwrap_or_else(|error| panic!("the actions are no numbers: {error}: {response}"))
}

impl Drop for Robot {
    fn drop(&mut self) {
        let _ = writeln!(self.input, "quit");
        end(&mut self.child);
    }
}

/// Waits for a process that received a signal; kills it by its id if it takes too long.
fn end(child: &mut Child) {
    let until = Instant::now() + SHUTDOWN_GRACE;
    while Instant::now() < until && child.try_wait().is_ok_and(|status| status.is_none()) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}
