//! Filters: the dialects, what is refused, and what they cost.

use motet_cloudevents::{Event, Filter, InvalidFilter};

fn event() -> Event {
    Event::builder("1", "/a/b", "com.example.error")
        .extension("n", 10)
        .extension("flag", true)
        .extension("e", "")
        .build()
        .expect("valid")
}

fn passes(filter: Result<Filter, InvalidFilter>) -> bool {
    filter.expect("a filter").matches(&event())
}

#[test]
fn texts_are_compared_whole_from_the_left_and_from_the_right() {
    assert!(passes(Filter::exact("type", "com.example.error")));
    assert!(!passes(Filter::exact("type", "com.example")));
    assert!(passes(Filter::prefix("source", "/a")));
    assert!(!passes(Filter::prefix("source", "a")));
    assert!(passes(Filter::suffix("type", ".error")));
    assert!(!passes(Filter::suffix("type", ".Error")));
    assert!(
        passes(Filter::exact("n", "10")) && passes(Filter::prefix("n", "1")) && passes(Filter::exact("flag", "true"))
    );
    assert!(passes(Filter::exact("specversion", "1.0")));
}

#[test]
fn an_attribute_that_is_missing_matches_nothing() {
    assert!(!passes(Filter::prefix("subject", "x")));
    assert!(passes(Filter::not(Filter::prefix("subject", "x").expect("a filter"))));
}

#[test]
fn filters_are_combined() {
    let yes = || Filter::exact("id", "1").expect("a filter");
    let no = || Filter::exact("id", "2").expect("a filter");
    assert!(passes(Filter::all(vec![yes(), yes()])) && !passes(Filter::all(vec![yes(), no()])));
    assert!(passes(Filter::any(vec![no(), yes()])) && !passes(Filter::any(vec![no(), no()])));
    assert!(passes(Filter::not(no())) && !passes(Filter::not(yes())));
    assert!(passes(Filter::all(vec![yes()])));
}

#[test]
fn an_expression_passes_only_when_it_is_true_without_an_error() {
    assert!(passes(Filter::sql("n > 9 AND type LIKE '%.error'")));
    for other in ["n", "'true'", "1", "subject = 'x'", "NOT (subject = 'x')", "id = 'x' OR subject = 'x'", "1 / 0 = 0"]
    {
        assert!(!passes(Filter::sql(other)), "{other}");
    }
}

#[test]
fn a_filter_that_cannot_be_meant_is_refused() {
    let cases = [
        (Filter::exact("Type", "x"), "MO-cloudevents-003", "`Type` cannot be the name of an attribute"),
        (Filter::exact("type", ""), "MO-cloudevents-201", "use the expression `EXISTS type`"),
        (Filter::all(vec![]), "MO-cloudevents-201", "the filter `all` has an empty list"),
        (Filter::sql("type = "), "MO-cloudevents-202", "a value was expected at character 8"),
        (Filter::sql("upcase(type) = 'A'"), "MO-cloudevents-203", "there is no function `upcase`; there are INT, BOOL"),
        (Filter::sql("left(type) = 'A'"), "MO-cloudevents-203", "`LEFT` takes 2 arguments, and 1 are given"),
        (Filter::sql("substring(type) = 'A'"), "MO-cloudevents-203", "`SUBSTRING` takes 2 to 3 arguments"),
        (Filter::sql("concat_ws() = 'A'"), "MO-cloudevents-203", "`CONCAT_WS` takes at least 1 arguments"),
        (Filter::sql("data = 'x'"), "MO-cloudevents-003", "`data` cannot be the name of an attribute"),
        (Filter::sql(&"(".repeat(4000)), "MO-cloudevents-204", "nested at most 48 deep"),
        (Filter::sql(&"1 + ".repeat(1023)), "MO-cloudevents-204", "at most 256 parts"),
        (Filter::sql(&" ".repeat(5000)), "MO-cloudevents-204", "at most 4096 bytes"),
    ];
    for (filter, code, text) in cases {
        let refused = filter.expect_err(text);
        assert_eq!(refused.code().0, code, "{refused}");
        assert!(refused.to_string().contains(text), "{refused}");
    }
    let deep = (0..20).try_fold(Filter::exact("id", "1").expect("a filter"), |inner, _| Filter::not(inner));
    assert_eq!(deep.expect_err("too deep").code().0, "MO-cloudevents-204");
}
