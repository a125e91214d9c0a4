//! The definition from outside: what people write, and what they see.

mod mistakes;
