//! Suggestions: which of the known words was probably meant, and lists of words as people say them.

/// The known word that is nearest to what was written, when it is near enough to be meant.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What somebody writes by mistake is short; and the distance takes quadratic time.
    if written.len() > 128 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let bare = plain(written);
    known
        .into_iter()
        .filter(|word| word.len() <= 128)
        .filter_map(|word| {
            let known = plain(word);
            let allowed = (bare.len().max(known.len()) / 3).max(1);
            let begins = bare.len() >= 3 && known.starts_with(&bare) || known.len() >= 3 && bare.starts_with(&known);
            if !begins && bare.len().abs_diff(known.len()) > allowed {
                return None;
            }
            let distance = strsim::osa_distance(&bare, &known);
            (distance <= allowed || begins).then_some((distance, word))
        })
        .min_by_key(|(distance, word)| (*distance, word.len()))
        .map(|(_, word)| word)
}

/// `a`, `b` or `c`.
pub(crate) fn either(words: &[&str]) -> String {
    either_text(words.iter().map(|word| (*word).to_owned()))
}

/// `a`, `b` or `c`.
pub(crate) fn either_text(words: impl IntoIterator<Item = String>) -> String {
    join(words, "or")
}

/// `a`, `b` and `c`.
pub(crate) fn all_of(words: impl IntoIterator<Item = String>) -> String {
    join(words, "and")
}

fn join(words: impl IntoIterator<Item = String>, last: &str) -> String {
    let quoted: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., end] => format!("{} {last} {end}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_suggested_when_it_is_near_and_only_then() {
        let known = ["process", "published", "path", "port"];
        assert_eq!(nearest("proces", known), Some("process"));
        assert_eq!(nearest("Published", known), Some("published"));
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("kubernetes", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
