//! Tests of signed distances and gradients: by hand and against brute force.

use proptest::prelude::*;

use super::*;

fn grid(width: usize, cells: &[i8]) -> OccupancyGrid {
    OccupancyGrid {
        name: "/map".into(),
        resolution_m: 0.5,
        width,
        height: cells.len() / width,
        origin_m: [1.0, -2.0],
        yaw_rad: 0.0,
        cells: cells.to_vec(),
    }
}

/// 5 x 3 cells, free but for the middle one.
const DOT: [i8; 15] = [0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0];

fn close(got: (f64, [f64; 2]), distance: f64, gradient: [f64; 2]) {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-6;
    assert!(near(got.0, distance) && near(got.1[0], gradient[0]) && near(got.1[1], gradient[1]), "{got:?}");
}

#[test]
fn distances_around_one_occupied_cell_are_exact() {
    let field = DistanceField::new(&grid(5, &DOT), Unknown::Free).unwrap();
    let distance = |x, y| field.at([x, y]).0;
    // The occupied cell spans x 2 to 2.5, y -1.5 to -1; its centre is (2.25, -1.25), 0.25 m inside. Between it and the
    // next centre (2.75, -1.25), 0.25 m outside, it is 0 in the middle, on the cell's edge.
    assert!(distance(2.5, -1.25).abs() < 1e-6 && (distance(2.375, -1.25) + 0.125).abs() < 1e-6);
    assert!((distance(3.0, -1.25) - 0.5).abs() < 1e-6);
    assert!((distance(2.25, -0.875) - 0.125).abs() < 1e-6);
    // The centre (2.75, -0.75): the corner (2.5, -1) is 0.25 sqrt(2) away. In the middle of four centres, on that corner, the
    // mean (-0.25 + 0.25 + 0.25 + 0.25 sqrt(2)) / 4; both slopes ((0.5 + (sqrt(2) - 1) / 4) / 2) / 0.5 m.
    let diagonal = 0.125f64.sqrt();
    assert!((distance(2.75, -0.75) - diagonal).abs() < 1e-6);
    let slope = 0.5 + (diagonal - 0.25);
    close(field.at([2.5, -1.0]), (0.25 + diagonal) / 4.0, [slope, slope]);
}

#[test]
fn unknown_says_whether_the_outside_of_the_grid_is_free_or_occupied() {
    // The ring's centres lie a quarter metre outside: at x 0.75 and 3.75. Free: 1.25 m to the cell, then 3 m more.
    let free = DistanceField::new(&grid(5, &DOT), Unknown::Free).unwrap();
    assert!((free.at([3.75, -1.25]).0 - 1.25).abs() < 1e-6);
    assert!((free.at([6.75, -1.25]).0 - 4.25).abs() < 1e-6);
    // Off the ring's corners (3.75, -0.25) and (3.75, -2.25), which are 1.25 m beside and 0.75 m above or below the cell:
    // 3 m and 4 m further.
    let corner = 1.25f64.hypot(0.75);
    close(free.at([6.75, 3.75]), corner + 5.0, [0.6, 0.8]);
    close(free.at([6.75, -6.25]), corner + 5.0, [0.6, -0.8]);
    // Occupied: the ring is a wall whose inner face is the grid's edge at x = 3.5.
    let walled = DistanceField::new(&grid(5, &DOT), Unknown::Occupied).unwrap();
    close(walled.at([3.25 + 0.125, -1.2]), 0.125, [-1.0, 0.0]);
    close(walled.at([3.625, -1.2]), -0.125, [-1.0, 0.0]);
    close(walled.at([4.75, -1.2]), -1.25, [-1.0, 0.0]);
}

#[test]
fn a_rotated_grid_has_rotated_gradients() {
    let straight = DistanceField::new(&grid(5, &DOT), Unknown::Free).unwrap();
    let turned = DistanceField::new(&OccupancyGrid { yaw_rad: 0.7, ..grid(5, &DOT) }, Unknown::Free).unwrap();
    let (sin, cos) = 0.7f64.sin_cos();
    let turn = |[x, y]: [f64; 2]| [cos * x - sin * y, sin * x + cos * y];
    for [x, y] in [[1.6, 0.9], [0.3, 0.4], [1.2, 1.1], [-2.0, 3.0]] {
        let (distance, gradient) = straight.at([1.0 + x, -2.0 + y]);
        let [tx, ty] = turn([x, y]);
        close(turned.at([1.0 + tx, -2.0 + ty]), distance, turn(gradient));
    }
}

