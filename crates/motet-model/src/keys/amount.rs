//! Amounts: shares, sizes, rates, and numbers that may be a word. How each is read, and what to say when it can't be.

use super::value::{Wrong, wrong};
use crate::code;
use motet_kernel::quantity;
use std::time::Duration;

/// Reads `20%` as 0.2. A bare number is refused, because `0.2` and `20` could both mean it.
pub(crate) fn parse_percent(text: &str) -> Option<f64> {
    let number: f64 = text.trim().strip_suffix('%')?.trim_end().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number / 100.0)
}

/// Reads `100/s`, `600/m`, `10/5s`: how many, and in how much time.
pub(crate) fn parse_rate(text: &str) -> Option<(u32, Duration)> {
    let (requests, per) = text.split_once('/')?;
    let requests = requests.trim().parse().ok().filter(|requests| *requests > 0)?;
    let per = per.trim();
    let per = if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_owned() } else { format!("1{per}") };
    let per = quantity::parse_duration(&per).ok().filter(|per| !per.is_zero())?;
    Some((requests, per))
}

/// A share as it is written: `20%`.
pub(crate) fn show_percent(share: f64) -> String {
    let percent = (share * 100_000.0).round() / 1000.0;
    format!("{percent}%")
}

pub(super) fn check_percent(text: &str, min: u32, max: u32) -> Result<(), Wrong> {
    let words = format!("a share from {min}% to {max}%");
    let Some(share) = parse_percent(text) else {
        let help = match text.trim().parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => format!("write `{}`", show_percent(share)),
            Ok(share) if (0.0..=100.0).contains(&share) => format!("write `{share}%`"),
            _ => "write a number with a percent sign, as in `20%`".to_owned(),
        };
        return Err(wrong(code::WRONG_TYPE, format!("is not {words}"), "not a share", help));
    };
    if share * 100.0 < f64::from(min) || share * 100.0 > f64::from(max) {
        return Err(wrong(code::OUT_OF_RANGE, format!("is not {words}"), "out of range", format!("write {words}")));
    }
    Ok(())
}

pub(super) fn check_size(text: &str, min: u64, max: u64) -> Result<(), Wrong> {
    let Ok(size) = quantity::parse_size(text) else {
        let help = "write a number with a unit, as in `64KiB` or `10MB`";
        return Err(wrong(code::WRONG_TYPE, "is not a size", "not a size", help));
    };
    if size < min || size > max {
        let words = format!("a size from {} to {}", quantity::show_size(min), quantity::show_size(max));
        return Err(wrong(code::OUT_OF_RANGE, format!("is not {words}"), "out of range", format!("write {words}")));
    }
    Ok(())
}

pub(super) fn check_rate(text: &str) -> Result<(), Wrong> {
    if text == "none" || parse_rate(text).is_some() {
        return Ok(());
    }
    let help = match text.trim().parse::<u32>() {
        Ok(number) if number > 0 => format!("in how much time? Write `{number}/s`, or `{number}/m` for a minute"),
        _ => "write how many per how much time, as in `100/s`, or `none`".to_owned(),
    };
    Err(wrong(code::WRONG_TYPE, "is not a rate", "not a rate", help))
}

pub(super) fn check_number_or(text: &str, min: i64, max: i64, word: &str) -> Result<(), Wrong> {
    if text == word || text.parse::<i64>().is_ok_and(|number| (min..=max).contains(&number)) {
        return Ok(());
    }
    let words = format!("a whole number from {min} to {max}, or `{word}`");
    let is_number = !text.is_empty() && text.trim_start_matches('-').bytes().all(|b| b.is_ascii_digit());
    let near = crate::spelling::nearest(text, [word]).filter(|_| !is_number);
    let help = near.map_or_else(|| format!("write {words}"), |near| format!("did you mean `{near}`?"));
    let code = if is_number { code::OUT_OF_RANGE } else { code::WRONG_TYPE };
    Err(wrong(code, format!("is not {words}"), if is_number { "out of range" } else { "neither of them" }, help))
}

/// What makes a message a message is Motet's matter.
const FRAMING: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// The name of a header field (RFC 9110, section 5.1).
pub(super) fn check_header(text: &str) -> Result<(), Wrong> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if text.is_empty() || !text.chars().all(is_token) {
        return Err(wrong(
            code::INVALID_NAME,
            "is not the name of a header field",
            "not a header's name",
            "write letters, digits and hyphens, as in `content-type`",
        ));
    }
    if FRAMING.iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Err(wrong(
            code::INVALID_NAME,
            "says how a message is framed, and Motet does that",
            "not yours to set",
            "remove it",
        ));
    }
    Ok(())
}

/// The value of a header field (RFC 9110, section 5.5).
pub(super) fn check_header_value(text: &str) -> Result<(), Wrong> {
    if text.chars().all(|c| c == '\t' || (!c.is_control() && c.is_ascii())) {
        return Ok(());
    }
    let help = "write ASCII without line breaks";
    Err(wrong(code::WRONG_TYPE, "is not the value of a header field", "not a header's value", help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_need_their_sign_and_rates_their_time() {
        assert_eq!(parse_percent("20%"), Some(0.2));
        assert_eq!(parse_percent("0.5 %"), Some(0.005));
        assert_eq!((parse_percent("0.2"), parse_percent("-1%"), parse_percent("NaN%")), (None, None, None));
        assert_eq!(parse_rate("100/s"), Some((100, Duration::from_secs(1))));
        assert_eq!(parse_rate("10 / 5m"), Some((10, Duration::from_secs(300))));
        assert_eq!((parse_rate("0/s"), parse_rate("100"), parse_rate("100/0s")), (None, None, None));
    }

    #[test]
    fn a_share_is_shown_as_it_is_written() {
        for text in ["20%", "0%", "100%", "12.5%", "7%", "29%"] {
            assert_eq!(show_percent(parse_percent(text).expect("a share")), text);
        }
    }
}
