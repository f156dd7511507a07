//! One candidate: armed, locked, snapshotted, unlocked, verified.

mod unlock;

use std::{pin::Pin, time::Duration};

use futures::future::{FusedFuture, OptionFuture, join_all};
use jiff::Timestamp;
use tokio::{
    task::{JoinError, JoinHandle},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Ending, Unlocked,
    choose::Reasoned,
    command::Gate,
    guardian::{
        BEGINNING, Process, SEEN,
        protocol::{Cause, Event, Login, NotLocked, Order, Start},
    },
    outcome::{Outcome, Released, end, reason},
    release::{Gone, Ours},
    supervisor::{End, Prepared, Run, milliseconds},
};
use crate::providers::mongo::{Member, OpTime};

/// To start and log in.
const READY: Duration = Duration::from_secs(20);
/// Longest that a guardian may take to ask for the lock.
const ASK: Duration = Duration::from_secs(30);
/// A guardian that is at work says something more often than this.
const SILENCE: Duration = Duration::from_secs(15);

pub(super) enum Attempt {
    /// It failed before the command began, and our lock is gone: another member may be tried.
    Next(End),
    /// Nothing if there is a consistent snapshot.
    Final(Option<End>),
}

fn last(ending: Ending, message: impl Into<String>) -> Attempt {
    Attempt::Final(Some(End::new(ending, message)))
}

/// Tries one candidate.
pub(super) async fn run<S: FusedFuture<Output = u8>>(
    run: &mut Run<'_>,
    prepared: &Prepared,
    candidate: &Reasoned,
    stop: Pin<&mut S>,
) -> Attempt {
    let name = &candidate.member;
    let Some(member) = prepared.members.get(name).cloned() else {
        return Attempt::Next(End::new(Ending::NoMember, "it cannot be asked"));
    };
    run.step(format!("chose {name}: {}", candidate.reason));
    let request = run.request;
    let vm = request.vm_host(name);
    let words = prepared.command.words(&vm);
    let manifest = &mut run.manifest;
    manifest.member = Some(name.clone());
    manifest.vm_host = Some(vm.clone());
    manifest.lag_ms = prepared.lag(name);
    manifest.command.clone_from(&words);
    let variables = [
        ("INFRA_RUN_ID", manifest.run_id.clone()),
        ("INFRA_MONGO_HOST", name.clone()),
        ("INFRA_MONGO_SET", prepared.survey.set.clone()),
        ("INFRA_VM_HOST", vm.clone()),
    ];
    let (mut gate, opener) = match Gate::start(&prepared.command, &words, &variables, &run.hidden) {
        Ok(started) => started,
        Err(error) => {
            return last(Ending::CommandFailed, format!("the snapshot command cannot be started: {error}"));
        }
    };
    let guardian = match Process::start(&prepared.turn, &run.hidden, Some(opener)) {
        Ok(guardian) => guardian,
        Err(error) => {
            gate.end().await;
            return last(Ending::Failed, format!("the guardian cannot be started: {error}"));
        }
    };
    let start = Start {
        login: Login::of(&request.access),
        member: name.clone(),
        primary: prepared.primary(),
        run: run.manifest.run_id.clone(),
        journal: prepared.journal.path().to_owned(),
        lock_timeout: request.lock_timeout,
        max_lock: request.rules.max_lock,
        group: gate.group(),
        release: None,
    };
    guardian.begin(&start).await;
    let trial = Trial {
        run,
        prepared,
        name: name.clone(),
        member,
        gate,
        guardian,
        stop,
        start,
        asked: None,
        others: None,
        signal: None,
        opened: false,
        patience: None,
        told: String::new(),
    };
    trial.go().await
}

