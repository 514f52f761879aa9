//! The buffer against identities and direct composition.

use std::f64::consts::PI;

use nalgebra::{Isometry3, Point3, Translation3, UnitQuaternion, Vector3};
use proptest::prelude::*;

use super::buffer::MAX_FRAMES;
use super::edge::MAX_SAMPLES;
use super::*;

const S: i64 = 1_000_000_000;
const STILL: [f64; 4] = [0.0, 0.0, 0.0, 1.0];

fn buffer() -> Buffer {
    Buffer::new(10.0)
}

/// At `stamp_ns`, published then.
fn put(buffer: &mut Buffer, parent: &str, child: &str, stamp_ns: i64, place: Isometry3<f64>) {
    let transform = of(parent, child, stamp_ns, place);
    buffer.insert(transform, false, stamp_ns).unwrap();
}

fn of(parent: &str, child: &str, stamp_ns: i64, place: Isometry3<f64>) -> Transform {
    let q = place.rotation.quaternion();
    let t = place.translation;
    Transform::new(parent, child, stamp_ns, [t.x, t.y, t.z], [q.i, q.j, q.k, q.w]).unwrap()
}

/// m, rad.
fn planar(x: f64, y: f64, yaw: f64) -> Isometry3<f64> {
    Isometry3::new(Vector3::new(x, y, 0.0), Vector3::z() * yaw)
}

fn assert_same(a: &Isometry3<f64>, b: &Isometry3<f64>) {
    let difference = a.inverse() * b;
    let size = difference.translation.vector.norm() + difference.rotation.angle();
    assert!(size < 1e-9, "{a} is not {b}");
}

#[test]
fn half_way_between_two_samples() {
    let mut buffer = buffer();
    put(&mut buffer, "map", "base", S, planar(1.0, 0.0, 0.0));
    put(&mut buffer, "map", "base", 3 * S, planar(3.0, 4.0, PI / 2.0));
    // At 2 s: (1 + 3) / 2 = 2, (0 + 4) / 2 = 2, half of a quarter turn.
    let map_from_base = buffer.lookup("map", "base", When::At(2 * S)).unwrap();
    assert_same(&map_from_base, &planar(2.0, 2.0, PI / 4.0));
    // A quarter of the way: 1 + 0.5, 0 + 1.
    assert_same(&buffer.lookup("map", "base", When::At(S + S / 2)).unwrap(), &planar(1.5, 1.0, PI / 8.0));
    assert_same(&buffer.lookup("map", "base", When::Newest).unwrap(), &planar(3.0, 4.0, PI / 2.0));
    // One metre ahead of the base, which looks along y at last: (3, 4) + (0, 1).
    let ahead = buffer.lookup("map", "base", When::At(3 * S)).unwrap() * Point3::new(1.0, 0.0, 0.0);
    assert!((ahead - Point3::new(3.0, 5.0, 0.0)).norm() < 1e-12);
    // The short way round: from 170 to -170 degrees over 180.
    let mut buffer = Buffer::new(10.0);
    put(&mut buffer, "map", "base", S, planar(0.0, 0.0, 170f64.to_radians()));
    put(&mut buffer, "map", "base", 3 * S, planar(0.0, 0.0, -170f64.to_radians()));
    assert_same(&buffer.lookup("map", "base", When::At(2 * S)).unwrap(), &planar(0.0, 0.0, PI));
}

#[test]
fn nothing_is_extrapolated_and_the_missing_piece_is_named() {
    let mut buffer = buffer();
    put(&mut buffer, "map", "odom", 5 * S, planar(1.0, 0.0, 0.0));
    put(&mut buffer, "odom", "base", 5 * S, planar(1.0, 0.0, 0.0));
    put(&mut buffer, "odom", "base", 7 * S, planar(3.0, 0.0, 0.0));
    let message = |when| buffer.lookup("map", "base", when).unwrap_err().to_string();
    // 6.5 s - 5 s.
    assert_eq!(
        message(When::At(6 * S + S / 2)),
        "map_from_base: the newest map_from_odom is 1.500 s older than the time asked for, 6.500 s"
    );
    assert_eq!(
        message(When::At(4 * S)),
        "map_from_base: the oldest odom_from_base is 1.000 s newer than the time asked for, 4.000 s"
    );
    // The newest common time is that of map_from_odom, 5 s.
    assert_same(&buffer.lookup("map", "base", When::Newest).unwrap(), &planar(2.0, 0.0, 0.0));
    assert!(matches!(
        buffer.lookup("camera", "base", When::Newest),
        Err(LookupError::Unknown { missing, .. }) if missing == "camera"
    ));
    put(&mut buffer, "world", "camera", 7 * S, planar(0.0, 0.0, 0.0));
    let error = buffer.lookup("map", "camera", When::Newest).unwrap_err();
    assert_eq!(
        error.to_string(),
        "map_from_camera: no transform connects them; one lies in `map`, the other in `world`"
    );
}

