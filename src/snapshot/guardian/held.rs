//! From the grant of the lock to its release.
//!
//! The command begins with the grant, and what there is to verify is verified beside it: a member is locked no longer than the
//! command takes. If something is found to be wrong, the lock is released, the command is ended, and nothing that it has
//! made counts.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    super::{
        command,
        manifest::Proof,
        release::{self, Gone, Ours, Seen},
    },
    Asked, Guardian, PAUSE,
    ended::Command,
    protocol::{Cause, Event, Held, NotLocked, Start},
    record,
};
use crate::providers::mongo::{Granted, Hello, Holding, LockState, Member, MongoError, OpTime};

/// A member that is well answers within milliseconds.
const LOOK: Duration = Duration::from_secs(2);

/// The processors are the command's while it begins: a look takes from it what the lock is then held longer.
pub(in super::super) const BEGINNING: Duration = Duration::from_millis(5);

/// What ends the lock if nobody orders it to end.
pub(super) struct Until<F> {
    pub(super) deadline: Instant,
    /// Its end is waited for here too: the lock is held for as long as word of it travels.
    pub(super) command: Command,
    pub(super) lost: F,
}

/// Why it is not verified that the member is locked.
enum Unverified {
    /// It does not answer, as a machine does that is frozen while it is snapshotted.
    NoAnswer(MongoError),
    /// It is not as it must be.
    Unfit(String),
}

impl Guardian {
    pub(super) async fn granted(
        &mut self,
        start: &Start,
        asked: Asked,
        granted: Granted,
        until: Until<impl Future<Output = String>>,
    ) {
        let Until { deadline, command: ending, lost } = until;
        let locked_at = Timestamp::now();
        let locked = Instant::now();
        let ours = asked.ours;
        if granted.count != 1 {
            self.release(ours, None, Duration::ZERO).await;
            let message = format!("{} was locked by somebody else too", start.member);
            return self.speech.say(&Event::NotLocked { why: NotLocked::Foreign, message }).await;
        }
        let told = granted.operation.zip(asked.term).map(|((t, i), term)| OpTime { t, i, term });
        let acquired = locked - asked.at;
        // First of all: the lock is held for as long as the command waits. A supervisor that never hears of the grant ends it.
        if told.is_some() {
            command::open(&self.gate, told);
        }
        self.speech.say(&Event::Granted { acquired, locked_at, applied: told }).await;
        let mut held: Option<Held> = None;
        let (member, asked_for) = (self.unlock.clone(), ours.clone());
        let verifying = verified(&member, &asked_for, told);
        tokio::pin!(verifying, lost);
        let cause = loop {
            tokio::select! {
                verified = &mut verifying, if held.is_none() => match verified {
                    Ok(found) => {
                        self.speech.say(&Event::Locked(found.clone())).await;
                        if told.is_none() {
                            command::open(&self.gate, found.applied);
                        }
                        // That it is asked for stands there already, which will do if this cannot be written.
                        let _ = self.journal.write(&record(start, &found.ours), false);
                        held = Some(found);
                    }
                    Err(message) => {
                        self.release(ours, None, Duration::ZERO).await;
                        return self.speech.say(&Event::NotLocked { why: NotLocked::Unfit, message }).await;
                    }
                },
                _ = self.order() => break None,
                () = ending.ended() => break None,
                () = sleep_until(deadline) => break Some(Cause::Deadline),
                lost = &mut lost => break Some(Cause::Lost(lost)),
            }
        };
        let cause = cause.map(Event::Releasing);
        let releasing = async {
            if let Some(event) = &cause {
                self.speech.say(event).await;
            }
        };
        let (mut proof, ()) = futures::join!(self.proof(&ours, told, &mut held), releasing);
        // A machine that is frozen while it is snapshotted answers nothing. It could not be told to unlock either, so that
        // the proof can wait for it.
        while proof.is_none() {
            self.speech.say(&Event::Trouble(format!("{} does not answer", start.member))).await;
            let answers = release::look(&self.unlock).await.is_ok();
            proof = self.proof(&ours, told, &mut held).await;
            if answers {
                break;
            }
            sleep(PAUSE).await;
        }
        let (proof, seen) = proof.unzip();
        let ours = held.map_or(ours, |held| held.ours);
        let process = ours.process.clone();
        let (gone, unlocked_at, until) = self.release(ours, seen.flatten(), Duration::ZERO).await;
        // No member that is locked changes its state, and none changes its run and comes back: what it is now it was, so that
        // the lock need not be held for this question.
        let hello = timeout(LOOK, member.hello()).await;
        let hello = hello.ok().and_then(Result::ok).unwrap_or_default();
        let proof = proof.map(|proof| Proof {
            same_process: hello.process.is_some() && hello.process == process,
            secondary: hello.secondary,
            lock_count: granted.count,
            unlock_count: if let Gone::Released { left } = gone { Some(left) } else { None },
            ..proof
        });
        let held = Some(until.saturating_duration_since(locked));
        self.speech.say(&Event::Released { gone, proof, unlocked_at, held }).await;
    }

