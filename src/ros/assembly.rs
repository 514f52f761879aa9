//! What `configure` builds and `cleanup` takes apart: planner and planning thread, publishers and subscriptions, and, while the
//! node is active, the tick thread.

use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::bridge::{Bridge, Mark, RosError, Spinning};
use super::diagnostics::{Identity, Work};
use super::display::Display;
use super::driving::{ActionOut, Fault, Shared, Ticking, come_to_rest, lock, start_planning};
use super::inbound::{AHEAD_S, AHEAD_SIMULATED_S, Heard, Inbound};
use super::maps::Maps;
use super::node::NodeError;
use super::notice::Notices;
use super::parameters::{GoalShape, Parameters};
use super::settings::Settings;
use super::timing::RosTime;
use super::tuning::{News, Tuning};
use crate::config::{Action, Config, OperatingMode};
use crate::guidance::SharedMap;
use crate::message::{AmentDefinitions, Bound, bind};
use crate::model::checkpoint_digest;
use crate::planning::{Budget, Command, ControlLoop, Plan, PlanError, PlanRequest, Planner};
use crate::signal::{History, Layout};

/// Where an assembly belongs.
#[derive(Clone)]
pub struct Surroundings {
    pub time: Arc<RosTime>,
    pub notices: Notices,
    pub faults: mpsc::Sender<Fault>,
}

/// A configured node.
pub struct Assembly {
    pub identity: Identity,
    pub shared: Shared,
    pub heard: Arc<Mutex<Heard>>,
    pub tuning: Tuning,
    period: Duration,
    /// None in the shadow mode.
    action: Option<ActionOut>,
    display: Display,
    /// What listened before.
    before: Mark,
    maps: Maps,
    planning: JoinHandle<()>,
    ticking: Option<Ticking>,
}

impl Assembly {
    /// Reads the configuration, loads and warms the model, subscribes and advertises. Everything that can be checked is
    /// checked before the first subscription or publication.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn build(
        settings: &Settings,
        parameters: &mut Parameters,
        ros: &Spinning,
        around: &Surroundings,
    ) -> Result<Self, NodeError> {
        let mut config = Config::load(&settings.config)?;
        config.mode = settings.mode.unwrap_or(config.mode);
        let bound = bind(&config, &AmentDefinitions::from_env())?;
        let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config));
        let (config, goal) = parameters.configure(&config, GoalShape::of(&config, &layout))?;
        let planner = load_planner(settings, &config, &layout)?;

        let shared = Shared {
            control: Arc::new(Mutex::new(ControlLoop::new(&config, &layout, planner.normaliser()))),
            telemetry: Arc::default(),
            requests: Arc::default(),
            is_planning: Arc::default(),
            time: around.time.clone(),
            notices: around.notices.clone(),
            faults: around.faults.clone(),
        };
        let heard = Heard { newest_ns: vec![None; config.contract.observations.len()], ..Heard::default() };
        let heard = Arc::new(Mutex::new(heard));
        let inbound = Inbound {
            control: shared.control.clone(),
            heard: heard.clone(),
            notices: around.notices.clone(),
            ahead_s: if around.time.is_simulated() { AHEAD_SIMULATED_S } else { AHEAD_S },
        };
        let tuning = Tuning::new(&planner, &config, inbound.clone());
        if !goal.is_empty() {
            tuning.use_goal(&goal);
        }
        let checkpoint_digest = checkpoint_digest(&settings.model)?;
        let channels = bound.action.labels().to_vec();
        let wiring = Wiring { config: config.clone(), layout, inbound, bound, maps: planner.maps() };
        let Connected { before, action, display, maps } = ros.call(move |bridge| wiring.connect(bridge))?;

        let period = Duration::from_nanos(config.contract.period_ns().unsigned_abs());
        let plan = planning(planner, period, around.time.clone(), tuning.news());
        let (drawn_in, shown) = (heard.clone(), display.clone());
        let planning = start_planning(shared.clone(), plan, move |plan| shown.show(plan, lock(&drawn_in).frame_id()))?;
        let identity = Identity {
            device: settings.device.clone(),
            checkpoint: settings.model.display().to_string(),
            checkpoint_digest,
            configured_rate_hz: 1.0 / config.contract.period_s,
            channels,
            groups: config.contract.observations.iter().map(|g| g.name.clone()).collect(),
        };
        let ticking = None;
        Ok(Self { identity, shared, heard, tuning, period, action, display, before, maps, planning, ticking })
    }

    pub fn period(&self) -> Duration {
        self.period
    }

    /// What diagnostics tell of it.
    pub fn inspect<T>(&self, look: impl FnOnce(Work<'_>) -> T) -> T {
        let newest_ns = lock(&self.heard).newest_ns.clone();
        let (strangeness, shadow) = {
            let control = lock(&self.shared.control);
            let shadow = (control.mode() == OperatingMode::Shadow).then(|| control.score().clone());
            (control.strangeness(), shadow)
        };
        let telemetry = &mut lock(&self.shared.telemetry);
        look(Work { identity: &self.identity, telemetry, newest_ns: &newest_ns, strangeness, shadow })
    }

    /// Starts to tick and to publish.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(&mut self) -> std::io::Result<()> {
        lock(&self.shared.control).clear();
        let action = self.action.clone();
        let publish = move |command: &Command| action.as_ref().map_or(Ok(()), |action| action.publish(command));
        self.ticking = Some(Ticking::start(self.shared.clone(), self.period, publish)?);
        Ok(())
    }

    /// Publishes the safe action, or what leads to it within the limits, and stops.
    pub fn stop(&mut self) {
        let Some(ticking) = self.ticking.take() else { return };
        ticking.stop();
        let Some(action) = &self.action else {
            let control = lock(&self.shared.control);
            let (score, channels) = (control.score(), &self.identity.channels);
            let text = format!("{} commands compared: RMSE {:.4?} in {channels:?}", score.compared, score.rmse());
            return self.shared.notices.info("shadow", text);
        };
        if let Err(error) = come_to_rest(&self.shared, self.period, |command| action.publish(command)) {
            self.shared.notices.error("farewell", format!("the safe action was not published: {error}"));
        }
    }

    /// Frees everything.
    ///
    /// # Errors
    /// The ROS thread has ended.
    pub fn dismantle(mut self, ros: &Spinning) -> Result<(), RosError> {
        self.stop();
        self.shared.requests.close();
        let Self { before, action, display, maps, planning, .. } = self;
        // A panic was caught and reported by the thread itself.
        let _ = planning.join();
        drop(maps);
        ros.call(move |bridge| {
            bridge.go_back_to(before);
            action.into_iter().for_each(|action| bridge.drop_publisher(action.publisher));
            display.close(bridge);
            Ok(())
        })
    }
}

