//! `infra backup`: what was taken by policy, and what cron calls to take it.

use std::{fmt::Write as _, time::Duration};

use serde_json::json;

use super::{
    Exit, Stop,
    interrupt::Signals,
    session::{Session, of_aws},
    snapshot::{exit, failure},
};
use crate::{
    cli::{self, Global},
    providers::{
        ReadOnly, ReadWrite,
        aws::{Aws, Settings},
        ledger::LedgerError,
    },
    report,
    snapshot::{
        Ending, Manifest, Status, Step, Taken, Unlocked,
        backups::{BackupError, Backups, Entry, History, Made, Set, history::length},
        retention::{Leave, Retention, Withheld},
    },
    ui::{Failure, Terminal},
};

/// How long a deletion waits for another run that is at the set.
const PATIENCE: Duration = Duration::from_mins(1);

pub(super) async fn list(
    global: &Global,
    arguments: &cli::BackupList,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    let session = Session::open(global)?;
    let aws = match aws(&session)? {
        Some(settings) => Some(Aws::<ReadOnly>::connect(&settings).await.map_err(|error| of_aws(&error))?),
        None => None,
    };
    let backups = session.backups_to_read("backup list", aws.as_ref()).await?;
    let Some(backups) = backups else { return Err(no_policy(&session)) };
    let (mut all, mut text) = (Vec::new(), String::new());
    for (cluster, set) in chosen(&backups, arguments.cluster.as_ref())? {
        let history = backups.history(cluster).await.map_err(|error| Failure::of(&error))?;
        let due = history.due(set.policy.every);
        let mut retention = history.retention(&set.policy.keep, false, Leave::default());
        if set.policy.delete_command.is_none() {
            for name in std::mem::take(&mut retention.removed).into_keys() {
                retention.kept.insert(name, vec!["the policy has no delete_command".into()]);
            }
        }
        all.push(json!({
            "cluster": cluster,
            "policy": set.name,
            "every": set.policy.every,
            "last_good_at": history.last_good().map(|(_, entry)| entry.at()),
            "age_seconds": due.age.map(|age| age.as_secs()),
            "due": due.is_due(),
            "overdue_seconds": due.overdue().map(|over| over.as_secs()),
            "withheld": retention.withheld.map(|why| why.to_string()),
            "snapshots": newest_first(&history).map(|(name, entry)| described(name, entry, &history, &retention)).collect::<Vec<_>>(),
        }));
        text.push_str(&in_words(cluster, set, &history, &retention));
    }
    if arguments.json {
        terminal.out(&format!("{}\n", json!({"environment": session.name, "sets": all})))?;
    } else {
        terminal.out(&text)?;
    }
    Ok(Exit::Done)
}

fn newest_first(history: &History) -> impl Iterator<Item = (&String, &Entry)> {
    let mut all: Vec<_> = history.entries.iter().collect();
    all.sort_by_key(|(name, entry)| std::cmp::Reverse((entry.at(), *name)));
    all.into_iter()
}

fn described(name: &str, entry: &Entry, history: &History, retention: &Retention) -> serde_json::Value {
    let manifest = &entry.manifest;
    json!({
        "name": name,
        "at": entry.at(),
        "age_seconds": age(entry, history).as_secs(),
        "policy": manifest.policy,
        "status": manifest.status,
        "member": manifest.member,
        "vm_host": manifest.vm_host,
        "snapshot_ids": manifest.snapshot_ids,
        "kept_because": retention.kept.get(name),
        "goes_because": retention.removed.get(name),
        "deleting": entry.deleting,
    })
}

fn age(entry: &Entry, history: &History) -> Duration {
    history.now.duration_since(entry.at()).try_into().unwrap_or_default()
}

