//! Loads the planner, and plans within the time that a tick leaves.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::NodeError;
use super::parameters::PendingConfig;
use super::settings::NodeSettings;
use crate::config::Config;
use crate::ros::ros_time::RosTime;
use df_core::{History, Layout};
use df_planning::{Budget, Plan, PlanError, PlanRequest, Planner};

/// Loads the planner and plans once, so that the first real plan is not the slowest.
///
/// # Errors
/// [`NodeError::LoadPlanner`], [`NodeError::Planner`].
pub(super) fn load_planner(settings: &NodeSettings, config: &Config, layout: &Layout) -> Result<Planner, NodeError> {
    let name = || settings.model.display().to_string();
    let checkpoint: &Path = &settings.model;
    let mut planner = crate::load_planner(checkpoint, config, layout, &settings.device)
        .map_err(|cause| NodeError::LoadPlanner { checkpoint: name(), cause: Box::new(cause) })?;
    let goal = config.contract.goal.as_ref().and_then(|goal| layout.modality(&goal.group));
    let request = PlanRequest {
        tick_ns: 0,
        history: History::new(layout, config.planner.history),
        committed: Some(config.contract.action.safe.clone()),
        goal: goal.map_or(Vec::new(), |modality| vec![0.0; layout.modalities[modality].channels.len()]),
    };
    planner.warm_up(&request).map_err(|cause| NodeError::Planner { checkpoint: name(), cause })?;
    Ok(planner)
}

/// A planner on the planning thread.
pub(super) struct TimedPlanner {
    /// Makes the plans.
    pub planner: Planner,
    /// The period of the ticks.
    pub period: Duration,
    /// The node's clock.
    pub time: Arc<RosTime>,
    /// Changed settings that the planner takes before its next plan.
    pub pending: PendingConfig,
    /// See `Options::before_plan`.
    pub before_plan: Option<fn(u64)>,
}

impl TimedPlanner {
    /// A function that answers requests.
    ///
    /// A plan has a configured share of the period, counted from its tick. On simulated time it has
    /// unlimited time, because the tick waits for it. If a request's time goes back, the planner is
    /// reset.
    pub(super) fn into_fn(self) -> impl FnMut(&PlanRequest) -> Result<Plan, PlanError> {
        let Self { mut planner, period, time, pending, before_plan } = self;
        let mut last_ns = i64::MIN;
        let mut plans = 0;
        move |request| {
            if let Some(before_plan) = before_plan {
                before_plan(plans);
            }
            plans += 1;
            pending.apply_to(&mut planner)?;
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
            let total = period.mul_f64(planner.config().deadline);
            planner.plan(request, &Budget::new(total, &|| late + started.elapsed()))
        }
    }
}
