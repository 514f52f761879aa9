//! Numbers, times and shares as a person reads them.

/// Four digits that count, without needless zeros.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.2e}");
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

/// A time in the unit that suits it.
pub(super) fn seconds(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0 s".into()
    } else if size < 1e-3 {
        format!("{} us", number((value * 1e7).round() / 10.0))
    } else if size < 1.0 {
        format!("{} ms", number((value * 1e5).round() / 100.0))
    } else if size < 600.0 {
        format!("{} s", number(value))
    } else {
        format!("{} min", number(value / 60.0))
    }
}

pub(super) fn times(count: u64) -> String {
    if count == 1 { "once".into() } else { format!("{count} times") }
}

pub(super) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent == 0.0 || percent >= 99.95 {
        format!("{percent:.0} %")
    } else if percent < 0.05 {
        "< 0.1 %".into()
    } else {
        format!("{percent:.1} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_that_count() {
        let texts = [0.0, 1.0, -12.345678, 0.05, 123456.0, 1.5e7, 2.5e-4, 0.1 + 0.2].map(number);
        assert_eq!(texts, ["0", "1", "-12.35", "0.05", "123456", "1.50e7", "2.50e-4", "0.3"]);
        assert_eq!(
            [0.0, 0.02, 1.5e-5, 3.0, 1200.0, -0.25].map(seconds),
            ["0 s", "20 ms", "15 us", "3 s", "20 min", "-250 ms"]
        );
        assert_eq!([0.0, 0.0001, 0.051, 1.0].map(percent), ["0 %", "< 0.1 %", "5.1 %", "100 %"]);
    }
}
