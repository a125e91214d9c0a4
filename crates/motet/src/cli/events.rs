//! What can be typed about topics, subscriptions and dead letters.

use clap::{Args, Subcommand};
use motet_api::wire::events::Start;

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// To which topic.
    pub(crate) topic: String,
    /// The data; `-` reads it from standard input. Sent as JSON when it is JSON.
    pub(crate) data: Option<String>,
    /// The event's id; a new one when not given. The same again, from the same source, is not published twice.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The event's type; the topic's name when not given.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) ty: Option<String>,
    /// The event's source, a URI-reference.
    #[arg(long, default_value = "/motet")]
    pub(crate) source: String,
    /// What the event is about.
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// Keeps the event in order with others of this key, where the topic's key is not in the data.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Publish it so much later.
    #[arg(long, value_name = "TIME")]
    pub(crate) delay: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Of which topic.
    pub(crate) topic: String,
    /// Where to begin: `earliest`, `latest` or a position.
    #[arg(long, value_name = "PLACE", default_value = "latest")]
    pub(crate) from: Start,
    /// End after so many events.
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct DeadLetters {
    #[command(subcommand)]
    pub(crate) command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List dead letters, the oldest first
    List {
        /// Of which subscription, as in `mail.order.placed`; of all when not given.
        subscription: Option<String>,
        /// From this number on.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// How many of each subscription at most.
        #[arg(short = 'n', long, default_value_t = 100)]
        max: usize,
        /// Only those that this takes, an expression of CloudEvents SQL: `motetstatus = 503 AND subject LIKE 'eu/%'`.
        #[arg(long = "where", value_name = "SQL")]
        condition: Option<String>,
    },
    /// Show one with its event
    Show {
        /// Of which subscription.
        subscription: String,
        /// Its number.
        number: u64,
    },
    /// Deliver them again, as new
    Redrive {
        #[command(flatten)]
        which: Letters,
        /// Of a single one: the data that is delivered in place of its own; `-` reads it from standard input.
        #[arg(long, value_name = "DATA", conflicts_with_all = ["all", "condition"])]
        data: Option<String>,
    },
    /// Drop them for good
    Drop(Letters),
}

#[derive(Debug, Args)]
#[group(skip)]
#[command(
    after_help = "SQL is an expression of CloudEvents SQL over the attributes of the event (type, source, subject, …) and three more: \
motetreason (permanent, attempts, age), motetattempt (how often it was tried), motetstatus (of the last answer)."
)]
pub(crate) struct Letters {
    /// Of which subscription.
    pub(crate) subscription: String,
    /// Those with these numbers.
    #[arg(required_unless_present_any = ["all", "condition"], conflicts_with_all = ["all", "condition"], value_name = "NUMBER")]
    pub(crate) numbers: Vec<u64>,
    /// Those that this takes, as in `motetstatus = 503`.
    #[arg(long = "where", value_name = "SQL", conflicts_with = "all")]
    pub(crate) condition: Option<String>,
    /// All that are there now.
    #[arg(short, long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// Which, as in `mail.order.placed`.
    pub(crate) subscription: String,
    /// Where to begin: `earliest`, `latest`, a position, or a time like 2026-01-31T09:00:00Z.
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Start,
}

#[derive(Debug, Args)]
pub(crate) struct Subscription {
    /// Which, as in `mail.order.placed`.
    pub(crate) subscription: String,
}
