//! The environment's folder of records. Today it holds the lock that keeps two applies apart.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

const LOCK: &str = "apply.lock";

/// Whose the lock is, for whoever finds it taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Holder {
    pub who: String,
    pub operation: String,
    pub pid: u32,
    /// UTC, to the second.
    pub since: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("the environment is locked by another run: {0}")]
    Locked(String),
    #[error("cannot use {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The lock of one environment on this machine. The kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Takes the lock in `folder`, asking again until `patience` is over.
    pub async fn take(folder: &Path, holder: &Holder, patience: Duration) -> Result<Self, LedgerError> {
        let path = folder.join(LOCK);
        let failed = |source| LedgerError::Io { path: path.clone(), source };
        let begun = Instant::now();
        loop {
            fs::create_dir_all(folder).map_err(failed)?;
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .map_err(failed)?;
            match file.try_lock() {
                // Whoever let go may have removed the file in between; a lock on that would be one on nothing.
                Ok(()) if is_at(&file, &path) => {
                    write(&mut file, holder).map_err(failed)?;
                    return Ok(Self { file, path });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {
                    sleep(Duration::from_millis(200).min(patience)).await;
                }
                Err(TryLockError::WouldBlock) => return Err(LedgerError::Locked(describe(&mut file))),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }

    /// Lets go, and leaves neither the file nor folders that are empty without it.
    pub fn release(self) {
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
        // The environment's folder, then the one of all environments: gone only if nothing else is in them.
        for folder in self.path.ancestors().skip(1).take(2) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn write(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(holder)?.as_bytes())
}

fn describe(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match read.map(|_| serde_json::from_str::<Holder>(&text)) {
        Ok(Ok(Holder { who, operation, pid, since })) => {
            format!("{operation} (by {who}, process {pid}, since {since})")
        }
        _ => "it does not say who it is".into(),
    }
}
