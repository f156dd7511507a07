//! The process that people see: it looks, chooses, lets the guardian lock, runs the command, and tells what came of it.

use std::{collections::BTreeMap, time::Duration};

use futures::FutureExt as _;
use jiff::Timestamp;
use mongodb::bson::oid::ObjectId;
use tokio::time::{Instant, timeout};

use super::{
    Choice, Ending, Manifest, Request, Stale, Status, Step, Survey, Taken, Unlocked,
    attempt::{self, Attempt},
    choose::{self, Dialled, Reasoned, Refusal},
    command::{self, Resolved},
    guardian::SETTLE,
    hand::by_hand,
    journal::{Journal, NoTurn, Record, Turn},
    manifest,
    release::{self, Gone, Verdict},
    survey::{self, Surveyed},
};
use crate::providers::mongo::Member;

/// Members that are tried, one after the other.
const ATTEMPTS: usize = 3;

/// Why nothing (more) is done, with what to do about it.
pub(super) struct End {
    pub(super) ending: Ending,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl End {
    pub(super) fn new(ending: Ending, message: impl Into<String>) -> Self {
        Self { ending, message: message.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// One run.
pub(super) struct Run<'a> {
    pub(super) request: &'a Request,
    pub(super) progress: &'a dyn Fn(&Step),
    pub(super) begun: Instant,
    pub(super) manifest: Manifest,
    /// Variables that no other process gets to see.
    pub(super) hidden: Vec<String>,
}

/// What is known before the first lock.
pub(super) struct Prepared {
    pub(super) survey: Survey,
    pub(super) choice: Choice,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) command: Resolved,
    pub(super) journal: Journal,
    pub(super) turn: Turn,
}

pub(super) async fn take(
    request: &Request,
    stop: impl Future<Output = u8>,
    progress: &dyn Fn(&Step),
) -> Taken {
    let stop = stop.fuse();
    tokio::pin!(stop);
    let mut run = Run::new(request, progress);
    let prepared = tokio::select! {
        biased;
        signal = &mut stop => Err(End::new(Ending::Interrupted(signal), "interrupted before anything was locked")),
        prepared = run.prepare() => prepared,
    };
    let end = match prepared {
        Err(end) => Some(end),
        Ok(prepared) => {
            let mut last = None;
            let candidates: Vec<Reasoned> =
                prepared.choice.candidates.iter().take(ATTEMPTS).cloned().collect();
            for candidate in &candidates {
                match attempt::run(&mut run, &prepared, candidate, stop.as_mut()).await {
                    Attempt::Final(end) => {
                        last = end;
                        break;
                    }
                    Attempt::Next(end) => {
                        run.step(format!("gave up {}: {}", candidate.member, end.message));
                        run.manifest
                            .rejected
                            .push(Reasoned { member: candidate.member.clone(), reason: end.message.clone() });
                        last = Some(end);
                    }
                }
            }
            last
        }
    };
    run.finish(end)
}

/// As [`take`] begins, and no further.
pub(super) async fn release_stale(
    request: &Request,
    stop: impl Future<Output = u8>,
    progress: &dyn Fn(&Step),
) -> Result<Option<Stale>, (Ending, String, Option<String>)> {
    let mut run = Run::new(request, progress);
    let begun = tokio::select! {
        biased;
        signal = stop => Err(End::new(Ending::Interrupted(signal), "interrupted")),
        begun = run.begin() => begun,
    };
    let stale = begun.map_err(|end| (end.ending, end.message, end.hint))?.stale;
    Ok(stale.map(|record| Stale { member: record.member, run_id: record.run, since: record.since }))
}

/// What there is before a member is chosen.
struct Begun {
    surveyed: Surveyed,
    journal: Journal,
    turn: Turn,
    /// What a killed run had left locked, and which is released.
    stale: Option<Record>,
}

impl<'a> Run<'a> {
    fn new(request: &'a Request, progress: &'a dyn Fn(&Step)) -> Self {
        let password = request.access.uri().password.as_ref();
        let hidden =
            command::hidden(&request.hidden_variables, password.map(|password| password.reveal().as_str()));
        Self { request, progress, begun: Instant::now(), manifest: blank(request), hidden }
    }

    pub(super) fn step(&self, text: impl Into<String>) {
        (self.progress)(&Step { elapsed: self.begun.elapsed(), text: text.into(), alarm: false });
    }

    pub(super) fn alarm(&self, text: impl Into<String>) {
        (self.progress)(&Step { elapsed: self.begun.elapsed(), text: text.into(), alarm: true });
    }

    /// Everything that can go wrong without a lock goes wrong here.
    async fn prepare(&mut self) -> Result<Prepared, End> {
        let request = self.request;
        let command = command::resolve(&request.command)
            .map_err(|error| End::new(Ending::CommandFailed, error.to_string()))?;
        let Begun { surveyed, journal, turn, .. } = self.begin().await?;
        let choice = choose::choose(&surveyed.survey, &request.rules);
        self.manifest.rejected.clone_from(&choice.rejected);
        self.manifest.warnings.clone_from(&choice.warnings);
        for rejected in &choice.rejected {
            self.step(format!("not {}: {}", rejected.member, rejected.reason));
        }
        for warning in &choice.warnings {
            self.step(format!("warning: {warning}"));
        }
        match &choice.refusal {
            Some(Refusal::NoMember { message, hint }) => {
                let end = End::new(Ending::NoMember, message);
                return Err(match hint {
                    Some(hint) => end.hint(hint),
                    None => end,
                });
            }
            Some(Refusal::ForeignLock { members }) => {
                let message = format!("locked already, and not by this run: {}", members.join(", "));
                return Err(End::new(Ending::ForeignLock, message)
                    .hint("if nobody is at work there, unlock by hand: db.fsyncUnlock()"));
            }
            None if choice.candidates.is_empty() => {
                return Err(End::new(Ending::NoMember, "no member may be locked"));
            }
            None => {}
        }
        let surveyed =
            Prepared { survey: surveyed.survey, choice, members: surveyed.members, command, journal, turn };
        Ok(surveyed)
    }

    /// Looks at the set, takes our turn, and releases what a killed run has left.
    async fn begin(&mut self) -> Result<Begun, End> {
        let failed = |error: survey::NoSurvey| {
            let end = End::new(error.ending(), error.to_string());
            match error.hint() {
                Some(hint) => end.hint(hint),
                None => end,
            }
        };
        let request = self.request;
        let mut surveyed = survey::look(&request.access).await.map_err(failed)?;
        let set = &surveyed.survey;
        self.manifest.replica_set = Some(set.set.clone());
        self.manifest.replica_set_id = Some(set.id.clone());
        self.step(format!("looked at {} with {} members", set.set, set.members.len()));
        let folder = std::path::absolute(&request.state).unwrap_or_else(|_| request.state.clone());
        let journal = Journal::new(&folder, &set.id);
        let turn = journal.take_turn().map_err(|error| match &error {
            NoTurn::Taken(_) => End::new(Ending::ForeignLock, error.to_string()).hint(
                "wait until it has ended; if it was killed, its guardian may be trying to unlock still",
            ),
            NoTurn::File { .. } => End::new(Ending::Failed, error.to_string())
                .hint("name a folder that can be written with --state-dir"),
        })?;
        let stale = self.recover(&journal, &surveyed.members).await?;
        if stale.is_some() {
            surveyed = survey::look(&request.access).await.map_err(failed)?;
        }
        Ok(Begun { surveyed, journal, turn, stale })
    }

    /// Releases what a killed run of this machine has left, if it is provably that; says what that was.
    async fn recover(
        &mut self,
        journal: &Journal,
        members: &BTreeMap<String, Member>,
    ) -> Result<Option<Record>, End> {
        let unreadable = |error: std::io::Error| {
            End::new(Ending::Failed, format!("{}: {error}", journal.path().display()))
                .hint("it says what an earlier run has locked; see to that, then remove the file")
        };
        let Some(record) = journal.read().map_err(unreadable)? else { return Ok(None) };
        let released = self.release_stale(&record, members).await?;
        journal.clear().map_err(unreadable)?;
        Ok(released.then_some(record))
    }

    async fn release_stale(
        &mut self,
        record: &Record,
        members: &BTreeMap<String, Member>,
    ) -> Result<bool, End> {
        let Record { run, member: name, since, ours, .. } = record;
        let Some(member) = members.get(name) else {
            self.step(format!("run {run} has left {name} locked at {since}; it belongs to the set no more"));
            return Ok(false);
        };
        let (process, state) = match release::look(member).await {
            Ok(seen) => seen,
            Err(error) => {
                let message = format!(
                    "an earlier run ({run}) may have left {name} locked at {since}, and it cannot be asked: {}",
                    error.brief()
                );
                return Err(End::new(Ending::StillLocked, message).hint(by_hand(&self.request.access, name)));
            }
        };
        match ours.judge(process.as_deref(), &state) {
            Verdict::Ours { .. } => {
                self.step(format!(
                    "{name} is locked since {since} by run {run}, which is dead: releasing it"
                ));
                let trouble = |trouble: release::Trouble| self.step(trouble.0);
                let release = release::release(member, ours.clone(), None, SETTLE, &|| (), &trouble);
                match timeout(self.request.unlock_patience, release).await {
                    Ok(Gone::Released { .. }) => {
                        self.step(format!("released the stale lock of run {run} on {name}"));
                        Ok(true)
                    }
                    Ok(_) => Ok(true),
                    Err(_) => {
                        let message =
                            format!("the lock that run {run} has left on {name} cannot be released");
                        Err(End::new(Ending::StillLocked, message).hint(by_hand(&self.request.access, name)))
                    }
                }
            }
            Verdict::Foreign | Verdict::Unclear => {
                self.step(format!("{name} is locked, but not by run {run}, which is dead: left alone"));
                Ok(false)
            }
            Verdict::NotLocked | Verdict::Restarted => Ok(false),
        }
    }

    fn finish(mut self, end: Option<End>) -> Taken {
        let (ending, message, hint) = match end {
            Some(end) => (end.ending, Some(end.message), end.hint),
            None => (Ending::Consistent, None, None),
        };
        let manifest = &mut self.manifest;
        manifest.ending = ending;
        manifest.message = message;
        manifest.ended_at = Timestamp::now();
        manifest.consistent = ending == Ending::Consistent;
        manifest.status = match ending {
            Ending::Consistent => Status::Consistent,
            _ if manifest.exit_code == Some(0) => Status::Inconsistent,
            _ => Status::Failed,
        };
        if ending == Ending::StillLocked {
            manifest.unlocked = Unlocked::Unknown;
        }
        Taken { ending, hint, manifest: self.manifest }
    }
}

impl Prepared {
    /// Data members besides this one that could be asked.
    pub(super) fn others(&self, member: &str) -> Vec<Member> {
        let answered = self
            .survey
            .members
            .iter()
            .filter(|other| other.host != member && matches!(other.dialled, Dialled::Answered(_)));
        answered.filter_map(|other| self.members.get(&other.host).cloned()).collect()
    }

    /// How far a member is behind the newest one.
    pub(super) fn lag(&self, member: &str) -> Option<u64> {
        let newest = self.survey.members.iter().map(|member| member.optime).max()?;
        let own = self.survey.members.iter().find(|one| one.host == member)?.optime;
        u64::try_from(newest.as_millisecond() - own.as_millisecond()).ok()
    }

    pub(super) fn primary(&self) -> Option<String> {
        self.survey.members.iter().find(|member| member.state == 1).map(|member| member.host.clone())
    }
}

pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn blank(request: &Request) -> Manifest {
    let now = Timestamp::now();
    Manifest {
        schema: manifest::SCHEMA,
        run_id: ObjectId::new().to_hex(),
        tool_version: concat!("infra ", env!("CARGO_PKG_VERSION")).into(),
        environment: request.environment.clone(),
        policy: request.policy.clone(),
        replica_set: None,
        replica_set_id: None,
        member: None,
        vm_host: None,
        server_version: None,
        status: Status::Failed,
        consistent: false,
        ending: Ending::Failed,
        message: None,
        started_at: now,
        locked_at: None,
        unlocked_at: None,
        ended_at: now,
        acquire_ms: None,
        held_ms: None,
        command_ms: None,
        unlocked: Unlocked::NothingLocked,
        optime: None,
        lag_ms: None,
        moved_after_ms: None,
        command: request.command.clone(),
        exit_code: None,
        signal: None,
        output: String::new(),
        output_omitted_bytes: 0,
        snapshot_ids: Vec::new(),
        proof: None,
        rejected: Vec::new(),
        warnings: Vec::new(),
    }
}
