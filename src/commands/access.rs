//! `infra access`: who can do what where. Reads only; without `--actual` not even that.

use std::collections::BTreeSet;

use super::{
    Exit, Stop,
    plan::write_page,
    session::{Session, Wanted},
};
use crate::{
    cli::{self, AccessFormat, Global},
    compose, config,
    model::access_matrix::{AccessMatrix, Place, Who, WhoKind},
    report::{access_matrix as report, page},
    ui::{Failure, Terminal},
};

pub(super) async fn run(global: &Global, arguments: &cli::Access, terminal: &Terminal) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    let matrix = matrix(&session, arguments.actual).await?;
    let differs = matrix.differs();
    if let Some(file) = &arguments.html {
        let matrix = filtered(matrix, &arguments.who, &arguments.service)?;
        write_page(file, &page::access(&matrix), global, terminal)?;
        return Ok(if differs && arguments.detailed_exitcode { Exit::Changes } else { Exit::Done });
    }
    let text = match &arguments.why {
        Some(asked) => {
            let [who, service] = &asked[..] else { return Err(Failure::new("--why takes two names").into()) };
            why(&session, &matrix, who, service, arguments.format, terminal.colour)?
        }
        None => rendered(
            &filtered(matrix, &arguments.who, &arguments.service)?,
            arguments.format,
            terminal.colour,
        )?,
    };
    terminal.out(&text)?;
    Ok(if differs && arguments.detailed_exitcode { Exit::Changes } else { Exit::Done })
}

async fn matrix(session: &Session, actual: bool) -> Result<AccessMatrix, Stop> {
    if !actual {
        return Ok(compose::access_matrix(&session.name, &session.environment, None));
    }
    let desired = session.desired(&Wanted::default());
    let live = session.reader("access").await?;
    let world = session.read(&live, &desired).await;
    live.postgres.close().await;
    Ok(compose::access_matrix(&session.name, &session.environment, Some(&world?)))
}

fn rendered(matrix: &AccessMatrix, format: AccessFormat, colour: bool) -> Result<String, Stop> {
    Ok(match format {
        AccessFormat::Table => report::table(matrix, colour),
        AccessFormat::Json => format!("{}\n", serde_json::to_string_pretty(matrix)?),
        AccessFormat::Csv => report::csv(matrix),
    })
}

/// Only these people, services and logins, and only these services' places.
fn filtered(mut matrix: AccessMatrix, who: &[String], services: &[String]) -> Result<AccessMatrix, Stop> {
    let (mut logins, mut places) = (BTreeSet::new(), BTreeSet::new());
    for name in who {
        logins.extend(whom(&matrix, name)?);
    }
    for name in services {
        places.extend(places_of(&matrix, name)?);
    }
    if !who.is_empty() {
        matrix.who.retain(|one| logins.contains(one));
        matrix.entries.retain(|entry| logins.contains(&entry.who));
    }
    if !services.is_empty() {
        matrix.places.retain(|place| places.contains(place));
        matrix.entries.retain(|entry| places.contains(&entry.place));
        // Of all others only that they may nothing here.
        let here: BTreeSet<Who> = matrix.entries.iter().map(|entry| entry.who.clone()).collect();
        matrix.who.retain(|one| here.contains(one) || logins.contains(one));
    }
    Ok(matrix)
}

fn whom(matrix: &AccessMatrix, name: &str) -> Result<Vec<Who>, Stop> {
    let meant = |one: &&Who| one.name == name || one.login == name;
    let found: Vec<Who> = matrix.who.iter().filter(meant).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: BTreeSet<&str> =
        matrix.who.iter().flat_map(|one| [one.name.as_str(), one.login.as_str()]).collect();
    Err(unknown("there is nobody called", name, &names))
}

fn places_of(matrix: &AccessMatrix, name: &str) -> Result<Vec<Place>, Stop> {
    let meant = |place: &&Place| place.service.as_deref() == Some(name) || place.label() == name;
    let found: Vec<Place> = matrix.places.iter().filter(meant).cloned().collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: BTreeSet<&str> = matrix.places.iter().filter_map(|place| place.service.as_deref()).collect();
    Err(unknown("there is no service", name, &names))
}

/// A name that means nothing, with the one that was meant.
pub(super) fn unknown(what: &str, name: &str, names: &BTreeSet<&str>) -> Stop {
    let failure = Failure::new(format!("{what} `{name}`"));
    match config::did_you_mean(config::near(name, names), names) {
        Some(hint) => failure.hint(hint).into(),
        None => failure.into(),
    }
}

fn why(
    session: &Session,
    matrix: &AccessMatrix,
    who: &str,
    service: &str,
    format: AccessFormat,
    colour: bool,
) -> Result<String, Stop> {
    let (logins, places) = (whom(matrix, who)?, places_of(matrix, service)?);
    if format != AccessFormat::Table {
        return rendered(&filtered(matrix.clone(), &[who.into()], &[service.into()])?, format, colour);
    }
    let person = logins.iter().find(|one| one.kind == WhoKind::Person).map(|one| one.name.as_str());
    let groups = person.filter(|person| session.environment.people.contains_key(*person)).map(|person| {
        let admission = compose::admission(&session.environment, person, &[service]);
        vec![admission.refusal(person, service), admission.mend(person)]
    });
    Ok(report::why(matrix, &logins, &places, &groups.unwrap_or_default(), colour))
}
