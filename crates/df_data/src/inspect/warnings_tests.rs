//! Each warning from numbers that call for it, and none from those that do not.

use std::path::{Path, PathBuf};

use super::super::report::InputReport;
use super::*;
use crate::{BagError, EpisodeReport, Location};

const POINT_MAZE: &str = include_str!("../../../../config/point_maze.yaml");

fn config() -> DataConfig {
    DataConfig::parse(POINT_MAZE, Path::new("c.yaml")).unwrap()
}

/// 1,000 values between -1 and 1 without trouble.
fn channel() -> ChannelSummary {
    ChannelSummary {
        label: "x".into(),
        count: 1000,
        min: -1.0,
        max: 1.0,
        std: 0.5,
        percentiles: [-0.9, -0.8, 0.0, 0.8, 0.9],
        at_extremes: [0.001, 0.001],
        at_limits: Some([0.0, 0.0]),
        ..ChannelSummary::default()
    }
}

/// Every 50 ms, which is the period of the contract.
fn clock() -> RateSummary {
    RateSummary {
        messages: 1000,
        has_stamps: true,
        median_period_s: 0.05,
        period_p5_s: 0.049,
        period_p95_s: 0.051,
        period_p999_s: 0.06,
        age_s: Some([0.001, 0.0, 0.002]),
        ..RateSummary::default()
    }
}

/// The action (x, y of the force), the position and the velocity of the shipped contract.
fn report() -> ContractReport {
    let stream = |name: &str| StreamReport {
        name: name.into(),
        max_age_s: 0.1,
        clock: clock(),
        channels: vec![channel(), channel()],
        ..StreamReport::default()
    };
    let coverage = WindowCoverage {
        window: 128,
        windows: 100,
        possible_windows: 104,
        lost_to_cuts: 4,
        ..WindowCoverage::default()
    };
    ContractReport {
        period_s: 0.05,
        coverage,
        streams: ["action", "position", "velocity"].map(stream).into(),
        ..ContractReport::default()
    }
}

fn found(change: impl FnOnce(&mut ContractReport)) -> Vec<(WarningKind, String)> {
    let mut report = report();
    change(&mut report);
    let warnings = of_contract(&report, &config());
    warnings.into_iter().map(|Warning { kind, about, text }| (kind, format!("{about}: {text}"))).collect()
}

