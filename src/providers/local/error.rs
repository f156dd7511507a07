//! What can go wrong with a server on this machine, and how to mend it.

use std::{io, path::PathBuf};

/// A failure around a local server. `Display` says what happened, [`LocalError::hint`] what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocalError {
    #[error("no PostgreSQL server program was found on this machine{}", unusable_text(.unusable))]
    NoBinary { searched: Vec<PathBuf>, unusable: Vec<String> },
    #[error("no PostgreSQL {wanted} was found on this machine; found: {}", found_text(.found))]
    NoVersion { wanted: String, found: Vec<String> },
    #[error("port {port} on 127.0.0.1, which the server `{name}` needs, is taken by another program")]
    PortTaken { name: String, port: u16 },
    #[error("this user may not listen on port {port}, which the server `{name}` needs")]
    PortForbidden { name: String, port: u16 },
    #[error("no free port was found for the server `{name}` ({first} to {last} were tried)")]
    NoPort { name: String, first: u16, last: u16 },
    #[error("the disk under {} is full", .folder.display())]
    DiskFull { folder: PathBuf },
    #[error("the server `{name}` did not start\n{}", indented(.log))]
    StartFailed { name: String, folder: PathBuf, log: String },
    #[error("the server `{name}` did not {what} within {seconds} seconds")]
    Timeout { name: String, what: &'static str, seconds: u64 },
    #[error("PostgreSQL does not accept the parameters of the server `{name}`\n{}", indented(.output))]
    Rejected { name: String, output: String },
    #[error("{tool} failed\n{}", indented(.output))]
    Tool { tool: &'static str, output: String },
    #[error("{} was not made by infra: it has no usable server.json ({why})", .folder.display())]
    NotOurs { folder: PathBuf, why: String },
    #[error("the local server `{name}` exists already")]
    Exists { name: String },
    #[error("there is no local server `{name}`")]
    Missing { name: String },
    #[error("another run of infra is making the local server `{name}` right now")]
    Busy { name: String },
    #[error("{} belongs to another user", .path.display())]
    Permission { path: PathBuf },
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody` to run it as"
    )]
    NoUser,
    #[error(
        "`{name}` cannot name a local {what}: use lower-case letters, digits, `-` and `_`, at most 63, beginning with a letter or digit"
    )]
    BadName { what: &'static str, name: String },
    #[error("the parameter `{name}` cannot be set: {why}")]
    BadParameter { name: String, why: &'static str },
    #[error("could not {doing}")]
    Sql { doing: &'static str, source: sqlx::Error },
    #[error("could not {doing} {}", .path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

impl LocalError {
    /// How to mend it, where there is something to be done.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoBinary { .. } => {
                format!(
                    "install one: {}. A folder with postgres, initdb and pg_ctl on PATH will do too",
                    install("postgresql")
                )
            }
            Self::NoVersion { wanted, .. } => {
                let major = wanted.split('.').next().unwrap_or(wanted);
                format!(
                    "install it ({}), put its folder on PATH, or set clusters.<name>.engine_version to one that is there",
                    install(&format!("postgresql-{major}"))
                )
            }
            Self::PortTaken { name, .. } | Self::PortForbidden { name, .. } | Self::NoPort { name, .. } => {
                format!("set clusters.{name}.connection.port to a port that is free, or stop what holds it")
            }
            Self::DiskFull { folder } => {
                format!(
                    "make room (a server needs about 60 MB) on the disk of {}, then run it again",
                    folder.display()
                )
            }
            Self::StartFailed { folder, .. } => {
                format!("the whole log is {}", folder.join("server.log").display())
            }
            Self::Rejected { name, .. } | Self::BadParameter { name, .. } if !name.is_empty() => {
                "correct it under clusters.<name>.parameters".to_owned()
            }
            Self::NotOurs { folder, .. } => {
                format!("if nothing in it is needed, remove it: rm -r {}", folder.display())
            }
            Self::Exists { .. } => "plan again: the world has changed since".to_owned(),
            Self::Busy { .. } => "wait for it to end, then run it again".to_owned(),
            Self::Permission { .. } => "run infra as the user who made this environment".to_owned(),
            Self::NoUser => {
                "add one (useradd --system postgres), or run infra as an ordinary user".to_owned()
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run infra as the user who made this environment, or as one who may write there".to_owned()
            }
            _ => return None,
        })
    }

    /// An I/O error with its place; a full disk is told apart because it has its own mend.
    pub(super) fn io(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { folder: path.parent().map_or_else(|| path.clone(), PathBuf::from) }
            }
            _ => Self::Io { doing, path, source },
        }
    }
}

/// Whether the output of a PostgreSQL program says that the disk is full (strerror of ENOSPC and EDQUOT;
/// the programs run under `LC_ALL=C`).
pub(super) fn says_disk_full(output: &str) -> bool {
    output.contains("No space left on device") || output.contains("Disk quota exceeded")
}

fn install(debian_package: &str) -> String {
    if cfg!(target_os = "macos") {
        format!("brew install {}", debian_package.replace('-', "@"))
    } else {
        format!("apt-get install {debian_package}")
    }
}

fn unusable_text(unusable: &[String]) -> String {
    if unusable.is_empty() { String::new() } else { format!("; not usable: {}", unusable.join("; ")) }
}

fn found_text(found: &[String]) -> String {
    if found.is_empty() { "none".into() } else { found.join(", ") }
}

fn indented(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