#[test]
fn a_cell_is_occupied_from_65_percent_on() {
    let signs = |unknown| {
        let field = DistanceField::new(&grid(5, &[0, 64, 65, 100, -1]), unknown).unwrap();
        (0..5).map(|i| field.at([1.25 + 0.5 * f64::from(i), -1.75]).0 > 0.0).collect::<Vec<_>>()
    };
    assert_eq!(signs(Unknown::Free), [true, true, false, false, true]);
    assert_eq!(signs(Unknown::Occupied), [true, true, false, false, false]);
    // Nothing is occupied: everything is far away and pulls nowhere.
    let empty = DistanceField::new(&grid(2, &[0, 0]), Unknown::Free).unwrap();
    assert_eq!(empty.at([1.4, -1.8]), (f64::from(MAX_DISTANCE_M), [0.0, 0.0]));
}

#[test]
fn an_invalid_grid_is_refused_with_its_name() {
    let refusal = |grid: OccupancyGrid, unknown| DistanceField::new(&grid, unknown).unwrap_err().to_string();
    assert_eq!(
        refusal(grid(2, &[100, -1, -1, 70]), Unknown::Occupied),
        "the grid /map of 2 x 2 cells has no free cell (2 unknown cells count as Occupied)"
    );
    assert!(DistanceField::new(&grid(2, &[100, -1, -1, 70]), Unknown::Free).is_ok());
    assert!(refusal(grid(2, &[100, 100]), Unknown::Free).contains("has no free cell (0 unknown"));
    let refused = refusal(OccupancyGrid { height: 3, ..grid(2, &[0; 4]) }, Unknown::Free);
    assert_eq!(refused, "the grid /map of 2 x 3 cells must have at least 1 and as many values, got 4");
    assert!(refusal(grid(1, &[]), Unknown::Free).contains("at least 1"));
    assert!(refusal(grid(2, &[0, 101]), Unknown::Free).contains("the value 101 in cell 1, expected -1 to 100"));
    let refused = refusal(OccupancyGrid { resolution_m: 0.0, ..grid(2, &[0; 4]) }, Unknown::Free);
    assert_eq!(refused, "the grid /map has the resolution 0, expected a finite number above 0");
    assert!(refusal(OccupancyGrid { yaw_rad: f64::NAN, ..grid(2, &[0; 4]) }, Unknown::Free).contains("yaw NaN"));
}

#[test]
fn a_shared_map_is_replaced_for_all_its_holders() {
    let shared = SharedMap::new(&grid(2, &[0, 0]), Unknown::Free).unwrap();
    let (other, before) = (shared.clone(), shared.current().unwrap());
    other.replace(&grid(5, &DOT)).unwrap();
    assert!(shared.current().unwrap().at([2.5, -1.25]).0.abs() < 1e-6);
    // Who has begun with the old field ends with it; a grid that is no use changes nothing.
    assert_eq!(before.at([1.5, -1.75]).0, f64::from(MAX_DISTANCE_M));
    assert!(matches!(other.replace(&grid(2, &[100, 100])), Err(GridError::NoFreeCell { .. })));
    assert!(shared.current().unwrap().at([2.5, -1.25]).0.abs() < 1e-6);
}

#[test]
fn a_moved_map_is_the_same_in_other_coordinates() {
    let field = DistanceField::new(&OccupancyGrid { yaw_rad: 0.3, ..grid(5, &DOT) }, Unknown::Occupied).unwrap();
    // The map's frame lies at (4, 5), a quarter turn: (x, y) of the map is (4 - y, 5 + x).
    let moved = field.moved([4.0, 5.0], std::f64::consts::FRAC_PI_2);
    for [x, y] in [[2.2, -1.3], [1.1, -1.9], [3.0, 0.4], [9.0, 9.0]] {
        let (distance, [dx, dy]) = field.at([x, y]);
        close(moved.at([4.0 - y, 5.0 + x]), distance, [-dy, dx]);
    }
}

