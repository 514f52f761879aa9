//! The planner node: makes the supervisor, then answers and reports until it is asked to end.
//!
//! ```text
//! spin thread:      message bytes -> samples ----\
//! tick thread:      control loop -> command -> message bytes      (while active: absolute deadlines, or steps of /clock)
//! planning thread:  newest request -> plan -> control loop -> display
//! main thread:      life cycle, parameters, notices, diagnostics, signals (tokio; nothing here is urgent)
//! ```

use std::time::{Duration, Instant};

use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::lifecycle_msgs::srv::ChangeState;
use tokio::sync::mpsc;

use super::assembly::Surroundings;
use super::bridge::{Bridge, RosError};
use super::diagnostics::{Diagnostics, Facts};
use super::driving::Fault;
use super::lifecycle::{Lifecycle, Question};
use super::notice::{self, Notice, Severity, Throttle};
use super::parameters::{Given, ParameterError, ParameterServer, Parameters, given};
use super::settings::{Options, Settings, SettingsError};
use super::shutdown;
use super::supervisor::{Served, Supervisor};
use super::timing::RosTime;
use super::watched::Watched;
use crate::config::{ConfigError, Setting};
use crate::model::CheckpointError;
use crate::planning::PlanError;

/// The node's name where no remapping (`-r __node:=...`) gives another.
pub const NODE_NAME: &str = "df_planner";
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// Time for the middleware to deliver the last command before the node is destroyed.
const FAREWELL: Duration = Duration::from_millis(100);
/// Faults that wait to be seen to: one per thread.
const FAULTS: usize = 4;

/// Why the node did not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    #[error("{checkpoint}: {cause}")]
    Planner { checkpoint: String, cause: PlanError },
    #[error(transparent)]
    Ros(#[from] RosError),
    #[error("the system refuses a thread or a signal handler: {0}")]
    System(#[from] std::io::Error),
    #[error("the transition `{0}` failed")]
    Refused(&'static str),
    /// A panic; what it said stands above. Nothing could be published any more.
    #[error("the ROS thread died")]
    RosThreadDied,
}

/// Runs the node until SIGINT or SIGTERM. The last command that it publishes is the safe action.
///
/// # Errors
/// What it was given at start is refused: [`NodeError`]. Later failures lead through the life cycle instead.
pub fn run(options: Options) -> Result<(), NodeError> {
    let mut asked = shutdown::asked()?;
    let mut bridge = Bridge::open(NODE_NAME)?;
    let mut given: Vec<(String, Given)> =
        bridge.given_parameters().iter().map(|(name, value)| (name.clone(), given(value))).collect();
    given.extend(options.seed.map(|seed| ("planner.seed".into(), Ok(Setting::Integer(seed)))));
    let settings = Settings::read(options, &bridge)?;
    let parameters = Parameters::new(given, settings.parameters());
    if settings.use_sim_time {
        bridge.simulate_time()?;
    }
    let (notices, inbox) = notice::channel();
    let (faults, died) = mpsc::channel(FAULTS);
    let told = notices.clone();
    bridge.on_graph_warning(move |text| told.warn(text.clone(), text));
    let served = Served { lifecycle: Lifecycle::serve(&mut bridge)?, parameters: ParameterServer::serve(&mut bridge)? };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut reporter = Reporter {
        publisher: Watched::open(&mut bridge, "/diagnostics", 10)?,
        diagnostics: Diagnostics::default(),
        node: bridge.full_name(),
        logger: bridge.logger(),
        throttle: Throttle::default(),
    };
    let around = Surroundings { time: bridge.time(), notices, faults };
    let time = bridge.time();
    let autostart = settings.autostart;
    let mut supervisor = Supervisor::new(bridge.spin()?, served, settings, parameters, around);
    if autostart {
        supervisor.start()?;
    }
    let mut events = Events { inbox, died };
    let ended = runtime.block_on(attend(&mut supervisor, &mut reporter, &mut asked, &mut events, &time));
    supervisor.shut_down();
    while let Ok(notice) = events.inbox.try_recv() {
        reporter.tell(&notice);
    }
    std::thread::sleep(FAREWELL);
    ended
}

/// What the working threads send.
struct Events {
    inbox: mpsc::Receiver<Notice>,
    died: mpsc::Receiver<Fault>,
}

/// Attends to everything until a signal comes.
async fn attend(
    supervisor: &mut Supervisor,
    reporter: &mut Reporter,
    asked: &mut mpsc::Receiver<i32>,
    events: &mut Events,
    time: &RosTime,
) -> Result<(), NodeError> {
    let mut interval = tokio::time::interval(REPORT_PERIOD);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = asked.recv() => return Ok(()),
            Some(question) = supervisor.served.lifecycle.next() => answer(supervisor, question),
            Some(call) = supervisor.served.parameters.next() => supervisor.answer(call),
            Some(fault) = events.died.recv() => supervisor.broke(&fault),
            Some(notice) = events.inbox.recv() => reporter.tell(&notice),
            _ = interval.tick() => {
                reporter.publish_diagnostics(supervisor, time.now_ns());
                if supervisor.ros.is_finished() {
                    return Err(NodeError::RosThreadDied);
                }
            }
        }
    }
}

fn answer(supervisor: &mut Supervisor, question: Question) {
    if let Some(request) = question.answer(supervisor.machine()) {
        let asked = request.message.transition.clone();
        let success = supervisor.change(asked.id, &asked.label);
        // The caller may be gone.
        let _ = request.respond(ChangeState::Response { success });
    }
}

/// Tells people.
struct Reporter {
    publisher: Watched<DiagnosticArray>,
    diagnostics: Diagnostics,
    node: String,
    logger: String,
    throttle: Throttle,
}

impl Reporter {
    fn publish_diagnostics(&mut self, supervisor: &Supervisor, now_ns: i64) {
        let Self { publisher, diagnostics, node, .. } = self;
        let lifecycle = supervisor.machine().state().label();
        let published = publisher.publish(|| match supervisor.assembly() {
            Some(assembly) => {
                assembly.inspect(|work| diagnostics.report(Facts { node, lifecycle, now_ns, work: Some(work) }))
            }
            None => diagnostics.report(Facts { node, lifecycle, now_ns, work: None }),
        });
        if let Err(error) = published {
            self.log(Severity::Error, &error.to_string());
        }
    }

    fn tell(&mut self, notice: &Notice) {
        if let Some(text) = self.throttle.pass(notice, Instant::now()) {
            self.log(notice.severity, &text);
        }
    }

    /// To the console (stderr) and `/rosout`.
    fn log(&self, severity: Severity, text: &str) {
        // rcutils takes C strings.
        let text = text.replace('\0', "\\0");
        match severity {
            Severity::Info => r2r::log_info!(&self.logger, "{text}"),
            Severity::Warning => r2r::log_warn!(&self.logger, "{text}"),
            Severity::Error => r2r::log_error!(&self.logger, "{text}"),
        }
    }
}
