//! What `configure` builds and `cleanup` tears down: planner, topics and threads.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::context::NodeContext;
use super::error::NodeError;
use super::parameters::{GoalShape, ParameterUpdates, Parameters};
use super::planner::{TimedPlanner, load_planner};
use super::settings::NodeSettings;
use crate::config::Config;
use crate::ros::io::{ActionPublisher, LastReceived, Maps, SampleSink, Subscriptions};
use crate::ros::lock::lock;
use crate::ros::node_handle::{Checkpoint, Executor, NodeHandle, RosError};
use crate::ros::report::{Display, Identity, Work};
use crate::ros::threads::{ControlThread, Shared, ramp_down, start_planning_thread};
use df_core::Action;
use df_core::Layout;
use df_core::{Bound, bind};
use df_engine::checkpoint_digest;
use df_message::AmentDefinitions;
use df_planning::OperatingMode;
use df_planning::{Command, ControlLoop};

/// A configured node.
pub(super) struct Assembly {
    /// What does not change while the node is configured.
    pub identity: Identity,
    /// Takes changed parameters.
    pub updates: ParameterUpdates,
    shared: Shared,
    last: Arc<Mutex<LastReceived>>,
    period: Duration,
    endpoints: Endpoints,
    planning_thread: JoinHandle<()>,
    /// Runs while the node is active.
    control_thread: Option<ControlThread>,
}

impl Assembly {
    /// Reads the configuration, loads and warms up the model, subscribes and advertises. Checks all
    /// that can be checked before the first topic is made.
    ///
    /// # Errors
    /// [`NodeError`].
    pub(super) fn build(
        settings: &NodeSettings,
        parameters: &mut Parameters,
        ros: &Executor,
        context: &NodeContext,
    ) -> Result<Self, NodeError> {
        let mut config = Config::load(&settings.config)?;
        for warning in &config.warnings {
            context.log.warn(warning, format!("{}: {warning}", settings.config.display()));
        }
        config.mode = settings.mode.unwrap_or(config.mode);
        let bound = bind(&config.contract, &AmentDefinitions::from_env())?;
        let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config.contract));
        let (config, goal) = parameters.configure(&config, GoalShape::of(&config, &layout))?;
        let planner = load_planner(settings, &config, &layout)?;

        let shared = Shared {
            control: Arc::new(Mutex::new(ControlLoop::new(&config.planning(), &layout, planner.normaliser()))),
            telemetry: Arc::default(),
            requests: Arc::default(),
            is_planning: Arc::default(),
            time: context.time.clone(),
            log: context.log.clone(),
            panics: context.panics.clone(),
        };
        let groups = config.contract.observations.len();
        let sink = SampleSink::new(shared.control.clone(), context.log.clone(), context.time.is_simulated(), groups);
        let last = sink.last.clone();
        let updates = ParameterUpdates::new(&planner, &config, sink.clone());
        if !goal.is_empty() {
            updates.set_goal(&goal);
        }
        let identity = Identity {
            device: settings.device.clone(),
            checkpoint: settings.model.display().to_string(),
            checkpoint_digest: checkpoint_digest(&settings.model)?,
            configured_rate_hz: 1.0 / config.contract.period_s,
            channels: bound.action.labels().to_vec(),
            groups: config.contract.observations.iter().map(|g| g.name.clone()).collect(),
        };
        let period = Duration::from_nanos(config.contract.period_ns().unsigned_abs());
        let subscriptions = Subscriptions { config, sink, maps: planner.maps() };
        let topics = Topics { subscriptions, layout, bound };
        let endpoints = ros.call(move |handle| topics.open(handle))?;

        let pending = updates.pending();
        let (time, before_plan) = (context.time.clone(), context.before_plan);
        let plan = TimedPlanner { planner, period, time, pending, before_plan }.into_fn();
        let (drawn_in, display) = (last.clone(), endpoints.display.clone());
        let show = move |plan: &_| display.show(plan, lock(&drawn_in).frame_id());
        let planning_thread = start_planning_thread(shared.clone(), plan, show)?;
        Ok(Self { identity, updates, shared, last, period, endpoints, planning_thread, control_thread: None })
    }

    /// The time between two ticks.
    pub(super) fn period(&self) -> Duration {
        self.period
    }

    /// Calls `look` with what diagnostics report. The telemetry is locked meanwhile.
    pub(super) fn inspect<T>(&self, look: impl FnOnce(Work<'_>) -> T) -> T {
        let newest_ns = lock(&self.last).newest_ns.clone();
        let (ood_score, shadow) = {
            let control = lock(&self.shared.control);
            let shadow = (control.mode() == OperatingMode::Shadow).then(|| control.score().clone());
            (control.ood_score(), shadow)
        };
        let telemetry = &mut lock(&self.shared.telemetry);
        look(Work { identity: &self.identity, telemetry, newest_ns: &newest_ns, ood_score, shadow })
    }

    /// Starts to tick and to publish.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(&mut self) -> std::io::Result<()> {
        lock(&self.shared.control).clear();
        let action = self.endpoints.action.clone();
        let publish = move |command: &Command| action.as_ref().map_or(Ok(()), |action| action.publish(command));
        self.control_thread = Some(ControlThread::start(self.shared.clone(), self.period, publish)?);
        Ok(())
    }

    /// Stops ticking. Publishes the safe action, approached within the limits. In shadow mode it
    /// publishes nothing and logs the comparison.
    pub(super) fn stop(&mut self) {
        let Some(control_thread) = self.control_thread.take() else { return };
        control_thread.stop();
        let Some(action) = &self.endpoints.action else {
            let control = lock(&self.shared.control);
            let (score, channels) = (control.score(), &self.identity.channels);
            let text = format!("{} commands compared: RMSE {:.4?} in {channels:?}", score.compared, score.rmse());
            return self.shared.log.info("shadow", text);
        };
        if let Err(error) = ramp_down(&self.shared, self.period, |command| action.publish(command)) {
            self.shared.log.error("ramp down", format!("the safe action was not published: {error}"));
        }
    }

    /// Stops, joins the threads and destroys all topics.
    ///
    /// # Errors
    /// [`RosError::Ended`].
    pub(super) fn teardown(mut self, ros: &Executor) -> Result<(), RosError> {
        self.stop();
        self.shared.requests.close();
        let Self { endpoints, planning_thread, .. } = self;
        // The thread has caught and reported its panic.
        let _ = planning_thread.join();
        let Endpoints { checkpoint, action, display, maps } = endpoints;
        drop(maps);
        ros.call(move |handle| {
            handle.rollback(checkpoint);
            action.into_iter().for_each(|action| handle.drop_publisher(action.publisher));
            display.close(handle);
            Ok(())
        })
    }
}

