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
    /// By a signal, after what ran was finished and accounted for.
    Interrupted(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Changes => 2,
            Exit::Refused => 3,
            Exit::Stale => 4,
            Exit::Locked => 5,
            Exit::Incomplete => 6,
            // As shells count: 128 and the signal's number.
            Exit::Interrupted(signal) => 128 + signal,
        })
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
