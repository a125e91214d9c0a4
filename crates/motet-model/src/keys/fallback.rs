//! The keys of a fallback: what the caller gets when the callee gave nothing usable.

use super::{Fields, Key, KeyKind, Kind, Shape};

pub(crate) const TO: Key = Key::without(
    "to",
    Shape::One(Kind::Service),
    "a fixed answer, or none",
    "The service that gets the same request instead. Its own fallback is not followed.",
)
.because("a smaller model or an older index is often good enough")
.example("to: index");

pub(crate) const STATUS: Key =
    Key::with("status", Shape::One(Kind::Integer { min: 200, max: 599 }), "200", "The answer's status.")
        .because("a fallback is an answer, not an error")
        .example("status: 206");

pub(crate) const HEADERS: Key = Key::without(
    "headers",
    Shape::Map(KeyKind::Header, &Shape::One(Kind::HeaderValue)),
    "the content type that fits: `application/json`, or `text/plain` in UTF-8",
    "The answer's header fields.",
)
.because("callers may want to know that this is not the real answer")
.example("headers: { x-degraded: \"true\" }");

pub(crate) const JSON: Key =
    Key::without("json", Shape::Any, "no content", "The answer's content, written as YAML and sent as JSON.")
        .because("an empty list is what most callers can go on with")
        .example("json: { passages: [] }");

pub(crate) const TEXT: Key =
    Key::without("text", Shape::One(Kind::EnvValue), "no content", "The answer's content as it is.")
        .because("for callers that read no JSON")
        .example("text: please come back later");

pub(crate) static ANSWER_FIELDS: Fields = Fields {
    what: "a fixed answer",
    id: "answer",
    keys: &[STATUS, HEADERS, JSON, TEXT],
    one_of: &["json", "text"],
    one_needed: false,
};

pub(crate) const ANSWER: Key =
    Key::without("answer", Shape::Fields(&ANSWER_FIELDS), "another service, or none", "Always the same answer.")
        .because("it cannot fail itself")
        .example("answer: { json: { passages: [] } }");

pub(crate) static FALLBACK_FIELDS: Fields =
    Fields { what: "a fallback", id: "fallback", keys: &[TO, ANSWER], one_of: &["to", "answer"], one_needed: true };

static FALLBACK_SHAPES: [Shape; 2] = [Shape::One(Kind::Choice(&["none"])), Shape::Fields(&FALLBACK_FIELDS)];

pub(crate) const FALLBACK: Key = Key::without(
    "fallback",
    Shape::Either(&FALLBACK_SHAPES),
    "the failure itself",
    "What the caller gets when the callee gave nothing usable (502, 503 or 504, from Motet or from the callee): what another service answers, or a fixed answer. `none` takes one away.",
)
.because("whether half an answer is better than none is something only you know")
.example("fallback: { answer: { json: { passages: [] } } }");
