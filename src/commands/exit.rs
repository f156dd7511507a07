//! How a command ends.

use std::{io, process::ExitCode};

use crate::ui::Failure;

/// The exit codes. Scripts rest on them: none ever changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Done,
    Failed,
    /// Changes are present, and `--detailed-exitcode` asked.
    Changes,
    /// Refused by a guard; nothing was changed.
    Refused,
    /// The plan or digest no longer matches; nothing was changed.
    Stale,
    /// Locked by another run; nothing was changed.
    Locked,
    /// Some changes were made, some failed or were not attempted.
    Incomplete,
    /// It is not certain that a member of a replica set is unlocked: page someone.
    StillLocked,
    /// No member of the replica set may be locked.
    NoMember,
    /// The lock on a member was not obtained in time; nothing stays locked.
    LockTimeout,
    /// The snapshot command failed, or could not be started.
    SnapshotFailed,
    /// `max_lock` passed before the snapshot command had ended.
    MaxLock,
    /// The member did not stay locked as it was: there is a snapshot, but it may be inconsistent.
    Inconsistent,
    /// Somebody else has locked a member, or is at it.
    ForeignLock,
    /// Whatever the command that was started for somebody ended with.
    OfCommand(u8),
    /// By a signal, after what ran was finished and accounted for.
    Interrupted(u8),
}

impl Exit {
    /// All of them; signals are those that `infra` listens to.
    pub const ALL: [Self; 17] = [
        Self::Done,
        Self::Failed,
        Self::Changes,
        Self::Refused,
        Self::Stale,
        Self::Locked,
        Self::Incomplete,
        Self::StillLocked,
        Self::NoMember,
        Self::LockTimeout,
        Self::SnapshotFailed,
        Self::MaxLock,
        Self::Inconsistent,
        Self::ForeignLock,
        Self::Interrupted(1),
        Self::Interrupted(2),
        Self::Interrupted(15),
    ];

    /// What it tells a script, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; with `--detailed-exitcode`: nothing differs",
            Self::Failed => "error, errors in what was typed included",
            Self::Changes => "changes are present; only with `--detailed-exitcode`",
            Self::Refused => "refused by a guard; nothing was changed",
            Self::Stale => "the plan or its digest no longer matches; nothing was changed",
            Self::Locked => "locked by another run; nothing was changed",
            Self::Incomplete => {
                "the apply is incomplete, or its end could not be recorded; running it again continues"
            }
            Self::StillLocked => "it is not certain that a member of a replica set is unlocked: page someone",
            Self::NoMember => "no member of the replica set may be locked",
            Self::LockTimeout => "the lock on a member was not obtained in time; nothing stays locked",
            Self::SnapshotFailed => "the snapshot command failed, or could not be started",
            Self::MaxLock => "`max_lock` passed before the snapshot command had ended",
            Self::Inconsistent => {
                "the member did not stay locked as it was: there is a snapshot, but it may be inconsistent"
            }
            Self::ForeignLock => "somebody else has locked a member, or another run is at it",
            Self::OfCommand(_) => "whatever the command that was started for somebody ended with",
            Self::Interrupted(1) => "interrupted by SIGHUP, after an account of what was done",
            Self::Interrupted(2) => "interrupted by SIGINT (Ctrl-C), after an account of what was done",
            Self::Interrupted(_) => "interrupted by SIGTERM, after an account of what was done",
        }
    }

    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Refused => 3,
            Self::Stale => 4,
            Self::Locked => 5,
            Self::Incomplete => 6,
            Self::StillLocked => 7,
            Self::NoMember => 10,
            Self::LockTimeout => 11,
            Self::SnapshotFailed => 12,
            Self::MaxLock => 13,
            Self::Inconsistent => 14,
            Self::ForeignLock => 15,
            Self::OfCommand(code) => code,
            // As shells count: 128 and the signal's number.
            Self::Interrupted(signal) => 128 + signal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// An end that is no success: what to print, and the exit code.
#[derive(Debug)]
pub struct Stop {
    pub exit: Exit,
    pub failures: Vec<Failure>,
}

impl Stop {
    pub fn new(exit: Exit, failure: Failure) -> Self {
        Self { exit, failures: vec![failure] }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::new(Exit::Failed, failure)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Failure::of(&error).into()
    }
}

impl From<serde_json::Error> for Stop {
    fn from(error: serde_json::Error) -> Self {
        Failure::of(&error).into()
    }
}
