//! The fitted law of motion, the kinds of augmented windows, and the area that simulated robots keep to.

use std::path::Path;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use df_core::Frame;
use df_data::Recording;

const PERIOD_S: f64 = 0.1;
const GAIN: f64 = 0.8;
const DRAG: f64 = -0.1;

fn config() -> TrainerConfig {
    let text = "
period_s: 0.1
frame_stack: 1
observations:
  scan: {topic: s, type: p/msg/S, fields: [r], max_age_s: 1}
  position: {topic: x, type: p/msg/X, fields: [x], max_age_s: 1}
  velocity: {topic: x, type: p/msg/X, fields: [v], max_age_s: 1}
action: {topic: u, type: p/msg/X, fields: [x], min: [-1], max: [1], safe: [0], max_age_s: 1}
goal: {topic: g, type: p/msg/X, fields: [x], group: position, rate: velocity, tolerance: 0.4}
training: {dwell_share: 0.5}
";
    TrainerConfig::parse(text, Path::new("c.yaml")).unwrap()
}

fn layout() -> Layout {
    let names = [("action", "u"), ("scan", "r"), ("position", "x"), ("velocity", "v")];
    Layout::new(1, names.map(|(name, field)| (name.to_string(), vec![field.to_string()])))
}

/// A robot that never rests. If `is_driven`, its action drives its velocity; if not, the velocity changes at random.
fn dataset(is_driven: bool) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut x, mut v, mut sign) = (0.0, 0.0, 1.0);
    let frames = (0..400).map(|_| {
        let u: f64 = sign * rng.random_range(0.3..1.0);
        let before = v;
        v += if is_driven { DRAG * v + GAIN * u } else { rng.random_range(-1.0..1.0) };
        x += PERIOD_S * 0.5 * (before + v);
        sign = if v.abs() > 2.0 { -v.signum() } else { sign };
        Frame { values: [u, 5.0, x, v].map(|value| value as f32).to_vec(), present: vec![true; 4], std: Vec::new() }
    });
    let recording: Arc<Recording> = Recording::of(&layout(), vec![(frames.collect(), 1.0)]).unwrap();
    Dataset::split(&recording, 20, PERIOD_S, 0.0, 0).unwrap().0
}

#[test]
fn the_fit_recovers_the_law_of_motion_of_the_data() {
    let augmentation = DwellAugmentation::fit(&config(), &dataset(true), &layout()).unwrap().unwrap();
    let close = |got: &[f64], expected: &[f64]| got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
    let [axis] = &augmentation.axes[..] else { panic!("one channel") };
    assert!(close(&axis.rate_law, &[0.0, DRAG, GAIN]), "{:?}", axis.rate_law);
    assert!(close(&axis.position_law, &[0.05, 0.05]), "{:?}", axis.position_law);
}

