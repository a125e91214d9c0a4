//! From texts to vectors: tokens, batches of texts of like length, the network, and the vectors in the callers' order.
//!
//! A batch is as wide as its longest text, so texts are sorted by length first and a batch is bounded in tokens, not in
//! texts: little is computed for filling, and memory stays bounded. Batches run beside each other on a pool of so many
//! threads; between batches the encoder looks whether anybody still waits for the answer.

use crate::bert::Bert;
use crate::model_files::{ModelFiles, ModelFilesError};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tokenizers::{Encoding, Tokenizer, TruncationParams};

/// The name that vectors are labelled with.
pub const MODEL: &str = "all-MiniLM-L6-v2";
/// A longer text is cut: the model was trained on texts of this length.
pub const TOKENS_MAX: usize = 256;
/// Tokens in a batch, filling included: large enough for the matrix multiplication to be quick, small enough for the cache.
const BATCH_TOKENS: usize = 1024;

/// Why texts did not become vectors.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// There is no model.
    #[error(transparent)]
    Files(#[from] ModelFilesError),
    /// The tokenizer's file makes no sense, or a text could not be cut into tokens.
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] tokenizers::Error),
    /// The network could not be loaded or run.
    #[error("network: {0}")]
    Network(#[from] candle_core::Error),
    /// The threads could not be started.
    #[error("threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// Nobody waits for the answer any more.
    #[error("the caller has gone")]
    Abandoned,
}

/// The model and the threads that it runs on.
pub struct Encoder {
    tokenizer: Tokenizer,
    network: Bert,
    dimensions: usize,
    threads: rayon::ThreadPool,
}

/// Vectors in the order of the texts.
#[derive(Debug)]
pub struct Encoded {
    /// One per text, of length one.
    pub vectors: Vec<Vec<f32>>,
    /// How many texts were longer than [`TOKENS_MAX`] and cut.
    pub truncated: usize,
}

impl Encoder {
    /// Loads the model in `folder`, to run on so many threads.
    pub fn load(folder: &Path, threads: usize) -> Result<Self, EncoderError> {
        let files = ModelFiles::read(folder)?;
        let mut tokenizer = Tokenizer::from_bytes(&files.tokenizer)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(Some(TruncationParams { max_length: TOKENS_MAX, ..TruncationParams::default() }))?;
        let threads =
            rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("encoder-{n}")).build()?;
        let network = Bert::load(files.weights, &files.configuration)?;
        Ok(Self { tokenizer, network, dimensions: files.configuration.hidden_size, threads })
    }

    /// Numbers per vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Turns texts into vectors; gives up between two batches once `abandoned` is set. Takes as long as it takes: not for
    /// an async thread.
    pub fn encode(&self, texts: &[String], abandoned: &AtomicBool) -> Result<Encoded, EncoderError> {
        self.threads.install(|| {
            let tokenize = |text: &String| self.tokenizer.encode_fast(text.as_str(), true);
            let encodings: Vec<Encoding> = texts.par_iter().map(tokenize).collect::<Result<_, _>>()?;
            let lengths: Vec<usize> = encodings.iter().map(Encoding::len).collect();
            let batches = batches(&lengths);
            let done = batches.par_iter().map(|batch| self.run(batch, &encodings, abandoned));
            let mut numbered = done.collect::<Result<Vec<_>, _>>()?.concat();
            numbered.sort_unstable_by_key(|(number, _)| *number);
            let vectors = numbered.into_iter().map(|(_, vector)| vector).collect();
            let truncated = encodings.iter().filter(|encoding| !encoding.get_overflowing().is_empty()).count();
            Ok(Encoded { vectors, truncated })
        })
    }

    fn run(
        &self,
        batch: &[usize],
        encodings: &[Encoding],
        abandoned: &AtomicBool,
    ) -> Result<Vec<(usize, Vec<f32>)>, EncoderError> {
        if abandoned.load(Ordering::Relaxed) {
            return Err(EncoderError::Abandoned);
        }
        let width = batch.iter().map(|&number| encodings[number].len()).max().unwrap_or_default();
        let mut tokens = vec![0_u32; batch.len() * width];
        let mut mask = vec![0_f32; batch.len() * width];
        for (row, &number) in batch.iter().enumerate() {
            let ids = encodings[number].get_ids();
            tokens[row * width..][..ids.len()].copy_from_slice(ids);
            mask[row * width..][..ids.len()].fill(1.0);
        }
        let shape = (batch.len(), width);
        let tokens = Tensor::from_vec(tokens, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let vectors = self.network.embed(&tokens, &mask)?.to_vec2()?;
        Ok(batch.iter().copied().zip(vectors).collect())
    }
}

/// Numbers of texts, sorted by length and cut so that no batch has more than [`BATCH_TOKENS`] with its filling.
fn batches(lengths: &[usize]) -> Vec<Vec<usize>> {
    let mut sorted: Vec<usize> = (0..lengths.len()).collect();
    sorted.sort_by_key(|&number| std::cmp::Reverse(lengths[number]));
    let mut batches: Vec<Vec<usize>> = Vec::new();
    for number in sorted {
        match batches.last_mut() {
            Some(batch) if (batch.len() + 1) * lengths[batch[0]] <= BATCH_TOKENS => batch.push(number),
            _ => batches.push(vec![number]),
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_bounded_in_tokens_with_their_filling_and_hold_each_text_once() {
        let lengths: Vec<usize> = (0..200).map(|n| 3 + (n * 37) % 254).collect();
        let batches = batches(&lengths);
        let mut seen: Vec<usize> = batches.concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        for batch in &batches {
            let width = batch.iter().map(|&n| lengths[n]).max().unwrap();
            assert!(batch.len() * width <= BATCH_TOKENS, "{batch:?} is {width} wide");
        }
    }

    #[test]
    fn texts_of_like_length_share_a_batch() {
        assert_eq!(batches(&[250, 4, 250, 4, 250, 4, 250, 4, 4]), [vec![0, 2, 4, 6], vec![1, 3, 5, 7, 8]]);
    }
}
