//! The rows of `--ablations`.

/// Of the configured plans: 32 candidates of one future, unguided, sampled cool and with fresh noise. Rows of several futures
/// sample as many sequences.
pub const ALL: &[&str] = &[
    "no fresh noise: planner.eta=0",
    "warm: planner.temperature=1",
    "warm, no fresh noise: planner.temperature=1, planner.eta=0",
    "jumps count little on the way: costs.consistency.weight=1",
    "jumps count much at the goal: costs.consistency_2.weight=10",
    "cheap gradient: planner.guidance.gradient=cheap",
    "exact gradient: planner.guidance.gradient=exact",
    "goal not as observation: planner.goal_as_observation=false",
    "8 candidates: planner.candidates=8",
    "1 candidate: planner.candidates=1",
    "8 candidates of 4 futures: planner.candidates=8, planner.futures=4",
    "2 candidates of 16 futures: planner.candidates=2, planner.futures=16",
    "1 candidate of 32 futures: planner.candidates=1, planner.futures=32",
    "streaming: planner.mode=streaming",
    "no history: planner.history=0",
    "history of 2 tokens: planner.history=2, planner.horizon=16",
    "immediate, 1 tick late: planner.latency=immediate, world.delay_ticks=1",
    "compensated: planner.latency=compensated",
    "20 % of ticks without odometry: world.missing=0.2, world.missing_is_planned=true",
    "20 % of the time, half a second each: world.missing=0.2, world.missing_s=0.5, world.missing_is_planned=true",
    "noise of 2 cm and 0.1 m/s: world.noise_m=0.02, world.noise_m_per_s=0.1",
];
