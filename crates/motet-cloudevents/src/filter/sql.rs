//! CESQL 1.0: expressions over the attributes of an event (CloudEvents SQL expression language, version 1.0.0).
//!
//! The language is total: whatever goes wrong, an expression has a value, and says beside it what went wrong. For a filter only `true` without
//! an error counts.

mod eval;
mod function;
mod lex;
mod like;
mod parse;

use crate::{error::InvalidFilter, event::Event, filter::Attribute};
use function::Function;
use like::Pattern;
use std::borrow::Cow;

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// What an expression has as its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<'e> {
    /// Any text.
    Text(Cow<'e, str>),
    /// A whole number of 32 bits.
    Integer(i32),
    /// `true` or `false`.
    Boolean(bool),
}

/// What went wrong while an expression was evaluated (section 3.3; what goes wrong before is [`InvalidFilter`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A division by zero, or a number beyond 32 bits.
    Math,
    /// A text that is no number or no truth value.
    Cast,
    /// The event has no such attribute.
    MissingAttribute,
    /// There is no such function with so many arguments.
    MissingFunction,
    /// A function was given what it cannot work with.
    FunctionEvaluation,
}

/// An expression that has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    root: Node,
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(Box<str>),
    Integer(i32),
    Boolean(bool),
    Attribute(Attribute),
    Exists(Attribute),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<[Node; 2]>),
    Like { value: Box<Node>, pattern: Pattern, is_negated: bool },
    In { value: Box<Node>, set: Vec<Node>, is_negated: bool },
    Call { function: Option<Function>, name: Box<str>, arguments: Vec<Node> },
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    And,
    Or,
    Xor,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Expression {
    /// Reads an expression. A function that does not exist can be read: see [`Expression::check`].
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(InvalidFilter::TooLarge { reason: "an expression has at most 4096 bytes" });
        }
        parse::parse(text).map(|root| Self { root })
    }

    /// Whether it can be without error at all: all functions exist, and all attributes could.
    pub fn check(&self) -> Result<(), InvalidFilter> {
        self.root.check()
    }

    /// Its value for an event, and the first thing that went wrong. Where something goes wrong, all operations around it have the
    /// value that stands for nothing of their type: `""`, `0` or `false`.
    pub fn evaluate<'e>(&'e self, event: &'e Event) -> (Outcome<'e>, Option<Fault>) {
        eval::evaluate(&self.root, event)
    }

    /// Whether it is `true`, and nothing went wrong.
    pub fn matches(&self, event: &Event) -> bool {
        self.evaluate(event) == (Outcome::Boolean(true), None)
    }
}

impl Node {
    fn check(&self) -> Result<(), InvalidFilter> {
        match self {
            Self::Text(_) | Self::Integer(_) | Self::Boolean(_) => Ok(()),
            Self::Attribute(Attribute::Extension(name)) | Self::Exists(Attribute::Extension(name)) => {
                crate::attribute::check_extension_name(name).map_err(InvalidFilter::from)
            }
            Self::Attribute(_) | Self::Exists(_) => Ok(()),
            Self::Not(operand) | Self::Negate(operand) | Self::Like { value: operand, .. } => operand.check(),
            Self::Binary(_, operands) => operands.iter().try_for_each(Self::check),
            Self::In { value, set, .. } => value.check().and_then(|()| set.iter().try_for_each(Self::check)),
            Self::Call { function: Some(_), arguments, .. } => arguments.iter().try_for_each(Self::check),
            Self::Call { function: None, name, arguments } => {
                Err(InvalidFilter::Meaning(function::unknown(name, arguments.len())))
            }
        }
    }
}
