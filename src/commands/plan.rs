//! `infra plan`: reads, compares, shows. Never locks, never writes.

use std::{fs, path::Path};

use super::{
    Exit, Stop,
    session::{Planned, Session, Wanted},
};
use crate::{
    cli::{self, Global},
    engine::World,
    report::{self, PlanView, json, markdown, text},
    resources::Any,
    ui::{Failure, Terminal},
};

pub(super) async fn run(global: &Global, arguments: &cli::Plan, terminal: &Terminal) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    let wanted = Wanted::new(&arguments.shape, arguments.destroy, &arguments.allow_destroy);
    let desired = session.desired(&wanted);
    let world: World<Any> = if let Some(file) = &arguments.world {
        serde_json::from_str(&read_file(file)?)?
    } else {
        if !global.quiet {
            terminal.err(&format!(
                "Reading the actual state of {}...
",
                session.name
            ));
        }
        let live = session.reader("plan").await?;
        let world = session.read(&live, &desired).await;
        live.postgres.close().await;
        world?
    };
    if let Some(file) = &arguments.save_world {
        write_file(file, &serde_json::to_string_pretty(&world)?)?;
    }
    let Planned { view, .. } = session.plan(&desired, &world, &wanted)?;

    let document = json::render(&view)?;
    for file in arguments.out.iter().chain(&arguments.json_into) {
        if file.as_os_str() == "-" { terminal.out(&document)? } else { write_file(file, &document)? }
    }
    if arguments.json {
        terminal.out(&document)?;
    } else if arguments.markdown {
        terminal.out(&markdown::render(&view))?;
    } else if arguments.out.as_deref() != Some(Path::new("-")) {
        terminal.out(&text::render(&view, style(global, terminal, arguments.summary)))?;
        if let Some(file) = arguments.out.as_ref().filter(|_| view.counts.changes() > 0 && hints_wanted()) {
            let (name, file) = (&session.name, file.display());
            terminal.out(&format!(
                "\nSaved the plan to: {file}\n\nTo perform exactly these actions, run the following command to apply:\n    \
                 infra apply -e {name} \"{file}\"\n"
            ))?;
        }
    }
    ended(&view, arguments.detailed_exitcode)
}

/// The exit code that a plan speaks with. What could not be read is an error: nobody may take it for "no changes".
fn ended(view: &PlanView, detailed: bool) -> Result<Exit, Stop> {
    unreadable(view)?;
    Ok(if detailed && view.counts.changes() > 0 { Exit::Changes } else { Exit::Done })
}

pub(super) fn unreadable(view: &PlanView) -> Result<(), Stop> {
    let messages: std::collections::BTreeSet<&str> = (view.held.iter())
        .filter(|held| held.reason == "unreadable")
        .map(|held| held.message.as_str())
        .collect();
    if messages.is_empty() {
        return Ok(());
    }
    let failures = messages.into_iter().map(Failure::new).collect();
    Err(Stop { exit: Exit::Failed, failures })
}

pub(super) fn style(global: &Global, terminal: &Terminal, summary: bool) -> text::Style {
    text::Style { colour: terminal.colour, verbose: global.verbose > 0, summary }
}

/// Whether to tell what to type next: not to a machine.
pub(super) fn hints_wanted() -> bool {
    !["INFRA_IN_AUTOMATION", "CI"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

pub(super) fn read_file(file: &Path) -> Result<String, Stop> {
    fs::read_to_string(file)
        .map_err(|error| Failure::of(&error).named(&format!("cannot read {}", file.display())).into())
}

pub(super) fn write_file(file: &Path, text: &str) -> Result<(), Stop> {
    fs::write(file, text)
        .map_err(|error| Failure::of(&error).named(&format!("cannot write {}", file.display())).into())
}

/// A plan that was saved. It shows as it did, whatever the world has become since.
pub(super) fn saved(file: &Path) -> Result<PlanView, Stop> {
    let text = read_file(file)?;
    report::json::parse(&text).map_err(|error| {
        Failure::of(&error).named(&format!("{} is not a plan that infra has saved", file.display())).into()
    })
}