struct Trial<'r, 'a, S> {
    run: &'r mut Run<'a>,
    prepared: &'r Prepared,
    name: String,
    /// Our own connection: for the emergency, and to verify by.
    member: Member,
    gate: Gate,
    guardian: Process,
    stop: Pin<&'r mut S>,
    start: Start,
    /// Once the lock may have been asked for: all that is known of it.
    asked: Option<Ours>,
    /// Looks for other members that are locked, from the grant on.
    others: Option<JoinHandle<Vec<String>>>,
    signal: Option<u8>,
    /// The command has begun, or is about to.
    opened: bool,
    /// When the unlock is called unknown.
    patience: Option<Instant>,
    /// The trouble that was told last.
    told: String,
}

/// The lock is granted: when, and where the member stands.
struct Grant {
    locked_at: Timestamp,
    applied: Option<OpTime>,
}

enum Heard {
    Event(Event),
    /// The guardian is dead.
    Gone,
    Stop(u8),
    /// Nothing until then.
    Late,
}

impl<S: FusedFuture<Output = u8>> Trial<'_, '_, S> {
    async fn go(mut self) -> Attempt {
        if let Err(attempt) = self.ready().await {
            self.gate.end().await;
            self.guardian.finish().await;
            return attempt;
        }
        self.guardian.order(Order::Lock).await;
        match self.lock().await {
            Ok(grant) => self.snapshot(grant).await,
            Err(attempt) => {
                self.gate.end().await;
                if self.run.manifest.unlocked != Unlocked::Unknown {
                    self.guardian.finish().await;
                }
                attempt
            }
        }
    }

    async fn hear(&mut self, limit: Instant) -> Heard {
        tokio::select! {
            event = self.guardian.next() => event.map_or(Heard::Gone, Heard::Event),
            signal = &mut self.stop => Heard::Stop(signal),
            () = sleep_until(limit) => Heard::Late,
        }
    }

    async fn ready(&mut self) -> Result<(), Attempt> {
        let nothing = "interrupted before anything was locked";
        let member = self.member.clone();
        let (heard, version) = futures::join!(self.hear(Instant::now() + READY), member.version());
        self.run.manifest.server_version = version.ok();
        match heard {
            Heard::Event(Event::Ready) => {
                let id = self.guardian.id().unwrap_or_default();
                self.run.step(format!("the guardian is ready (process {id})"));
                Ok(())
            }
            Heard::Event(Event::NotReady(message)) => Err(Attempt::Next(End::new(Ending::NoMember, message))),
            Heard::Stop(signal) => Err(last(Ending::Interrupted(signal), nothing)),
            Heard::Event(_) | Heard::Gone => {
                Err(last(Ending::Failed, "the guardian ended before it had begun"))
            }
            Heard::Late => {
                self.guardian.kill().await;
                Err(last(Ending::Failed, format!("the guardian was not ready within {READY:?}")))
            }
        }
    }

    /// Until the member is locked, or there is no lock of ours.
    async fn lock(&mut self) -> Result<Grant, Attempt> {
        let mut silence = Instant::now() + ASK + self.start.lock_timeout + SILENCE;
        let mut granted_at = Timestamp::now();
        loop {
            let limit = self.patience.map_or(silence, |patience| patience.min(silence));
            let heard = self.hear(limit).await;
            match heard {
                Heard::Event(Event::Locking(ours)) => {
                    if self.asked.replace(ours).is_none() {
                        self.run.step(format!("asking {} for the lock", self.name));
                    }
                }
                Heard::Event(Event::Granted { acquired, locked_at, applied }) => {
                    self.run.manifest.acquire_ms = Some(milliseconds(acquired));
                    // Somebody on another machine may have locked another member in the same moment.
                    let others = self.prepared.others(&self.name);
                    self.others = Some(tokio::spawn(async move {
                        sleep(BEGINNING).await;
                        locked(others).await
                    }));
                    if applied.is_some() {
                        return Ok(Grant { locked_at, applied });
                    }
                    granted_at = locked_at;
                }
                Heard::Event(Event::Locked(held)) => {
                    self.asked = Some(held.ours);
                    return Ok(Grant { locked_at: granted_at, applied: held.applied });
                }
                Heard::Event(Event::NotLocked { why, message }) => {
                    if self.asked.is_some() {
                        self.run.manifest.unlocked = Unlocked::Verified;
                    }
                    return Err(self.not_locked(why, message));
                }
                Heard::Event(Event::Trouble(text)) => {
                    self.trouble(&text);
                    silence = Instant::now() + SILENCE;
                }
                Heard::Event(_) => {}
                Heard::Stop(signal) => {
                    self.signal = Some(signal);
                    self.guardian.order(Order::Unlock).await;
                    self.be_patient();
                    silence = Instant::now() + SILENCE;
                }
                Heard::Gone => return Err(self.guardian_died(false).await),
                Heard::Late if self.patience.is_some_and(|patience| patience <= Instant::now()) => {
                    return Err(self.unknown());
                }
                Heard::Late => {
                    self.guardian.kill().await;
                    return Err(self.guardian_died(false).await);
                }
            }
        }
    }

