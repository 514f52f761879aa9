//! The rows of `--ablations`.

pub const ALL: &[&str] = &[
    "guidance off: planner.guidance.gradient=off",
    "cheap gradient: planner.guidance.gradient=cheap",
    "exact gradient: planner.guidance.gradient=exact",
    "goal not as observation: planner.goal_as_observation=false",
    "1 future: planner.futures=1",
    "4 futures: planner.futures=4",
    "16 futures: planner.futures=16",
    "32 futures: planner.futures=32",
    "streaming: planner.mode=streaming",
    "no history: planner.history=0",
    "history of 2 tokens: planner.history=2",
    "immediate, 1 tick late: planner.latency=immediate, world.delay_ticks=1",
    "compensated: planner.latency=compensated",
    "20 % of ticks without odometry: world.missing=0.2, world.missing_is_planned=true",
    "20 % of the time, half a second each: world.missing=0.2, world.missing_s=0.5, world.missing_is_planned=true",
    "noise of 2 cm and 0.1 m/s: world.noise_m=0.02, world.noise_m_per_s=0.1",
];
