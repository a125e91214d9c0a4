//! What an expression is for an event (sections 3.2 to 3.7).
//!
//! What goes wrong takes the operation around it along: `missing != 2` is `false`, not `true`, and `1 != 1 / 0` is too. Each operation of which an
//! operand went wrong has the value that stands for nothing of its type, up to the root, so nothing is evaluated in vain.

use super::{Fault, Node, Operator, Outcome};
use crate::{attribute::Value, event::Event};
use std::borrow::Cow;

pub(super) fn evaluate<'e>(root: &'e Node, event: &'e Event) -> (Outcome<'e>, Option<Fault>) {
    let mut run = Run { event, fault: None };
    let outcome = run.value(root);
    (outcome.unwrap_or(Outcome::Boolean(false)), run.fault)
}

/// One evaluation.
pub(super) struct Run<'e> {
    event: &'e Event,
    fault: Option<Fault>,
}

impl<'e> Run<'e> {
    /// Notes what went wrong; the first counts.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// The value of a part of which nothing may have gone wrong; nothing otherwise.
    fn operand(&mut self, node: &'e Node) -> Option<Outcome<'e>> {
        let value = self.value(node);
        value.filter(|_| self.fault.is_none())
    }

    /// The value of a part, though something may have gone wrong in it; nothing if it is an attribute that is missing.
    fn value(&mut self, node: &'e Node) -> Option<Outcome<'e>> {
        Some(match node {
            Node::Text(text) => Outcome::Text(Cow::Borrowed(text)),
            Node::Integer(number) => Outcome::Integer(*number),
            Node::Boolean(truth) => Outcome::Boolean(*truth),
            Node::Attribute(attribute) => match attribute.in_event(self.event) {
                Some(Value::Text(text)) => Outcome::Text(Cow::Borrowed(text)),
                Some(Value::Integer(number)) => Outcome::Integer(number),
                Some(Value::Boolean(truth)) => Outcome::Boolean(truth),
                None => {
                    self.fault(Fault::MissingAttribute);
                    return None;
                }
            },
            Node::Exists(attribute) => Outcome::Boolean(attribute.in_event(self.event).is_some()),
            Node::Not(operand) => Outcome::Boolean(self.boolean(operand).is_some_and(|truth| !truth)),
            Node::Negate(operand) => Outcome::Integer(self.negated(operand)),
            Node::Binary(operator, operands) => self.binary(*operator, operands),
            Node::Like { value, pattern, is_negated } => {
                let text = self.text(value);
                Outcome::Boolean(text.is_some_and(|text| pattern.matches(&text) != *is_negated))
            }
            Node::In { value, set, is_negated } => {
                Outcome::Boolean(self.is_in(value, set).is_some_and(|is_in| is_in != *is_negated))
            }
            Node::Call { function, arguments, .. } => match function {
                Some(function) => function.call(self, arguments),
                None => {
                    self.fault(Fault::MissingFunction);
                    Outcome::Boolean(false)
                }
            },
        })
    }

    fn negated(&mut self, operand: &'e Node) -> i32 {
        let Some(number) = self.integer(operand) else { return 0 };
        number.checked_neg().unwrap_or_else(|| {
            self.fault(Fault::Math);
            i32::MAX
        })
    }

    fn binary(&mut self, operator: Operator, operands: &'e [Node; 2]) -> Outcome<'e> {
        let [left, right] = operands;
        match operator {
            Operator::And => Outcome::Boolean(self.boolean(left) == Some(true) && self.boolean(right) == Some(true)),
            // What is missing on the left is not `false`: the operation has no value then.
            Operator::Or => Outcome::Boolean(match self.boolean(left) {
                Some(true) => true,
                Some(false) => self.boolean(right) == Some(true),
                None => false,
            }),
            Operator::Xor => {
                let (left, right) = (self.boolean(left), self.boolean(right));
                Outcome::Boolean(left.zip(right).is_some_and(|(left, right)| left != right))
            }
            Operator::Equal => Outcome::Boolean(self.equal(left, right) == Some(true)),
            Operator::NotEqual => Outcome::Boolean(self.equal(left, right) == Some(false)),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                Outcome::Boolean(self.numbers(left, right).is_some_and(|(left, right)| match operator {
                    Operator::Less => left < right,
                    Operator::LessOrEqual => left <= right,
                    Operator::Greater => left > right,
                    _ => left >= right,
                }))
            }
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
                let Some((left, right)) = self.numbers(left, right) else { return Outcome::Integer(0) };
                let result = match operator {
                    Operator::Add => left.checked_add(right),
                    Operator::Subtract => left.checked_sub(right),
                    Operator::Multiply => left.checked_mul(right),
                    Operator::Divide => left.checked_div(right),
                    // The lowest number has the remainder 0 at -1, though the division is too large.
                    _ if right == -1 => Some(0),
                    _ => left.checked_rem(right),
                };
                Outcome::Integer(result.unwrap_or_else(|| {
                    self.fault(Fault::Math);
                    0
                }))
            }
        }
    }

    fn numbers(&mut self, left: &'e Node, right: &'e Node) -> Option<(i32, i32)> {
        let left = self.integer(left);
        let right = self.integer(right);
        left.zip(right)
    }

    /// Both have to be of the right one's type.
    fn equal(&mut self, left: &'e Node, right: &'e Node) -> Option<bool> {
        let left = self.operand(left);
        let right = self.operand(right);
        let (left, right) = left.zip(right)?;
        self.same(left, &right)
    }

    /// Whether a value is another one, when it is cast to that one's type.
    fn same(&mut self, value: Outcome<'e>, other: &Outcome<'e>) -> Option<bool> {
        match other {
            Outcome::Text(other) => Some(to_text(value) == *other),
            Outcome::Integer(other) => self.cast_integer(value).map(|value| value == *other),
            Outcome::Boolean(other) => self.cast_boolean(value).map(|value| value == *other),
        }
    }

    /// All elements are cast to the type of what is looked for.
    fn is_in(&mut self, value: &'e Node, set: &'e [Node]) -> Option<bool> {
        let value = self.operand(value)?;
        for element in set {
            let element = self.operand(element)?;
            if self.same(element, &value)? {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The value of a part as a truth value; nothing if it has none.
    pub(super) fn boolean(&mut self, node: &'e Node) -> Option<bool> {
        let value = self.operand(node)?;
        self.cast_boolean(value)
    }

    /// The value of a part as a number; nothing if it has none.
    pub(super) fn integer(&mut self, node: &'e Node) -> Option<i32> {
        let value = self.operand(node)?;
        self.cast_integer(value)
    }

    /// The value of a part as a text; nothing if it has none.
    pub(super) fn text(&mut self, node: &'e Node) -> Option<Cow<'e, str>> {
        self.operand(node).map(to_text)
    }

    /// Whether the value of a part is of a type, or can be cast to it: without a fault if not. The part is evaluated once: these can be nested.
    pub(super) fn would_be<T>(&mut self, node: &'e Node, cast: fn(&mut Self, Outcome<'e>) -> Option<T>) -> bool {
        let Some(value) = self.operand(node) else { return false };
        let is_cast = cast(self, value).is_some();
        self.fault = None;
        is_cast
    }

    pub(super) fn cast_boolean(&mut self, value: Outcome<'e>) -> Option<bool> {
        match value {
            Outcome::Boolean(truth) => Some(truth),
            Outcome::Integer(number) => Some(number != 0),
            Outcome::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Outcome::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            Outcome::Text(_) => {
                self.fault(Fault::Cast);
                None
            }
        }
    }

    pub(super) fn cast_integer(&mut self, value: Outcome<'e>) -> Option<i32> {
        match value {
            Outcome::Integer(number) => Some(number),
            Outcome::Boolean(truth) => Some(i32::from(truth)),
            Outcome::Text(text) => {
                let number = text.parse().ok();
                if number.is_none() {
                    self.fault(Fault::Cast);
                }
                number
            }
        }
    }
}

fn to_text(value: Outcome<'_>) -> Cow<'_, str> {
    match value {
        Outcome::Text(text) => text,
        Outcome::Integer(number) => Cow::Owned(number.to_string()),
        Outcome::Boolean(true) => Cow::Borrowed("true"),
        Outcome::Boolean(false) => Cow::Borrowed("false"),
    }
}