fn in_words(cluster: &str, set: &Set, history: &History, retention: &Retention) -> String {
    let due = history.due(set.policy.every);
    let mark = if due.is_due() { "due" } else { "not due" };
    let mut text = format!("{cluster} ({}): {due}; {mark}\n", set.name);
    let rows: Vec<[String; 5]> = newest_first(history)
        .map(|(name, entry)| {
            let manifest = &entry.manifest;
            let fate = match (retention.kept.get(name), retention.removed.get(name)) {
                (Some(reasons), _) => format!("kept: {}", reasons.join(", ")),
                (None, Some(why)) => format!("goes: {why}"),
                (None, None) => String::new(),
            };
            let ids = manifest.snapshot_ids.join(" ");
            [
                format!("{} ago", length(age(entry, history))),
                status(entry).into(),
                manifest.member.clone().unwrap_or_else(|| "-".into()),
                if ids.is_empty() { "-".into() } else { ids },
                fate,
            ]
            .map(|cell| report::line(&cell))
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2), width(3)];
    for row in &rows {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, " {cell:width$} ");
        }
        let _ = write!(line, " {}", row[4]);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if let Some(why) = &retention.withheld {
        let _ = writeln!(text, "  deletion is withheld: {why}");
    }
    text
}

fn status(entry: &Entry) -> &'static str {
    match (entry.deleting, entry.manifest.status) {
        (Some(_), _) => "deleting",
        (None, Status::Consistent) => "consistent",
        (None, Status::Inconsistent) => "inconsistent",
        (None, Status::Failed) => "failed",
    }
}

pub(super) async fn run(
    global: &Global,
    arguments: &cli::BackupRun,
    terminal: &Terminal,
) -> Result<Exit, Stop> {
    // Before anything else, so that no signal finds a member locked and us unprepared.
    let mut signals = Signals::new()?;
    let session = Session::open(global)?;
    let aws = match aws(&session)? {
        Some(settings) => Some(Aws::<ReadWrite>::connect(&settings).await.map_err(|error| of_aws(&error))?),
        None => None,
    };
    let backups = session.backups_to_take("backup run", aws.as_ref()).await?;
    let Some(backups) = backups else { return Err(no_policy(&session)) };
    let run = Run { global, arguments, terminal, backups: &backups };
    let mut ended = Exit::Done;
    for (cluster, set) in chosen(&backups, arguments.cluster.as_ref())? {
        let exit = run.one(cluster, set, &mut signals).await?;
        // Nothing is worse than a member that may be locked; and of the rest, the first tells.
        if ended == Exit::Done || exit == Exit::StillLocked {
            ended = exit;
        }
        if matches!(exit, Exit::Interrupted(_)) {
            break;
        }
    }
    Ok(ended)
}

struct Run<'a> {
    global: &'a Global,
    arguments: &'a cli::BackupRun,
    terminal: &'a Terminal,
    backups: &'a Backups<ReadWrite>,
}

