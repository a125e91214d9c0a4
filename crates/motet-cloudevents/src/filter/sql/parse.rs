//! From tokens to a tree (sections 2.1 and 3.6).
//!
//! What binds more closely stands further down: logic, comparison, sums, products, then `LIKE` and `IN` behind their operand, then `NOT` and the
//! minus before theirs. Operators of one level are taken from left to right.

use super::{
    Node, Operator,
    function::Function,
    lex::{self, Placed, Token},
    like::Pattern,
};
use crate::{error::InvalidFilter, filter::Attribute};

/// How deep an expression may be nested, so that neither reading nor asking it can exhaust the stack.
const DEPTH_MAX: usize = 48;

/// How many parts an expression may have; a chain of operators is as deep as it is long.
const NODES_MAX: usize = 256;

/// Operators between two operands, the loosest level first.
const LEVELS: [&[(&str, Operator)]; 4] = [
    &[("AND", Operator::And), ("OR", Operator::Or), ("XOR", Operator::Xor)],
    &[
        ("=", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<>", Operator::NotEqual),
        ("<", Operator::Less),
        ("<=", Operator::LessOrEqual),
        (">", Operator::Greater),
        (">=", Operator::GreaterOrEqual),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)],
];

const KEYWORDS: [&str; 7] = ["AND", "OR", "XOR", "NOT", "LIKE", "IN", "EXISTS"];

pub(super) fn parse(text: &str) -> Result<Node, InvalidFilter> {
    let tokens = lex::tokens(text)?;
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens: &tokens, at: 0, end, depth: 0, nodes: 0 };
    let root = parser.level(0)?;
    match parser.peek() {
        None => Ok(root),
        Some(_) => Err(parser.refuse("an operator or the end was expected")),
    }
}

