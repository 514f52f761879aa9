//! Times every cost and its gradient for 64 rollouts of 64 frames, all together and one by one; and the distance field
//! of a map of 200 x 200 cells, which is computed whenever a grid arrives.
//!
//! `cargo bench --no-default-features --bench costs`

mod setup;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use df_core::map::{DistanceField, OccupancyGrid, Unknown};

fn costs(criterion: &mut Criterion) {
    let mut all = setup::all_costs();
    let rollouts = setup::rollouts();
    let mut gradient: Vec<Vec<f32>> = rollouts.iter().map(|f| vec![0.0; f.len()]).collect();
    let mut group = criterion.benchmark_group("costs");
    group.bench_function("all", |b| b.iter(|| setup::evaluate(&all, black_box(&rollouts), &mut gradient)));
    while let Some(cost) = all.pop() {
        let one = [cost];
        group.bench_function(one[0].name(), |b| b.iter(|| setup::evaluate(&one, black_box(&rollouts), &mut gradient)));
    }
}

fn distance_field(criterion: &mut Criterion) {
    let cells = (0..setup::CELLS * setup::CELLS).map(|i| if (i * 7919) % 97 == 0 { 100 } else { 0 }).collect();
    let grid = OccupancyGrid {
        name: "bench".into(),
        resolution_m: 0.05,
        width: setup::CELLS,
        height: setup::CELLS,
        origin_m: [0.0; 2],
        yaw_rad: 0.0,
        cells,
    };
    criterion.bench_function("distance_field", |b| b.iter(|| DistanceField::new(black_box(&grid), Unknown::Free)));
}

criterion_group!(benches, costs, distance_field);
criterion_main!(benches);
