//! The book shows the table that is tested.

use std::{fs, path::Path};

#[test]
fn the_table_of_the_book_is_the_one_that_is_tested() {
    let book = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/events.md");
    let text = fs::read_to_string(book).expect("a page");
    assert!(text.contains(super::sqlite::NATIVE.trim()));
}