impl Run<'_> {
    async fn one(&self, cluster: &str, set: &Set, signals: &mut Signals) -> Result<Exit, Stop> {
        let progress = |step: &Step| {
            if step.alarm || !self.global.quiet {
                let mark = if step.alarm { "!! " } else { "" };
                self.terminal.err(&format!("{}\n", report::line(&format!("{cluster}: {mark}{}", step.text))));
            }
        };
        let forced = self.arguments.force;
        let taken = self.backups.take(cluster, forced, Duration::ZERO, signals.next(), &progress);
        let taken = Box::pin(taken).await;
        match taken {
            Ok(Made::NotDue) => {}
            Ok(Made::Taken(taken)) => {
                self.tell(cluster, &taken)?;
                if taken.ending != Ending::Consistent {
                    return Ok(exit(taken.ending));
                }
            }
            Err(error) => return Ok(self.failed(&error)),
        }
        self.delete(cluster, set).await
    }

    fn tell(&self, cluster: &str, taken: &Taken) -> Result<(), Stop> {
        if let Some(failure) = failure(taken) {
            failure.named(&format!("replica set {cluster}")).print(self.terminal.err_colour);
        }
        if self.arguments.json {
            self.terminal.out(&format!("{}\n", serde_json::to_string(&taken.manifest)?))?;
        } else if taken.ending == Ending::Consistent && !self.global.quiet {
            self.terminal.out(&format!("{}\n", report::line(&summary(cluster, &taken.manifest))))?;
        }
        self.terminal.err(match taken.manifest.unlocked {
            Unlocked::NothingLocked => "unlocked: verified (nothing was locked)\n",
            Unlocked::Verified => "unlocked: verified\n",
            Unlocked::Unknown => "unlocked: UNKNOWN\n",
        });
        Ok(())
    }

    async fn delete(&self, cluster: &str, set: &Set) -> Result<Exit, Stop> {
        if set.policy.delete_command.is_none() {
            return Ok(Exit::Done);
        }
        let history = match self.backups.history(cluster).await {
            Ok(history) => history,
            Err(error) => return Ok(self.failed(&error.into())),
        };
        let leave = Leave { mass: self.arguments.allow_mass_delete };
        let retention = history.retention(&set.policy.keep, false, leave);
        if let Some(why) = &retention.withheld {
            let mend =
                if matches!(why, Withheld::Mass { .. }) { "; --allow-mass-delete deletes them" } else { "" };
            self.terminal.err(&format!("Warning: {cluster}: {why}{mend}\n"));
        }
        let mut ended = Exit::Done;
        for (name, why) in &retention.removed {
            match self.backups.delete(cluster, name, PATIENCE).await {
                Ok(()) if self.global.quiet => {}
                Ok(()) => self.terminal.err(&format!("{cluster}: deleted {name} ({why})\n")),
                Err(error) => ended = self.failed(&error),
            }
        }
        Ok(ended)
    }

    /// Says it, and with which exit code.
    fn failed(&self, error: &BackupError) -> Exit {
        let (exit, hint) = match error {
            BackupError::Ledger(LedgerError::Taken { .. }) => (
                Exit::ForeignLock,
                Some("wait for it; a run that was killed holds it for two minutes at most"),
            ),
            BackupError::NotRecorded { .. } => (
                Exit::Failed,
                Some("nothing keeps or deletes it by policy: mend the ledger, and note what was taken"),
            ),
            BackupError::NotDeleted { .. } => (Exit::Failed, Some("it is tried again by the next run")),
            BackupError::Ledger(_) | BackupError::Unusable { .. } => (Exit::Failed, None),
        };
        let failure = Failure::of(error);
        hint.into_iter().fold(failure, Failure::hint).print(self.terminal.err_colour);
        exit
    }
}

fn summary(cluster: &str, manifest: &Manifest) -> String {
    let member = manifest.member.as_deref().unwrap_or("nobody");
    let held = manifest.held_ms.map(|held| format!(", locked for {held} ms")).unwrap_or_default();
    format!("{cluster}: consistent snapshot of {member}: {}{held}", manifest.snapshot_ids.join(" "))
}

/// Where the ledger is in a bucket, what it takes to reach it.
fn aws(session: &Session) -> Result<Option<Settings>, Stop> {
    let in_bucket = session.environment.ledger.as_ref().is_some_and(|ledger| ledger.starts_with("s3://"));
    if in_bucket { session.settings() } else { Ok(None) }
}

/// The sets with a policy: all, or the one that is named.
fn chosen<'a, M>(
    backups: &'a Backups<M>,
    named: Option<&String>,
) -> Result<Vec<(&'a String, &'a Set)>, Stop> {
    let Some(named) = named else { return Ok(backups.sets.iter().collect()) };
    let found: Vec<_> = backups.sets.iter().filter(|(cluster, _)| *cluster == named).collect();
    if found.is_empty() {
        let there: Vec<&str> = backups.sets.keys().map(String::as_str).collect();
        return Err(Failure::new(format!("no replica set {named} has a backup policy"))
            .hint(format!("there are: {}", there.join(", ")))
            .into());
    }
    Ok(found)
}

fn no_policy(session: &Session) -> Stop {
    Failure::new(format!("no replica set of environment {} has a backup policy", session.name))
        .hint("name one in `mongo_clusters`: `backup_policy: mongo-6h`")
        .into()
}
