//! Every key that may change while the planner runs: its description and its range. The YAML comments, the ROS parameters
//! and the reference of the book use these texts.

use df_core::settings::{Description, Range, describe};

const POSITIVE: Range = Range::Numbers(f64::MIN_POSITIVE, f64::INFINITY);
const NOT_NEGATIVE: Range = Range::Numbers(0.0, f64::INFINITY);
const UNIT: Range = Range::Numbers(0.0, 1.0);
const ANY_INTEGER: Range = Range::Integers(0, i64::MAX);
/// Sequences that are denoised at once. More would not fit into memory.
pub const MAX_SEQUENCES: usize = 4096;
const SEQUENCES: Range = Range::Integers(1, MAX_SEQUENCES as i64);
/// Tokens, far beyond the window of any network.
const TOKENS: Range = Range::Integers(0, 65_536);
const SOME_TOKENS: Range = Range::Integers(1, 65_536);
const STEPS: Range = Range::Integers(1, 1000);

/// Every key that may change while the planner runs.
pub const CATALOGUE: &[Description] = &[
    describe(
        "planner.mode",
        Range::OneOf(&["full", "streaming"]),
        "full: replan from noise at every tick; streaming: refine the previous plan",
    ),
    describe("planner.history", TOKENS, "past tokens that a plan is conditioned on"),
    describe("planner.horizon", SOME_TOKENS, "future tokens that are planned; at most planner.max_horizon"),
    Description {
        fixed: true,
        ..describe("planner.max_horizon", SOME_TOKENS, "the longest horizon that may be set, tokens")
    },
    describe(
        "planner.matrix",
        Range::OneOf(&["full_sequence", "pyramid", "autoregressive", "trapezoid"]),
        "the order in which tokens are denoised; streaming needs pyramid",
    ),
    describe(
        "planner.denoising_steps",
        STEPS,
        "rows of the scheduling matrix in which one token falls from level 1 to 0",
    ),
    describe(
        "planner.uncertainty_scale",
        Range::Numbers(f64::MIN_POSITIVE, 1000.0),
        "rows of the scheduling matrix between one token and the next",
    ),
    describe(
        "planner.latency",
        Range::OneOf(&["compensated", "immediate"]),
        "compensated: actions leave exactly on the tick, planned in the period before; immediate: as soon as they are planned",
    ),
    describe("planner.candidates", SEQUENCES, "alternative plans"),
    describe("planner.rollouts", SEQUENCES, "sampled continuations of each candidate"),
    describe("planner.shared_tokens", TOKENS, "near tokens that the rollouts of a candidate share"),
    describe(
        "planner.cost_temperature",
        NOT_NEGATIVE,
        "the actions are the candidates' mean, weighted by exp(-cost / cost_temperature); 0: those of the cheapest",
    ),
    describe(
        "planner.solver",
        Range::OneOf(&["ddim", "dpm_solver"]),
        "the update that takes a token from one noise level to the next",
    ),
    describe("planner.eta", UNIT, "fresh noise of ddim: 0 none, 1 as much as ancestral sampling; 0 with dpm_solver"),
    describe(
        "planner.temperature",
        NOT_NEGATIVE,
        "standard deviation of the noise that plans start from (normalised units)",
    ),
    describe("planner.seed", ANY_INTEGER, "seed of the noise"),
    describe(
        "planner.streaming.renoise_level",
        UNIT,
        "how much a tick raises the noise level of every token; 1: plan from noise",
    ),
    describe("planner.streaming.steps_per_tick", STEPS, "network evaluations a tick in streaming mode"),
    describe(
        "planner.streaming.num_fresh",
        Range::Integers(0, MAX_SEQUENCES as i64),
        "number of candidates that start from noise at every tick in streaming mode; the others are warm-started",
    ),
    describe(
        "planner.warm_start.candidates",
        Range::Integers(0, MAX_SEQUENCES as i64),
        "number of candidates that start from the plan chosen last in full mode; the others start from noise",
    ),
    describe(
        "planner.warm_start.renoise_level",
        UNIT,
        "the noise level to which the plan chosen last is re-noised; 1: plan from noise",
    ),
    describe(
        "planner.deadline",
        Range::Numbers(f64::MIN_POSITIVE, 1.0),
        "fraction of the period, from the tick on, after which the best plan so far is taken",
    ),
    describe(
        "planner.guidance.gradient",
        Range::OneOf(&["none", "cheap", "exact"]),
        "gradient of the costs: none; cheap: on the predicted clean tokens; exact: through the network",
    ),
    describe(
        "planner.guidance.step",
        Range::OneOf(&["plain", "line_search"]),
        "plain: full gradient step; line_search: step length from the curvature of the costs",
    ),
    describe("planner.guidance.scale", NOT_NEGATIVE, "samples follow p(x) exp(-scale cost(x))"),
    describe(
        "planner.guidance.schedule",
        Range::Pairs,
        "level, factor, level, factor ...: factor of scale by the noise level of the acting token; empty: 1 throughout",
    ),
    describe(
        "planner.guidance.max_norm",
        POSITIVE,
        "the norm of a sequence's gradient is clipped to this (normalised units)",
    ),
    describe("planner.goal_as_observation", Range::Any, "whether the goal is also a known future observation"),
    describe("planner.goal_hold_s", POSITIVE, "how long a candidate stays at a known goal, seconds"),
    describe(
        "planner.goal_every_s",
        NOT_NEGATIVE,
        "time between two frames of the stay in which the goal is known, seconds; below two periods: all frames",
    ),
    describe(
        "planner.goal_free",
        Range::Any,
        "whether costs alone guide the last of several candidates, for goals beyond the horizon",
    ),
    describe(
        "planner.history_actions",
        Range::Any,
        "whether the actions of the history are known; must be as the model was trained",
    ),
    describe(
        "safety.max_plan_age_s",
        NOT_NEGATIVE,
        "how old a plan may be that is followed while there is no newer one, seconds",
    ),
    describe(
        "safety.policy",
        Range::OneOf(&["hold", "ramp", "safe"]),
        "the command where no plan may be followed: hold the last one, ramp to the safe action, or the safe action",
    ),
    describe("safety.policy_s", NOT_NEGATIVE, "how long hold and ramp last before the safe action, seconds"),
    describe(
        "safety.out_of_distribution.enabled",
        Range::Any,
        "whether observations unlike the training data stop planning",
    ),
    describe(
        "safety.out_of_distribution.enter",
        NOT_NEGATIVE,
        "distance from the training data, in its standard deviations, beyond which no plan is followed",
    ),
    describe("safety.out_of_distribution.leave", NOT_NEGATIVE, "distance below which plans are followed again"),
    describe("costs.*.weight", NOT_NEGATIVE, "weight of this cost; 0 turns it off"),
];