#[test]
fn augmented_windows_obey_the_law_of_motion_and_are_of_all_four_kinds() {
    let dataset = dataset(true);
    let augmentation = DwellAugmentation::fit(&config(), &dataset, &layout()).unwrap().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut augmented, mut rests_last_count, mut follows_count, mut both, mut straight, mut beside) =
        (0, 0, 0, 0, 0, 0);
    for position in 0..1000 {
        let window = dataset.window(position);
        let Some(augmented_frames) = augmentation.draw(&window, &mut rng) else { continue };
        augmented += 1;
        let frames: Vec<_> = augmented_frames.iter().collect();
        assert_eq!(frames.len(), 20);
        // The scan is missing in simulated frames. Recorded frames come first, if there are any.
        let is_recorded = |k: usize| frames[k].1 == [1; 4];
        let leave = (0..20).find(|&k| !is_recorded(k)).unwrap_or(20);
        for (k, (values, _)) in window.frames().enumerate() {
            assert_eq!(k < leave, is_recorded(k));
            assert!(k >= leave || *frames[k].0 == *values);
        }
        for pair in frames[leave.saturating_sub(1)..].windows(2) {
            let ([_, _, x, v], [u, _, to, next]) = (pair[0].0, pair[1].0) else { panic!("four channels") };
            let is_close = |got: f32, expected: f64| (f64::from(got) - expected).abs() < 1e-3;
            let (v, next) = (f64::from(*v), f64::from(*next));
            assert!(u.abs() <= 1.0 && is_close(next as f32, v + DRAG * v + GAIN * f64::from(*u)));
            assert!(is_close(*to, f64::from(*x) + PERIOD_S * 0.5 * (v + next)));
        }
        let rests = |frames: &[(&[f32], &[u8])]| frames[17..].iter().all(|(values, _)| values[3].abs() < 0.3);
        assert!(!rests(&window.frames().collect::<Vec<_>>()));
        rests_last_count += usize::from(rests(&frames));
        let (last, demonstrated) = (frames[19].0[2], window.frames().nth(19).unwrap().0[2]);
        let apart = (last - frames[0].0[2]).abs();
        let rests_first = leave == 0 && frames[0].0[3].abs() < 0.5;
        both += usize::from(rests_first && apart > 0.6 && rests(&frames));
        let of_demonstration = window.frames().skip(1).take(augmentation.max_start_rest).map(|(values, _)| values[2]);
        let nearest = of_demonstration.map(|x| (x - frames[0].0[2]).abs()).fold(f32::INFINITY, f32::min);
        beside += usize::from(rests_first && nearest > 0.15);
        // A robot that follows its demonstration first is rarely there so soon.
        let is_there_soon = frames[8..].iter().all(|(values, _)| (values[2] - last).abs() < 0.25);
        straight += usize::from(rests_first && apart > 0.4 && is_there_soon && rests(&frames));
        follows_count += usize::from(rests_first && (last - demonstrated).abs() < 0.1);
    }
    // A rest keeps within 0.2 m of the braking point, so robots counted in `both` went from one rest to another.
    // Without the robots that drive straight to a rest within 0.8 m, `straight` would be about half as large.
    assert!(both > 20 && straight > 40 && beside > 60, "{both} {straight} {beside}");
    // Half of the windows, less those in which the robot would leave the visited area. A robot that leaves late has no
    // time to come to rest.
    assert!(
        (300..560).contains(&augmented) && rests_last_count > augmented / 5 && follows_count > augmented / 5,
        "{augmented} {rests_last_count} {follows_count}"
    );
}

#[test]
fn robots_stay_in_the_visited_area_and_robots_outside_return_to_it() {
    let dataset = dataset(true);
    let mut augmentation = DwellAugmentation::fit(&config(), &dataset, &layout()).unwrap().unwrap();
    // Pretend that demonstrations visited only places with x below that of the middle of the recording.
    let middle = dataset.pairs().nth(200).unwrap()[0].0[2];
    let edge = augmentation.box_of(&[0.0, 0.0, middle, 0.0]);
    augmentation.visited.retain(|visited| *visited < edge);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut in_area, mut returned) = (0, 0);
    for frames in (0..1000).filter_map(|position| augmentation.draw(&dataset.window(position), &mut rng)) {
        let rests_first = frames.iter().next().is_some_and(|(_, present)| present[1] == 0);
        let simulated =
            frames.iter().filter(|(_, present)| present[1] == 0).map(|(values, _)| augmentation.box_of(values) < edge);
        let inside: Vec<bool> = simulated.collect();
        let arrival = inside.iter().position(|&inside| inside).unwrap_or(inside.len());
        assert!((arrival == 0 || rests_first) && inside[arrival..].iter().all(|&inside| inside), "{inside:?}");
        in_area += usize::from(arrival < inside.len());
        returned += usize::from((1..inside.len()).contains(&arrival));
    }
    assert!(in_area > 50 && returned > 10, "{in_area} {returned}");
}

#[test]
fn demonstrations_whose_action_does_not_drive_the_rate_are_refused() {
    let message = DwellAugmentation::fit(&config(), &dataset(false), &layout()).unwrap_err().to_string();
    let expected = "training.dwell_share: 0.5: the action explains";
    assert!(
        message.contains(expected) && message.contains("how `v` changes") && message.contains("c.yaml:10"),
        "{message}"
    );
}
