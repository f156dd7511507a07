//! The user a server runs as. PostgreSQL refuses to run as root, so root hands it to an unprivileged account.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{MetadataExt, chown},
    path::Path,
};

use nix::unistd::{Uid, User};

use super::error::LocalError;

/// Who a server, and everything that handles its files, runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// We are no root: the server is ours.
    Ourselves,
    /// We are root, and the server runs as this one.
    Other { uid: u32, gid: u32, name: String },
}

impl Account {
    /// The account for a new server.
    pub(super) fn for_new() -> Result<Self, LocalError> {
        if !Uid::effective().is_root() {
            return Ok(Self::Ourselves);
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .filter(|user| !user.uid.is_root())
            .map(|user| Self::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name })
            .ok_or(LocalError::NoUser)
    }

    /// The account of an existing server is whoever owns its folder: a user `postgres` may have appeared since.
    pub(super) fn of(folder: &Path) -> Result<Self, LocalError> {
        let owner = fs::symlink_metadata(folder).map_err(LocalError::io("look at", folder))?;
        let ours = Uid::effective();
        if !ours.is_root() {
            return if owner.uid() == ours.as_raw() {
                Ok(Self::Ourselves)
            } else {
                Err(LocalError::Permission { path: folder.into() })
            };
        }
        if owner.uid() == 0 {
            let why = "it belongs to root, which no PostgreSQL runs as".to_owned();
            return Err(LocalError::NotOurs { folder: folder.into(), why });
        }
        let name = User::from_uid(Uid::from_raw(owner.uid())).ok().flatten().map(|user| user.name);
        let name = name.unwrap_or_else(|| owner.uid().to_string());
        Ok(Self::Other { uid: owner.uid(), gid: owner.gid(), name })
    }

    pub(super) fn uid(&self) -> u32 {
        match self {
            Self::Ourselves => Uid::effective().as_raw(),
            Self::Other { uid, .. } => *uid,
        }
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Ourselves => "this user",
            Self::Other { name, .. } => name,
        }
    }

    /// Hands a file or folder of ours to the account.
    pub(super) fn give(&self, path: &Path) -> Result<(), LocalError> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(LocalError::io("hand over", path))
            }
        }
    }

    /// A command that runs as the account, in `folder` (the caller's own may be closed to it), in a process group
    /// of its own (so that Ctrl-C at our terminal does not reach it), and with an environment that cannot change
    /// what it does: no PGDATA, PGPORT or locale of the caller.
    pub(super) fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> std::process::Command {
        use std::os::unix::process::CommandExt;

        let mut command = std::process::Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir(folder).process_group(0);
        for name in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }
}
