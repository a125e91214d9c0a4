//! The words that every crate of Motet shares.
//!
//! A word lives here when a second context needs it, and not before. This crate knows no context, does no
//! network or file IO, and has no opinion about how anything is stored or sent: there are no serde derives here.
//!
//! Map: [`name`] (names that people write), [`id`] (ids that Motet makes), [`endpoint`] (where instances answer),
//! [`quantity`] (durations and sizes as people write them), [`backoff`], [`code`] (error codes), [`clock`],
//! [`task`] (background work, grouped by what its failure means), [`topic`] (names of topics).
//!
//! ```
//! use motet_kernel::{name::ServiceName, quantity};
//! let service: ServiceName = "embedder".parse()?;
//! assert_eq!(service.env_prefix(), "EMBEDDER");
//! assert_eq!(quantity::parse_duration("1m30s")?.as_secs(), 90);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod backoff;
pub mod clock;
pub mod code;
pub mod endpoint;
pub mod id;
pub mod name;
pub mod quantity;
pub mod task;
pub mod topic;