/// The one warning that a change calls for.
fn only(change: impl FnOnce(&mut ContractReport)) -> (WarningKind, String) {
    let all = found(change);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

#[test]
fn sound_data_give_no_warnings() {
    // 4 of 104 windows are 3.8 %.
    assert_eq!(found(|_| ()), []);
}

#[test]
fn constant_and_saturated_channels_are_warned_of() {
    let (kind, text) =
        only(|r| r.streams[1].channels[1] = ChannelSummary { min: 2.0, max: 2.0, std: 0.0, mean: 2.0, ..channel() });
    assert_eq!(
        (kind, text.as_str()),
        (WarningKind::Constant, "position x: is 2 throughout: nothing can be learnt from it")
    );
    let (kind, text) = only(|r| r.streams[0].channels[0].at_limits = Some([0.02, 0.123]));
    assert_eq!(kind, WarningKind::Saturated);
    assert_eq!(text, "action x: is at its limit action.max = 4 for 12.3 % of the time");
    // At its own greatest value, within the limits.
    let (kind, text) = only(|r| r.streams[0].channels[0].at_extremes = [0.0, 0.3]);
    assert_eq!(kind, WarningKind::Saturated);
    assert_eq!(
        text,
        "action x: is at its greatest value 1 for 30.0 % of the time, within its limits -4 to 4: what limits it?"
    );
    // An observation may rest where it is.
    assert_eq!(found(|r| r.streams[1].channels[0].at_extremes = [0.0, 0.3]), []);
    let (kind, text) = only(|r| (r.streams[0].channels[0].min, r.streams[0].channels[0].std) = (-4.5, 1.0));
    assert_eq!((kind, text.as_str()), (WarningKind::BeyondLimits, "action x: reaches -4.5, beyond its limits -4 to 4"));
}

#[test]
fn clocks_that_jump_or_go_back_are_warned_of() {
    let back = |farthest_back_s| {
        move |r: &mut ContractReport| {
            (r.streams[1].clock.backward, r.streams[1].clock.farthest_back_s) = (20, farthest_back_s);
        }
    };
    // 20 of 1,000 messages.
    let (kind, text) = only(back(0.02));
    assert_eq!(
        (kind, text.as_str()),
        (WarningKind::NotMonotone, "position: stamps go back 20 times, by up to 20 ms (2.0 % of 1000 messages)")
    );
    assert_eq!(only(back(5.0)).0, WarningKind::ClockJump);
    assert_eq!(only(|r| r.streams[1].clock.log_backward = 1).0, WarningKind::ClockJump);
    // Ages from 0 to 2 s: the clocks drift apart.
    assert_eq!(only(|r| r.streams[1].clock.age_s = Some([1.0, 0.0, 2.0])).0, WarningKind::ClockJump);
    let jumps = InputReport {
        path: PathBuf::from("bag"),
        read: EpisodeReport { splits_at_jumps: 2, ..EpisodeReport::default() },
        ..InputReport::default()
    };
    let (kind, text) = only(|r| r.inputs.push(jumps));
    assert_eq!(
        (kind, text.as_str()),
        (WarningKind::ClockJump, "bag: time jumps back 2 times: each time an episode ends")
    );
    // 1.1 % of the stamps are those before again.
    assert_eq!(only(|r| r.streams[1].clock.duplicates = 11).0, WarningKind::Held);
}

#[test]
fn slow_topics_and_too_small_maximum_ages_are_warned_of() {
    // 0.2 s are four ticks; then a maximum age of 0.1 s is too small as well.
    let slow = found(|r| (r.streams[1].clock.median_period_s, r.streams[1].max_age_s) = (0.2, 0.4));
    assert_eq!(
        slow,
        [(
            WarningKind::SlowTopic,
            "position: comes every 200 ms, 4.0 ticks: most ticks see the sample before again".into()
        )]
    );
    let both: Vec<WarningKind> =
        found(|r| r.streams[1].clock.median_period_s = 0.2).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(both, [WarningKind::SlowTopic, WarningKind::MaximumAge]);
    let (kind, text) = only(|r| r.streams[2].missing_share = 0.07);
    assert_eq!(kind, WarningKind::MaximumAge);
    assert_eq!(
        text,
        "velocity: 7.0 % of the frames miss it: max_age_s is 100 ms, its messages come every 50 ms, 99.9 % within 60 ms"
    );
}

#[test]
fn windows_that_are_lost_are_counted_by_reason() {
    // 20 of 100: 12 to the silence of the position, 5 at borders, 3 in short episodes.
    let lost = |r: &mut ContractReport| {
        r.coverage = WindowCoverage {
            window: 128,
            windows: 80,
            possible_windows: 100,
            lost_to_silence: vec![("position".into(), 12)],
            lost_to_cuts: 5,
            lost_to_shortness: 3,
            ..WindowCoverage::default()
        };
    };
    let (kind, text) = only(lost);
    assert_eq!(kind, WarningKind::WindowsLost);
    assert_eq!(
        text,
        "windows: 20.0 % of the windows are lost: 12.0 % because of silence of position, 5.0 % at the borders of episodes, 3.0 % in episodes too short for one"
    );
    let (kind, text) = only(|r| (r.coverage.short_episodes, r.coverage.episodes) = (3, 7));
    // 128 frames of 50 ms are 6.4 s.
    assert_eq!(
        (kind, text.as_str()),
        (WarningKind::ShortEpisodes, "episodes: 3 of 7 episodes are shorter than a window of 128 frames (6.4 s)")
    );
    let nothing = found(|r| {
        r.coverage =
            WindowCoverage { window: 128, episodes: 2, lengths: [9, 9, 9, 10, 10], ..WindowCoverage::default() }
    });
    assert_eq!(
        nothing,
        [(
            WarningKind::NothingLeft,
            "windows: no window of 128 frames (6.4 s) fits: 2 episodes, the longest of 10 frames".into()
        )]
    );
}

#[test]
fn odd_values_are_warned_of() {
    // 20 - 0 over 0.5: 40 deviations.
    let (kind, text) = only(|r| r.streams[1].channels[0].max = 20.0);
    assert_eq!(
        (kind, text.as_str()),
        (WarningKind::Outliers, "position x: reaches 20, 40 deviations from its mean 0 (1 to 99 %: -0.9 to 0.9)")
    );
    assert_eq!(only(|r| r.streams[1].channels[0].wraps = 3).0, WarningKind::AngleWrap);
    assert_eq!(only(|r| r.streams[1].channels[0].not_finite_share = 0.01).0, WarningKind::NotFinite);
    let grid = |count, distinct| {
        move |r: &mut ContractReport| {
            let channel = &mut r.streams[1].channels[0];
            (channel.count, channel.distinct, channel.quantum) = (count, Some(distinct), Some(0.1));
        }
    };
    // 1,000 values of 50: 20 each. Of 51 it may be chance.
    assert_eq!(
        only(grid(1000, 50)),
        (WarningKind::Quantised, "position x: has only 50 different values, 0.1 apart at least".into())
    );
    assert_eq!(found(grid(1000, 51)), []);
    assert_eq!(only(|r| r.streams[1].channels[0].repeated_share = 0.6).0, WarningKind::Held);
}

#[test]
fn a_position_in_a_frame_of_the_earth_is_rounded() {
    // From 2^22 to 2^23 numbers of f32 lie 2^(22 - 23) apart.
    assert_eq!([1.0, 5e6].map(f32_step), [f64::from(f32::EPSILON), 0.5]);
    let at = |centre: f64| {
        move |r: &mut ContractReport| {
            let percentiles = [centre - 3.0, centre - 2.0, centre, centre + 2.0, centre + 3.0];
            r.streams[1].channels[0] =
                ChannelSummary { min: centre - 3.0, max: centre + 3.0, mean: centre, percentiles, ..channel() };
        }
    };
    let (kind, text) = only(at(5e6));
    assert_eq!(kind, WarningKind::Rounded);
    assert!(text.ends_with("rounds it to steps of 0.5 (1 to 99 %: 6 wide)"), "{text}");
    // At 10 km: 2^(13 - 23), a thousandth of a metre, of six.
    assert_eq!(found(at(1e4)), []);
}

#[test]
fn inputs_with_different_ranges_are_warned_of() {
    let input = |name: &str, low: f64, high: f64| InputReport {
        path: name.into(),
        channels: vec![ChannelSummary { percentiles: [low, low, 0.0, high, high], ..channel() }; 6],
        ..InputReport::default()
    };
    let warned = |inputs: Vec<InputReport>| found(|r| r.inputs = inputs).len();
    // All six channels of the report.
    assert_eq!(warned(vec![input("a", 0.0, 1.0), input("b", 0.5, 9.0)]), 0);
    assert_eq!(warned(vec![input("a", 0.0, 1.0), input("b", 1.5, 2.0)]), 6, "they lie apart");
    assert_eq!(warned(vec![input("a", 0.0, 1.0), input("b", 0.0, 11.0)]), 6, "eleven times as wide");
    let text = found(|r| r.inputs = vec![input("a", 0.0, 1.0), input("b", 100.0, 200.0)]).remove(0).1;
    assert_eq!(text, "action x: inputs disagree (1 to 99 %): 0 to 1 in a, 100 to 200 in b");
}

#[test]
fn cut_damaged_and_refused_data_are_warned_of() {
    let read = EpisodeReport { messages: 200, ..EpisodeReport::default() };
    let input = InputReport { path: "bag".into(), read: read.clone(), ..InputReport::default() };
    let (kind, text) = only(|r| {
        r.inputs.push(InputReport {
            read: EpisodeReport { refused: 3, reasons: vec!["odd".into()], ..read.clone() },
            ..input.clone()
        })
    });
    assert_eq!(
        (kind, text.as_str()),
        (WarningKind::Refused, "bag: 3 messages or rows (1.5 %) cannot be used, such as: odd")
    );
    // The warning goes by what a bag says that was cut off.
    let cut = BagError::Unfinished { path: "bag".into(), at: Location::Byte(5) }.to_string();
    assert_eq!(
        only(|r| r
            .inputs
            .push(InputReport { read: EpisodeReport { notices: vec![cut], ..read.clone() }, ..input.clone() }))
        .0,
        WarningKind::CutOff
    );
    assert_eq!(
        only(|r| r.inputs.push(InputReport { damage: Some("torn".into()), ..input.clone() })).0,
        WarningKind::CutOff
    );
}

#[test]
fn topics_without_a_contract_are_warned_of() {
    let topic = TopicReport {
        name: "/odom".into(),
        message_type: "p/msg/A".into(),
        clock: clock(),
        channels: vec![channel()],
        ..TopicReport::default()
    };
    assert_eq!(of_topic(&topic), []);
    // Constant and held values are common there.
    let quiet = ChannelSummary { min: 1.0, max: 1.0, mean: 1.0, std: 0.0, repeated_share: 0.9, ..channel() };
    assert_eq!(of_topic(&TopicReport { channels: vec![quiet], ..topic.clone() }), []);
    let odd = TopicReport { refused: 10, reason: Some("torn".into()), ..topic };
    assert_eq!(of_topic(&odd)[0].text, "10 (1.0 %) cannot be decoded: torn");
}
