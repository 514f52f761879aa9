//! The planner node: puts the parts together, then reports until it is asked to end.
//!
//! ```text
//! spin thread:      message bytes -> samples ----\
//! tick thread:      control loop -> command -> message bytes      (absolute deadlines)
//! planning thread:  newest request -> plan -> control loop -> display
//! main thread:      notices, diagnostics, parameter services, signals (tokio; nothing here is urgent)
//! ```

use std::path::Path as FilePath;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::StreamExt;
use r2r::QosProfile;
use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::nav_msgs::msg::Path;
use r2r::visualization_msgs::msg::MarkerArray;
use tokio::sync::mpsc;

use super::bridge::{Bridge, RosError, Spinning, now_ns};
use super::diagnostics::{Identity, report};
use super::display::Drawing;
use super::driving::{ActionOut, Shared, lock, start_planning, start_ticking};
use super::inbound::{Heard, Inbound};
use super::notice::{self, Notice, Severity, Throttle};
use super::settings::{Options, Settings, SettingsError};
use super::shutdown;
use crate::config::{Config, ConfigError};
use crate::message::{AmentDefinitions, bind};
use crate::planning::{Budget, ControlLoop, Plan, PlanError, PlanRequest, Planner};
use crate::signal::{History, Layout};

/// The node's name where no remapping (`-r __node:=...`) gives another.
pub const NODE_NAME: &str = "df_planner";
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// Time for the middleware to deliver the last command before the publisher is destroyed.
const FAREWELL: Duration = Duration::from_millis(100);

/// Why the node did not start or did not end well.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{checkpoint}: {source}")]
    Planner { checkpoint: String, source: PlanError },
    #[error(transparent)]
    Ros(#[from] RosError),
    #[error("the system refuses a thread or a signal handler: {0}")]
    System(#[from] std::io::Error),
    /// A thread panicked; what it said stands above. The safe action was published.
    #[error("the {0} thread died; the safe action was published")]
    ThreadDied(&'static str),
}

/// Runs the node until SIGINT or SIGTERM. The last command that it publishes is the safe action.
///
/// # Errors
/// Everything that can be checked is checked before the first subscription or publication: [`NodeError`].
pub fn run(options: Options) -> Result<(), NodeError> {
    let mut asked = shutdown::asked()?;
    let mut bridge = Bridge::open(NODE_NAME)?;
    let settings = Settings::read(options, &bridge)?;
    let mut config = Config::load(&settings.config)?;
    config.planner.seed = settings.seed.unwrap_or(config.planner.seed);
    let bound = bind(&config, &AmentDefinitions::from_env())?;
    let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config));
    let planner = load_planner(&settings, &config, &layout)?;

    let (notices, inbox) = notice::channel();
    let shared = Shared {
        control: Arc::new(Mutex::new(ControlLoop::new(&config, &layout))),
        telemetry: Arc::default(),
        requests: Arc::default(),
        notices: notices.clone(),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let heard = Heard { newest_ns: vec![None; config.contract.observations.len()], ..Heard::default() };
    let heard = Arc::new(Mutex::new(heard));
    let action_config = &config.contract.action;
    let action = ActionOut {
        publisher: bridge.publisher(&action_config.topic, &action_config.message_type, &action_config.qos)?,
        encoder: Arc::new(bound.action_encoder),
    };
    let show = display(&mut bridge, &config, &layout, heard.clone())?;
    let inbound = Inbound { control: shared.control.clone(), heard: heard.clone(), notices: notices.clone() };
    let _maps = inbound.subscribe(&mut bridge, &config, bound.observations, bound.goal, &planner.maps())?;
    let told = notices.clone();
    bridge.on_graph_warning(move |text| told.warn(text.clone(), text));

    let identity = Identity {
        node: bridge.full_name(),
        device: settings.device.clone(),
        checkpoint: settings.model.display().to_string(),
        groups: config.contract.observations.iter().map(|g| g.name.clone()).collect(),
    };
    let mut reporter = Reporter {
        diagnostics: create(&mut bridge, "/diagnostics", 10)?,
        logger: bridge.logger(),
        identity,
        heard,
        throttle: Throttle::default(),
        shared: shared.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    serve_parameters(&mut bridge, &settings, config.planner.seed, &runtime, notices)?;

    let period = Duration::from_nanos(config.contract.period_ns().unsigned_abs());
    let spinning = bridge.spin()?;
    let threads = Threads {
        planning: start_planning(shared.clone(), planning(planner, period), show)?,
        ticking: start_ticking(shared.clone(), period, {
            let action = action.clone();
            move |command| action.publish(command)
        })?,
        spinning,
    };
    reporter.log(Severity::Info, &format!("planning every {period:?} with {}", reporter.identity.checkpoint));
    let died = runtime.block_on(reporter.report_until(&mut asked, inbox, &threads));

    shared.stop.store(true, Ordering::Relaxed);
    shared.requests.close();
    // A thread that panicked was found above, and its message printed by the panic hook.
    let _ = threads.ticking.join();
    let farewell = action.publish(&lock(&shared.control).safe_command(now_ns()));
    if let Err(error) = farewell {
        reporter.log(Severity::Error, &format!("the safe action was not published: {error}"));
    }
    std::thread::sleep(FAREWELL);
    let _ = threads.planning.join();
    threads.spinning.stop();
    died.map_or(Ok(()), |name| Err(NodeError::ThreadDied(name)))
}

struct Threads {
    ticking: JoinHandle<()>,
    planning: JoinHandle<()>,
    spinning: Spinning,
}

impl Threads {
    fn died(&self) -> Option<&'static str> {
        let finished = [
            ("tick", self.ticking.is_finished()),
            ("planning", self.planning.is_finished()),
            ("ROS", self.spinning.is_finished()),
        ];
        finished.into_iter().find_map(|(name, finished)| finished.then_some(name))
    }
}

/// Loads the planner and plans once, so that the first real plan is not the slowest.
fn load_planner(settings: &Settings, config: &Config, layout: &Layout) -> Result<Planner, NodeError> {
    let refuse = |source| NodeError::Planner { checkpoint: settings.model.display().to_string(), source };
    let checkpoint: &FilePath = &settings.model;
    let mut planner = Planner::load(checkpoint, config, layout, &settings.device).map_err(refuse)?;
    if let Some(modality) = config.goal.as_ref().and_then(|goal| layout.modality(&goal.group)) {
        let request = PlanRequest {
            tick_ns: 0,
            history: History::new(layout, config.planner.history),
            committed: config.contract.action.safe.clone(),
            goal: vec![0.0; layout.modalities[modality].channels.len()],
        };
        planner.warm_up(&request).map_err(refuse)?;
    }
    Ok(planner)
}

/// Plans within the planner's share of the `period`, counted from the tick; starts anew where time went backwards.
fn planning(mut planner: Planner, period: Duration) -> impl FnMut(&PlanRequest) -> Result<Plan, PlanError> {
    let mut last_ns = i64::MIN;
    move |request| {
        if request.tick_ns < last_ns {
            planner.reset();
        }
        last_ns = request.tick_ns;
        let started = Instant::now();
        // A request that waited for the plan before it has that much less time.
        let late = Duration::from_nanos(u64::try_from(now_ns() - request.tick_ns).unwrap_or(0)).min(period);
        let total = period.mul_f64(planner.settings().deadline);
        planner.plan(request, &Budget::new(total, &|| late + started.elapsed()))
    }
}

/// Publishers of plan and futures; what they draw is only made while someone looks.
fn display(
    bridge: &mut Bridge,
    config: &Config,
    layout: &Layout,
    heard: Arc<Mutex<Heard>>,
) -> Result<impl FnMut(&Plan) + Send + 'static, RosError> {
    let path = create::<Path>(bridge, "~/plan", 1)?;
    let futures = create::<MarkerArray>(bridge, "~/futures", 1)?;
    let modality = config.goal.as_ref().and_then(|goal| layout.modality(&goal.group));
    let position = modality.map_or(0..0, |m| layout.modalities[m].channels.clone());
    let drawing = Drawing { position, period_ns: config.contract.period_ns() };
    Ok(move |plan: &Plan| {
        let frame_id = lock(&heard).frame_id().to_string();
        // Errors here mean that the node is being destroyed: nobody looks any more.
        if path.get_inter_process_subscription_count().is_ok_and(|n| n > 0) {
            let _ = path.publish(&drawing.path(plan, &frame_id));
        }
        if futures.get_inter_process_subscription_count().is_ok_and(|n| n > 0) {
            let _ = futures.publish(&drawing.futures(plan, &frame_id));
        }
    })
}

