//! An axis: the range that is shown, linear or logarithmic, and its ticks.

/// So much of a step may be lost in rounding.
const ROUNDING: f64 = 1e-9;

/// The range of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
}

/// A value that is named on the axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub value: f64,
    pub label: String,
}

impl Axis {
    /// The axis on which all values that can be shown lie, `margin` of its length away from the ends; none without such
    /// values.
    pub(super) fn around(values: impl Iterator<Item = f64>, log: bool, margin: f64) -> Option<Self> {
        let shown = values.filter(|value| value.is_finite() && (!log || *value > 0.0));
        let (low, high) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return None;
        }
        let (mut a, mut b) = if log { (low.log10(), high.log10()) } else { (low, high) };
        if b - a <= 1e-12 * a.abs().max(b.abs()) {
            let half = if log { 0.1 } else { (0.1 * a.abs()).max(1e-3) };
            (a, b) = (a - half, b + half);
        }
        let pad = (b - a) * margin;
        (a, b) = (a - pad, b + pad);
        Some(if log { Self { low: 10f64.powf(a), high: 10f64.powf(b), log } } else { Self { low: a, high: b, log } })
    }

    /// Where a value lies: 0 at the lower end, 1 at the upper. `None` if it cannot be shown.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let on = |v: f64| if self.log { v.log10() } else { v };
        let place = (on(value) - on(self.low)) / (on(self.high) - on(self.low));
        place.is_finite().then_some(place)
    }

    /// At most about `wanted` ticks at round values.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<Tick> {
        if self.log {
            for digits in [&[1.0][..], &[1.0, 2.0, 5.0]] {
                let ticks = self.log_ticks(digits, wanted);
                if ticks.len() >= 3 {
                    return ticks;
                }
            }
        }
        self.linear_ticks(wanted)
    }

    /// Ticks at `digits` times powers of ten; only every so many powers where there are too many.
    fn log_ticks(&self, digits: &[f64], wanted: usize) -> Vec<Tick> {
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let every = ((last - first) as usize).div_ceil(wanted.max(1)).max(1) as i32;
        (first..=last)
            .filter(|power| power.rem_euclid(every) == 0)
            .flat_map(|power| digits.iter().map(move |digit| digit * 10f64.powi(power)))
            .filter(|value| (self.low..=self.high).contains(value))
            .map(|value| Tick { value, label: Scale::of(value, value).label(value) })
            .collect()
    }

    fn linear_ticks(&self, wanted: usize) -> Vec<Tick> {
        let rough = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10f64.powf(rough.log10().floor());
        let step = power
            * [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| rough <= digit * power * (1.0 + ROUNDING)).unwrap_or(10.0);
        let scale = Scale::of(self.low.abs().max(self.high.abs()), step);
        let (first, last) = ((self.low / step - ROUNDING).ceil(), (self.high / step + ROUNDING).floor());
        if !(last - first).is_finite() {
            return Vec::new();
        }
        (0..=(last - first) as usize)
            .map(|k| (first + k as f64) * step)
            .map(|value| Tick { value, label: scale.label(value) })
            .collect()
    }
}

/// How the numbers of an axis are written: all alike.
struct Scale {
    divisor: f64,
    unit: String,
    decimals: usize,
}

impl Scale {
    /// For numbers up to `largest` that differ by `step`.
    fn of(largest: f64, step: f64) -> Self {
        let power = if largest > 0.0 { (largest.log10() + ROUNDING).floor() as i32 } else { 0 };
        let (divisor, unit) = match power {
            -3..=4 => (1.0, String::new()),
            5 => (1e3, "k".into()),
            6..=8 => (1e6, "M".into()),
            9..=11 => (1e9, "G".into()),
            _ => (10f64.powi(power), format!("e{power}")),
        };
        let decimals = -((step / divisor).log10() + ROUNDING).floor();
        Self { divisor, unit, decimals: decimals.clamp(0.0, 12.0) as usize }
    }

    fn label(&self, value: f64) -> String {
        let scaled = value / self.divisor;
        // No "-0".
        let scaled = if scaled.abs() < 0.5 * 10f64.powi(-(self.decimals as i32)) { 0.0 } else { scaled };
        if scaled == 0.0 { "0".into() } else { format!("{scaled:.*}{}", self.decimals, self.unit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(values: &[f64], log: bool, wanted: usize) -> Vec<String> {
        let axis = Axis::around(values.iter().copied(), log, 0.0).unwrap();
        axis.ticks(wanted).into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        // 10 / 5 = 2, a round step itself.
        assert_eq!(labels(&[0.0, 10.0], false, 5), ["0", "2", "4", "6", "8", "10"]);
        // 1.3 / 5 = 0.26: the next round step is 0.5.
        assert_eq!(labels(&[-0.3, 1.0], false, 5), ["0", "0.5", "1.0"]);
        assert_eq!(labels(&[0.0, 200_000.0], false, 4), ["0", "50k", "100k", "150k", "200k"]);
        assert_eq!(labels(&[0.0, 4e-5], false, 4), ["0", "1e-5", "2e-5", "3e-5", "4e-5"]);
        assert_eq!(labels(&[0.0, 2e6], false, 4), ["0", "0.5M", "1.0M", "1.5M", "2.0M"]);
    }

    #[test]
    fn logarithmic_ticks_are_decades_then_parts_of_them() {
        assert_eq!(labels(&[1e-3, 10.0], true, 6), ["0.001", "0.01", "0.1", "1", "10"]);
        // Twelve decades in at most six ticks: every second one.
        assert_eq!(labels(&[1e-6, 1e6], true, 6), ["1e-6", "1e-4", "0.01", "1", "100", "10000", "1M"]);
        assert_eq!(labels(&[0.1, 1.0], true, 6), ["0.1", "0.2", "0.5", "1"]);
        // Less than a decade has too few of these: linear ones.
        assert_eq!(labels(&[0.3, 0.4], true, 5), ["0.30", "0.32", "0.34", "0.36", "0.38", "0.40"]);
    }

    #[test]
    fn places_follow_the_scale() {
        let linear = Axis::around([2.0, 6.0, f64::NAN, f64::INFINITY].into_iter(), false, 0.25).unwrap();
        // A quarter of 4 on either side: from 1 to 7.
        assert_eq!(linear.place(4.0), Some(0.5));
        assert_eq!(linear.place(7.0), Some(1.0));
        assert_eq!(linear.place(f64::NAN), None);
        let log = Axis::around([0.0, -3.0, 1.0, 100.0].into_iter(), true, 0.0).unwrap();
        assert!((log.place(10.0).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!((log.place(0.0), log.place(-1.0)), (None, None));
        assert_eq!(Axis::around([f64::NAN, -1.0].into_iter(), true, 0.0), None);
        // One value only: it lies in the middle.
        for value in [0.0, -5.0, 1e9, 1e-9] {
            let place = Axis::around(std::iter::once(value), false, 0.05).unwrap().place(value).unwrap();
            assert!((place - 0.5).abs() < 1e-6, "{value}: {place}");
        }
    }
}
