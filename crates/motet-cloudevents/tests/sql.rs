//! CESQL: a table of our own, and the conformance kit of the specification where it is at hand.

mod kit;

use motet_cloudevents::{
    Event, Value,
    filter::sql::{Expression, Fault, Outcome},
};
use proptest::prelude::*;

/// What a case expects.
#[derive(Debug, PartialEq)]
enum Is {
    Text(&'static str),
    Number(i32),
    Truth(bool),
}
use Fault::{Cast, FunctionEvaluation, Math, MissingAttribute, MissingFunction};
use Is::{Number, Text, Truth};

fn event() -> Event {
    Event::builder("abc", "https://a.example", "com.example.error")
        .subject("a%b_c")
        .time("2026-01-31T12:00:00+02:00")
        .extension("n", 7)
        .extension("text", "8")
        .extension("yes", true)
        .extension("word", "Zürich €")
        .build()
        .expect("valid")
}

fn check(cases: &[(&str, Is, Option<Fault>)]) {
    let event = event();
    for (text, expected, fault) in cases {
        let expression = Expression::parse(text).expect(text);
        let (outcome, found) = expression.evaluate(&event);
        let outcome_is = match (&outcome, expected) {
            (Outcome::Text(found), Text(expected)) => found == expected,
            (Outcome::Integer(found), Number(expected)) => found == expected,
            (Outcome::Boolean(found), Truth(expected)) => found == expected,
            _ => false,
        };
        assert!(outcome_is && found == *fault, "{text}: {outcome:?} {found:?}, expected {expected:?} {fault:?}");
    }
}

#[test]
fn literals_are_what_they_say() {
    check(&[
        ("true", Truth(true), None),
        ("fAlSe", Truth(false), None),
        ("0", Number(0), None),
        ("+7", Number(7), None),
        ("007", Number(7), None),
        ("2147483647", Number(i32::MAX), None),
        ("-2147483648", Number(i32::MIN), None),
        ("'aB \"c\"'", Text("aB \"c\""), None),
        (r#""it's \"x\"""#, Text("it's \"x\""), None),
        (r"'a\'b\c'", Text(r"a'b\c"), None),
        ("((('€')))", Text("€"), None),
    ]);
}

#[test]
fn attributes_are_addressed_by_name() {
    check(&[
        ("id", Text("abc"), None),
        ("ID", Text("abc"), None),
        ("specversion", Text("1.0"), None),
        ("source", Text("https://a.example"), None),
        ("time", Text("2026-01-31T12:00:00+02:00"), None),
        ("n", Number(7), None),
        ("yes", Truth(true), None),
        ("dataschema", Truth(false), Some(MissingAttribute)),
        ("EXISTS id AND exists specversion and EXISTS n", Truth(true), None),
        ("EXISTS dataschema", Truth(false), None),
        ("NOT EXISTS other", Truth(true), None),
    ]);
}

#[test]
fn sums_and_products_keep_their_order() {
    check(&[
        ("2 + 3 * 4 - 6 / 2", Number(11), None),
        ("2 * (3 + 4)", Number(14), None),
        ("10 - 3 - 2", Number(5), None),
        ("100 / 10 / 5", Number(2), None),
        ("10-3", Number(7), None),
        ("10 - -3", Number(13), None),
        ("--5", Number(5), None),
        ("-'5'", Number(-5), None),
        ("-yes", Number(-1), None),
        ("-n + n", Number(0), None),
        ("-7 / 2", Number(-3), None),
        ("-7 % 3", Number(-1), None),
        ("7 % -3", Number(1), None),
        ("n + text", Number(15), None),
        ("1 + '+2'", Number(3), None),
        ("1 / 0", Number(0), Some(Math)),
        ("1 % 0", Number(0), Some(Math)),
        ("2147483647 + 1", Number(0), Some(Math)),
        ("-(-2147483648)", Number(i32::MAX), Some(Math)),
        ("-2147483648 % -1", Number(0), None),
        ("-2147483648 / -1", Number(0), Some(Math)),
        ("id + 1", Number(0), Some(Cast)),
        ("other / 0", Number(0), Some(MissingAttribute)),
        ("'2147483648' + 0", Number(0), Some(Cast)),
    ]);
}

#[test]
fn comparison_casts_the_left_side_to_the_right_sides_type() {
    check(&[
        ("1 = 1", Truth(true), None),
        ("'1' = 1", Truth(true), None),
        ("1 = '1'", Truth(true), None),
        ("1 = '01'", Truth(false), None),
        ("'01' = 1", Truth(true), None),
        ("'TRUE' = true", Truth(true), None),
        ("true = 'TRUE'", Truth(false), None),
        ("TRUE = 'true'", Truth(true), None),
        ("2 = true", Truth(true), None),
        ("true = 2", Truth(false), None),
        ("'a' = 'A'", Truth(false), None),
        ("'a' != 'b'", Truth(true), None),
        ("'a' <> 'a'", Truth(false), None),
        ("'x' = 1", Truth(false), Some(Cast)),
        ("'x' != 1", Truth(false), Some(Cast)),
        ("other != 1", Truth(false), Some(MissingAttribute)),
        ("1 <> other", Truth(false), Some(MissingAttribute)),
        ("1 < 2", Truth(true), None),
        ("2 <= 2", Truth(true), None),
        ("2 > 2", Truth(false), None),
        ("2 >= '2'", Truth(true), None),
        ("text > n", Truth(true), None),
        ("'b' > 'a'", Truth(false), Some(Cast)),
        ("1 = 1 = true", Truth(true), None),
        ("1 + 1 = 2", Truth(true), None),
    ]);
}

#[test]
fn logic_goes_from_left_to_right_and_no_further_than_needed() {
    check(&[
        ("true AND false", Truth(false), None),
        ("true and 1", Truth(true), None),
        ("false AND other", Truth(false), None),
        ("true AND other", Truth(false), Some(MissingAttribute)),
        ("other AND true", Truth(false), Some(MissingAttribute)),
        ("true OR 1 / 0 = 1", Truth(true), None),
        ("false OR 1 / 0 = 0", Truth(false), Some(Math)),
        ("other OR true", Truth(false), Some(MissingAttribute)),
        ("true XOR true", Truth(false), None),
        ("true XOR 'false'", Truth(true), None),
        ("true XOR other", Truth(false), Some(MissingAttribute)),
        ("true OR true AND false", Truth(false), None),
        ("true OR (true AND false)", Truth(true), None),
        ("NOT true", Truth(false), None),
        ("NOT 'FALSE'", Truth(true), None),
        ("NOT 0", Truth(true), None),
        ("NOT 'x'", Truth(false), Some(Cast)),
        ("NOT other", Truth(false), Some(MissingAttribute)),
        ("NOT false = false", Truth(false), None),
        ("NOT NOT yes", Truth(true), None),
        ("NOT (other = 1)", Truth(false), Some(MissingAttribute)),
        ("true AND 1 != 1 / 0", Truth(false), Some(Math)),
        ("1 + LENGTH(LEFT(id, -1))", Number(0), Some(FunctionEvaluation)),
    ]);
}

#[test]
fn patterns_match_whole_texts() {
    check(&[
        ("id LIKE 'abc'", Truth(true), None),
        ("id LIKE 'a%'", Truth(true), None),
        ("id LIKE '%b%'", Truth(true), None),
        ("id LIKE 'b%'", Truth(false), None),
        ("id LIKE '_b_'", Truth(true), None),
        ("id LIKE '_b'", Truth(false), None),
        ("id LIKE 'ABC'", Truth(false), None),
        ("id NOT LIKE 'x%'", Truth(true), None),
        (r"subject LIKE 'a\%b\_c'", Truth(true), None),
        (r"id LIKE 'a\%'", Truth(false), None),
        ("word LIKE 'Z_rich _'", Truth(true), None),
        ("123 LIKE '12_'", Truth(true), None),
        ("TRUE LIKE 'tr%'", Truth(true), None),
        ("'' LIKE '%'", Truth(true), None),
        ("'' LIKE '_'", Truth(false), None),
        ("other LIKE '%'", Truth(false), Some(MissingAttribute)),
        ("other NOT LIKE '%'", Truth(false), Some(MissingAttribute)),
        ("-1 LIKE '-_' AND true", Truth(true), None),
    ]);
}

#[test]
fn a_set_is_of_the_type_of_what_is_looked_for() {
    check(&[
        ("1 IN (3, 2, 1)", Truth(true), None),
        ("1 NOT IN (3, 2)", Truth(true), None),
        ("'1' IN (3, 2, 1)", Truth(true), None),
        ("1 IN ('3', '1')", Truth(true), None),
        ("true IN ('x')", Truth(false), Some(Cast)),
        ("true IN ('TRUE')", Truth(true), None),
        ("'true' IN (true, false)", Truth(true), None),
        ("'TRUE' IN (true, false)", Truth(false), None),
        ("id IN ('x', CONCAT('a', 'bc'))", Truth(true), None),
        ("n IN (text, 6 + 1)", Truth(true), None),
        ("other IN (1)", Truth(false), Some(MissingAttribute)),
        ("1 NOT IN (other)", Truth(false), Some(MissingAttribute)),
        ("1 IN (1, other)", Truth(true), None),
    ]);
}

#[test]
fn functions_are_those_of_the_specification() {
    check(&[
        ("length('Zürich')", Number(6), None),
        ("LENGTH('')", Number(0), None),
        ("LENGTH(TRUE)", Number(4), None),
        ("LENGTH(other)", Number(0), Some(MissingAttribute)),
        ("CONCAT()", Text(""), None),
        ("CONCAT('a', 1, true)", Text("a1true"), None),
        ("CONCAT('a', other)", Text(""), Some(MissingAttribute)),
        ("CONCAT_WS('-')", Text(""), None),
        ("CONCAT_WS('-', 'a', 'b', '')", Text("a-b-"), None),
        ("LOWER('ÄbC')", Text("äbc"), None),
        ("UPPER('äbC')", Text("ÄBC"), None),
        ("TRIM(' \u{a0}\ta b\u{2003} ')", Text("a b"), None),
        ("TRIM('\u{1}a')", Text("\u{1}a"), None),
        ("LEFT('äöü', 2)", Text("äö"), None),
        ("LEFT('abc', 9)", Text("abc"), None),
        ("LEFT('abc', 0)", Text(""), None),
        ("LEFT('abc', -1)", Text("abc"), Some(FunctionEvaluation)),
        ("RIGHT('äöü', 2)", Text("öü"), None),
        ("RIGHT('abc', 0)", Text(""), None),
        ("RIGHT('abc', -1)", Text("abc"), Some(FunctionEvaluation)),
        ("SUBSTRING('äöüß', 2)", Text("öüß"), None),
        ("SUBSTRING('abcd', -2)", Text("cd"), None),
        ("SUBSTRING('abcd', 0)", Text(""), None),
        ("SUBSTRING('abcd', 4)", Text("d"), None),
        ("SUBSTRING('abcd', 5)", Text(""), Some(FunctionEvaluation)),
        ("SUBSTRING('abcd', -5)", Text(""), Some(FunctionEvaluation)),
        ("SUBSTRING('abcd', 2, 2)", Text("bc"), None),
        ("SUBSTRING('abcd', -3, 99)", Text("bcd"), None),
        ("SUBSTRING('abcd', 2, 0)", Text(""), None),
        ("SUBSTRING('abcd', 2, -1)", Text(""), Some(FunctionEvaluation)),
        ("SUBSTRING('', 1)", Text(""), Some(FunctionEvaluation)),
        ("SUBSTRING('abc', -2147483648)", Text(""), Some(FunctionEvaluation)),
        ("ABS('-5')", Number(5), None),
        ("ABS(-2147483648)", Number(i32::MAX), Some(Math)),
        ("INT('12')", Number(12), None),
        ("INT(' 12')", Number(0), Some(Cast)),
        ("INT(true)", Number(1), None),
        ("BOOL('TRUE')", Truth(true), None),
        ("BOOL(-3)", Truth(true), None),
        ("BOOL('yes')", Truth(false), Some(Cast)),
        ("STRING(-3)", Text("-3"), None),
        ("STRING(TRUE)", Text("true"), None),
        ("IS_INT('12') AND NOT IS_INT('x') AND IS_BOOL('true') AND NOT IS_BOOL('x')", Truth(true), None),
        ("NOPE(1)", Truth(false), Some(MissingFunction)),
        ("CONCAT_WS()", Truth(false), Some(MissingFunction)),
        ("LEFT('a')", Truth(false), Some(MissingFunction)),
    ]);
}

#[test]
fn what_cannot_be_read_is_refused_where_it_ends() {
    for (text, at) in [
        ("", 1),
        ("(", 2),
        ("(1", 3),
        ("1)", 2),
        ("1 +", 4),
        ("+ 1", 3),
        ("+'1'", 2),
        ("2147483648", 1),
        ("-2147483649", 2),
        ("'abc", 1),
        ("\"abc'", 1),
        (r"'abc\'", 1),
        ("1 ? 2", 3),
        ("a LIKE b", 8),
        ("a LIKE 1", 8),
        ("a IN ()", 8),
        ("a IN 1", 6),
        ("EXISTS 'a'", 8),
        ("EXISTS (a)", 8),
        ("EXISTS f(a)", 9),
        ("NOT", 4),
        ("a NOT 1", 3),
        ("a b", 3),
        ("F(1,)", 5),
        ("F(,1)", 3),
        ("F1(1)", 1),
        ("a_b = 1", 1),
        ("AND(1)", 1),
        ("1 == 2", 4),
        ("€", 1),
        ("'€' x", 5),
    ] {
        let refused = Expression::parse(text).expect_err(text);
        assert!(
            matches!(refused, motet_cloudevents::InvalidFilter::Syntax { at: found, .. } if found == at),
            "{text}: {refused}"
        );
    }
}

#[test]
fn a_function_around_functions_asks_each_of_them_once() {
    let nested = format!("{}id{}", "IS_BOOL(".repeat(40), ")".repeat(40));
    let expression = Expression::parse(&nested).expect("readable");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(expression.matches(&event())));
    assert_eq!(receiver.recv_timeout(std::time::Duration::from_secs(20)), Ok(true));
}

#[test]
fn evaluation_does_not_allocate_for_texts_of_the_event() {
    let event = event();
    for text in ["id", "TRIM(word)", "LEFT(word, 3)", "STRING(id)"] {
        let expression = Expression::parse(text).expect(text);
        let (outcome, _) = expression.evaluate(&event);
        assert!(matches!(outcome, Outcome::Text(std::borrow::Cow::Borrowed(_))), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_reading_or_asking_panic(text in "\\PC{0,40}") {
        if let Ok(expression) = Expression::parse(&text) {
            let _ = expression.evaluate(&event());
        }
    }

    #[test]
    fn no_expression_makes_asking_panic(
        tokens in proptest::collection::vec(
            proptest::sample::select(vec![
                "id", "n", "word", "other", "1", "-2147483648", "0", "'a'", "'7'", "\"true\"", "true", "+", "-", "*", "/", "%", "=", "!=", "<", ">=",
                "AND", "OR", "XOR", "NOT", "LIKE", "IN", "EXISTS", "(", ")", ",", "LEFT(", "SUBSTRING(", "CONCAT(", "ABS(", "INT(", "IS_INT(", "NOPE(",
            ]),
            0..14,
        )
    ) {
        if let Ok(expression) = Expression::parse(&tokens.join(" ")) {
            let _ = expression.evaluate(&event());
        }
    }

    #[test]
    fn sums_are_those_of_numbers(a: i32, b: i32) {
        let event = event();
        for (sign, expected) in [("+", a.checked_add(b)), ("-", a.checked_sub(b)), ("*", a.checked_mul(b)), ("/", a.checked_div(b)), ("%", a.checked_rem(b))] {
            let expression = Expression::parse(&format!("{a} {sign} {b}")).expect("readable");
            let (outcome, fault) = expression.evaluate(&event);
            if let Some(expected) = expected {
                prop_assert_eq!((outcome, fault), (Outcome::Integer(expected), None));
            }
        }
    }

    #[test]
    fn a_number_is_the_same_as_text_and_back(number: i32) {
        let event = event().edit().extension("x", Value::Integer(number)).build().expect("valid");
        for text in ["INT(STRING(x)) = x", "STRING(x) = x", "x = STRING(x)", "x IN (STRING(x))", "BOOL(x) = (x != 0)"] {
            prop_assert!(Expression::parse(text).expect("readable").matches(&event), "{text}");
        }
    }
}
