//! The rows of `--ablations`.

/// The shipped configuration has 16 candidates of one rollout, no guidance, noise of full size, and actions averaged
/// over candidates. Rows with several rollouts sample as many sequences.
pub const ALL: &[&str] = &[
    "the cheapest candidate's action: planner.cost_temperature=0",
    "the same, sampled cool: planner.cost_temperature=0, planner.temperature=0.3",
    "no fresh noise: planner.eta=0",
    "12 denoising steps: planner.denoising_steps=12",
    "jumps count little: costs.consistency.weight=1",
    "cheap gradient: planner.guidance.gradient=cheap",
    "exact gradient: planner.guidance.gradient=exact",
    "goal not as observation: planner.goal_as_observation=false",
    "32 candidates: planner.candidates=32",
    "4 candidates: planner.candidates=4",
    "1 candidate: planner.candidates=1",
    "no costs: costs.goal.weight=0, costs.consistency.weight=0, costs.smoothness.weight=0",
    "4 candidates of 4 rollouts: planner.candidates=4, planner.rollouts=4",
    "1 candidate of 16 rollouts: planner.candidates=1, planner.rollouts=16",
    "1 candidate of 32 rollouts: planner.candidates=1, planner.rollouts=32",
    "streaming: planner.mode=streaming",
    "streaming, 3 steps a tick: planner.mode=streaming, planner.streaming.steps_per_tick=3",
    "no history: planner.history=0",
    "history of 2 tokens: planner.history=2, planner.horizon=16",
    "history of 3 tokens: planner.history=3, planner.horizon=15",
    "the history's actions known: planner.history_actions=true",
    "immediate, 1 tick late: planner.latency=immediate, world.delay_ticks=1",
    "compensated: planner.latency=compensated",
    "20 % of ticks without odometry: world.missing=0.2, world.missing_is_planned=true",
    "20 % of the time, half a second each: world.missing=0.2, world.missing_s=0.5, world.missing_is_planned=true",
    "noise of 2 cm and 0.1 m/s: world.noise_m=0.02, world.noise_m_per_s=0.1",
];