/// What is subscribed and advertised.
struct Topics {
    subscriptions: Subscriptions,
    layout: Layout,
    bound: Bound,
}

/// The open topics.
struct Endpoints {
    /// The subscriptions before [`Topics::open`].
    checkpoint: Checkpoint,
    /// None in shadow mode.
    action: Option<ActionPublisher>,
    display: Display,
    maps: Maps,
}

impl Topics {
    /// Opens all topics on the executor's thread. If one is refused, closes the others again.
    fn open(self, handle: &mut NodeHandle) -> Result<Endpoints, RosError> {
        let checkpoint = handle.checkpoint();
        let display = Display::open(handle, &self.subscriptions.config, &self.layout)?;
        match self.subscribe_and_advertise(handle) {
            Ok((action, maps)) => Ok(Endpoints { checkpoint, action, display, maps }),
            Err(error) => {
                handle.rollback(checkpoint);
                display.close(handle);
                Err(error)
            }
        }
    }

    /// Advertises the action topic last, so that it never appears if `configure` fails.
    fn subscribe_and_advertise(self, handle: &mut NodeHandle) -> Result<(Option<ActionPublisher>, Maps), RosError> {
        let Self { subscriptions, bound, .. } = self;
        let maps = subscriptions.subscribe(handle, bound.observations, bound.goal)?;
        let Action { topic, message_type, qos, .. } = &subscriptions.config.contract.action;
        let action = match subscriptions.config.mode {
            OperatingMode::Drive => {
                let publisher = handle.publisher(topic, message_type, qos)?;
                Some(ActionPublisher { publisher, encoder: Arc::new(bound.action_encoder) })
            }
            OperatingMode::Shadow => {
                subscriptions.subscribe_to_commands(handle, bound.action)?;
                None
            }
        };
        Ok((action, maps))
    }
}