/// What is subscribed and advertised, made on the ROS thread.
struct Wiring {
    config: Config,
    layout: Layout,
    inbound: Inbound,
    bound: Bound,
    maps: Vec<SharedMap>,
}

/// What came of it.
struct Connected {
    before: Mark,
    action: Option<ActionOut>,
    display: Display,
    maps: Maps,
}

impl Wiring {
    /// All of it or nothing: what was made before something was refused is taken back.
    fn connect(self, bridge: &mut Bridge) -> Result<Connected, RosError> {
        let before = bridge.mark();
        let display = Display::open(bridge, &self.config, &self.layout)?;
        match self.listen_and_advertise(bridge) {
            Ok((action, maps)) => Ok(Connected { before, action, display, maps }),
            Err(error) => {
                bridge.go_back_to(before);
                display.close(bridge);
                Err(error)
            }
        }
    }

    /// The action last, so that nobody sees a planner that will not be.
    fn listen_and_advertise(self, bridge: &mut Bridge) -> Result<(Option<ActionOut>, Maps), RosError> {
        let (observations, goal) = (self.bound.observations, self.bound.goal);
        let maps = self.inbound.subscribe(bridge, &self.config, observations, goal, &self.maps)?;
        let Action { topic, message_type, qos, .. } = &self.config.contract.action;
        let action = match self.config.mode {
            OperatingMode::Drive => {
                let publisher = bridge.publisher(topic, message_type, qos)?;
                Some(ActionOut { publisher, encoder: Arc::new(self.bound.action_encoder) })
            }
            OperatingMode::Shadow => {
                self.inbound.follow_commands(bridge, &self.config, self.bound.action)?;
                None
            }
        };
        Ok((action, maps))
    }
}

/// Loads the planner and plans once, so that the first real plan is not the slowest.
fn load_planner(settings: &Settings, config: &Config, layout: &Layout) -> Result<Planner, NodeError> {
    let refuse = |cause| NodeError::Planner { checkpoint: settings.model.display().to_string(), cause };
    let checkpoint: &FilePath = &settings.model;
    let mut planner = Planner::load(checkpoint, config, layout, &settings.device).map_err(refuse)?;
    let goal = config.goal.as_ref().and_then(|goal| layout.modality(&goal.group));
    let request = PlanRequest {
        tick_ns: 0,
        history: History::new(layout, config.planner.history),
        committed: Some(config.contract.action.safe.clone()),
        goal: goal.map_or(Vec::new(), |modality| vec![0.0; layout.modalities[modality].channels.len()]),
    };
    planner.warm_up(&request).map_err(refuse)?;
    Ok(planner)
}

/// Plans to be made before the planner panics, which no input is known to make it do: for the test of what follows.
const TEST_PANIC: &str = "DF_TEST_PANIC_AFTER_PLANS";

/// Never in a release build.
fn panic_after() -> Option<u64> {
    if cfg!(debug_assertions) { std::env::var(TEST_PANIC).ok()?.parse().ok() } else { None }
}

/// Plans within the planner's share of the `period`, counted from the tick; starts anew where time went backwards. On simulated
/// time a plan takes as long as it takes: the tick waits for it.
fn planning(
    mut planner: Planner,
    period: Duration,
    time: Arc<RosTime>,
    news: News,
) -> impl FnMut(&PlanRequest) -> Result<Plan, PlanError> {
    let mut last_ns = i64::MIN;
    let mut until_panic = panic_after();
    move |request| {
        until_panic = until_panic.map(|plans| plans.checked_sub(1).unwrap_or_else(|| panic!("{TEST_PANIC} is set")));
        news.take_over(&mut planner)?;
        if request.tick_ns < last_ns {
            planner.reset();
        }
        last_ns = request.tick_ns;
        if time.is_simulated() {
            return planner.plan(request, &Budget::unlimited());
        }
        let started = Instant::now();
        // A request that waited for the plan before it has that much less time.
        let late = Duration::from_nanos(u64::try_from(time.now_ns() - request.tick_ns).unwrap_or(0)).min(period);
        let total = period.mul_f64(planner.settings().deadline);
        planner.plan(request, &Budget::new(total, &|| late + started.elapsed()))
    }
}
