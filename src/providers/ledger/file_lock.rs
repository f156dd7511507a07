//! Locks of one machine: the kernel takes them back when the process ends, however it ends.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Holder, LedgerError};

/// Folders that go again and again between being made and being used are somebody else's doing after this.
const GONE: Duration = Duration::from_secs(10);

/// A lock of this machine. The kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FileLock {
    file: File,
    path: PathBuf,
    /// How many folders around the file are ours.
    folders: usize,
}

impl FileLock {
    /// Takes it, with so many folders around it that go when they are empty, asking again until `patience` is over.
    pub(super) async fn at(
        path: &Path,
        folders: usize,
        holder: &Holder,
        patience: Duration,
    ) -> Result<Self, LedgerError> {
        let path = path.to_owned();
        let failed = |source| LedgerError::Io { path: path.clone(), source };
        let begun = Instant::now();
        loop {
            match fs::create_dir_all(path.parent().unwrap_or(&path)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound && begun.elapsed() < GONE => continue,
                Err(error) => return Err(failed(error)),
            }
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = match opened {
                Ok(file) => file,
                // Whoever let go may have removed the folder in between.
                Err(error) if error.kind() == ErrorKind::NotFound && begun.elapsed() < GONE => continue,
                Err(error) => return Err(failed(error)),
            };
            match file.try_lock() {
                // Whoever let go may have removed the file in between; a lock on that would be one on nothing.
                Ok(()) if is_at(&file, &path) => {
                    write(&mut file, holder).map_err(failed)?;
                    return Ok(Self { file, path, folders });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if begun.elapsed() < patience => {
                    sleep(Duration::from_millis(200).min(patience)).await;
                }
                Err(TryLockError::WouldBlock) => {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    return Err(LedgerError::Taken { name, holder: describe(&mut file) });
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }

    /// Lets go, and leaves neither the file nor folders that are empty without it.
    pub(super) fn release(self) {
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
        // Gone only if nothing else is in them.
        for folder in self.path.ancestors().skip(1).take(self.folders) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

/// Who has the lock, as it says itself: to try it would keep others away. A process of this machine must also be there.
pub(super) fn holder(path: &Path) -> Option<Holder> {
    let holder: Holder = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    let here = holder.host == super::host();
    let gone = || {
        let pid = nix::unistd::Pid::from_raw(holder.pid.try_into().unwrap_or(i32::MAX));
        nix::sys::signal::kill(pid, None) == Err(nix::errno::Errno::ESRCH)
    };
    (!here || !gone()).then_some(holder)
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
        Ok(Ok(holder)) => holder.to_string(),
        _ => "it does not say who it is".into(),
    }
}
