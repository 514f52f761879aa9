//! Memory does not grow with ticks: ten thousand take no more than a thousand, in both planner modes.

mod support;

use std::alloc::{GlobalAlloc, Layout as Block, System};
use std::path::Path;
use std::sync::atomic::{AtomicIsize, Ordering};

use df_core::{Layout, Normaliser};
use df_diffusion::{NoiseSchedule, Objective, TokenSpec};
use df_diffusion::{NoiseScheduleKind, ObjectiveKind};
use df_engine::{ConditioningFeatures, CpuDenoiser, CpuNetwork, NetworkConfig};
use df_planning::{Budget, ControlLoop, Planner, PlanningConfig};
use df_training::{Device, InitNetwork, named_tensors};
use support::contract::ContractYaml;

/// Counts the allocated bytes of all threads.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: forwards every call to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, block: Block) -> *mut u8 {
        LIVE.fetch_add(block.size() as isize, Ordering::Relaxed);
        unsafe { System.alloc(block) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, block: Block) {
        LIVE.fetch_sub(block.size() as isize, Ordering::Relaxed);
        unsafe { System.dealloc(pointer, block) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const PERIOD_NS: i64 = 50_000_000;
/// The allowed difference between two ticks, bytes: buffers keep spare capacity.
const SLACK_BYTES: isize = 16 << 10;

#[test]
fn memory_of_the_control_loop_does_not_grow_over_ten_thousand_ticks() {
    let yaml = ContractYaml::point_robot().with_all(&[
        ("period_s", "0.05"),
        ("frame_stack", "2"),
        ("planner", "{history: 2, horizon: 4, denoising_steps: 2, candidates: 3, rollouts: 2, guidance: {scale: 0.1}}"),
        ("costs", "[{kind: goal, weight: 1.0}]"),
    ]);
    for mode in ["full", "streaming"] {
        let config =
            PlanningConfig::parse(yaml.clone().with("planner.mode", mode).text(), Path::new("test.yaml")).unwrap();
        let layout =
            Layout::new(2, [("action".into(), vec!["u".into()]), ("obs".into(), vec!["x".into(), "y".into()])]);
        let spec = TokenSpec::new(&layout.modality_of_channel(), 2);
        let sizes = NetworkConfig::new(8, 1, 2, spec.channels(), spec.noise_groups(), 6);
        let tensors = named_tensors(&sizes.init(&Device::flex()));
        let (schedule, objective) = (NoiseSchedule(NoiseScheduleKind::Cosine), Objective(ObjectiveKind::V));
        let network = CpuNetwork::new(&tensors, &sizes).unwrap();
        let features = ConditioningFeatures { spec, schedule, condition_on_clean_values: false };
        let denoiser = CpuDenoiser::new(network, features, objective);
        let normaliser = Normaliser::new(vec![0.0; 3], vec![1.0; 3]);
        let mut planner = Planner::new(Box::new(denoiser), &config, layout.clone(), normaliser, schedule).unwrap();
        let mut control = ControlLoop::new(&config, &layout, planner.normaliser());
        let mut live = Vec::new();
        let mut planned = 0;
        for k in 0..10_000i64 {
            let tick_ns = k * PERIOD_NS;
            // Four samples per tick; the goal moves now and then.
            (1..=4).for_each(|i| control.observe(0, tick_ns - PERIOD_NS + i * PERIOD_NS / 4, &[(k as f64).sin(), 0.1]));
            if k % 500 == 0 {
                control.set_goal(&[(k as f64).cos(), 0.0]);
            }
            if let Some(request) = control.tick(tick_ns).request {
                control.accept(planner.plan(&request, &Budget::unlimited()));
                planned += 1;
            }
            if k % 1000 == 999 {
                live.push(LIVE.load(Ordering::Relaxed));
            }
        }
        assert!(planned > 9_900 && live[0] > 10_000, "{planned} plans, {} bytes: nothing was measured", live[0]);
        let grown = live[9] - live[0];
        println!("{mode}: {} bytes live after 1,000 ticks, {grown:+} after 10,000", live[0]);
        assert!(grown.abs() < SLACK_BYTES, "{mode}: {live:?}");
    }
}
