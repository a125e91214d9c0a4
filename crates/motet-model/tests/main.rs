//! The definition from outside: what people write, and what they see.

mod events;
mod explaining;
mod hostile;
mod judged;
mod language;
mod lints;
mod looking;
mod mistakes;
mod overlays;
mod policies;
mod schema;
mod speed;
mod support;