/// The distance from a place to the nearest square of cells, in the grid's own axes (no yaw), beyond it included.
fn brute_force(grid: &OccupancyGrid, unknown: Unknown, occupied: bool, place: [f64; 2]) -> f64 {
    let (width, height) = (grid.width as i64, grid.height as i64);
    let mut nearest = f64::INFINITY;
    // Two rings stand for all that lies beyond: the places that are asked for lie within the grid.
    for y in -2..height + 2 {
        for x in -2..width + 2 {
            let inside = (0..width).contains(&x) && (0..height).contains(&y);
            let cell = if inside { grid.cells[(y * width + x) as usize] } else { -1 };
            let is = if cell < 0 { unknown == Unknown::Occupied } else { cell >= OCCUPIED_FROM };
            if is == occupied {
                let centre = |i: i64, axis: usize| grid.origin_m[axis] + (i as f64 + 0.5) * grid.resolution_m;
                let gap =
                    |i: i64, axis: usize| ((place[axis] - centre(i, axis)).abs() - 0.5 * grid.resolution_m).max(0.0);
                nearest = nearest.min(gap(x, 0).hypot(gap(y, 1)));
            }
        }
    }
    nearest
}

fn random_grid() -> impl Strategy<Value = (OccupancyGrid, Unknown)> {
    let cell = prop_oneof![4 => Just(0i8), 2 => Just(100i8), 1 => Just(-1i8)];
    let unknown = prop_oneof![Just(Unknown::Free), Just(Unknown::Occupied)];
    (1..9usize, 1..9usize, unknown).prop_flat_map(move |(width, height, unknown)| {
        prop::collection::vec(cell.clone(), width * height).prop_map(move |mut cells| {
            cells[0] = 0;
            (grid(width, &cells), unknown)
        })
    })
}

proptest! {
    #[test]
    fn at_the_centres_the_signed_distance_is_that_of_brute_force((grid, unknown) in random_grid()) {
        let field = DistanceField::new(&grid, unknown).unwrap();
        for (y, row) in grid.cells.chunks_exact(grid.width).enumerate() {
            for x in 0..row.len() {
                let centre = [1.0 + 0.5 * (x as f64 + 0.5), -2.0 + 0.5 * (y as f64 + 0.5)];
                let to = |occupied| brute_force(&grid, unknown, occupied, centre);
                let expected = (to(true) - to(false)).min(f64::from(MAX_DISTANCE_M));
                let got = field.at(centre).0;
                prop_assert!((got - expected).abs() < 1e-5, "({x}, {y}): {got}, brute force {expected}");
            }
        }
    }

    /// Distances change by at most 1 m a m, so the mean of four centres is off by at most their mean distance from the place,
    /// which is nowhere more than the 0.5 sqrt(2) cells of the middle.
    #[test]
    fn between_the_centres_it_is_off_by_less_than_a_cell((grid, unknown) in random_grid(), u in 0.0..1.0f64, v in 0.0..1.0f64) {
        let field = DistanceField::new(&grid, unknown).unwrap();
        let place = [1.0 + u * 0.5 * grid.width as f64, -2.0 + v * 0.5 * grid.height as f64];
        let to = |occupied| brute_force(&grid, unknown, occupied, place);
        let expected = (to(true) - to(false)).min(f64::from(MAX_DISTANCE_M));
        prop_assert!((field.at(place).0 - expected).abs() <= 0.5 * 0.5 * 2f64.sqrt() + 1e-6);
    }

    /// Against central differences, wherever the step stays between the same centres.
    #[test]
    fn the_gradient_is_that_of_a_finite_difference(
        (grid, unknown) in random_grid(), x in -4.0..9.0f64, y in -6.0..6.0f64, yaw in -3.0..3.0f64,
    ) {
        let field = DistanceField::new(&OccupancyGrid { yaw_rad: yaw, ..grid }, unknown).unwrap();
        let (_, gradient) = field.at([x, y]);
        let step = 1e-5;
        let (right, left) = (field.at([x + step, y]), field.at([x - step, y]));
        let (above, below) = (field.at([x, y + step]), field.at([x, y - step]));
        let jumps = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]) > 1e-3;
        prop_assume!(!jumps(right.1, left.1) && !jumps(above.1, below.1));
        prop_assert!(((right.0 - left.0) / (2.0 * step) - gradient[0]).abs() < 1e-4);
        prop_assert!(((above.0 - below.0) / (2.0 * step) - gradient[1]).abs() < 1e-4);
    }
}
