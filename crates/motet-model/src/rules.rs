//! What has to hold for a definition as a whole.

use crate::{
    decode::Frame,
    finding::Finding,
    source::{files::Files, tree::Node},
};

/// Adds what is broken to `findings`.
pub(crate) fn check(_tree: &Node, _frame: &Frame<'_>, _files: &dyn Files, _findings: &mut Vec<Finding>) {}