#[test]
fn a_static_transform_holds_at_any_time() {
    let mut buffer = buffer();
    buffer.insert(of("base", "laser", 0, planar(0.5, 0.0, PI)), true, 9 * S).unwrap();
    put(&mut buffer, "odom", "base", 9 * S, planar(1.0, 2.0, 0.0));
    for when in [When::At(9 * S), When::Newest] {
        assert_same(&buffer.lookup("odom", "laser", when).unwrap(), &planar(1.5, 2.0, PI));
    }
    assert_same(&buffer.lookup("laser", "base", When::At(-S)).unwrap(), &planar(0.5, 0.0, PI).inverse());
    assert!(matches!(buffer.lookup("odom", "laser", When::At(8 * S)), Err(LookupError::TooOld { .. })));
    // The transform from an unknown frame to itself is the identity.
    assert_same(&buffer.lookup("moon", "moon", When::Newest).unwrap(), &Isometry3::identity());
}

#[test]
fn a_loop_is_refused_and_a_frame_can_change_its_parent() {
    let mut buffer = buffer();
    put(&mut buffer, "a", "b", S, planar(1.0, 0.0, 0.0));
    put(&mut buffer, "b", "c", S, planar(1.0, 0.0, 0.0));
    let error = buffer.insert(of("c", "a", S, Isometry3::identity()), false, S).unwrap_err();
    assert_eq!(error.to_string(), "c_from_a closes a loop: c already lies in a");
    assert!(matches!(Transform::new("a", "/a", S, [0.0; 3], STILL), Err(TransformError::OwnParent { .. })));
    assert_same(&buffer.lookup("a", "c", When::Newest).unwrap(), &planar(2.0, 0.0, 0.0));
    // c leaves b for a: what was known of b_from_c is gone.
    let moved = buffer.insert(of("a", "c", 2 * S, planar(5.0, 0.0, 0.0)), false, 2 * S).unwrap();
    assert_eq!(moved, Inserted::Reparented { from: "b".into() });
    assert_same(&buffer.lookup("a", "c", When::Newest).unwrap(), &planar(5.0, 0.0, 0.0));
    // 5 - 1, at the newest time that a_from_b and a_from_c have in common: there is none, b is known at 1 s only.
    assert!(matches!(
        buffer.lookup("b", "c", When::Newest),
        Err(LookupError::TooOld { child, .. }) if child == "c"
    ));
    put(&mut buffer, "a", "b", 2 * S, planar(1.0, 0.0, 0.0));
    assert_same(&buffer.lookup("b", "c", When::Newest).unwrap(), &planar(4.0, 0.0, 0.0));
}

#[test]
fn the_window_and_the_memory_are_bounded() {
    let mut buffer = buffer();
    for i in 0..=12 {
        put(&mut buffer, "map", "base", i * S, planar(i as f64, 0.0, 0.0));
    }
    // 12 s - 10 s.
    assert!(buffer.lookup("map", "base", When::At(2 * S)).is_ok());
    assert!(matches!(buffer.lookup("map", "base", When::At(2 * S - 1)), Err(LookupError::TooOld { .. })));
    let old = buffer.insert(of("map", "base", S, planar(0.0, 0.0, 0.0)), false, 12 * S).unwrap_err();
    assert_eq!(old.to_string(), "map_from_base: 11.000 s older than the newest one, expected at most 10 s");
    // A late sample within the window is inserted by its stamp.
    let late = of("map", "base", 11 * S + S / 2, planar(100.0, 0.0, 0.0));
    buffer.insert(late, false, 12 * S).unwrap();
    // Half way from 11 at 11 s to 100 at 11.5 s.
    assert_same(&buffer.lookup("map", "base", When::At(11 * S + S / 4)).unwrap(), &planar(55.5, 0.0, 0.0));
    // One stamp from the far future must not drop all other samples.
    let ahead = buffer.insert(of("map", "base", 100 * S, planar(0.0, 0.0, 0.0)), false, 12 * S).unwrap_err();
    assert_eq!(ahead.to_string(), "map_from_base: stamped 88.000 s ahead of the clock, expected at most 10 s");

    let mut buffer = Buffer::new(10.0);
    let count = MAX_SAMPLES as i64 + 5;
    for i in 0..count {
        put(&mut buffer, "map", "base", i, planar(0.0, 0.0, 0.0));
    }
    assert!(buffer.lookup("map", "base", When::At(count - MAX_SAMPLES as i64)).is_ok());
    assert!(buffer.lookup("map", "base", When::At(count - MAX_SAMPLES as i64 - 1)).is_err());

    let mut buffer = Buffer::new(10.0);
    for i in 0..MAX_FRAMES {
        put(&mut buffer, "map", &format!("f{i}"), S, planar(0.0, 0.0, 0.0));
    }
    let full = buffer.insert(of("map", "more", S, planar(0.0, 0.0, 0.0)), false, S).unwrap_err();
    assert!(matches!(full, TransformError::Full { .. }), "{full}");
    put(&mut buffer, "map", "f0", 2 * S, planar(0.0, 0.0, 0.0));
}

