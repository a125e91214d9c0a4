//! What can be wrong with an event and with what claims to be one: one struct per failure, one enum per operation.

use motet_kernel::code::ErrorCode;

/// Why an event cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    /// A required attribute is not there.
    #[error("the attribute `{attribute}` is missing: every event has `id`, `source`, `specversion` and `type`")]
    Missing {
        /// Which one.
        attribute: &'static str,
    },
    /// The event follows a version of the specification that is not 1.0.
    #[error("`specversion` is `{given}`: only events of version `1.0` are understood")]
    Version {
        /// What was given.
        given: String,
    },
    /// A name that no extension attribute may have.
    #[error("`{name}` cannot be the name of an attribute: {reason}")]
    Name {
        /// What was given, shortened.
        name: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// A value that the attribute's type does not allow.
    #[error("the attribute `{attribute}` has the value `{given}`, which {reason}")]
    Value {
        /// Of which attribute.
        attribute: String,
        /// What was given, shortened.
        given: String,
        /// What is wrong with it: `is not a timestamp …`.
        reason: &'static str,
    },
    /// The attributes are more, or longer, than an event may have.
    #[error("{what} is {given}, and at most {limit} can be")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// How large.
        given: usize,
        /// How large it may be.
        limit: usize,
    },
    /// An attribute is given twice.
    #[error("the attribute `{attribute}` is given twice")]
    Twice {
        /// Which one.
        attribute: String,
    },
}

impl InvalidEvent {
    /// The code under which the book explains it.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::Missing { .. } => "MO-cloudevents-001",
            Self::Version { .. } => "MO-cloudevents-002",
            Self::Name { .. } => "MO-cloudevents-003",
            Self::Value { .. } => "MO-cloudevents-004",
            Self::TooLarge { .. } => "MO-cloudevents-005",
            Self::Twice { .. } => "MO-cloudevents-006",
        })
    }
}

/// Bytes that are not a stored event, or not one that this version of Motet can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored event cannot be read: {reason}")]
pub struct InvalidRecord {
    /// What is wrong.
    pub reason: &'static str,
}

impl InvalidRecord {
    /// The code under which the book explains it.
    pub fn code(&self) -> ErrorCode {
        ErrorCode("MO-cloudevents-007")
    }
}

/// Enough of a value to recognise it in a message.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Why what came is not an event, or not several.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It looks like an event, and is none.
    #[error(transparent)]
    Invalid(#[from] InvalidEvent),
    /// A header cannot be decoded.
    #[error("the header `{header}` cannot be decoded: {reason}")]
    Header {
        /// Which one.
        header: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// An event format that is not understood.
    #[error("events in the format `{content_type}` are not understood: {reason}")]
    Format {
        /// What the request says.
        content_type: String,
        /// What would be.
        reason: &'static str,
    },
    /// It is not JSON.
    #[error("the body is not JSON: {reason} at line {line}, column {column}")]
    Json {
        /// What was found.
        reason: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// It is JSON, and not of the shape that an event has.
    #[error("{0}")]
    Shape(String),
    /// The data of the event contradicts what the event says about it.
    #[error("{0}")]
    Data(&'static str),
    /// It is too large.
    #[error("the event has {given} bytes, and at most {limit} are taken")]
    TooLarge {
        /// How large it is, in bytes.
        given: usize,
        /// How large it may be, in bytes.
        limit: usize,
    },
    /// There are too many in one batch.
    #[error("the batch has more than the {limit} events that are taken at once: send several")]
    TooMany {
        /// How many may be.
        limit: usize,
    },
    /// One of several is wrong; none was taken.
    #[error("event {index} of the batch: {source}")]
    InBatch {
        /// Which one, counted from 0.
        index: usize,
        /// What is wrong with it.
        source: Box<DecodeError>,
    },
}

impl DecodeError {
    /// The code under which the book explains it.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::Invalid(invalid) => return invalid.code(),
            Self::InBatch { source, .. } => return source.code(),
            Self::Header { .. } => "MO-cloudevents-101",
            Self::Format { .. } => "MO-cloudevents-102",
            Self::Json { .. } => "MO-cloudevents-103",
            Self::Shape(_) => "MO-cloudevents-104",
            Self::Data(_) => "MO-cloudevents-105",
            Self::TooLarge { .. } | Self::TooMany { .. } => "MO-cloudevents-106",
        })
    }

    /// The status with which HTTP says so.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Format { .. } => http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge { .. } | Self::TooMany { .. } => http::StatusCode::PAYLOAD_TOO_LARGE,
            Self::InBatch { source, .. } => source.status(),
            _ => http::StatusCode::BAD_REQUEST,
        }
    }
}

/// Why something is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// It names an attribute that no event can have.
    #[error(transparent)]
    Attribute(#[from] InvalidEvent),
    /// It compares with nothing.
    #[error(
        "the filter compares `{attribute}` with an empty text: to ask whether an attribute is there, use the expression `EXISTS {attribute}`"
    )]
    EmptyValue {
        /// Which attribute.
        attribute: String,
    },
    /// A list of filters without filters.
    #[error("the filter `{dialect}` has an empty list")]
    Empty {
        /// `all` or `any`.
        dialect: &'static str,
    },
    /// An expression that cannot be read.
    #[error("the expression cannot be read: {reason} at character {at}")]
    Syntax {
        /// What was expected or found.
        reason: String,
        /// Where, counted from 1.
        at: usize,
    },
    /// An expression that can be read and can never be true without an error.
    #[error("the expression cannot work: {0}")]
    Meaning(String),
    /// It is too large to be asked for each event.
    #[error("the filter is too large: {reason}")]
    TooLarge {
        /// What is the most.
        reason: &'static str,
    },
}

impl InvalidFilter {
    /// The code under which the book explains it.
    pub fn code(&self) -> ErrorCode {
        ErrorCode(match self {
            Self::Attribute(invalid) => return invalid.code(),
            Self::EmptyValue { .. } | Self::Empty { .. } => "MO-cloudevents-201",
            Self::Syntax { .. } => "MO-cloudevents-202",
            Self::Meaning(_) => "MO-cloudevents-203",
            Self::TooLarge { .. } => "MO-cloudevents-204",
        })
    }
}
