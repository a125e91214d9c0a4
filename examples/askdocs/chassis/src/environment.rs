//! What the service was given: read once, at the start, with a message that says what to do when it makes no sense.

use std::fmt::Display;
use std::str::FromStr;

/// A variable that is missing or makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// It has no default and nobody set it.
    #[error("{name} is not set: it should be {wanted}; Motet sets it, or set it by hand to run this service alone")]
    Missing {
        /// The variable's name.
        name: &'static str,
        /// What it should hold.
        wanted: &'static str,
    },
    /// It holds something else than it should.
    #[error("{name}={value} is not {wanted}")]
    Invalid {
        /// The variable's name.
        name: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        wanted: String,
    },
}

/// The value of a variable that the service cannot do without.
pub fn required(name: &'static str, wanted: &'static str) -> Result<String, EnvironmentError> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).ok_or(EnvironmentError::Missing { name, wanted })
}

/// A number between `least` and `most`, or `default` when the variable is not set.
pub fn number<N>(name: &'static str, default: N, least: N, most: N) -> Result<N, EnvironmentError>
where
    N: FromStr + PartialOrd + Display + Copy,
{
    let Some(value) = std::env::var(name).ok().filter(|value| !value.is_empty()) else {
        return Ok(default);
    };
    match value.parse::<N>() {
        Ok(number) if number >= least && number <= most => Ok(number),
        _ => Err(EnvironmentError::Invalid { name, value, wanted: format!("a number from {least} to {most}") }),
    }
}
