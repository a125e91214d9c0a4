//! What the definition's rules ask about events: filters, schemas and engines, by those who will use them.

use super::engine;
use motet_contract::Contract;
use motet_model::{
    Judge,
    judge::Promise,
    system::events::{EventsEngine, Schema},
};
use std::path::Path;

/// Answers as the running system would.
#[derive(Debug)]
pub(crate) struct Knows;

impl Judge for Knows {
    fn expression(&self, text: &str) -> Result<(), String> {
        motet_cloudevents::Filter::sql(text).map(drop).map_err(|error| error.to_string())
    }

    fn schema(&self, schema: &Schema, root: &Path) -> Result<(), String> {
        super::declared::contract(schema, root).map(|_: Contract| ()).map_err(|error| error.to_string())
    }

    fn lacks(&self, engine: &EventsEngine) -> Vec<(Promise, &'static str)> {
        engine::lacks(engine)
    }
}
