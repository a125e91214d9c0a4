//! The embedder: turns text into vectors with all-MiniLM-L6-v2, on the CPU: questions when it is asked, documents when it hears of them.
//!
//! Texts whose meanings are close get vectors whose dot product is close to one. The same text gets the same vector,
//! whatever it is sent together with (up to rounding in the seventh digit).
//!
//! Map: [`model_files`] reads the files and refuses any but the published ones, [`bert`] is the network, [`encoder`]
//! makes batches of texts and runs them through it, [`api`] answers questions, [`step`] is its part in the way of a document.

pub mod api;
pub mod bert;
pub mod encoder;
pub mod model_files;
pub mod step;
