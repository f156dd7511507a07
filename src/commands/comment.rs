//! `infra comment`: plans, on the pull request that they are about. What fails here fails no job.

use std::time::Duration;

use super::{
    Exit, Stop,
    ci::{self, Ci},
    plan::{saved, write_file},
};
use crate::{
    cli::{self, Global, Review},
    providers::forge::{Forge, ForgeError, Note},
    report::comment::{self, Content, Marker, Origin, superseded},
    ui::{Failure, Terminal, safe::masked},
};

/// After so long it is asked whether what may have been written was.
const SECOND_LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(_: &Global, arguments: &cli::Comment, terminal: &Terminal) -> Result<Exit, Stop> {
    let mut views = Vec::with_capacity(arguments.plan_files.len());
    for file in &arguments.plan_files {
        let view = saved(file)?;
        if views.iter().any(|other: &crate::report::PlanView| other.environment == view.environment) {
            let message = format!("{} is a second plan of environment {}", file.display(), view.environment);
            return Err(Failure::new(message).hint("pass one plan for each environment").into());
        }
        views.push(view);
    }
    let contents: Vec<Content<'_>> = views.iter().map(Content::Plan).collect();
    if let Some(file) = &arguments.gitlab_report {
        write_file(file, &ci::gitlab_report(&contents))?;
    }
    let ci = Ci::read();
    let origin = ci.origin(&arguments.review);
    let groups: Vec<&[Content<'_>]> =
        if arguments.combine { vec![&contents[..]] } else { contents.chunks(1).collect() };
    if arguments.stdout {
        for group in groups {
            for part in comment::render(group, &origin, ci.limit()) {
                terminal.out(&part)?;
            }
        }
        return Ok(Exit::Done);
    }
    for group in groups {
        publish(terminal, &ci, &arguments.review, group, &origin, arguments.label).await;
    }
    for failure in ci::tell(&contents, &origin) {
        failure.warn(terminal.err_colour);
    }
    Ok(Exit::Done)
}

/// Writes the comment, or edits it; a failure is a warning.
pub(super) async fn publish(
    terminal: &Terminal,
    ci: &Ci,
    review: &Review,
    contents: &[Content<'_>],
    origin: &Origin,
    label: bool,
) {
    match post(ci, review, contents, origin, label).await {
        Ok(None) => {}
        Ok(Some(said)) => terminal.err(&format!("{said}\n")),
        Err(failure) => failure.named("the plan is not on the pull request").warn(terminal.err_colour),
    }
}

pub(super) fn told(error: &ForgeError) -> Failure {
    let failure = Failure::of(error);
    error.hint().into_iter().fold(failure, Failure::hint)
}

async fn post(
    ci: &Ci,
    review: &Review,
    contents: &[Content<'_>],
    origin: &Origin,
    label: bool,
) -> Result<Option<String>, Failure> {
    let forge = ci.forge()?;
    let number = ci.number(review).ok_or_else(|| {
        Failure::new("this run is about no pull request").hint("pass --pull-request NUMBER")
    })?;
    let me = forge.me().await.map_err(|error| told(&error))?;
    let tip = forge.request(number).await.map_err(|error| told(&error))?.head;
    // A mask must not hide the marker: the comment would never be found again.
    let unseen = |part: &String| match part.split_once('\n') {
        Some((marker, rest)) => format!("{marker}\n{}", masked(rest)),
        None => part.clone(),
    };
    let parts: Vec<String> = comment::render(contents, origin, ci.limit()).iter().map(unseen).collect();
    let own = Own { forge: &forge, number, me: &me };
    if let Some(newer) = own.put(&parts, &tip).await.map_err(|error| told(&error))? {
        let of = newer.head.map(|head| format!(" ({head})")).unwrap_or_default();
        return Ok(Some(format!("The comment on the pull request is about a newer commit{of}, and stays.")));
    }
    if label {
        for content in contents {
            let Some(Label { name, colour, others }) = label_of(content) else { continue };
            forge.label(number, (&name, colour), &others).await.map_err(|error| told(&error))?;
        }
    }
    Ok(None)
}

/// Our comments on one pull request.
pub(super) struct Own<'a> {
    pub(super) forge: &'a Forge,
    pub(super) number: u64,
    pub(super) me: &'a str,
}

impl Own<'_> {
    /// The newest last. What others have written is not ours, whatever it begins with.
    pub(super) async fn notes(&self) -> Result<Vec<(Note, Marker)>, ForgeError> {
        let notes = self.forge.notes(self.number).await?.into_iter();
        let ours = notes.filter(|note| note.author == self.me);
        let mut ours: Vec<_> =
            ours.filter_map(|note| Marker::parse(&note.body).map(|marker| (note, marker))).collect();
        ours.sort_by_key(|(note, _)| note.id);
        Ok(ours)
    }

    /// `Some`: one of a newer commit is there and was left alone.
    async fn put(&self, parts: &[String], tip: &str) -> Result<Option<Marker>, ForgeError> {
        let Some(ours) = parts.first().and_then(|part| Marker::parse(part)) else { return Ok(None) };
        let mut there = self.notes().await?;
        there.retain(|(_, marker)| marker.same_environments(&ours));
        if let Some((_, newer)) = there.iter().find(|(_, old)| !ours.may_replace(old, Some(tip))) {
            return Ok(Some(newer.clone()));
        }
        for (place, body) in parts.iter().enumerate() {
            let mut same = there.iter().rev().filter(|(_, marker)| marker.part == place + 1);
            match same.next() {
                Some((note, _)) if equal(&note.body, body) => {}
                Some((note, _)) => self.forge.edit(self.number, note, body).await?,
                None => self.create(body).await?,
            }
            for (note, _) in same {
                self.retire(note).await?;
            }
        }
        for (note, _) in there.iter().filter(|(_, marker)| marker.part > parts.len()) {
            self.retire(note).await?;
        }
        Ok(None)
    }

    /// Once, also where the first answer leaves it open whether it was.
    async fn create(&self, body: &str) -> Result<(), ForgeError> {
        match self.forge.create(self.number, body).await {
            Err(error) if Forge::is_doubtful(&error) => {
                tokio::time::sleep(SECOND_LOOK).await;
                if self.notes().await?.iter().any(|(note, _)| equal(&note.body, body)) {
                    return Ok(());
                }
                self.forge.create(self.number, body).await
            }
            ended => ended,
        }
    }

    /// Another has taken its place.
    async fn retire(&self, note: &Note) -> Result<(), ForgeError> {
        let struck = superseded(&note.body);
        if !equal(&struck, &note.body) {
            self.forge.edit(self.number, note, &struck).await?;
            self.forge.hide(note).await?;
        }
        Ok(())
    }
}

/// Line breaks are the server's business.
fn equal(one: &str, other: &str) -> bool {
    let lines =
        |text: &str| text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    lines(one) == lines(other)
}

struct Label {
    name: String,
    colour: &'static str,
    /// Those that it takes the place of.
    others: Vec<String>,
}

/// `None`: nothing is known.
fn label_of(content: &Content<'_>) -> Option<Label> {
    let Content::Plan(view) = content else { return None };
    // tfcmt's colours.
    let (word, colour) = match &view.counts {
        counts if counts.destroyed() > 0 => ("destroy", "d93f0b"),
        counts if counts.changes() > 0 => ("change", "1d76db"),
        _ => ("no-changes", "0e8a16"),
    };
    let name = |word: &str| format!("infra/{}: {word}", view.environment);
    let others = ["destroy", "change", "no-changes"].into_iter().filter(|other| *other != word).map(name);
    Some(Label { name: name(word), colour, others: others.collect() })
}
