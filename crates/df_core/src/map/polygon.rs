//! Simple polygons and the signed distance to them.

type Point = [f64; 2];

/// A simple polygon: edges meet only at their common corner.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    edges: Vec<Edge>,
    /// Bounding box.
    min: Point,
    max: Point,
}

#[derive(Clone, Debug, PartialEq)]
struct Edge {
    from: Point,
    along: Point,
    /// `1 / |along|^2`.
    inverse_square: f64,
    /// Unit normal that points outwards.
    outward: Point,
}

/// Why points do not make a simple polygon.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolygonError {
    /// Fewer than three points.
    #[error("a polygon needs at least 3 points, got {got}")]
    TooFew {
        /// What was found.
        got: usize,
    },
    /// A coordinate that is NaN or infinite.
    #[error("point {point} must be finite, got {got:?}")]
    NotFinite {
        /// Index of the point, from 0.
        point: usize,
        /// What was found.
        got: Point,
    },
    /// Two consecutive points are equal.
    #[error("point {point} is the same as the next one")]
    Double {
        /// Index of the point, from 0.
        point: usize,
    },
    /// Two edges intersect.
    #[error("it intersects itself: the edges that begin at points {first} and {second} meet")]
    Crossing {
        /// Index of the point that begins one edge.
        first: usize,
        /// Index of the point that begins the other edge.
        second: usize,
    },
}

impl Polygon {
    /// A polygon from its corners, clockwise or counter-clockwise. The first corner is not repeated at the end.
    ///
    /// # Errors
    /// [`PolygonError`].
    pub fn new(points: &[Point]) -> Result<Self, PolygonError> {
        let n = points.len();
        if n < 3 {
            return Err(PolygonError::TooFew { got: n });
        }
        if let Some(point) = points.iter().position(|p| !p.iter().all(|v| v.is_finite())) {
            return Err(PolygonError::NotFinite { point, got: points[point] });
        }
        if let Some(point) = (0..n).find(|&i| points[i] == points[(i + 1) % n]) {
            return Err(PolygonError::Double { point });
        }
        for first in 0..n {
            for second in first + 1..n {
                let edge = |i: usize| (points[i], points[(i + 1) % n]);
                let meet = if second == first + 1 {
                    folds_back(edge(first), edge(second))
                } else if first == 0 && second == n - 1 {
                    folds_back(edge(second), edge(first))
                } else {
                    touch(edge(first), edge(second))
                };
                if meet {
                    return Err(PolygonError::Crossing { first, second });
                }
            }
        }
        let pairs = || (0..n).map(|i| (points[i], points[(i + 1) % n]));
        // Twice the area, positive where the corners run counter-clockwise (the shoelace formula).
        let sense = pairs().map(|(a, b)| cross(a, b)).sum::<f64>().signum();
        let edge = |(from, to): (Point, Point)| {
            let along = minus(to, from);
            let square = dot(along, along);
            let out = sense / square.sqrt();
            Edge { from, along, inverse_square: 1.0 / square, outward: [along[1] * out, -along[0] * out] }
        };
        let extreme = |pick: fn(f64, f64) -> f64| {
            points.iter().copied().reduce(|a, b| [pick(a[0], b[0]), pick(a[1], b[1])]).unwrap_or_default()
        };
        Ok(Self { edges: pairs().map(edge).collect(), min: extreme(f64::min), max: extreme(f64::max) })
    }

    /// [`Polygon::signed_distance`], or `None` if the distance is more than `reach`.
    pub fn signed_distance_within(&self, reach: f64, at: Point) -> Option<(f64, Point)> {
        let beside = |i: usize| at[i] < self.min[i] - reach || at[i] > self.max[i] + reach;
        if beside(0) || beside(1) {
            return None;
        }
        let (signed, gradient) = self.signed_distance(at);
        (signed <= reach).then_some((signed, gradient))
    }

