//! Releasing a lock that is ours, and no other.

use std::{cell::Cell, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::providers::mongo::{LockState, Member, MongoError};

/// A member that is well answers within milliseconds.
const LOOK: Duration = Duration::from_secs(2);

/// A lock that is held is released at once. If it is held still so long after we have asked, our request was lost.
const LOST: Duration = Duration::from_secs(10);

/// Longest pause between two attempts.
const PAUSE: Duration = Duration::from_secs(5);

/// How many operations may begin on a busy server between our last look and our lock command, at most: the journal is
/// written in between. An idle server takes a quarter of an hour for so many.
const BETWEEN: i64 = 10_000;

/// By what we recognise our lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ours {
    /// The run of the server on which it was asked for.
    pub(super) process: Option<String>,
    /// The server's number for the lock, once it is known.
    pub(super) opid: Option<i64>,
    /// The highest number of an operation just before the lock was asked for. Nobody had locked the member then.
    pub(super) before: i64,
    /// The comment of the command, which shows for as long as it waits.
    pub(super) comment: String,
}

/// What a member that was looked at means for our lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Another run of the server: locks do not survive that.
    Restarted,
    NotLocked,
    Ours {
        opid: Option<i64>,
        held: bool,
    },
    /// It is locked, and not by us.
    Foreign,
    /// Neither; to be looked at again.
    Unclear,
}

/// How our lock ended. Each was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Gone {
    /// We released it; so often somebody else has the member locked still.
    Released { left: i64 },
    /// It was not there (any more).
    NotLocked,
    /// The server was restarted, which releases it.
    Restarted,
    /// It was not there (any more), and a lock that is not ours is.
    Foreign,
}

impl Ours {
    pub(super) fn judge(&self, process: Option<&str>, state: &LockState) -> Verdict {
        if let (Some(then), Some(now)) = (self.process.as_deref(), process)
            && then != now
        {
            return Verdict::Restarted;
        }
        let waits = state.waits_for(&self.comment);
        match (&state.worker, self.opid) {
            (Some(worker), Some(opid)) if worker.opid == opid => {
                Verdict::Ours { opid: Some(opid), held: worker.held }
            }
            // A command of ours that waits behind somebody else's lock would lock once more.
            (Some(_), Some(_)) if waits => Verdict::Ours { opid: self.opid, held: false },
            (Some(_), Some(_)) => Verdict::Foreign,
            (Some(worker), None) => {
                let begun = worker.opid > self.before && worker.opid - self.before <= BETWEEN;
                if waits || begun {
                    Verdict::Ours { opid: Some(worker.opid), held: worker.held }
                } else {
                    Verdict::Foreign
                }
            }
            (None, _) if waits => Verdict::Ours { opid: None, held: false },
            (None, _) if state.locked() => Verdict::Unclear,
            (None, _) => Verdict::NotLocked,
        }
    }
}

/// Something that keeps us from releasing the lock for now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble(pub(super) String);

/// The run of the server, and what is locked in it.
pub(super) type Seen = (Option<String>, LockState);

/// Looks at the member by two questions side by side.
pub(super) async fn look(member: &Member) -> Result<Seen, MongoError> {
    let (hello, state) = futures::try_join!(member.hello_within(LOOK), member.lock_state_within(LOOK))?;
    Ok((hello.process, state))
}

/// Releases our lock and reads back that it is gone; tries for as long as it takes. `seen` is how the member is just now, for
/// whoever has looked anyway: the lock is held for as long as a look takes. `settle` is how long the member must be seen
/// unlocked where a lock request may still be on its way. `answered` hears when the unlock is acknowledged, which is before
/// it is read back.
pub(super) async fn release(
    member: &Member,
    mut ours: Ours,
    mut seen: Option<Seen>,
    settle: Duration,
    answered: &dyn Fn(),
    trouble: &dyn Fn(Trouble),
) -> Gone {
    let mut failures = 0_u32;
    let mut unlocked_since: Option<Instant> = None;
    // After an unlock whose answer we have, whatever lock is left is not ours.
    let released: Cell<Option<i64>> = Cell::new(None);
    loop {
        let looked = match seen.take() {
            Some(seen) => Ok(seen),
            None => look(member).await,
        };
        let seen = match looked {
            Ok((process, state)) => ours.judge(process.as_deref(), &state),
            Err(error) => {
                unlocked_since = None;
                trouble(Trouble(error.brief()));
                pause(&mut failures).await;
                continue;
            }
        };
        if let Some(left) = released.get() {
            match seen {
                Verdict::Ours { .. } | Verdict::Unclear if left == 0 => {
                    sleep(Duration::from_millis(20)).await;
                    failures += 1;
                    if failures > 100 {
                        trouble(Trouble(
                            "the unlock was acknowledged, but the member is locked still".into(),
                        ));
                        released.set(None);
                        failures = 0;
                    }
                    continue;
                }
                _ => return Gone::Released { left },
            }
        }
        match seen {
            Verdict::Restarted => return Gone::Restarted,
            Verdict::Foreign => return Gone::Foreign,
            Verdict::NotLocked => {
                let since = *unlocked_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= settle {
                    return Gone::NotLocked;
                }
                sleep(Duration::from_millis(100)).await;
            }
            Verdict::Unclear => {
                trouble(Trouble("the member is locked, but does not show by what".into()));
                pause(&mut failures).await;
            }
            Verdict::Ours { opid, held } => {
                unlocked_since = None;
                ours.opid = opid.or(ours.opid);
                if !held {
                    trouble(Trouble("the lock is waited for still; the unlock waits behind it".into()));
                }
                match unlock(member, &ours, trouble).await {
                    Ok(left) => {
                        answered();
                        released.set(Some(left));
                        failures = 0;
                    }
                    Err(Some(error)) => {
                        trouble(Trouble(error.brief()));
                        pause(&mut failures).await;
                    }
                    // It is gone, or to be looked at anew.
                    Err(None) => {}
                }
            }
        }
    }
}

