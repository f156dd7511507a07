//! Commands that only print.

use serde_json::json;

use super::{Exit, Stop};
use crate::{
    cli::Document,
    config, report,
    ui::{Failure, Terminal},
};

pub(super) fn schema(document: Document, terminal: &Terminal) -> Result<Exit, Stop> {
    let schema = match document {
        Document::Environment => config::schema(),
        Document::Plan => report::schema(),
    };
    terminal.out(&format!("{}\n", serde_json::to_string_pretty(&schema)?))?;
    Ok(Exit::Done)
}

pub(super) fn version(as_json: bool, terminal: &Terminal) -> Result<Exit, Stop> {
    let version = env!("CARGO_PKG_VERSION");
    terminal.out(&if as_json {
        format!("{}\n", json!({"infra_version": version, "plan_format_version": "1.0"}))
    } else {
        format!("infra {version}\n")
    })?;
    Ok(Exit::Done)
}

/// A command that Terraform has and that has no meaning here.
pub(super) fn needless(name: &str, instead: &str) -> Result<Exit, Stop> {
    Err(Failure::new(format!("there is no `infra {name}`, because there is no state")).hint(instead).into())
}
