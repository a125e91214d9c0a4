//! The system definition: parse with positions, resolve, validate, lint.
