//! The model's files, as `fetch-model.sh` leaves them, verified before they are believed.
//!
//! Vectors of two different models look alike and cannot be compared; so the service runs with exactly the published
//! weights or not at all.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// SHA-256 of the published `model.safetensors` of all-MiniLM-L6-v2.
pub const WEIGHTS_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum ModelFilesError {
    /// A file is not there or cannot be read.
    #[error("cannot read {}: {source}; fetch the model with services/embedder/fetch-model.sh", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The weights are not the published ones.
    #[error(
        "{} is not the published model: its SHA-256 is {found}, not {WEIGHTS_SHA256}; delete the folder and run \
         services/embedder/fetch-model.sh again", path.display()
    )]
    NotThePublished {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
    },
    /// `config.json` is not a BERT configuration.
    #[error("{} is not a BERT configuration: {source}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Where it is wrong.
        source: serde_json::Error,
    },
}

/// The sizes of the network, from `config.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Configuration {
    /// Words and pieces of words that the model knows.
    pub vocab_size: usize,
    /// Numbers per token, and so per vector.
    pub hidden_size: usize,
    /// Layers of the encoder.
    pub num_hidden_layers: usize,
    /// Attention heads per layer.
    pub num_attention_heads: usize,
    /// Width of the layer between.
    pub intermediate_size: usize,
    /// Tokens that the position embeddings reach to.
    pub max_position_embeddings: usize,
    /// Kinds of token.
    pub type_vocab_size: usize,
    /// What keeps the layer norm from dividing by zero.
    pub layer_norm_eps: f64,
}

/// What the folder holds, in memory.
///
/// The weights are read rather than mapped: the bytes that were verified are then the bytes that are used, even if
/// somebody changes the file meanwhile.
pub struct ModelFiles {
    /// `config.json`.
    pub configuration: Configuration,
    /// `model.safetensors`, verified.
    pub weights: Vec<u8>,
    /// `tokenizer.json`.
    pub tokenizer: Vec<u8>,
}

impl ModelFiles {
    /// Reads and verifies the three files in `folder`.
    pub fn read(folder: &Path) -> Result<Self, ModelFilesError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| ModelFilesError::Unreadable { path, source })
        };
        let weights = read("model.safetensors")?;
        let found: String = Sha256::digest(&weights).iter().map(|byte| format!("{byte:02x}")).collect();
        if found != WEIGHTS_SHA256 {
            return Err(ModelFilesError::NotThePublished { path: folder.join("model.safetensors"), found });
        }
        let configuration = serde_json::from_slice(&read("config.json")?)
            .map_err(|source| ModelFilesError::Configuration { path: folder.join("config.json"), source })?;
        Ok(Self { configuration, weights, tokenizer: read("tokenizer.json")? })
    }
}