    fn not_locked(&self, why: NotLocked, message: String) -> Attempt {
        if let Some(signal) = self.signal {
            return last(Ending::Interrupted(signal), "interrupted before the snapshot command began");
        }
        match why {
            NotLocked::Timeout => Attempt::Next(End::new(Ending::LockTimeout, message)),
            NotLocked::Unfit => Attempt::Next(End::new(Ending::NoMember, message)),
            NotLocked::Foreign => last(Ending::ForeignLock, message),
            NotLocked::NoPrimary => last(Ending::NoMember, message),
            NotLocked::PrimaryLost => last(Ending::ConsistencyLost, message),
            NotLocked::Stopped | NotLocked::Journal => last(Ending::Failed, message),
        }
    }

    /// Runs the command, and unlocks whatever comes of it.
    async fn snapshot(mut self, grant: Grant) -> Attempt {
        self.opened = true;
        let ended = match self.signal {
            // It came while the lock was waited for.
            Some(signal) => (Outcome::Signal(signal), None),
            None => self.command(&grant).await,
        };
        let (mut outcome, released) = match ended {
            (Outcome::GuardianDied, _) => (Outcome::GuardianDied, None),
            (outcome, Some(released)) => (outcome, Some(released)),
            (outcome, None) => {
                if !matches!(outcome, Outcome::Cause(_)) {
                    self.guardian.order(Order::Unlock).await;
                }
                self.run.step(format!("unlocking: {}", reason(&outcome)));
                match self.released().await {
                    Ok(released) => (outcome, Some(released)),
                    Err(Some(attempt)) => {
                        self.end_command(&outcome).await;
                        return attempt;
                    }
                    Err(None) => (Outcome::GuardianDied, None),
                }
            }
        };
        let Some(released) = released else {
            let attempt = self.guardian_died(true).await;
            self.end_command(&outcome).await;
            self.guardian.finish().await;
            return attempt;
        };
        let manifest = &mut self.run.manifest;
        manifest.unlocked_at = Some(released.at);
        manifest.held_ms = released.held.map(milliseconds);
        manifest.proof = released.proof;
        // A lock that somebody has taken on top of ours goes by the same number.
        let theirs = matches!(released.gone, Gone::Released { left } if left > 0);
        let ours = self.asked.clone();
        let verified = match &ours {
            Some(ours) if !theirs => self.verify(ours).await,
            _ => true,
        };
        if let Some(time) = released.held {
            self.run.step(format!("unlocked after {} ms", time.as_millis()));
        }
        self.end_command(&outcome).await;
        self.guardian.order(Order::CommandEnded).await;
        if let (false, Some(ours)) = (verified, ours) {
            self.hand_over(ours).await;
            return self.unknown();
        }
        self.run.manifest.unlocked = Unlocked::Verified;
        self.moves_again().await;
        self.guardian.finish().await;
        if let (Outcome::Ended(Ok(_)), Some(others)) = (&outcome, self.others.take())
            && let Some(foreign) = foreign(others.await)
        {
            outcome = foreign;
        }
        match end(&outcome, &released, &self.name) {
            Some(end) => Attempt::Final(Some(end)),
            None => Attempt::Final(None),
        }
    }

