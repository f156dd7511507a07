//! What a run comes to, out of why the lock was released and how. Pure.

use std::{io, process::ExitStatus, time::Duration};

use jiff::Timestamp;

use super::{Ending, guardian::protocol::Cause, manifest::Proof, release::Gone, supervisor::End};

/// Why the lock is to be released.
pub(super) enum Outcome {
    Ended(io::Result<ExitStatus>),
    Signal(u8),
    Cause(Cause),
    /// Another member is locked too.
    Foreign(String),
    GuardianDied,
}

pub(super) struct Released {
    pub(super) gone: Gone,
    pub(super) proof: Option<Proof>,
    pub(super) at: Timestamp,
    pub(super) held: Option<Duration>,
}

/// Why, for people.
pub(super) fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Ended(Ok(status)) => format!("the snapshot command has ended ({status})"),
        Outcome::Ended(Err(error)) => format!("the snapshot command cannot be waited for: {error}"),
        Outcome::Signal(signal) => format!("signal {signal}"),
        Outcome::Cause(Cause::Deadline) => "max_lock has passed".into(),
        Outcome::Cause(Cause::Lost(text)) => text.clone(),
        Outcome::Foreign(members) => format!("{members} was locked by somebody else in the same moment"),
        Outcome::GuardianDied => "the guardian died".into(),
    }
}

/// What an outcome comes to once the lock is gone. Nothing: the snapshot is consistent.
pub(super) fn end(outcome: &Outcome, released: &Released, name: &str) -> Option<End> {
    let (ending, message) = match outcome {
        Outcome::Ended(Ok(status)) if !status.success() => {
            (Ending::CommandFailed, format!("the snapshot command failed: {status}"))
        }
        Outcome::Ended(Ok(_)) => match (released.gone, &released.proof) {
            (Gone::Released { left: 0 }, Some(proof)) if proof.complete() => return None,
            (Gone::Released { left: left @ 1.. }, _) => {
                (Ending::ForeignLock, format!("{name} is locked still, {left} times, by somebody else"))
            }
            (gone, proof) => (
                Ending::ConsistencyLost,
                format!("the snapshot may be inconsistent: {}", doubt(gone, proof.as_ref())),
            ),
        },
        Outcome::Signal(signal) => {
            (Ending::Interrupted(*signal), format!("interrupted by signal {signal} while {name} was locked"))
        }
        Outcome::Cause(Cause::Deadline) => {
            (Ending::MaxLock, "the snapshot command had not ended when max_lock had passed".into())
        }
        Outcome::Foreign(_) => (Ending::ForeignLock, reason(outcome)),
        Outcome::Ended(Err(_)) => (Ending::CommandFailed, reason(outcome)),
        Outcome::Cause(Cause::Lost(_)) | Outcome::GuardianDied => (Ending::ConsistencyLost, reason(outcome)),
    };
    Some(End::new(ending, message))
}

/// Which part of the proof is missing.
fn doubt(gone: Gone, proof: Option<&Proof>) -> &'static str {
    match (gone, proof) {
        (Gone::Restarted, _) => "the server was restarted meanwhile",
        (_, None) => "the member did not answer when it was looked at before the unlock",
        (_, Some(proof)) if !proof.same_process => "the server was restarted meanwhile",
        (_, Some(proof)) if !proof.same_opid || !proof.held => "somebody has released the lock meanwhile",
        (Gone::NotLocked | Gone::Foreign, _) => "somebody has released the lock meanwhile",
        (_, Some(proof)) if !proof.secondary => "the member is no secondary any more",
        (_, Some(proof)) if !proof.applied_unchanged => "the member has applied operations meanwhile",
        _ => "the proof is not complete",
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn ended(code: i32) -> Outcome {
        Outcome::Ended(Ok(ExitStatus::from_raw(code << 8)))
    }

    fn proof(change: impl FnOnce(&mut Proof)) -> Proof {
        let mut proof = Proof {
            worker_opid: Some(7),
            held: true,
            same_opid: true,
            same_process: true,
            applied_unchanged: true,
            secondary: true,
            lock_count: 1,
            unlock_count: Some(0),
        };
        change(&mut proof);
        proof
    }

    fn comes_to(outcome: &Outcome, gone: Gone, proof: Option<Proof>) -> (Ending, String) {
        let released = Released { gone, proof, at: Timestamp::UNIX_EPOCH, held: None };
        end(outcome, &released, "a:1")
            .map_or((Ending::Consistent, String::new()), |end| (end.ending, end.message))
    }

    #[test]
    fn consistent_is_what_is_proved_in_full_and_nothing_else() {
        let ours = Gone::Released { left: 0 };
        assert_eq!(comes_to(&ended(0), ours, Some(proof(|_| ()))).0, Ending::Consistent);
        for (gone, proof, ending, words) in [
            (ours, None, Ending::ConsistencyLost, "did not answer"),
            (ours, Some(proof(|proof| proof.held = false)), Ending::ConsistencyLost, "released the lock"),
            (
                ours,
                Some(proof(|proof| proof.same_opid = false)),
                Ending::ConsistencyLost,
                "released the lock",
            ),
            (ours, Some(proof(|proof| proof.same_process = false)), Ending::ConsistencyLost, "restarted"),
            (ours, Some(proof(|proof| proof.applied_unchanged = false)), Ending::ConsistencyLost, "applied"),
            (ours, Some(proof(|proof| proof.secondary = false)), Ending::ConsistencyLost, "no secondary"),
            (ours, Some(proof(|proof| proof.lock_count = 2)), Ending::ConsistencyLost, "not complete"),
            (ours, Some(proof(|proof| proof.unlock_count = None)), Ending::ConsistencyLost, "not complete"),
            (Gone::NotLocked, Some(proof(|_| ())), Ending::ConsistencyLost, "released the lock"),
            (Gone::Foreign, Some(proof(|_| ())), Ending::ConsistencyLost, "released the lock"),
            (Gone::Restarted, Some(proof(|_| ())), Ending::ConsistencyLost, "restarted"),
            (Gone::Released { left: 1 }, Some(proof(|_| ())), Ending::ForeignLock, "1 times"),
        ] {
            let (found, message) = comes_to(&ended(0), gone, proof);
            assert_eq!(found, ending, "{gone:?} {proof:?}");
            assert!(message.contains(words), "{message}");
        }
    }

    #[test]
    fn whatever_else_ends_it_says_so() {
        let ours = Gone::Released { left: 0 };
        for (outcome, ending) in [
            (ended(3), Ending::CommandFailed),
            (Outcome::Ended(Ok(ExitStatus::from_raw(9))), Ending::CommandFailed),
            (Outcome::Ended(Err(io::ErrorKind::Other.into())), Ending::CommandFailed),
            (Outcome::Signal(15), Ending::Interrupted(15)),
            (Outcome::Cause(Cause::Deadline), Ending::MaxLock),
            (Outcome::Cause(Cause::Lost("the primary is lost".into())), Ending::ConsistencyLost),
            (Outcome::Foreign("b:1".into()), Ending::ForeignLock),
            (Outcome::GuardianDied, Ending::ConsistencyLost),
        ] {
            // Even with a proof: the command was not done.
            assert_eq!(comes_to(&outcome, ours, Some(proof(|_| ()))).0, ending);
        }
    }
}
