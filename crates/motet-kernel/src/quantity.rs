//! Durations and sizes as people write them.

use bytesize::ByteSize;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::time::Duration;

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write a number with a unit, as in `250ms`, `2s` or `1m30s`")]
pub struct InvalidDuration(pub String);

/// A text that is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a number with a unit, as in `64KiB` or `10MB`")]
pub struct InvalidSize(pub String);

/// Reads `250ms`, `2s`, `1m30s`, `1h`, `7d`. A bare number is refused, because its unit would be a guess. A day has 24 hours, a
/// week 7 days; months and years have no length and are refused.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let days = |text: &str| -> Result<SignedDuration, jiff::Error> {
        text.parse::<Span>()?.to_duration(SpanRelativeTo::days_are_24_hours())
    };
    let text = text.trim();
    let parsed: SignedDuration = text.parse().or_else(|_| days(text)).map_err(|_| invalid())?;
    Duration::try_from(parsed).map_err(|_| invalid())
}

/// Reads `64KiB`, `10MB`, `1024`. A bare number counts bytes.
pub fn parse_size(text: &str) -> Result<u64, InvalidSize> {
    let size: ByteSize = text.trim().parse().map_err(|_| InvalidSize(text.to_owned()))?;
    Ok(size.as_u64())
}

/// Shows a duration with the two largest units that matter to a person: `1m30s`, `2.5s`, `80ms`.
pub fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.subsec_millis() == 0 => format!("{}µs", duration.subsec_micros()),
        0 => format!("{}ms", duration.subsec_millis()),
        1..10 if duration.subsec_millis() >= 100 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        1..60 => format!("{seconds}s"),
        60..3600 => two_units(seconds, 60, "m", "s"),
        3600..86_400 => two_units(seconds / 60, 60, "h", "m"),
        _ => two_units(seconds / 3600, 24, "d", "h"),
    }
}

fn two_units(small: u64, per_large: u64, large_unit: &str, small_unit: &str) -> String {
    match (small / per_large, small % per_large) {
        (large, 0) => format!("{large}{large_unit}"),
        (large, rest) => format!("{large}{large_unit}{rest}{small_unit}"),
    }
}

/// Shows a size in binary units: `3.2 MiB`.
pub fn show_size(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them_and_never_without_a_unit() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("1w1d2h"), Ok(Duration::from_secs((8 * 24 + 2) * 3600)));
        assert!(parse_duration("1mo").is_err() && parse_duration("1y").is_err() && parse_duration("-1d").is_err());
        assert!(parse_duration("5").is_err());
        assert!(parse_duration("-1s").is_err());
        assert!(parse_duration("").is_err());
    }

    #[test]
    fn durations_are_shown_with_the_units_that_matter() {
        let shown = |ms| show_duration(Duration::from_millis(ms));
        assert_eq!(shown(80), "80ms");
        assert_eq!(shown(2_500), "2.5s");
        assert_eq!(shown(90_000), "1m30s");
        assert_eq!(shown(7_200_000), "2h");
        assert_eq!(shown(90_000_000), "1d1h");
    }

    #[test]
    fn sizes_read_in_both_families_of_units() {
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("10MB"), Ok(10_000_000));
        assert!(parse_size("many").is_err());
    }
}