    /// Compares how the member is with how it was; also what was seen of our lock. Nothing if it cannot be seen within a moment.
    /// What is not verified yet is verified first.
    async fn proof(
        &self,
        ours: &Ours,
        told: Option<OpTime>,
        held: &mut Option<Held>,
    ) -> Option<(Proof, Option<Seen>)> {
        if held.is_none() {
            *held = timeout(LOOK, verify(&self.unlock, ours, told)).await.ok()?.ok();
        }
        let (opid, applied) = held.as_ref().map_or((None, told), |held| (held.ours.opid, held.applied));
        let pair = |time: OpTime| (time.t, time.i);
        let Holding { worker, mut operation } = self.unlock.holding(LOOK).await.ok()?;
        if operation.is_none() {
            // A set that is so young that it has no keys to sign times with does not tell them.
            operation = self.unlock.hello_within(LOOK).await.ok()?.applied.map(pair);
        }
        let same_opid = worker.is_some() && worker.as_ref().map(|worker| worker.opid) == opid;
        let proof = Proof {
            worker_opid: worker.as_ref().map(|worker| worker.opid),
            held: worker.as_ref().is_some_and(|worker| worker.held),
            same_opid,
            applied_unchanged: operation.is_some() && operation == applied.map(pair),
            ..Proof::default()
        };
        // Whose another lock is takes more to tell.
        let seen = same_opid.then(|| (ours.process.clone(), LockState { worker, ..LockState::default() }));
        Some((proof, seen))
    }
}

async fn look(member: &Member) -> Result<(LockState, Hello), MongoError> {
    futures::try_join!(member.lock_state(), member.hello())
}

/// Looks once whether the member is locked as it must be. `told`: where it stood when it was locked.
async fn verify(member: &Member, ours: &Ours, told: Option<OpTime>) -> Result<Held, Unverified> {
    let (state, hello) = look(member).await.map_err(Unverified::NoAnswer)?;
    let worker = state.worker.filter(|worker| worker.held);
    match worker {
        Some(worker) if hello.secondary && hello.process == ours.process => {
            if told.is_some() && told != hello.applied {
                let text = format!("{} has applied operations while it was locked", member.name());
                return Err(Unverified::Unfit(text));
            }
            Ok(Held { ours: Ours { opid: Some(worker.opid), ..ours.clone() }, applied: hello.applied })
        }
        _ => Err(Unverified::Unfit(format!("{} did not stay a locked secondary", member.name()))),
    }
}

/// Looks until there is an answer. Where the command has not begun there is nothing to wait for.
async fn verified(member: &Member, ours: &Ours, told: Option<OpTime>) -> Result<Held, String> {
    if told.is_some() {
        sleep(BEGINNING).await;
    }
    loop {
        match verify(member, ours, told).await {
            Ok(held) => return Ok(held),
            Err(Unverified::Unfit(message)) => return Err(message),
            Err(Unverified::NoAnswer(error)) if told.is_none() => return Err(error.brief()),
            Err(Unverified::NoAnswer(_)) => sleep(PAUSE).await,
        }
    }
}
