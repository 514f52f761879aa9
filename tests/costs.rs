//! Costs as the planner uses them. Evaluating them allocates no memory, and each gradient agrees with finite
//! differences. The costs are those of the benchmark `costs`.

#[path = "../benches/costs/setup.rs"]
mod setup;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Counts the allocations of the thread.
struct Counting;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: forwards every call to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // The thread-local counter may already be destroyed while the thread ends.
        let _ = TAKEN.try_with(|taken| taken.set(taken.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn evaluating_costs_allocates_no_memory() {
    let (costs, rollouts) = (setup::all_costs(), setup::rollouts());
    let mut gradient: Vec<Vec<f32>> = rollouts.iter().map(|f| vec![0.0; f.len()]).collect();
    let before = TAKEN.get();
    let cost = setup::evaluate(&costs, &rollouts, &mut gradient);
    let after = TAKEN.get();
    assert!(before > 0, "nothing was counted while the costs were made: the counter is broken");
    assert_eq!(after - before, 0, "allocations for {} rollouts of {} frames", setup::ROLLOUTS, setup::FRAMES);
    assert!(cost.is_finite() && gradient.iter().flatten().any(|g| *g != 0.0));
}

/// The step of the finite differences, in the unit of the channel.
const STEP: f32 = 1e-4;

/// The number of rollouts whose derivative must agree. For the rest the step may span a kink or a jump: the nearest
/// part of a path changes, or a cell of the map ends.
const AGREEING: usize = setup::ROLLOUTS * 9 / 10;

/// The directional derivative of every cost by itself, along one random direction per rollout.
#[test]
fn the_gradient_of_every_cost_agrees_with_finite_differences_along_random_directions() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let rollouts = setup::rollouts();
    for cost in setup::all_costs() {
        let (name, cost) = (cost.name(), [cost]);
        let evaluate = |rollout: &[f32]| {
            let mut gradient = [vec![0.0; rollout.len()]];
            (setup::evaluate(&cost, &[rollout.to_vec()], &mut gradient), gradient)
        };
        let (mut agreeing, mut concerned) = (0, 0);
        for rollout in &rollouts {
            let direction: Vec<f32> = rollout.iter().map(|_| if rng.random() { 1.0 } else { -1.0 }).collect();
            let moved = |by: f32| -> Vec<f32> { rollout.iter().zip(&direction).map(|(v, d)| v + by * d).collect() };
            let (above, below) = (moved(STEP), moved(-STEP));
            let difference = evaluate(&above).0 - evaluate(&below).0;
            let (_, [gradient]) = evaluate(rollout);
            // Divides by the step as f32 rounds it.
            let steps = above.iter().zip(&below).map(|(a, b)| f64::from(*a) - f64::from(*b));
            let predicted: f64 = gradient.iter().zip(steps).map(|(g, step)| f64::from(*g) * step).sum();
            let length = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
            concerned += usize::from(length > 0.0);
            agreeing += usize::from((difference - predicted).abs() <= 1e-2 * length * 2.0 * f64::from(STEP));
        }
        println!("{name}: {agreeing} of {} agree, {concerned} have a gradient", setup::ROLLOUTS);
        assert!(concerned > 0, "{name} has no cost in these rollouts");
        assert!(agreeing >= AGREEING, "{name}: only {agreeing} of {} agree", setup::ROLLOUTS);
    }
}
