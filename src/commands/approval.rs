//! `--expect-digest-from-pr`: what was approved is what our comment on the merged pull request shows. Whatever is not certain
//! is no approval.

use super::{
    Exit, Stop,
    ci::Ci,
    comment::{Own, told},
};
use crate::{
    cli::Review,
    engine::Digest,
    providers::forge::{Forge, Note, Request},
    report::{
        PlanView,
        comment::{Approved, Status, with_status},
    },
    ui::{Failure, Terminal, safe::masked},
};

/// A comment that approves a plan, and what it lives on with.
#[derive(Debug)]
pub(super) struct Approval {
    pub(super) digest: Digest,
    /// Of the pull request.
    pub(super) number: u64,
    forge: Forge,
    note: Note,
    environment: String,
    /// A link to this run.
    run: Option<String>,
}

impl Approval {
    /// Of the pull request that this run's commit has come from.
    pub(super) async fn find(review: &Review, environment: &str) -> Result<Self, Stop> {
        let ci = Ci::read();
        let forge = ci.forge()?;
        let commit = ci.commit(review).ok_or_else(|| {
            Failure::new("nothing says which commit is applied")
                .hint("pass --commit SHA: what the pull request was merged as")
        })?;
        let request = merged(&forge, review.pull_request, &commit).await?;
        let number = request.number;
        let me = forge.me().await.map_err(|error| told(&error))?;
        let own = Own { forge: &forge, number, me: &me };
        let mut notes = own.notes().await.map_err(|error| told(&error))?;
        notes.retain(|(_, marker)| marker.part == 1 && marker.shows(environment));
        let said = format!("pull request {number} has no comment by {me} with a plan of {environment}");
        let Some(newest) = notes.last().map(|(_, marker)| marker.clone()) else {
            return Err(Failure::new(said)
                .hint("infra plan --comment makes one, by the same account, before the merge")
                .into());
        };
        notes.retain(|(_, marker)| marker.head.as_deref() == Some(request.head.as_str()));
        let Some((note, marker)) = notes.into_iter().max_by_key(|(note, marker)| (marker.run, note.id))
        else {
            let of = newest.head.unwrap_or_else(|| "no commit".into());
            let said =
                format!("the plan on pull request {number} is of {of}, but {} was merged", request.head);
            return Err(unapproved(said));
        };
        let Some(digest) = marker.digest(environment).cloned() else {
            return Err(unapproved(format!("planning {environment} had failed on pull request {number}")));
        };
        let run = ci.origin(review).run();
        Ok(Self { digest, forge, number, note, environment: environment.to_owned(), run })
    }

    /// What differs from what was approved, as far as the comment tells.
    pub(super) fn difference(&self, now: &PlanView) -> Vec<String> {
        Approved::read(&self.note.body, &self.environment)
            .map(|approved| approved.difference(now))
            .unwrap_or_default()
    }

    /// Says on the pull request what became of the plan. A failure is a warning.
    pub(super) async fn tell(&self, terminal: &Terminal, status: &Status<'_>) {
        let status = status.markdown(self.run.as_deref());
        let Some(body) = with_status(&self.note.body, &self.environment, &masked(&status)) else {
            return Failure::new("the pull request was not told: its comment has no place for it")
                .warn(terminal.err_colour);
        };
        if let Err(error) = self.forge.edit(self.number, &self.note, &body).await {
            told(&error).named("the pull request was not told").warn(terminal.err_colour);
        }
    }
}

fn unapproved(said: String) -> Stop {
    let failure = Failure::new(said).hint("plan again on a pull request, and have that reviewed");
    Stop::new(Exit::Stale, failure)
}

/// The one pull request that was merged as this commit.
async fn merged(forge: &Forge, number: Option<u64>, commit: &str) -> Result<Request, Stop> {
    let found = match number {
        Some(number) => vec![forge.request(number).await.map_err(|error| told(&error))?],
        None => forge.requests_of(commit).await.map_err(|error| told(&error))?,
    };
    let is_it = |request: &Request| {
        // Where merging makes no commit, it is the head that is there then.
        request.merged && (request.merge_commit.as_deref() == Some(commit) || request.head == commit)
    };
    let mut all: Vec<Request> = found.into_iter().filter(is_it).collect();
    match (all.pop(), all.is_empty()) {
        (Some(request), true) => Ok(request),
        (Some(_), false) => Err(Failure::new(format!("several pull requests were merged as {commit}"))
            .hint("pass --pull-request NUMBER")
            .into()),
        (None, _) => {
            let said = match number {
                Some(number) => format!("pull request {number} was not merged as {commit}"),
                None => format!("no pull request was merged as {commit}"),
            };
            Err(Failure::new(said).hint("only what was planned on a pull request can be applied so").into())
        }
    }
}