    /// Waits for the end of the command; ends before it when the lock must not be held any longer. With how it was released, if it
    /// is already.
    async fn command(&mut self, grant: &Grant) -> (Outcome, Option<Released>) {
        let opened = Instant::now();
        let run = &mut *self.run;
        run.manifest.locked_at = Some(grant.locked_at);
        run.manifest.optime = grant.applied;
        let optime = grant.applied.map(|applied| applied.to_string()).unwrap_or_default();
        run.step(format!(
            "locked {} at {optime} after {} ms; running {}",
            self.name,
            run.manifest.acquire_ms.unwrap_or_default(),
            run.manifest.command.join(" ")
        ));
        // The guardian keeps the deadline. This one is for a guardian that hangs.
        let mut limit = opened + self.start.max_lock + SILENCE;
        let mut ended = None;
        loop {
            let others = &mut self.others;
            let heard = tokio::select! {
                status = self.gate.wait(), if ended.is_none() => {
                    self.run.manifest.command_ms = Some(milliseconds(opened.elapsed()));
                    ended = Some(status);
                    limit = Instant::now() + SEEN;
                    continue;
                }
                event = self.guardian.next() => event.map_or(Heard::Gone, Heard::Event),
                signal = &mut self.stop => Heard::Stop(signal),
                Some(looked) = OptionFuture::from(others.as_mut()) => {
                    *others = None;
                    match foreign(looked) {
                        Some(outcome) => return (outcome, None),
                        None => continue,
                    }
                }
                () = sleep_until(limit) => Heard::Late,
            };
            match heard {
                Heard::Event(Event::Locked(held)) => self.asked = Some(held.ours),
                Heard::Event(Event::NotLocked { message, .. }) => {
                    let released =
                        Released { gone: Gone::NotLocked, proof: None, at: Timestamp::now(), held: None };
                    return (Outcome::Cause(Cause::Lost(message)), Some(released));
                }
                Heard::Event(Event::Releasing(cause)) => return (Outcome::Cause(cause), None),
                Heard::Event(Event::Released { gone, proof, unlocked_at, held }) => {
                    let released = Released { gone, proof, at: unlocked_at, held };
                    // It sees the end of the command as soon as we do.
                    if let Some(status) = ended.or_else(|| self.gate.ended()) {
                        let elapsed = || milliseconds(opened.elapsed());
                        self.run.manifest.command_ms.get_or_insert_with(elapsed);
                        return (Outcome::Ended(status), Some(released));
                    }
                    let why = "the guardian has released the lock".into();
                    return (Outcome::Cause(Cause::Lost(why)), Some(released));
                }
                Heard::Event(Event::Trouble(text)) => self.trouble(&text),
                Heard::Event(_) => {}
                Heard::Stop(signal) => return (Outcome::Signal(signal), None),
                Heard::Gone => return (Outcome::GuardianDied, None),
                Heard::Late => {
                    if let Some(status) = ended {
                        return (Outcome::Ended(status), None);
                    }
                    self.guardian.kill().await;
                    return (Outcome::GuardianDied, None);
                }
            }
        }
    }
}

/// What it means which other members are locked. A look that failed says nothing.
fn foreign(looked: Result<Vec<String>, JoinError>) -> Option<Outcome> {
    let locked = looked.unwrap_or_default();
    (!locked.is_empty()).then(|| Outcome::Foreign(locked.join(", ")))
}

/// Which of these members are locked. Those that do not answer soon are not.
async fn locked(others: Vec<Member>) -> Vec<String> {
    let looks = others.iter().map(|other| async move {
        let state = other.lock_state_within(Duration::from_secs(2)).await.ok()?;
        state.locked().then(|| other.name().to_owned())
    });
    join_all(looks).await.into_iter().flatten().collect()
}
