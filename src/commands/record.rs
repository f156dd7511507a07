//! The record of a run in the ledger: begun before the first step, ended after the last.

use std::{fmt::Write as _, path::Path, process::Stdio, time::Duration};

use sha2::{Digest as _, Sha256};
use tokio::{process::Command, time::timeout};

use super::{Exit, Stop, locks::LEASE, session::Session};
use crate::{
    providers::{
        ReadWrite,
        ledger::{Holder, Ledger},
    },
    report::{
        Account, PlanView,
        history::{Approved, Outcome, Record, State},
    },
    ui::{Failure, Terminal},
};

/// The folder of the ledger.
pub(super) const HISTORY: &str = "history";
/// The longest that git may take to say which commit this is.
const GIT: Duration = Duration::from_secs(5);

/// A record that is being written.
pub(super) struct Writing<'a> {
    ledger: &'a Ledger<ReadWrite>,
    record: Record,
    account: Option<Account>,
    notes: Vec<String>,
}

pub(super) fn document(id: &str) -> String {
    format!("{HISTORY}/{id}.json")
}

impl<'a> Writing<'a> {
    /// Nothing may be done before this has ended well: what was done would be known to nobody.
    pub(super) async fn begin(
        ledger: &'a Ledger<ReadWrite>,
        session: &Session,
        holder: Holder,
        approval: Approved,
        view: &PlanView,
    ) -> Result<Self, Stop> {
        let commit = commit(&session.project).await;
        let record = Record::begin(identity(&holder), holder, commit, approval, view);
        ledger.put_new(&document(&record.id), &record).await.map_err(|error| {
            Failure::of(&error)
                .named("the run cannot be recorded, so nothing was begun")
                .hint("let the ledger be written to, or name another: `ledger:` in environment.yaml")
        })?;
        Ok(Self { ledger, record, account: None, notes: Vec::new() })
    }

    pub(super) fn account(&mut self, account: &Account) {
        self.account = Some(account.clone());
    }

    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Writes down how it ended. Who left at once knows nothing of it, and the record stays without an end.
    pub(super) async fn end(mut self, ended: Result<Exit, Stop>) -> Result<Exit, Stop> {
        let Some(account) = &self.account else { return ended };
        let (exit, failures) = match &ended {
            Ok(exit) => (*exit, Vec::<String>::new()),
            Err(stop) => (stop.exit, stop.failures.iter().map(|failure| failure.summary.clone()).collect()),
        };
        let outcome = match exit {
            Exit::Done => Outcome::Complete,
            Exit::Interrupted(_) => Outcome::Interrupted,
            Exit::StillLocked => Outcome::StillLocked,
            _ => Outcome::Incomplete,
        };
        let messages = self.notes.iter().cloned().chain(failures).collect();
        self.record.end(account, outcome, exit.code(), messages);
        let Err(error) = self.ledger.replace(&document(&self.record.id), &self.record).await else {
            return ended;
        };
        let failure = Failure::of(&error)
            .named("what was done is done, but the end of the run could not be recorded")
            .hint(format!(
                "infra history will say that {} did not end; the account above is what it did",
                self.record.id
            ));
        Err(match ended {
            Ok(Exit::Done) => Stop::new(Exit::Incomplete, failure),
            Ok(exit) => Stop::new(exit, failure),
            Err(Stop { exit, mut failures }) => {
                failures.push(failure);
                Stop { exit, failures }
            }
        })
    }
}

/// Tells of a run that nobody has ended: whoever has the lease knows that it is not running any more.
pub(super) async fn tell_of_a_killed_run(
    ledger: &Ledger<ReadWrite>,
    terminal: &Terminal,
) -> Result<(), Stop> {
    let names = ledger.list(HISTORY).await.map_err(|error| Failure::of(&error))?;
    let Some(last) = names.last() else { return Ok(()) };
    // What an other version has written is no reason not to go on.
    let Ok(Some(record)) = ledger.read::<Record>(last).await else { return Ok(()) };
    if record.state(None) == State::DidNotEnd {
        let Record { id, by, .. } = &record;
        terminal.err(&format!("The run before, {by}, did not end: infra history show {id}\n"));
    }
    Ok(())
}

/// When it began, so that names sort by time, and eight digits that no other run of that moment has.
fn identity(holder: &Holder) -> String {
    let now = jiff::Timestamp::now();
    let text = format!("{holder} {}", now.as_nanosecond());
    let mut id = now.strftime("%Y%m%dT%H%M%S%.3fZ-").to_string();
    for byte in Sha256::digest(text).iter().take(4) {
        let _ = write!(id, "{byte:02x}");
    }
    id
}

/// The commit that the YAML is of: what git says of the folder, or else what the CI says.
async fn commit(project: &Path) -> Option<String> {
    let mut git = Command::new("git");
    // A repository's own settings can name programs; none is run.
    git.args(["-c", "core.fsmonitor=false", "-C"]).arg(project);
    git.args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]);
    git.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let said = match timeout(GIT, git.output()).await {
        Ok(Ok(output)) if output.status.success() => String::from_utf8(output.stdout).ok(),
        _ => None,
    };
    let said = said.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    said.or_else(|| variable("GITHUB_SHA")).or_else(|| variable("CI_COMMIT_SHA"))
}

/// Who has the lease of the environment.
pub(super) async fn holder<M>(ledger: &Ledger<M>) -> Result<Option<Holder>, Stop> {
    ledger.holder(LEASE).await.map_err(|error| Failure::of(&error).into())
}
