//! `motet schema`: the JSON Schema for editors, and the document of the control API.

use crate::{
    cli::{Document, Schema},
    exit::Exit,
    terminal,
};
use anyhow::Result;

#[expect(clippy::unnecessary_wraps, reason = "all commands have one signature")]
pub(crate) fn run(arguments: &Schema) -> Result<Exit> {
    let text = match arguments.document {
        Document::Motet => motet_model::schema(),
        Document::Service => motet_model::service_schema(),
        Document::ControlApi => motet_api::document::openapi_json(),
    };
    terminal::print(text.trim_end());
    Ok(Exit::Done)
}
