//! What became of a delivery, and what an HTTP answer means.

use std::time::Duration;

/// The longest text of an answer that is kept, in bytes.
pub const DETAIL_MAX_BYTES: usize = 2048;

/// Why an event was not taken: what the subscriber answered, or what went wrong on the way.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refusal {
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// What it said, or what happened, in words.
    pub detail: String,
}

impl Refusal {
    /// A refusal without an answer: a timeout, a connection that broke.
    pub fn of(detail: impl Into<String>) -> Self {
        Self { status: None, detail: shorten(detail.into()) }
    }
}

/// What became of one event of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It is done with.
    Ack,
    /// The subscriber works on it and acknowledges with the token later; until then the lease counts.
    Accepted,
    /// It is delivered again, after `after` where the subscriber said so, else after the backoff.
    Retry {
        /// Why.
        refusal: Refusal,
        /// What `Retry-After` said.
        after: Option<Duration>,
    },
    /// It will never be taken: a dead letter at once.
    Permanent(Refusal),
    /// There is nothing to send any more: the topic has given its data back meanwhile. It counts as missed. The broker finds that out itself.
    Gone,
}

impl Outcome {
    /// A failure that is tried again, in words.
    pub fn retry(detail: impl Into<String>) -> Self {
        Self::Retry { refusal: Refusal::of(detail), after: None }
    }
}

/// Which statuses mean that trying again cannot help.
///
/// 404 is not among the defaults: while a service is deployed its path may be missing for a moment, and events would be given up by the
/// thousand. Redirections (3xx) and unexpected informational answers are tried again too, because a person will repair them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permanent(pub Vec<u16>);

impl Default for Permanent {
    fn default() -> Self {
        Self(vec![400, 410, 413, 415, 422])
    }
}

impl Permanent {
    /// What an HTTP answer means for all events of its delivery. `body` is kept in part, `retry_after` is what that header said.
    pub fn outcome(&self, status: u16, body: &str, retry_after: Option<Duration>) -> Outcome {
        match status {
            202 => Outcome::Accepted,
            200..300 => Outcome::Ack,
            _ => {
                let refusal = Refusal { status: Some(status), detail: shorten(body.to_owned()) };
                if self.0.contains(&status) {
                    Outcome::Permanent(refusal)
                } else {
                    Outcome::Retry { refusal, after: retry_after }
                }
            }
        }
    }
}

fn shorten(mut text: String) -> String {
    if text.len() > DETAIL_MAX_BYTES {
        text.truncate(text.floor_char_boundary(DETAIL_MAX_BYTES));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_mean_what_the_table_says() {
        let class = Permanent::default();
        let after = Some(Duration::from_secs(3));
        assert_eq!(class.outcome(204, "", None), Outcome::Ack);
        assert_eq!(class.outcome(202, "", None), Outcome::Accepted);
        assert!(
            matches!(class.outcome(422, "no pages", None), Outcome::Permanent(refusal) if refusal.detail == "no pages")
        );
        assert!(matches!(class.outcome(503, "", after), Outcome::Retry { after: Some(_), .. }));
        for again in [301, 404, 408, 425, 429, 500] {
            assert!(matches!(class.outcome(again, "", None), Outcome::Retry { after: None, .. }), "{again}");
        }
    }

    #[test]
    fn a_long_answer_is_kept_in_part_and_cut_between_characters() {
        let refusal = Refusal::of("ä".repeat(DETAIL_MAX_BYTES));
        assert!(refusal.detail.len() <= DETAIL_MAX_BYTES + 3 && refusal.detail.ends_with("ä…"));
    }
}
