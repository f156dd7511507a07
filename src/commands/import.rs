//! `infra import`: the YAML for what exists and is not declared; and with `--adopt` our mark on what is, and nothing else.

mod page;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{ErrorKind, Write as _},
    path::Path,
    time::Duration,
};

use super::{
    Exit, Stop,
    locks::Locks,
    session::{Session, Wanted},
};
use crate::{
    cli::{self, Global},
    compose::recognise::{Survey, differences, recognise},
    engine::{self, Desired, World},
    model::Address,
    resources::{Any, Live, NotAdoptable, Scope, Seen, adoptable, pg_database::PgDatabase},
    ui::{Failure, Terminal},
};

pub(super) async fn run(global: &Global, arguments: &cli::Import, terminal: &Terminal) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    if arguments.adopt.is_empty() {
        Box::pin(propose(&session, arguments, terminal)).await
    } else {
        Box::pin(adopt(&session, arguments, terminal)).await
    }
}

async fn propose(session: &Session, arguments: &cli::Import, terminal: &Terminal) -> Result<Exit, Stop> {
    if let Some(file) = arguments.out.as_deref().filter(|file| file.exists()) {
        return Err(exists(file).into());
    }
    let live = session.reader("import").await?;
    let seen = look(session, &live).await;
    live.postgres.close().await;
    let mut seen = seen?;
    let survey = Survey {
        name: &session.name,
        environment: &session.environment,
        world: &seen.world,
        estate: seen.estate.as_ref(),
    };
    let mut proposal = recognise(&survey);
    proposal.unseen(&session.environment, seen.catalogs.iter().map(|catalog| catalog.cluster.as_str()));
    seen.estate = None;
    let differences = differences(&session.name, &session.environment, &proposal.added, seen)
        .map_err(|error| Failure::of(&error))?;
    let page = page::render(&session.name, &proposal, &differences)
        .map_err(|error| Failure::of(error.as_ref()).named("cannot write the YAML"))?;
    match &arguments.out {
        Some(file) => {
            write(file, &page)?;
            terminal.out(&format!("Wrote {}\n", crate::report::visible(&file.display().to_string())))?;
        }
        None => terminal.out(&page)?,
    }
    Ok(Exit::Done)
}

/// Reads all there is: the second time with the databases that the first has told of.
async fn look<M>(session: &Session, live: &Live<M>) -> Result<Seen, Stop> {
    let mut scope = Scope::of(&session.desired(&Wanted::default()), session.interest());
    for cluster in session.environment.clusters.keys() {
        scope.databases.entry(cluster.clone()).or_default();
    }
    let failed = |error: engine::Error| Stop::from(Failure::of(error.as_ref()));
    let first = Box::pin(live.look(&scope)).await.map_err(failed)?;
    for found in first.world.found.values() {
        if let Ok(database) = PgDatabase::try_from(found.resource.clone())
            && database.connectable
        {
            scope.databases.entry(database.cluster).or_default().insert(database.facts.0.name);
        }
    }
    Box::pin(live.look(&scope)).await.map_err(failed)
}

fn exists(file: &Path) -> Failure {
    Failure::new(format!("{} is there already, and is not overwritten", file.display()))
        .hint("name a file that is not there: the files of an environment's folder are read as one")
}

fn write(file: &Path, text: &str) -> Result<(), Stop> {
    let written = File::create_new(file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(file).into(),
        _ => Failure::of(&error).named(&format!("cannot write {}", file.display())).into(),
    })
}

async fn adopt(session: &Session, arguments: &cli::Import, terminal: &Terminal) -> Result<Exit, Stop> {
    let live = session.writer("import").await?;
    let patience: Duration = arguments.lock_timeout.into();
    let ledger = session.ledger_to_write(live.aws.as_ref()).await?;
    let locks = Locks::take(session, &ledger, "import", patience, terminal).await?;
    let ended = marks(session, &live, &arguments.adopt, terminal).await;
    live.postgres.close().await;
    locks.release().await;
    ended
}

async fn marks(
    session: &Session,
    live: &Live<crate::providers::ReadWrite>,
    wanted: &[String],
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let desired = session.desired(&Wanted::default());
    let scope = Scope::of(&desired, session.interest());
    let mut seen =
        Box::pin(live.look(&scope)).await.map_err(|error| Stop::from(Failure::of(error.as_ref())))?;
    // All or nothing: one that cannot be adopted is known before the first is.
    let addresses = selected(wanted, &desired, &seen.world)?;
    let mut found: Vec<(Address, Any)> = Vec::with_capacity(addresses.len());
    let mut failures = Vec::new();
    for address in addresses {
        match adoptable(&address, &desired, &seen.world) {
            Ok(one) => found.push((address, one.clone())),
            Err(error) => failures.push(Failure::of(&error)),
        }
    }
    if !failures.is_empty() {
        return Err(Stop { exit: Exit::Failed, failures });
    }
    if found.is_empty() {
        terminal.out(
            "Nothing to adopt: all that is declared and exists carries the mark of this environment.\n",
        )?;
        return Ok(Exit::Done);
    }
    let mut said = Ok(());
    let mut done = |address: &Address| {
        let line = format!("{}: Adopted\n", crate::report::visible(address.as_str()));
        if said.is_ok() {
            said = terminal.out(&line);
        }
    };
    live.adopt(&found, &mut seen, &desired, session.environment.protect, &mut done).await.map_err(
        |(address, error)| {
            Failure::of(error.as_ref()).named(&format!("cannot adopt {address}")).hint(
                "what was adopted before stays so, and `--adopt` goes on from there; the mark is a comment, which only the \
                 owner may write: infra_admin needs to be a member of it, or to have ADMIN OPTION on it",
            )
        },
    )?;
    said?;
    terminal.out("\nOnly marks were written. infra plan shows what differs from the YAML.\n")?;
    Ok(Exit::Done)
}

/// The addresses that are meant. What a pattern finds and is ours already is left out; what is named must be adopted.
fn selected(
    wanted: &[String],
    desired: &Desired<Any>,
    world: &World<Any>,
) -> Result<BTreeSet<Address>, Stop> {
    let mut addresses = BTreeSet::new();
    let mut failures = Vec::new();
    for text in wanted {
        if text != "all" && !text.contains('*') {
            match text.parse::<Address>() {
                Ok(address) => drop(addresses.insert(address)),
                Err(error) => failures.push(Failure::of(&error)),
            }
            continue;
        }
        let matching = |address: &&Address| text == "all" || engine::matches(text, address.as_str());
        let declared: Vec<&Address> = desired.resources.keys().filter(matching).collect();
        if declared.is_empty() && text != "all" {
            let failure = Failure::new(format!("nothing that is declared has an address like `{text}`"));
            failures.push(failure.hint("infra plan lists what is held because it does not carry our mark"));
        }
        let open = declared.into_iter().filter(|address| {
            !matches!(
                adoptable(address, desired, world),
                Err(NotAdoptable::Missing(_) | NotAdoptable::Ours(_) | NotAdoptable::NoMark(_))
            )
        });
        addresses.extend(open.cloned());
    }
    if failures.is_empty() { Ok(addresses) } else { Err(Stop { exit: Exit::Failed, failures }) }
}
