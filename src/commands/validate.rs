//! `infra validate` and `infra config`: the YAML, and nothing else.

use serde_json::json;

use super::{
    Exit, Stop,
    session::{invalid, name, project},
};
use crate::{
    cli::{self, Global},
    config,
    ui::{Failure, Terminal},
};

/// Checks the environment that was named, or else all there are.
pub(super) fn validate(
    global: &Global,
    arguments: &cli::Validate,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let environments = project(global)?.join("environments");
    let names = match &global.env {
        Some(name) => vec![name.clone()],
        None => config::list(&environments),
    };
    if names.is_empty() {
        let hint = "an environment is a folder environments/<name>/ with an environment.yaml";
        return Err(Failure::new(format!("no environments in {}", environments.display())).hint(hint).into());
    }
    let results: Vec<_> = names.iter().map(|name| (name, config::load(&environments, name))).collect();
    let invalids: Vec<&config::Invalid> =
        results.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
    let problems: Vec<&config::Problem> = invalids.iter().flat_map(|invalid| &invalid.problems).collect();
    let count: usize = invalids.iter().map(|invalid| invalid.count()).sum();
    if arguments.json {
        let document = json!({
            "format_version": "1.0",
            "valid": problems.is_empty(),
            "error_count": count,
            "warning_count": 0,
            "diagnostics": problems,
        });
        terminal.out(&format!("{}\n", serde_json::to_string_pretty(&document)?))?;
        return Ok(if problems.is_empty() { Exit::Done } else { Exit::Failed });
    }
    let mut failures = Vec::new();
    for (name, result) in &results {
        match result {
            Ok(_) => terminal.out(&format!("Success! The configuration of {name} is valid.\n"))?,
            Err(error) => failures.extend(invalid(error).failures),
        }
    }
    if failures.is_empty() { Ok(Exit::Done) } else { Err(Stop { exit: Exit::Failed, failures }) }
}

/// The merged configuration, each value with the place it comes from.
pub(super) fn config(global: &Global, arguments: &cli::Config, terminal: &Terminal) -> Result<Exit, Stop> {
    let project = project(global)?;
    let name = name(global, &project)?;
    let loaded = config::load(&project.join("environments"), &name).map_err(|error| invalid(&error))?;
    terminal.out(&if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&loaded.document.to_json())?)
    } else {
        loaded.document.render()
    })?;
    Ok(Exit::Done)
}