#[test]
fn time_that_goes_backwards_clears_all_but_static_transforms() {
    let mut buffer = buffer();
    put(&mut buffer, "map", "base", 100 * S, planar(1.0, 0.0, 0.0));
    buffer.insert(of("base", "laser", 0, planar(1.0, 0.0, 0.0)), true, 100 * S).unwrap();
    put(&mut buffer, "map", "base", 3 * S, planar(7.0, 0.0, 0.0));
    assert_same(&buffer.lookup("map", "laser", When::Newest).unwrap(), &planar(8.0, 0.0, 0.0));
    buffer.set_time(2 * S);
    assert!(matches!(buffer.lookup("map", "laser", When::Newest), Err(LookupError::Unknown { .. })));
}

#[test]
fn an_invalid_transform_is_refused() {
    let refusal = |parent, child, at, q| Transform::new(parent, child, 0, at, q).unwrap_err().to_string();
    assert_eq!(
        refusal("a", "b", [0.0, f64::NAN, 0.0], STILL),
        "a_from_b: the translation is NaN, expected a finite number"
    );
    assert_eq!(
        refusal("a", "b", [0.0; 3], [0.0, 0.0, f64::INFINITY, 1.0]),
        "a_from_b: the rotation is inf, expected a finite number"
    );
    assert_eq!(
        refusal("a", "b", [0.0; 3], [0.0; 4]),
        "a_from_b: the quaternion has the norm 0, expected 1 within 0.01"
    );
    assert_eq!(refusal("", "b", [0.0; 3], STILL), "frame ``: the name is empty");
    assert_eq!(refusal("a", "//b", [0.0; 3], STILL), "frame `/b`: a name has no leading slash in tf2");
    // Nearly a rotation: normalised.
    let near = Transform::new("/a", "b", 0, [0.0; 3], [0.0, 0.0, 0.0, 1.005]).unwrap();
    assert_eq!((near.parent.as_str(), near.parent_from_child), ("a", Isometry3::identity()));
    let error = buffer().lookup("/map", "base", When::Newest).unwrap_err().to_string();
    assert_eq!(error, "frame `/map`: a name has no leading slash in tf2");
}

fn isometry() -> impl Strategy<Value = Isometry3<f64>> {
    (prop::array::uniform3(-10.0..10.0), prop::array::uniform3(-3.0..3.0)).prop_map(|(t, r)| {
        let [x, y, z] = t;
        Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_scaled_axis(Vector3::from(r)))
    })
}

proptest! {
    /// A random tree: frame i lies in one of those before it. Every pair of frames against the product along the way, and
    /// against the way back.
    #[test]
    fn the_transform_between_any_two_frames_is_the_product_along_the_path(
        places in prop::collection::vec((isometry(), any::<prop::sample::Index>(), any::<bool>()), 1..8),
        pair in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let mut buffer = buffer();
        let mut root_from = vec![Isometry3::identity()];
        for (i, (place, parent, is_static)) in places.iter().enumerate() {
            let parent = parent.index(i + 1);
            buffer.insert(of(&format!("f{parent}"), &format!("f{}", i + 1), S, *place), *is_static, S).unwrap();
            root_from.push(root_from[parent] * place);
        }
        let (a, b) = (pair.0.index(root_from.len()), pair.1.index(root_from.len()));
        let (name_a, name_b) = (format!("f{a}"), format!("f{b}"));
        let a_from_b = buffer.lookup(&name_a, &name_b, When::At(S)).unwrap();
        assert_same(&a_from_b, &(root_from[a].inverse() * root_from[b]));
        let b_from_a = buffer.lookup(&name_b, &name_a, When::Newest).unwrap();
        assert_same(&(a_from_b * b_from_a), &Isometry3::identity());
    }

    /// Random transforms in random order give no loop and no panic, and every result is a rotation.
    #[test]
    fn random_transforms_never_break_the_tree(
        coming in prop::collection::vec((0..5usize, 0..5usize, -20..20i64, isometry(), any::<bool>()), 0..40),
        asked in (0..5usize, 0..5usize, -20..20i64),
    ) {
        let mut buffer = buffer();
        for (parent, child, at_s, place, is_static) in coming {
            if parent != child {
                let transform = of(&format!("f{parent}"), &format!("f{child}"), at_s * S, place);
                let _ = buffer.insert(transform, is_static, 20 * S);
            }
        }
        let (a, b, at_s) = (format!("f{}", asked.0), format!("f{}", asked.1), asked.2);
        for when in [When::Newest, When::At(at_s * S)] {
            if let Ok(a_from_b) = buffer.lookup(&a, &b, when) {
                prop_assert!((a_from_b.rotation.quaternion().norm() - 1.0).abs() < 1e-6);
                let back = buffer.lookup(&b, &a, when).unwrap();
                assert_same(&(a_from_b * back), &Isometry3::identity());
            }
        }
    }
}
