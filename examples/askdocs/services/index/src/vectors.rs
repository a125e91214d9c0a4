//! The half that searches by meaning: the dot product of the question's vector with every passage's.
//!
//! Exact and without an index structure of its own: a hundred thousand passages are 150 MB that are read once, which
//! takes some ten milliseconds. An approximate index would be faster beyond a million, and would have to be kept in step.

use crate::projection::{Key, Scored};

/// The dot product. Eight sums beside each other, so that the compiler can use wide registers.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0_f32; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// The `limit` passages nearest to `question`, best first; equal ones in the order of their keys.
///
/// `documents` gives a document's number and its vectors, one after the other.
pub fn nearest<'a>(question: &[f32], documents: impl Iterator<Item = (i64, &'a [f32])>, limit: usize) -> Vec<Scored> {
    let mut all: Vec<Scored> = Vec::new();
    for (document, vectors) in documents {
        let scores = vectors.chunks_exact(question.len()).map(|vector| dot(question, vector));
        all.extend((0_u32..).zip(scores).map(|(position, score)| Scored { key: Key { document, position }, score }));
    }
    if limit > 0 && limit < all.len() {
        all.select_nth_unstable_by(limit - 1, Scored::better);
    }
    all.truncate(limit);
    all.sort_unstable_by(Scored::better);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_and_ties_keep_the_order_of_reading() {
        let first = [1.0, 0.0, 0.0, 1.0, 0.6, 0.8];
        let second = [0.6, 0.8];
        let found = nearest(&[0.0, 1.0], [(7, &first[..]), (9, &second[..])].into_iter(), 3);
        let keys: Vec<_> = found.iter().map(|scored| (scored.key.document, scored.key.position)).collect();
        assert_eq!(keys, [(7, 1), (7, 2), (9, 0)]);
    }

    #[test]
    fn the_dot_product_counts_every_number_also_those_that_fill_no_chunk() {
        let a: Vec<f32> = (0_u8..19).map(f32::from).collect();
        assert!((dot(&a, &a) - 2109.0).abs() < 1e-3);
    }
}
