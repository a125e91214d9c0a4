//! Which events a subscriber wants (CloudEvents Subscriptions API, section "Filters").
//!
//! A filter is compiled once and asked for each event that any subscription sees, so asking is cheap: names are resolved, patterns are split,
//! and nothing is allocated for comparisons of texts. A filter that cannot be what its author meant (an unknown function, an attribute that no event
//! can have) is refused when it is compiled, not discovered when nothing arrives.

pub mod sql;

use crate::{
    attribute::{self, Core, SPEC_VERSION, Value},
    error::{InvalidFilter, shortened},
    event::Event,
};
use sql::Expression;

/// How deep filters may contain filters.
const DEPTH_MAX: usize = 16;

/// How many filters one may consist of.
const PARTS_MAX: usize = 256;

/// A filter that is ready to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    rule: Rule,
    parts: usize,
    depth: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Rule {
    Exact(Attribute, Box<str>),
    Prefix(Attribute, Box<str>),
    Suffix(Attribute, Box<str>),
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Sql(Expression),
}

/// An attribute, found without comparing its name where that is possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attribute {
    Core(Core),
    Version,
    Extension(Box<str>),
}

impl Attribute {
    pub(crate) fn of(name: &str) -> Self {
        match Core::from_name(name) {
            Some(core) => Self::Core(core),
            None if name == "specversion" => Self::Version,
            None => Self::Extension(name.into()),
        }
    }

    pub(crate) fn in_event<'e>(&self, event: &'e Event) -> Option<Value<'e>> {
        match self {
            Self::Core(core) => event.core(*core).map(Value::Text),
            Self::Version => Some(Value::Text(SPEC_VERSION)),
            Self::Extension(name) => event.extension(name),
        }
    }
}

impl Filter {
    /// Events whose attribute is this text. Numbers and truth values are compared as they are written.
    pub fn exact(attribute: &str, value: &str) -> Result<Self, InvalidFilter> {
        Ok(Self::leaf(Rule::Exact(named(attribute)?, given(attribute, value)?)))
    }

    /// Events whose attribute begins with this text.
    pub fn prefix(attribute: &str, value: &str) -> Result<Self, InvalidFilter> {
        Ok(Self::leaf(Rule::Prefix(named(attribute)?, given(attribute, value)?)))
    }

    /// Events whose attribute ends with this text.
    pub fn suffix(attribute: &str, value: &str) -> Result<Self, InvalidFilter> {
        Ok(Self::leaf(Rule::Suffix(named(attribute)?, given(attribute, value)?)))
    }

    /// Events that an expression of CESQL 1.0 says `true` for, without an error.
    pub fn sql(text: &str) -> Result<Self, InvalidFilter> {
        let expression = Expression::parse(text)?;
        expression.check()?;
        Ok(Self::leaf(Rule::Sql(expression)))
    }

    /// Events that all of these let pass.
    pub fn all(filters: Vec<Self>) -> Result<Self, InvalidFilter> {
        Self::list(Rule::All, "all", filters)
    }

    /// Events that at least one of these lets pass.
    pub fn any(filters: Vec<Self>) -> Result<Self, InvalidFilter> {
        Self::list(Rule::Any, "any", filters)
    }

    /// Events that this one does not let pass.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and it is the name in the specification")]
    pub fn not(filter: Self) -> Result<Self, InvalidFilter> {
        let (parts, depth) = (filter.parts + 1, filter.depth + 1);
        bounded(Self { rule: Rule::Not(Box::new(filter)), parts, depth })
    }

    /// Whether the event passes.
    pub fn matches(&self, event: &Event) -> bool {
        match &self.rule {
            Rule::Exact(attribute, text) => compare(attribute, event, |given| given == &**text),
            Rule::Prefix(attribute, text) => compare(attribute, event, |given| given.starts_with(&**text)),
            Rule::Suffix(attribute, text) => compare(attribute, event, |given| given.ends_with(&**text)),
            Rule::All(filters) => filters.iter().all(|filter| filter.matches(event)),
            Rule::Any(filters) => filters.iter().any(|filter| filter.matches(event)),
            Rule::Not(filter) => !filter.matches(event),
            Rule::Sql(expression) => expression.matches(event),
        }
    }

    fn leaf(rule: Rule) -> Self {
        Self { rule, parts: 1, depth: 1 }
    }

    fn list(rule: fn(Vec<Self>) -> Rule, name: &'static str, mut filters: Vec<Self>) -> Result<Self, InvalidFilter> {
        if filters.is_empty() {
            return Err(InvalidFilter::Empty { dialect: name });
        }
        if filters.len() == 1 {
            return filters.pop().ok_or(InvalidFilter::Empty { dialect: name });
        }
        let parts = 1 + filters.iter().map(|filter| filter.parts).sum::<usize>();
        let depth = 1 + filters.iter().map(|filter| filter.depth).max().unwrap_or_default();
        bounded(Self { rule: rule(filters), parts, depth })
    }
}

fn bounded(filter: Filter) -> Result<Filter, InvalidFilter> {
    if filter.parts > PARTS_MAX || filter.depth > DEPTH_MAX {
        return Err(InvalidFilter::TooLarge {
            reason: "a filter consists of at most 256 parts, 16 of them inside of each other",
        });
    }
    Ok(filter)
}

/// An attribute that an event can have: anything else would never match, and its author would never know.
fn named(name: &str) -> Result<Attribute, InvalidFilter> {
    let attribute = Attribute::of(name);
    if matches!(attribute, Attribute::Extension(_)) {
        attribute::check_extension_name(name)?;
    }
    Ok(attribute)
}

fn given(attribute: &str, value: &str) -> Result<Box<str>, InvalidFilter> {
    if value.is_empty() {
        return Err(InvalidFilter::EmptyValue { attribute: shortened(attribute) });
    }
    Ok(value.into())
}

fn compare(attribute: &Attribute, event: &Event, is_wanted: impl Fn(&str) -> bool) -> bool {
    match attribute.in_event(event) {
        None => false,
        Some(Value::Text(text)) => is_wanted(text),
        Some(Value::Boolean(truth)) => is_wanted(if truth { "true" } else { "false" }),
        Some(number) => is_wanted(&number.to_string()),
    }
}
