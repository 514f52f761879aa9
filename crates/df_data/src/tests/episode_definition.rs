//! The assembler against the definition of episodes, evaluated with all samples at hand.

use super::*;
use df_core::{Aligner, Frame};

/// A sample: stream (0 is the action), stamp in milliseconds, value.
type Given = (usize, i64, i8);

/// Runs of ascending stamps without a larger step than `gap`.
fn runs(mut stamps: Vec<i64>, gap: i64) -> Vec<(i64, i64)> {
    stamps.sort_unstable();
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for stamp in stamps {
        match runs.last_mut() {
            Some((_, last)) if stamp - *last <= gap => *last = stamp,
            _ => runs.push((stamp, stamp)),
        }
    }
    runs
}

/// The episodes of samples between two jumps of time, as the documentation of `read_frames` defines them.
fn by_definition(config: &DataConfig, layout: &Layout, samples: &[Given]) -> Vec<(i64, Vec<Frame>)> {
    let groups = &config.contract.observations;
    let required: Vec<usize> = (0..groups.len()).filter(|&g| groups[g].required).collect();
    let period = config.contract.period_ns();
    let gap = (config.max_gap_s * 1e9) as i64;
    let stamps = |of: &dyn Fn(usize) -> bool| {
        samples.iter().filter(|(stream, ..)| of(*stream)).map(|(_, t, _)| t * MS).collect::<Vec<_>>()
    };
    let mut live = vec![(i64::MIN, i64::MAX)];
    let each: Vec<Vec<(i64, i64)>> = match required.as_slice() {
        [] => vec![runs(stamps(&|stream| stream > 0), gap)],
        required => required.iter().map(|&g| runs(stamps(&|stream| stream == g + 1), gap)).collect(),
    };
    for own in each {
        let both = live.iter().flat_map(|a| own.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
        live = both.filter(|(start, end)| start <= end).collect();
        live.sort_unstable();
    }
    let age = required.iter().map(|&g| (groups[g].max_age_s * 1e9) as i64).max().unwrap_or(0);
    let mut episodes = Vec::new();
    for (i, &(start, end)) in live.iter().enumerate() {
        let next = live.get(i + 1).map_or(i64::MAX, |next| next.0);
        let mut frames: Vec<(i64, Frame)> = Vec::new();
        let mut tick = start;
        while tick <= (end + age).min(next - 1) {
            // An aligner of its own for each tick: nothing depends on what was asked for before.
            let mut aligner = Aligner::new(&config.contract, layout);
            for &(stream, t, value) in samples.iter().filter(|(_, t, _)| t * MS <= tick) {
                let values = vec![f64::from(value); 2];
                match stream {
                    0 => aligner.command(t * MS, &values),
                    _ => aligner.observe(stream - 1, t * MS, &values),
                }
            }
            frames.push((tick, aligner.frame_at(tick)));
            tick += period;
        }
        let whole = |(_, frame): &(i64, Frame)| required.iter().all(|&g| frame.present[g + 1]);
        let Some(first) = frames.iter().position(whole) else { continue };
        let last = frames.iter().rposition(whole).unwrap();
        let frames = &frames[first..=last];
        episodes.push((frames[0].0, frames.iter().map(|(_, frame)| frame.clone()).collect()));
    }
    episodes
}

fn assembled(config: &DataConfig, layout: &Layout, samples: &[Given]) -> (Vec<(i64, Vec<Frame>)>, u64) {
    let mut episodes: Vec<(i64, Vec<Frame>)> = Vec::new();
    let mut to = |step: TickFrame| {
        if step.starts_episode {
            episodes.push((step.tick_ns, Vec::new()));
        }
        episodes.last_mut().unwrap().1.push(step.frame);
    };
    let mut assembler = assemble::Assembler::new(config, layout, &mut to);
    for &(stream, t, value) in samples {
        let stream = if stream == 0 { StreamId::Action } else { StreamId::Observation(stream - 1) };
        assembler.add(SourceEvent::Sample { stream, stamp_ns: t * MS, values: &[f64::from(value); 2] });
    }
    let late = assembler.finish().unwrap().late;
    (episodes, late)
}

/// Samples in the order of recording: ascending, but for a skew of up to 150 ms between streams; a stream itself
/// ascends.
fn recorded() -> impl Strategy<Value = Vec<Given>> {
    // A few hundred samples, so that the assembler looks at what is complete in between.
    let sample = (0usize..3, 1i64..40, -9i8..9, prop::bool::weighted(0.02));
    (prop::collection::vec(sample, 0..900), [0i64..150, 0i64..150, 0i64..150]).prop_map(|(samples, skew)| {
        let mut now = 0;
        let given = |(stream, step, value, pause): (usize, i64, i8, bool)| {
            now += if pause { 700 } else { step };
            (stream, now - skew[stream], value)
        };
        samples.into_iter().map(given).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn assembled_frames_match_the_definition_of_episodes(samples in recorded(), required: [bool; 2]) {
        let mut contract = Contract::new(&[]);
        contract.config.contract.observations.iter_mut().zip(required).for_each(|(group, required)| group.required = required);
        contract.config.max_skew_s = 0.4;
        let expected = by_definition(&contract.config, &contract.layout, &samples);
        let (got, late) = assembled(&contract.config, &contract.layout, &samples);
        prop_assert_eq!(late, 0);
        prop_assert_eq!(got, expected);
    }
}

#[test]
fn samples_that_come_too_late_are_counted_and_memory_is_bounded() {
    let mut contract = Contract::new(&[]);
    contract.config.max_skew_s = 1.0;
    // Position at 1 kHz; velocity stamped 5 s behind it: of no use, but no reason to keep 100 s of positions either.
    let samples: Vec<Given> = (0..100_000).flat_map(|t| [(1, t, 1), (2, t - 5000, 2)]).collect();
    let (episodes, late) = assembled(&contract.config, &contract.layout, &samples);
    assert!(late > 90_000 && episodes.len() <= 1, "{late} late, {} episodes", episodes.len());
}