struct Parser<'a> {
    tokens: &'a [Placed],
    at: usize,
    end: usize,
    depth: usize,
    nodes: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn refuse(&self, reason: &str) -> InvalidFilter {
        let at = self.tokens.get(self.at).map_or(self.end, |(_, at)| *at);
        InvalidFilter::Syntax { reason: reason.to_owned(), at }
    }

    /// Takes a sign or a keyword, if it is next. Keywords may be written in any case.
    fn take(&mut self, expected: &str) -> bool {
        let is_next = self.peek_is(expected);
        self.at += usize::from(is_next);
        is_next
    }

    fn peek_is(&self, expected: &str) -> bool {
        match self.peek() {
            Some(Token::Sign(sign)) => *sign == expected,
            Some(Token::Word(word)) => word.eq_ignore_ascii_case(expected),
            _ => false,
        }
    }

    fn expect(&mut self, expected: &str) -> Result<(), InvalidFilter> {
        if self.take(expected) { Ok(()) } else { Err(self.refuse(&format!("`{expected}` was expected"))) }
    }

    fn node(&mut self, node: Node) -> Result<Node, InvalidFilter> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(InvalidFilter::TooLarge { reason: "an expression has at most 256 parts" });
        }
        Ok(node)
    }

    fn level(&mut self, level: usize) -> Result<Node, InvalidFilter> {
        let Some(operators) = LEVELS.get(level) else { return self.postfix() };
        let mut left = self.level(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.take(sign)) {
            let right = self.level(level + 1)?;
            left = self.node(Node::Binary(*operator, Box::new([left, right])))?;
        }
        Ok(left)
    }

    /// `LIKE` and `IN`, as often as they follow.
    fn postfix(&mut self) -> Result<Node, InvalidFilter> {
        let mut value = self.unary()?;
        loop {
            let start = self.at;
            let is_negated = self.take("NOT");
            if self.take("LIKE") {
                let Some(Token::Text(text)) = self.peek() else {
                    return Err(self.refuse("`LIKE` needs a pattern in quotes"));
                };
                let pattern = Pattern::new(text);
                self.at += 1;
                value = self.node(Node::Like { value: Box::new(value), pattern, is_negated })?;
            } else if self.take("IN") {
                self.expect("(")?;
                let set = self.list()?;
                if set.is_empty() {
                    return Err(self.refuse("`IN` needs at least one value"));
                }
                value = self.node(Node::In { value: Box::new(value), set, is_negated })?;
            } else {
                self.at = start;
                return Ok(value);
            }
        }
    }

    fn unary(&mut self) -> Result<Node, InvalidFilter> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(InvalidFilter::TooLarge { reason: "an expression is nested at most 48 deep" });
        }
        let node = if self.take("NOT") {
            Node::Not(Box::new(self.unary()?))
        } else if self.peek_is("-") || self.peek_is("+") {
            self.signed()?
        } else if self.take("EXISTS") {
            Node::Exists(self.attribute()?)
        } else {
            self.primary()?
        };
        self.depth -= 1;
        self.node(node)
    }

    /// A sign belongs to the digits that follow it at once, so that the lowest number can be written; before anything else a minus negates.
    fn signed(&mut self) -> Result<Node, InvalidFilter> {
        let is_minus = self.take("-");
        if !is_minus {
            self.expect("+")?;
        }
        let digits = match (self.peek(), self.tokens.get(self.at - 1), self.tokens.get(self.at)) {
            (Some(Token::Word(word)), Some((_, sign)), Some((_, at))) if is_number(word) && *at == sign + 1 => {
                Some(format!("{}{word}", if is_minus { "-" } else { "" }))
            }
            _ => None,
        };
        match digits {
            Some(digits) => self.integer(&digits),
            None if is_minus => Ok(Node::Negate(Box::new(self.unary()?))),
            None => Err(self.refuse("a number was expected after `+`")),
        }
    }

    fn integer(&mut self, digits: &str) -> Result<Node, InvalidFilter> {
        let number = digits.parse().map_err(|_| self.refuse("the number has more than 32 bits"))?;
        self.at += 1;
        Ok(Node::Integer(number))
    }

    fn primary(&mut self) -> Result<Node, InvalidFilter> {
        match self.peek().cloned() {
            Some(Token::Sign("(")) => {
                self.at += 1;
                let inner = self.level(0)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Text(text)) => {
                self.at += 1;
                Ok(Node::Text(text.into()))
            }
            Some(Token::Word(word)) if is_number(&word) => self.integer(&word),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") => {
                self.at += 1;
                Ok(Node::Boolean(word.eq_ignore_ascii_case("true")))
            }
            Some(Token::Word(word)) => match self.tokens.get(self.at + 1) {
                Some((Token::Sign("("), _)) => self.call(&word),
                _ => Ok(Node::Attribute(self.attribute()?)),
            },
            _ => Err(self.refuse("a value was expected")),
        }
    }

    fn call(&mut self, name: &str) -> Result<Node, InvalidFilter> {
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if !is_name || is_keyword(name) {
            return Err(self.refuse("a function was expected: letters and underscores, beginning with a letter"));
        }
        self.at += 2;
        let arguments = self.list()?;
        Ok(Node::Call { function: Function::find(name, arguments.len()), name: name.into(), arguments })
    }

    /// Values between commas, up to the closing parenthesis.
    fn list(&mut self) -> Result<Vec<Node>, InvalidFilter> {
        let mut values = Vec::new();
        if self.take(")") {
            return Ok(values);
        }
        loop {
            values.push(self.level(0)?);
            if self.take(")") {
                return Ok(values);
            }
            self.expect(",")?;
        }
    }

    fn attribute(&mut self) -> Result<Attribute, InvalidFilter> {
        match self.peek() {
            Some(Token::Word(word)) if !word.contains('_') && !is_keyword(word) => {
                // As keywords are: no event has two attributes that differ in case only.
                let attribute = Attribute::of(&word.to_ascii_lowercase());
                self.at += 1;
                Ok(attribute)
            }
            _ => Err(self.refuse("the name of an attribute was expected: letters and digits")),
        }
    }
}

fn is_number(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}
