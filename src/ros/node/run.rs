//! The node's main loop: serves the life cycle and the parameters, writes the log and the
//! diagnostics, ends on a signal. Nothing here is urgent, so it runs on tokio in the main thread.

use std::time::Duration;

use r2r::lifecycle_msgs::srv::ChangeState;
use tokio::sync::mpsc;

use super::context::NodeContext;
use super::error::NodeError;
use super::lifecycle::{Lifecycle, LifecycleRequest};
use super::parameters::{Given, ParameterServer, Parameters, given};
use super::reporter::Reporter;
use super::settings::{NodeSettings, Options};
use super::shutdown::shutdown_signals;
use super::supervisor::{Services, Supervisor};
use crate::config::current_key;
use crate::ros::node_handle::NodeHandle;
use crate::ros::report::{LogEntry, log_channel};
use crate::ros::ros_time::RosTime;
use crate::ros::threads::ThreadPanic;
use df_core::settings::Setting;

/// The node's name, unless a remapping (`-r __node:=...`) gives another one.
pub const NODE_NAME: &str = "df_planner";
/// The time between two diagnostics messages.
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// The time for the middleware to deliver the last command before the node is destroyed.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(100);
/// The maximum number of thread panics that wait to be handled.
const MAX_PANICS: usize = 4;

/// Runs the node until SIGINT or SIGTERM. The last command that it publishes is the safe action.
///
/// # Errors
/// [`NodeError`], if the node does not start or the ROS thread panics. Other failures change the
/// life cycle state instead.
pub fn run(options: Options) -> Result<(), NodeError> {
    let signals = shutdown_signals()?;
    let mut handle = NodeHandle::open(NODE_NAME)?;
    let mut values: Vec<(String, Given)> =
        handle.given_parameters().iter().map(|(name, value)| (name.clone(), given(value))).collect();
    values.extend(options.seed.map(|seed| ("planner.seed".into(), Ok(Setting::Integer(seed)))));
    let before_plan = options.before_plan;
    let settings = NodeSettings::read(options, &handle)?;
    let renamed: Vec<_> = values.iter().filter_map(|(name, _)| Some((name.clone(), current_key(name)?))).collect();
    let parameters = Parameters::new(values, settings.parameters());
    if settings.use_sim_time {
        handle.simulate_time()?;
    }
    let (log, entries) = log_channel();
    for (old, new) in renamed {
        log.warn(&old, format!("parameter `{old}` is now `{new}`; the old name is accepted in this release only"));
    }
    let (panics, panicked) = mpsc::channel(MAX_PANICS);
    let graph_log = log.clone();
    handle.on_graph_warning(move |text| graph_log.warn_each(text));
    let services =
        Services { lifecycle: Lifecycle::serve(&mut handle)?, parameters: ParameterServer::serve(&mut handle)? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut reporter = Reporter::open(&mut handle)?;
    let time = handle.time();
    let context = NodeContext { time: time.clone(), log, panics, before_plan };
    let autostart = settings.autostart;
    let mut supervisor = Supervisor::new(handle.spin()?, services, settings, parameters, context);
    if autostart {
        supervisor.start()?;
    }
    let mut events = Events { signals, entries, panicked };
    let result = runtime.block_on(serve(&mut supervisor, &mut reporter, &mut events, &time));
    supervisor.shut_down();
    while let Ok(entry) = events.entries.try_recv() {
        reporter.log(&entry);
    }
    std::thread::sleep(SHUTDOWN_GRACE);
    result
}

/// What other threads send to the main loop.
struct Events {
    signals: mpsc::Receiver<i32>,
    entries: mpsc::Receiver<LogEntry>,
    panicked: mpsc::Receiver<ThreadPanic>,
}

/// Handles events until a signal arrives.
async fn serve(
    supervisor: &mut Supervisor,
    reporter: &mut Reporter,
    events: &mut Events,
    time: &RosTime,
) -> Result<(), NodeError> {
    let mut interval = tokio::time::interval(REPORT_PERIOD);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = events.signals.recv() => return Ok(()),
            Some(request) = supervisor.services.lifecycle.next() => respond(supervisor, request),
            Some(request) = supervisor.services.parameters.next() => supervisor.respond(request),
            Some(panic) = events.panicked.recv() => supervisor.on_fault(&panic),
            Some(entry) = events.entries.recv() => reporter.log(&entry),
            _ = interval.tick() => {
                let lifecycle = supervisor.machine().state().label();
                reporter.publish_diagnostics(lifecycle, supervisor.assembly(), time.now_ns());
                if supervisor.ros.is_finished() {
                    return Err(NodeError::RosThreadDied);
                }
            }
        }
    }
}

fn respond(supervisor: &mut Supervisor, request: LifecycleRequest) {
    if let Some(request) = request.respond(supervisor.machine()) {
        let transition = request.message.transition.clone();
        let success = supervisor.change_state(transition.id, &transition.label);
        // Responding fails if the caller is gone.
        let _ = request.respond(ChangeState::Response { success });
    }
}
