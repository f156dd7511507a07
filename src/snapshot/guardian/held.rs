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
        manifest::Proof,
        release::{self, Gone, Ours, Seen},
    },
    Asked, Guardian, PAUSE,
    protocol::{Cause, Event, Held, NotLocked, Start},
    record,
};
use crate::providers::mongo::{Granted, Hello, LockState, Member, MongoError, OpTime};

/// A member that is well answers within milliseconds.
const LOOK: Duration = Duration::from_secs(2);

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
        deadline: Instant,
        lost: impl Future<Output = String>,
    ) {
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
        let (gone, unlocked_at, until) = self.release(ours, seen, Duration::ZERO).await;
        let unlock_count = if let Gone::Released { left } = gone { Some(left) } else { None };
        let proof = proof.map(|proof| Proof { lock_count: granted.count, unlock_count, ..proof });
        let held = Some(until.saturating_duration_since(locked));
        self.speech.say(&Event::Released { gone, proof, unlocked_at, held }).await;
    }

    /// Compares how the member is with how it was; also what was seen of it. Nothing if it cannot be seen within a moment.
    /// What is not verified yet is verified first.
    async fn proof(
        &self,
        ours: &Ours,
        told: Option<OpTime>,
        held: &mut Option<Held>,
    ) -> Option<(Proof, Seen)> {
        if held.is_none() {
            *held = timeout(LOOK, verify(&self.unlock, ours, told)).await.ok()?.ok();
        }
        let (opid, applied) = held.as_ref().map_or((None, told), |held| (held.ours.opid, held.applied));
        let (state, hello) = timeout(LOOK, look(&self.unlock)).await.ok()?.ok()?;
        let worker = state.worker.as_ref();
        let proof = Proof {
            worker_opid: worker.map(|worker| worker.opid),
            held: worker.is_some_and(|worker| worker.held),
            same_opid: worker.is_some() && worker.map(|worker| worker.opid) == opid,
            same_process: hello.process.is_some() && hello.process == ours.process,
            applied_unchanged: hello.applied.is_some() && hello.applied == applied,
            secondary: hello.secondary,
            lock_count: 0,
            unlock_count: None,
        };
        Some((proof, (hello.process, state)))
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
    loop {
        match verify(member, ours, told).await {
            Ok(held) => return Ok(held),
            Err(Unverified::Unfit(message)) => return Err(message),
            Err(Unverified::NoAnswer(error)) if told.is_none() => return Err(error.brief()),
            Err(Unverified::NoAnswer(_)) => sleep(PAUSE).await,
        }
    }
}
