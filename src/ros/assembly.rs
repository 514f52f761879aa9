//! What `configure` builds and `cleanup` takes apart: planner and planning thread, publishers and subscriptions, and, while the
//! node is active, the tick thread.

use std::path::Path as FilePath;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use r2r::Publisher;
use r2r::nav_msgs::msg::Path;
use r2r::visualization_msgs::msg::MarkerArray;
use tokio::sync::mpsc;

use super::bridge::{Bridge, RosError, Spinning};
use super::diagnostics::Identity;
use super::display::Drawing;
use super::driving::{ActionOut, Fault, Shared, Ticking, lock, start_planning};
use super::inbound::{Heard, Inbound};
use super::node::NodeError;
use super::notice::Notices;
use super::parameters::{GoalShape, Parameters};
use super::settings::Settings;
use super::timing::RosTime;
use super::tuning::{News, Tuning};
use crate::config::Config;
use crate::message::{AmentDefinitions, Extractor, bind};
use crate::planning::{Budget, ControlLoop, Plan, PlanError, PlanRequest, Planner};
use crate::signal::{History, Layout};

/// Where an assembly belongs.
#[derive(Clone)]
pub struct Surroundings {
    pub node: String,
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
    action: ActionOut,
    show: Show,
    /// Subscriptions that were there before.
    subscriptions_before: usize,
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
        let config = Config::load(&settings.config)?;
        let bound = bind(&config, &AmentDefinitions::from_env())?;
        let layout = Layout::new(config.contract.frame_stack, bound.modalities(&config));
        let (config, goal) = parameters.configure(&config, GoalShape::of(&config, &layout))?;
        let planner = load_planner(settings, &config, &layout)?;

        let shared = Shared {
            control: Arc::new(Mutex::new(ControlLoop::new(&config, &layout))),
            telemetry: Arc::default(),
            requests: Arc::default(),
            is_planning: Arc::default(),
            time: around.time.clone(),
            notices: around.notices.clone(),
            faults: around.faults.clone(),
        };
        let heard = Heard { newest_ns: vec![None; config.contract.observations.len()], ..Heard::default() };
        let heard = Arc::new(Mutex::new(heard));
        let tuning = Tuning::new(&planner, shared.control.clone(), heard.clone());
        lock(&shared.control).set_goal(&goal);
        let inbound =
            Inbound { control: shared.control.clone(), heard: heard.clone(), notices: around.notices.clone() };
        let drawing = Drawing::new(&config, &layout);
        let wiring = Wiring { config: config.clone(), inbound, observations: bound.observations, goal: bound.goal };
        let encoder = Arc::new(bound.action_encoder);
        let (subscriptions_before, action, show) = ros.call(move |bridge| wiring.connect(bridge, encoder, drawing))?;

        let period = Duration::from_nanos(config.contract.period_ns().unsigned_abs());
        let plan = planning(planner, period, around.time.clone(), tuning.news());
        let (drawn_in, shown) = (heard.clone(), show.clone());
        let planning = start_planning(shared.clone(), plan, move |plan| shown.show(plan, lock(&drawn_in).frame_id()))?;
        let identity = Identity {
            node: around.node.clone(),
            device: settings.device.clone(),
            checkpoint: settings.model.display().to_string(),
            groups: config.contract.observations.iter().map(|g| g.name.clone()).collect(),
        };
        Ok(Self {
            identity,
            shared,
            heard,
            tuning,
            period,
            action,
            show,
            subscriptions_before,
            planning,
            ticking: None,
        })
    }

    pub fn period(&self) -> Duration {
        self.period
    }

    /// Starts to tick and to publish.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(&mut self) -> std::io::Result<()> {
        let action = self.action.clone();
        let ticking = Ticking::start(self.shared.clone(), self.period, move |command| action.publish(command))?;
        self.ticking = Some(ticking);
        Ok(())
    }

    /// Publishes the safe action and stops.
    pub fn stop(&mut self) {
        let Some(ticking) = self.ticking.take() else { return };
        ticking.stop();
        let farewell = self.action.publish(&lock(&self.shared.control).safe_command(self.shared.time.now_ns()));
        if let Err(error) = farewell {
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
        // A panic was caught and reported by the thread itself.
        let _ = self.planning.join();
        let (keep, action, show) = (self.subscriptions_before, self.action, self.show);
        ros.call(move |bridge| {
            bridge.unsubscribe_from(keep);
            bridge.drop_publisher(action.publisher);
            bridge.drop_typed_publisher(show.path);
            bridge.drop_typed_publisher(show.futures);
            Ok(())
        })
    }
}

/// What is subscribed and advertised, made on the ROS thread.
struct Wiring {
    config: Config,
    inbound: Inbound,
    observations: Vec<Extractor>,
    goal: Option<Extractor>,
}

impl Wiring {
    fn connect(
        self,
        bridge: &mut Bridge,
        encoder: Arc<crate::message::Encoder>,
        drawing: Drawing,
    ) -> Result<(usize, ActionOut, Show), RosError> {
        let before = bridge.subscriptions();
        let action = &self.config.contract.action;
        let publisher = bridge.publisher(&action.topic, &action.message_type, &action.qos)?;
        let show = Show {
            path: bridge.typed_publisher("~/plan", 1)?,
            futures: bridge.typed_publisher("~/futures", 1)?,
            drawing: Arc::new(drawing),
        };
        self.inbound.subscribe(bridge, &self.config, self.observations, self.goal)?;
        Ok((before, ActionOut { publisher, encoder }, show))
    }
}

/// Publishers of plan and futures; what they draw is only made while someone looks.
#[derive(Clone)]
struct Show {
    path: Publisher<Path>,
    futures: Publisher<MarkerArray>,
    drawing: Arc<Drawing>,
}

impl Show {
    fn show(&self, plan: &Plan, frame_id: &str) {
        // Errors here mean that the node is being destroyed: nobody looks any more.
        if self.path.get_inter_process_subscription_count().is_ok_and(|n| n > 0) {
            let _ = self.path.publish(&self.drawing.path(plan, frame_id));
        }
        if self.futures.get_inter_process_subscription_count().is_ok_and(|n| n > 0) {
            let _ = self.futures.publish(&self.drawing.futures(plan, frame_id));
        }
    }
}

/// Loads the planner and plans once, so that the first real plan is not the slowest.
fn load_planner(settings: &Settings, config: &Config, layout: &Layout) -> Result<Planner, NodeError> {
    let refuse = |source| NodeError::Planner { checkpoint: settings.model.display().to_string(), source };
    let checkpoint: &FilePath = &settings.model;
    let mut planner = Planner::load(checkpoint, config, layout, &settings.device).map_err(refuse)?;
    let goal = config.goal.as_ref().and_then(|goal| layout.modality(&goal.group));
    let request = PlanRequest {
        tick_ns: 0,
        history: History::new(layout, config.planner.history),
        committed: config.contract.action.safe.clone(),
        goal: goal.map_or(Vec::new(), |modality| vec![0.0; layout.modalities[modality].channels.len()]),
    };
    planner.plan(&request, &Budget::unlimited()).map_err(refuse)?;
    planner.reset();
    Ok(planner)
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
    move |request| {
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