    /// The distance to the boundary, negative inside, and its gradient. All in the unit of the corners.
    pub fn signed_distance(&self, at: Point) -> (f64, Point) {
        let mut inside = false;
        let mut nearest = (f64::INFINITY, [0.0; 2], [0.0; 2]);
        for edge in &self.edges {
            let offset = minus(at, edge.from);
            let share = (dot(offset, edge.along) * edge.inverse_square).clamp(0.0, 1.0);
            let apart = minus(offset, edge.along.map(|v| v * share));
            let square = dot(apart, apart);
            if square < nearest.0 {
                nearest = (square, apart, edge.outward);
            }
            // Even-odd rule: does the ray to the right cross this edge? The lower end belongs to it, the upper does not.
            let (below, under) = (offset[1] >= 0.0, offset[1] - edge.along[1] >= 0.0);
            if below != under && (cross(edge.along, offset) > 0.0) == below {
                inside = !inside;
            }
        }
        let (square, apart, outward) = nearest;
        let distance = square.sqrt();
        let sign = if inside { -1.0 } else { 1.0 };
        // On the boundary the gradient is the edge's normal.
        let gradient = if distance > 0.0 { apart.map(|v| sign * v / distance) } else { outward };
        (sign * distance, gradient)
    }
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

fn cross(a: Point, b: Point) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

/// Does the second edge, which begins where the first one ends, run back over it?
fn folds_back(first: (Point, Point), second: (Point, Point)) -> bool {
    let (a, b) = (minus(first.1, first.0), minus(second.1, second.0));
    cross(a, b) == 0.0 && dot(a, b) < 0.0
}

/// Have two edges a point in common?
fn touch((a, b): (Point, Point), (c, d): (Point, Point)) -> bool {
    let side = |p: Point, q: Point, r: Point| cross(minus(q, p), minus(r, p));
    let (ac, ad, ca, cb) = (side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b));
    if ac * ad < 0.0 && ca * cb < 0.0 {
        return true;
    }
    let between = |p: Point, q: Point, r: Point| (0..2).all(|i| (p[i].min(q[i])..=p[i].max(q[i])).contains(&r[i]));
    (ac == 0.0 && between(a, b, c))
        || (ad == 0.0 && between(a, b, d))
        || (ca == 0.0 && between(c, d, a))
        || (cb == 0.0 && between(c, d, b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An L: the square [0, 2] x [0, 2] without (1, 2] x (1, 2].
    const L: [Point; 6] = [[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [1.0, 1.0], [1.0, 2.0], [0.0, 2.0]];

    #[test]
    fn distances_and_gradients_of_an_l_shape_are_exact() {
        let clockwise: Vec<Point> = L.iter().rev().copied().collect();
        for polygon in [Polygon::new(&L).unwrap(), Polygon::new(&clockwise).unwrap()] {
            for (at, distance, gradient) in [
                ([0.5, -0.25], 0.25, [0.0, -1.0]),
                ([6.0, 4.0], 5.0, [0.8, 0.6]),     // 3-4-5 from (2, 1)
                ([0.25, 1.0], -0.25, [-1.0, 0.0]), // level with a corner: the ray meets two edges in one point
                ([1.5, 0.9], -0.1, [0.0, 1.0]),
                ([1.5, 1.25], 0.25, [0.0, 1.0]), // in the notch
                ([0.7, 0.6], -0.5, [0.6, 0.8]),  // the inner corner (1, 1) is nearest: (0.3, 0.4) away
                ([2.0, 0.5], 0.0, [1.0, 0.0]),   // on the boundary
                ([-1.0, 0.0], 1.0, [-1.0, 0.0]),
                ([-1.0, 2.0], 1.0, [-1.0, 0.0]),
            ] {
                let (d, g) = polygon.signed_distance(at);
                let close = (d - distance).abs() < 1e-12 && (g[0] - gradient[0]).hypot(g[1] - gradient[1]) < 1e-12;
                assert!(close, "{at:?}: {d} {g:?}");
            }
            assert_eq!(polygon.signed_distance_within(0.2, [0.5, -0.25]), None);
            assert_eq!(polygon.signed_distance_within(0.2, [1.5, 1.25]), None);
            assert!(polygon.signed_distance_within(0.2, [1.5, 1.1]).is_some());
        }
    }

    #[test]
    fn a_polygon_that_is_not_simple_is_refused() {
        let message = |points: &[Point]| Polygon::new(points).unwrap_err().to_string();
        assert_eq!(message(&[[0.0, 0.0], [1.0, 0.0]]), "a polygon needs at least 3 points, got 2");
        assert_eq!(message(&[[0.0, 0.0], [1.0, f64::NAN], [0.0, 1.0]]), "point 1 must be finite, got [1.0, NaN]");
        assert_eq!(message(&[[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]), "point 2 is the same as the next one");
        // A bow tie; an edge through a corner; three points in a row; a spike.
        let crossing = "it intersects itself: the edges that begin at points";
        assert_eq!(message(&[[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), format!("{crossing} 0 and 2 meet"));
        for points in [
            &[[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [1.0, 0.0], [0.0, 2.0]][..],
            &[[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]],
            &[[0.0, 0.0], [2.0, 0.0], [1.0, 0.0], [1.0, 2.0]],
            &[[1.0, 0.0], [2.0, 0.0], [0.0, 0.0], [0.0, 2.0], [1.0, 2.0]],
        ] {
            assert!(message(points).starts_with(crossing), "{points:?}: {}", message(points));
        }
    }

    /// Corners at rising angles around a centre make a simple polygon.
    fn star() -> impl Strategy<Value = Vec<Point>> {
        prop::collection::vec((0.05..0.95f64, 0.2..3.0f64), 3..9).prop_map(|corners| {
            let n = corners.len() as f64;
            let corner = |(i, (angle, radius)): (usize, &(f64, f64))| {
                let angle = std::f64::consts::TAU * (i as f64 + angle) / n;
                [0.3 + radius * angle.cos(), -0.2 + radius * angle.sin()]
            };
            corners.iter().enumerate().map(corner).collect()
        })
    }

    proptest! {
        #[test]
        fn the_signed_distance_equals_that_of_brute_force(points in star(), x in -4.0..4.0f64, y in -4.0..4.0f64) {
            let polygon = Polygon::new(&points).unwrap();
            let (signed, gradient) = polygon.signed_distance([x, y]);
            let pairs: Vec<_> = (0..points.len()).map(|i| (points[i], points[(i + 1) % points.len()])).collect();
            // Distance: to many points of the boundary. An edge is at most 6 long, so half a step at most 0.003.
            let steps = 1000;
            let brute = pairs.iter().flat_map(|(a, b)| (0..=steps).map(move |i| {
                let share = f64::from(i) / f64::from(steps);
                (x - a[0] - share * (b[0] - a[0])).hypot(y - a[1] - share * (b[1] - a[1]))
            })).fold(f64::INFINITY, f64::min);
            prop_assert!(signed.abs() <= brute + 1e-12 && brute - signed.abs() < 3.1e-3, "{signed} {brute}");
            // Sign: the angles under which the edges are seen add up to a whole turn inside and to nothing outside.
            let turn = |(a, b): &(Point, Point)| {
                let (a, b) = (minus(*a, [x, y]), minus(*b, [x, y]));
                cross(a, b).atan2(dot(a, b))
            };
            let turns = pairs.iter().map(turn).sum::<f64>() / std::f64::consts::TAU;
            prop_assert!(signed.abs() < 1e-9 || (turns.abs() > 0.5) == (signed < 0.0), "{signed} {turns}");
            prop_assert!((gradient[0].hypot(gradient[1]) - 1.0).abs() < 1e-9);
            // A step against the gradient to the boundary ends on it.
            let (rest, _) = polygon.signed_distance([x - signed * gradient[0], y - signed * gradient[1]]);
            prop_assert!(rest.abs() < 1e-9, "{rest}");
            // `signed_distance_within` agrees with `signed_distance`.
            let near = polygon.signed_distance_within(0.5, [x, y]);
            prop_assert_eq!(near, (signed <= 0.5).then_some((signed, gradient)));
        }
    }
}