fn create<T: r2r::WrappedTypesupport>(
    bridge: &mut Bridge,
    topic: &str,
    depth: usize,
) -> Result<r2r::Publisher<T>, RosError> {
    let publisher = bridge.node_mut().create_publisher::<T>(topic, QosProfile::default().keep_last(depth));
    publisher.map_err(|source| RosError::Topic {
        topic: topic.into(),
        message_type: std::any::type_name::<T>().into(),
        source,
    })
}

/// Shows the settings as ROS parameters. They are read at start: a later change is told to have no effect.
fn serve_parameters(
    bridge: &mut Bridge,
    settings: &Settings,
    seed: u64,
    runtime: &tokio::runtime::Runtime,
    notices: notice::Notices,
) -> Result<(), RosError> {
    lock(&bridge.node_mut().params)
        .extend(settings.parameters(seed).into_iter().map(|(name, value)| (name.to_string(), value)));
    let name = bridge.full_name();
    let (serving, changes) =
        bridge.node_mut().make_parameter_handler().map_err(|source| RosError::Node { name, source })?;
    bridge.set_serves_parameters();
    runtime.spawn(serving);
    runtime.spawn(changes.for_each(move |(name, _)| {
        notices.warn(name.clone(), format!("parameter `{name}` is read at start: the change has no effect"));
        std::future::ready(())
    }));
    Ok(())
}

/// The main thread's work.
struct Reporter {
    diagnostics: r2r::Publisher<DiagnosticArray>,
    logger: String,
    identity: Identity,
    heard: Arc<Mutex<Heard>>,
    throttle: Throttle,
    shared: Shared,
}

impl Reporter {
    /// Reports until a signal comes or a thread dies; then its name.
    async fn report_until(
        &mut self,
        asked: &mut mpsc::Receiver<i32>,
        mut inbox: mpsc::Receiver<Notice>,
        threads: &Threads,
    ) -> Option<&'static str> {
        let mut interval = tokio::time::interval(REPORT_PERIOD);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                _ = asked.recv() => return None,
                Some(notice) = inbox.recv() => self.tell(&notice),
                _ = interval.tick() => {
                    self.publish_diagnostics();
                    if let Some(name) = threads.died() {
                        return Some(name);
                    }
                }
            }
        }
    }

    fn publish_diagnostics(&self) {
        let newest_ns = lock(&self.heard).newest_ns.clone();
        let array = report(&self.identity, &mut lock(&self.shared.telemetry), &newest_ns, now_ns());
        if let Err(error) = self.diagnostics.publish(&array) {
            self.log(Severity::Error, &format!("/diagnostics: {error}"));
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
