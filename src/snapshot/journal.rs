//! What this machine remembers of the locks that it takes, so that the next run can release what a killed one left.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::release::Ours;

/// A lock that is asked for or held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) run: String,
    /// The member, `host:port`.
    pub(super) member: String,
    pub(super) since: Timestamp,
    /// Of the guardian.
    pub(super) pid: u32,
    pub(super) ours: Ours,
}

/// The journal of one replica set.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    path: PathBuf,
}

/// Held by the one run that may be at work on the set. It ends when the last process that has the file open ends.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) file: File,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum NoTurn {
    #[error("another run of infra on this machine is at work on this replica set{0}")]
    Taken(String),
    #[error("{path}: what is locked could not be remembered there, so nothing is: {source}")]
    File { path: PathBuf, source: io::Error },
}

impl Journal {
    /// `set` is the set's id: names are not unique.
    pub(super) fn new(folder: &Path, set: &str) -> Self {
        let set: String = set.chars().filter(char::is_ascii_alphanumeric).collect();
        Self { path: folder.join(format!("{set}.json")) }
    }

    pub(super) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for nobody.
    pub(super) fn take_turn(&self) -> Result<Turn, NoTurn> {
        let path = self.path.with_extension("lock");
        let wrong = |source| NoTurn::File { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(wrong)?;
        }
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(wrong)?;
        match file.try_lock() {
            Ok(()) => Ok(Turn { file }),
            Err(TryLockError::WouldBlock) => Err(NoTurn::Taken(self.who())),
            Err(TryLockError::Error(source)) => Err(wrong(source)),
        }
    }

    /// Whose turn it is, as far as the journal says.
    fn who(&self) -> String {
        match self.read() {
            Ok(Some(record)) => format!(
                ": run {} has {} locked since {} (process {})",
                record.run, record.member, record.since, record.pid
            ),
            _ => String::new(),
        }
    }

    /// What was left. A journal that cannot be understood is an error: it may speak of a lock.
    pub(super) fn read(&self) -> io::Result<Option<Record>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(io::Error::from)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Replaces what stands there, whole or not at all. `durable` also survives that the machine loses power.
    pub(super) fn write(&self, record: &Record, durable: bool) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&serde_json::to_vec(record)?)?;
            if durable {
                file.sync_all()?;
            }
            fs::rename(&new, &self.path)?;
            match self.path.parent() {
                Some(folder) if durable => File::open(folder)?.sync_all(),
                _ => Ok(()),
            }
        })();
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// There is nothing of ours any more.
    pub(super) fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn record() -> Record {
        Record {
            run: "r1".into(),
            member: "a:1".into(),
            since: Timestamp::UNIX_EPOCH,
            pid: 7,
            ours: Ours { process: Some("p".into()), opid: None, before: 5, comment: "infra:r1".into() },
        }
    }

    #[test]
    fn one_run_at_a_time_and_it_says_which() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(&folder.path().join("state"), "66aa");
        let turn = journal.take_turn().unwrap();
        assert_eq!(fs::metadata(folder.path().join("state")).unwrap().permissions().mode() & 0o777, 0o700);
        journal.write(&record(), true).unwrap();
        let refused = journal.take_turn().unwrap_err().to_string();
        assert!(refused.contains("run r1 has a:1 locked"), "{refused}");
        // A process that inherited the file keeps the turn.
        let inherited = turn.file.try_clone().unwrap();
        drop(turn);
        assert!(matches!(journal.take_turn(), Err(NoTurn::Taken(_))));
        drop(inherited);
        assert!(journal.take_turn().is_ok());
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::new(folder.path(), "66aa");
        assert_eq!(journal.read().unwrap(), None);
        journal.write(&record(), false).unwrap();
        assert_eq!(journal.read().unwrap(), Some(record()));
        journal.clear().unwrap();
        journal.clear().unwrap();
        assert_eq!(journal.read().unwrap(), None);
        fs::write(journal.path(), "{").unwrap();
        assert!(journal.read().is_err());
    }
}
