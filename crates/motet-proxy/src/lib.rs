//! The data plane: one address per edge, streams both ways.
