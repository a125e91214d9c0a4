//! The JSON event format and the JSON batch format (JSON event format 1.0.2).
//!
//! JSON data is never parsed into values and written again: a number keeps its digits, an object its order and its spaces. Reading finds
//! where `data` begins and ends and refers to the body from there; writing copies it in. So what a subscriber gets is what was published,
//! whatever modes both of them use.

mod read;
mod write;

pub use read::{read, read_batch};
pub use write::{length_hint, write, write_batch, write_line, write_with};
