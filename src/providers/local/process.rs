//! The server's processes: which one it is, whether it lives, and how it is ended.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{error::LocalError, layout, record::write_file, user::Account};

/// The process of the server in `folder`, if it runs. `postmaster.pid` alone proves nothing: after a crash its number
/// may belong to anybody.
pub(super) fn postmaster(folder: &Path) -> Option<Pid> {
    let data = layout::data(folder);
    let pid = noted_pid(&data)?;
    belongs(pid, &data).then_some(pid)
}

fn noted_pid(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    text.lines().next()?.trim().parse().ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// Whether a process is the server of this data folder: a server works in its data folder. Where the system does not
/// let us see that (no /proc, or root in a container without `CAP_SYS_PTRACE`), its owner and command line decide.
fn belongs(pid: Pid, data: &Path) -> bool {
    if is_nobody(pid) {
        return false;
    }
    let process = Path::new("/proc").join(pid.to_string());
    match fs::read_link(process.join("cwd")) {
        Ok(folder) => folder == data || fs::canonicalize(data).is_ok_and(|data| data == folder),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let owner = |path: &Path| fs::metadata(path).ok().map(|found| found.uid());
            let command = fs::read(process.join("cmdline")).unwrap_or_default();
            owner(&process) == owner(data)
                && command.split(|byte| *byte == 0).any(|word| word == data.as_os_str().as_encoded_bytes())
        }
        Err(_) if Path::new("/proc/self").exists() => false,
        Err(_) => {
            let asked =
                std::process::Command::new("ps").args(["-o", "comm=", "-p", &pid.to_string()]).output();
            kill(pid, None).is_ok()
                && asked.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("postgres"))
        }
    }
}

/// Makes sure that what a dead server left does not stop the next one. PostgreSQL itself sees a process number that
/// nobody has; only one that somebody else has by now stops it. `postmaster.pid` is then pointed at a number that nobody
/// has instead of removed, because its other lines let PostgreSQL notice survivors of the old server.
pub(super) fn forget_stale(folder: &Path, account: &Account) -> Result<(), LocalError> {
    let data = layout::data(folder);
    let path = data.join("postmaster.pid");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(LocalError::io("read", path)(error)),
    };
    let noted = noted_pid(&data);
    if noted.is_some_and(|pid| belongs(pid, &data)) {
        return Ok(());
    }
    remove_socket_files(&layout::socket(folder))?;
    match noted {
        // Empty or garbled, as a full disk or a power cut leaves it: PostgreSQL would refuse to start.
        None => fs::remove_file(&path).map_err(LocalError::io("remove", path)),
        Some(pid) if is_nobody(pid) => Ok(()),
        Some(_) => {
            let nobody = (2..MOST_PROCESSES).rev().find(|number| is_nobody(Pid::from_raw(*number)));
            let rest = text.split_once('\n').map_or("", |(_, rest)| rest);
            write_file(&path, &format!("{}\n{rest}", nobody.unwrap_or(MOST_PROCESSES)), account)
        }
    }
}

/// The socket's lock file names the dead server too. Nobody else has files in that folder.
fn remove_socket_files(socket: &Path) -> Result<(), LocalError> {
    for entry in fs::read_dir(socket).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(".s.PGSQL.") {
            fs::remove_file(entry.path()).map_err(LocalError::io("remove", entry.path()))?;
        }
    }
    Ok(())
}

/// Linux gives no process number from here on (`PID_MAX_LIMIT`, proc(5)).
const MOST_PROCESSES: i32 = 4_194_304;

fn is_nobody(pid: Pid) -> bool {
    matches!(kill(pid, None), Err(Errno::ESRCH))
}

/// Sessions are ended and everything is written (postgres(1), "fast").
const ORDERLY: (Signal, u64) = (Signal::SIGINT, 30);
/// Nothing is written; the next start recovers ("immediate").
const AT_ONCE: (Signal, u64) = (Signal::SIGQUIT, 10);
const BY_FORCE: (Signal, u64) = (Signal::SIGKILL, 10);

/// Ends the server in `folder`, if it runs. Needs no PostgreSQL program.
pub(super) async fn stop(folder: &Path, name: &str) -> Result<(), LocalError> {
    end(folder, name, &[ORDERLY, AT_ONCE, BY_FORCE]).await
}

/// Ends the server in `folder`, whose data nobody will want: writing it out first could take many seconds.
pub(super) async fn abandon(folder: &Path, name: &str) -> Result<(), LocalError> {
    end(folder, name, &[AT_ONCE, BY_FORCE]).await
}

async fn end(folder: &Path, name: &str, ways: &[(Signal, u64)]) -> Result<(), LocalError> {
    for (signal, seconds) in ways.iter().copied() {
        let Some(pid) = postmaster(folder) else { return Ok(()) };
        match kill(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(_) => return Err(LocalError::Permission { path: folder.into() }),
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            if !belongs(pid, &layout::data(folder)) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let seconds = ways.iter().map(|(_, seconds)| seconds).sum();
    Err(LocalError::Timeout { name: name.into(), what: "stop", seconds })
}

/// Ends whatever still works in the folder of an abandoned server: an `initdb` or `pg_ctl` outlives an infra that was
/// killed. Where the system does not show it, it ends by itself once the folder is gone.
pub(super) async fn end_all(folder: &Path) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        for attempt in 0..100 {
            let working = working_in(folder);
            if working.is_empty() {
                return;
            }
            if attempt == 0 {
                for pid in working {
                    let _ = kill(pid, signal);
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn working_in(folder: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let works_there = |process: &fs::DirEntry| {
        fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
    };
    let number = |process: fs::DirEntry| process.file_name().to_str()?.parse().ok().map(Pid::from_raw);
    processes.filter(works_there).filter_map(number).collect()
}
