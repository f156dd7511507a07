//! `infra graph`: the architecture of an environment as a picture. From the YAML alone, unless a plan is to be seen in it.

use std::collections::BTreeMap;

use super::{
    Exit, Stop,
    plan::{saved, unreadable, write_file},
    session::{Session, Wanted},
};
use crate::{
    cli::{Global, Graph, Language},
    compose::{Drawn, picture},
    model::{Address, picture::Fate},
    report::{PlanView, picture as drawn},
    ui::{Failure, Terminal, safe::masked},
};

/// Mermaid draws no longer text, unless the page that it is on allows it.
const LONGEST_MERMAID: usize = 50_000;

pub(super) async fn run(global: &Global, arguments: &Graph, terminal: &Terminal) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    let view = match &arguments.plan {
        None => None,
        Some(Some(file)) => {
            let view = saved(file)?;
            if view.environment != session.name {
                let other =
                    format!("{} is a plan of {}, not of {}", file.display(), view.environment, session.name);
                return Err(Failure::new(other).hint(format!("infra graph -e {}", view.environment)).into());
            }
            Some(view)
        }
        Some(None) => Some(planned(&session, global, terminal).await?),
    };
    let fates: Option<BTreeMap<Address, Fate>> = view.as_ref().map(drawn::fates);
    let picture =
        picture(&session.name, &session.environment, Drawn { fates: fates.as_ref(), each: arguments.each });
    let text = match arguments.format {
        Language::Mermaid => drawn::mermaid(&picture),
        Language::Dot => drawn::dot(&picture),
        Language::Svg => drawn::svg(&picture),
    };
    if arguments.format == Language::Mermaid && text.len() > LONGEST_MERMAID {
        let long =
            format!("this is {} characters long, and GitHub draws up to {LONGEST_MERMAID}", text.len());
        Failure::new(long).hint("--format svg, or leave --each out").warn(terminal.err_colour);
    }
    match &arguments.out {
        Some(file) => write_file(file, &masked(&text))?,
        None => terminal.out(&text)?,
    }
    // It was drawn, and what could not be read is marked as held; but nobody may take it for the whole truth.
    view.as_ref().map_or(Ok(()), unreadable)?;
    Ok(Exit::Done)
}

async fn planned(session: &Session, global: &Global, terminal: &Terminal) -> Result<PlanView, Stop> {
    let wanted = Wanted::default();
    let desired = session.desired(&wanted);
    if !global.quiet {
        terminal.err(&format!("Reading the actual state of {}...\n", session.name));
    }
    let live = session.reader("graph").await?;
    let world = session.read(&live, &desired).await;
    live.postgres.close().await;
    Ok(session.plan(&desired, &world?, &wanted)?.view)
}