async fn pause(failures: &mut u32) {
    *failures += 1;
    sleep((Duration::from_millis(100) * *failures).min(PAUSE)).await;
}

/// Sends one unlock. It waits on the server while the lock is waited for, and takes effect in the moment in which that is
/// granted; so it is sent once and not again for as long as its answer may come: a second one could release the lock of
/// somebody else.
async fn unlock(member: &Member, ours: &Ours, trouble: &dyn Fn(Trouble)) -> Result<i64, Option<MongoError>> {
    let request = member.unlock(Duration::from_hours(24));
    tokio::pin!(request);
    let mut held_since: Option<Instant> = None;
    loop {
        match timeout(Duration::from_secs(1), &mut request).await {
            Ok(answer) => return answer.map_err(Some),
            Err(_) => match look(member).await {
                Ok((process, state)) => match ours.judge(process.as_deref(), &state) {
                    Verdict::Ours { held: true, .. } => {
                        let since = *held_since.get_or_insert_with(Instant::now);
                        if since.elapsed() > LOST {
                            return Err(None);
                        }
                        trouble(Trouble("the unlock was sent and is not answered".into()));
                    }
                    Verdict::Ours { held: false, .. } | Verdict::Unclear => {
                        trouble(Trouble("the lock is waited for still; the unlock waits behind it".into()));
                    }
                    Verdict::Restarted | Verdict::NotLocked | Verdict::Foreign => {
                        let late = timeout(Duration::from_secs(1), &mut request).await;
                        return late.map_err(|_| None)?.map_err(Some);
                    }
                },
                Err(error) => trouble(Trouble(error.brief())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::mongo::{Pending, Worker};

    fn ours(opid: Option<i64>) -> Ours {
        Ours { process: Some("p1".into()), opid, before: 100, comment: "infra:r1".into() }
    }

    fn state(worker: Option<(i64, bool)>, pending: Option<&str>) -> LockState {
        LockState {
            flag: worker.is_some() || pending.is_some(),
            worker: worker.map(|(opid, held)| Worker { opid, held }),
            pending: pending
                .map(|comment| Pending { opid: 101, comment: Some(comment.into()) })
                .into_iter()
                .collect(),
            ..LockState::default()
        }
    }

    #[test]
    fn whose_lock_it_is() {
        let held = |opid| Verdict::Ours { opid: Some(opid), held: true };
        let waits = |opid| Verdict::Ours { opid, held: false };
        for (known, process, seen, expected) in [
            // The number is known: it alone counts.
            (Some(102), "p1", state(Some((102, true)), None), held(102)),
            (Some(102), "p1", state(Some((205, true)), None), Verdict::Foreign),
            (Some(102), "p1", state(None, None), Verdict::NotLocked),
            (Some(102), "p2", state(Some((102, true)), None), Verdict::Restarted),
            (Some(102), "p1", state(Some((102, false)), Some("infra:r1")), waits(Some(102))),
            // It is not known yet.
            (None, "p1", state(Some((102, true)), None), held(102)),
            (None, "p1", state(Some((100, true)), None), Verdict::Foreign),
            (None, "p1", state(Some((10_101, true)), None), Verdict::Foreign),
            (None, "p1", state(Some((1200, false)), Some("infra:r1")), waits(Some(1200))),
            (None, "p1", state(None, Some("infra:r1")), waits(None)),
            (None, "p1", state(None, Some("infra:r2")), Verdict::Unclear),
            (None, "p1", state(None, None), Verdict::NotLocked),
        ] {
            assert_eq!(ours(known).judge(Some(process), &seen), expected, "{known:?} {process} {seen:?}");
        }
        // A server that has no number for its runs: the lock alone must do.
        assert_eq!(ours(Some(102)).judge(None, &state(Some((102, true)), None)), held(102));
    }
}
