//! Windows with stays: their law of motion, their kinds, and where robots may be.

use std::path::Path;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use df_data::Recording;
use df_core::Frame;

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

/// A robot that never rests: its action changes its sign with its velocity. `driven`: by that, or by nothing it knows of.
fn dataset(driven: bool) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (mut x, mut v, mut sign) = (0.0, 0.0, 1.0);
    let frames = (0..400).map(|_| {
        let u: f64 = sign * rng.random_range(0.3..1.0);
        let before = v;
        v += if driven { DRAG * v + GAIN * u } else { rng.random_range(-1.0..1.0) };
        x += PERIOD_S * 0.5 * (before + v);
        sign = if v.abs() > 2.0 { -v.signum() } else { sign };
        Frame {
            values: [u, 5.0, x, v].map(|value| value as f32).to_vec(),
            present: vec![true; 4],
            std: Vec::new(),
        }
    });
    let recording: Arc<Recording> = Recording::of(&layout(), vec![(frames.collect(), 1.0)]).unwrap();
    Dataset::split(&recording, 20, PERIOD_S, 0.0, 0).unwrap().0
}

#[test]
fn the_law_of_motion_is_that_of_the_data() {
    let stays = DwellAugmentation::fit(&config(), &dataset(true), &layout()).unwrap().unwrap();
    let close = |got: &[f64], expected: &[f64]| got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4);
    let [axis] = &stays.axes[..] else { panic!("one channel") };
    assert!(close(&axis.rate_law, &[0.0, DRAG, GAIN]), "{:?}", axis.rate_law);
    assert!(close(&axis.position_law, &[0.05, 0.05]), "{:?}", axis.position_law);
}

#[test]
fn windows_in_their_share_end_or_begin_with_a_stay_as_the_robot_can() {
    let dataset = dataset(true);
    let stays = DwellAugmentation::fit(&config(), &dataset, &layout()).unwrap().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut drawn, mut rested, mut followed, mut both, mut near, mut beside) = (0, 0, 0, 0, 0, 0);
    for position in 0..1000 {
        let window = dataset.window(position);
        let Some(stay) = stays.draw(&window, &mut rng) else { continue };
        drawn += 1;
        let frames: Vec<_> = stay.iter().collect();
        assert_eq!(frames.len(), 20);
        // Recorded frames and others, in which the scan is not known: one after the other, or the others throughout.
        let recorded = |k: usize| frames[k].1 == [1; 4];
        let left = (0..20).find(|&k| !recorded(k)).unwrap_or(20);
        for (k, (values, _)) in window.frames().enumerate() {
            assert_eq!(k < left, recorded(k));
            assert!(k >= left || *frames[k].0 == *values);
        }
        for pair in frames[left.saturating_sub(1)..].windows(2) {
            let ([_, _, x, v], [u, _, to, next]) = (pair[0].0, pair[1].0) else { panic!("four channels") };
            let law = |got: f32, expected: f64| (f64::from(got) - expected).abs() < 1e-3;
            let (v, next) = (f64::from(*v), f64::from(*next));
            assert!(u.abs() <= 1.0 && law(next as f32, v + DRAG * v + GAIN * f64::from(*u)));
            assert!(law(*to, f64::from(*x) + PERIOD_S * 0.5 * (v + next)));
        }
        let rests = |frames: &[(&[f32], &[u8])]| frames[17..].iter().all(|(values, _)| values[3].abs() < 0.3);
        assert!(!rests(&window.frames().collect::<Vec<_>>()));
        rested += usize::from(rests(&frames));
        let (last, demonstrated) = (frames[19].0[2], window.frames().nth(19).unwrap().0[2]);
        let apart = (last - frames[0].0[2]).abs();
        let rests_first = left == 0 && frames[0].0[3].abs() < 0.5;
        both += usize::from(rests_first && apart > 0.6 && rests(&frames));
        let of_demonstration = window.frames().skip(1).take(stays.pause).map(|(values, _)| values[2]);
        let nearest = of_demonstration.map(|x| (x - frames[0].0[2]).abs()).fold(f32::INFINITY, f32::min);
        beside += usize::from(rests_first && nearest > 0.15);
        // Soon: a robot that follows its demonstration first would rarely be there.
        let soon = frames[8..].iter().all(|(values, _)| (values[2] - last).abs() < 0.25);
        near += usize::from(rests_first && apart > 0.4 && soon && rests(&frames));
        followed += usize::from(rests_first && (last - demonstrated).abs() < 0.1);
    }
    // A stay keeps within 0.2 m to either side of where it was braked to: these went from one to another. Without those that go
    // straight to a rest within 0.8 m there would be half as many that are soon there.
    assert!(both > 20 && near > 40 && beside > 60, "{both} {near} {beside}");
    // Half of them, less those that would leave where the data have been; the later ones have no time to come to rest.
    assert!((300..560).contains(&drawn) && rested > drawn / 5 && followed > drawn / 5, "{drawn} {rested} {followed}");
}

#[test]
fn no_robot_leaves_where_demonstrations_have_been_and_those_beside_come_back() {
    let dataset = dataset(true);
    let mut stays = DwellAugmentation::fit(&config(), &dataset, &layout()).unwrap().unwrap();
    // As if the demonstrations had only been where x is below that of the middle of the recording.
    let middle = dataset.pairs().nth(200).unwrap()[0].0[2];
    let edge = stays.place(&[0.0, 0.0, middle, 0.0]);
    stays.visited.retain(|place| *place < edge);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut near, mut back) = (0, 0);
    for stay in (0..1000).filter_map(|position| stays.draw(&dataset.window(position), &mut rng)) {
        let rests_first = stay.iter().next().is_some_and(|(_, present)| present[1] == 0);
        let made = stay.iter().filter(|(_, present)| present[1] == 0).map(|(values, _)| stays.place(values) < edge);
        let inside: Vec<bool> = made.collect();
        let comes = inside.iter().position(|&inside| inside).unwrap_or(inside.len());
        assert!((comes == 0 || rests_first) && inside[comes..].iter().all(|&inside| inside), "{inside:?}");
        near += usize::from(comes < inside.len());
        back += usize::from((1..inside.len()).contains(&comes));
    }
    assert!(near > 50 && back > 10, "{near} {back}");
}

#[test]
fn an_action_that_does_not_drive_the_rate_is_refused() {
    let message = DwellAugmentation::fit(&config(), &dataset(false), &layout()).unwrap_err().to_string();
    let expected = "training.dwell_share: 0.5: the action explains";
    assert!(
        message.contains(expected) && message.contains("how `v` changes") && message.contains("c.yaml:10"),
        "{message}"
    );
}
