//! Where the things of a local environment lie.
//!
//! ```text
//! as an ordinary user   <project>/.infra/<environment>/servers/<name>/
//! as root               /var/lib/infra/<12 hex of the project's path>/<environment>/<name>/
//!     server.json       what we made; a folder without it is not ours
//!     server.log        what the server says
//!     .s.PGSQL.<port>   its socket; where the path is too long for one: /tmp/infra-<16 hex>/.s.PGSQL.<port>
//!     data/             the server's own files, with our infra.conf and pg_hba.conf
//! .new-<name>.<hex>/    a server in the making; one that nobody holds a lock on was abandoned
//! ```

use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tokio::time::sleep;

use super::{error::LocalError, user::Account};

/// The longest folder whose socket still fits: `sun_path` has 104 bytes on macOS and 108 on Linux, one is the
/// final zero, and `/.s.PGSQL.65535` takes 15.
const LONGEST_SOCKET_FOLDER: usize = 103 - 15;

/// The ports servers get by default: below the range from which systems give ports to outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..30_000;

/// What is cleared away behind the gate may have to be stopped first.
const GATE: Duration = Duration::from_mins(2);

/// The folders of one environment.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Holds the server folders.
    servers: PathBuf,
    /// Folders of ours around them, innermost first, the servers folder included: removed when empty.
    ours: Vec<PathBuf>,
}

impl Layout {
    pub(super) fn new(project: &Path, environment: &str) -> Self {
        let project = fs::canonicalize(project)
            .or_else(|_| std::path::absolute(project))
            .unwrap_or_else(|_| project.to_path_buf());
        let ours = if nix::unistd::Uid::effective().is_root() {
            let top = PathBuf::from("/var/lib/infra");
            let of_project = top.join(hex(project.as_os_str().as_bytes(), 12));
            vec![of_project.join(environment), of_project, top]
        } else {
            let top = project.join(".infra");
            let of_environment = top.join(environment);
            vec![of_environment.join("servers"), of_environment, top]
        };
        Self { servers: ours[0].clone(), ours }
    }

    /// The folder of a server.
    pub(super) fn server(&self, name: &str) -> PathBuf {
        self.servers.join(name)
    }

    /// The folders that may be servers, in order. Empty when there is no environment yet.
    pub(super) fn candidates(&self) -> Result<Vec<PathBuf>, LocalError> {
        self.entries(|name| !name.starts_with('.'))
    }

    /// Folders in which a server of this name, or of any, was being made or removed.
    pub(super) fn unfinished(&self, name: Option<&str>) -> Result<Vec<PathBuf>, LocalError> {
        let prefix = name.map_or_else(|| ".new-".to_owned(), |name| format!(".new-{name}."));
        self.entries(|entry| entry.starts_with(&prefix))
    }

    /// A folder on the disk the servers lie on that is there, to be named when it is full.
    pub(super) fn disk(&self) -> PathBuf {
        let there = self.servers.ancestors().find(|folder| folder.exists());
        there.unwrap_or(&self.servers).to_path_buf()
    }

    fn entries(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, LocalError> {
        let listing = match fs::read_dir(&self.servers) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(LocalError::io("list", &self.servers)(error)),
        };
        let mut folders = Vec::new();
        for entry in listing {
            let entry = entry.map_err(LocalError::io("list", &self.servers))?;
            if entry.file_name().to_str().is_some_and(&wanted)
                && entry.file_type().is_ok_and(|it| it.is_dir())
            {
                folders.push(entry.path());
            }
        }
        folders.sort();
        Ok(folders)
    }

    /// The right to clear away what is unfinished and to begin something new, which one run at a time has: else a folder could be
    /// taken for an abandoned one before its maker has locked it. Makes the folders around the servers.
    pub(super) async fn gate(&self, name: &str) -> Result<fs::File, LocalError> {
        let begun = Instant::now();
        loop {
            let servers = match self.make_parents().and_then(|()| fs::File::open(&self.servers)) {
                Ok(servers) => Some(servers),
                // A neighbour may remove an empty parent in between.
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(LocalError::io("make the folder", &self.servers)(error)),
            };
            if let Some(servers) = servers
                && held(&servers, &self.servers)?
                && is_still(&servers, &self.servers)
            {
                return Ok(servers);
            }
            if begun.elapsed() > GATE {
                return Err(LocalError::Busy { name: name.into() });
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Makes an empty folder, closed to everybody else, in which a server can be prepared. Its name is new each
    /// time, so that an `initdb` whose infra was killed cannot write into the next attempt. Held by who has the gate.
    pub(super) fn prepare(&self, name: &str, account: &Account) -> Result<PathBuf, LocalError> {
        let folder = self.discarded(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(LocalError::io("make the folder", &folder))?;
        account.give(&folder).map(|()| folder)
    }

    /// A name that no reader takes for a server, new each time; what is under it may be cleared away.
    pub(super) fn discarded(&self, name: &str) -> PathBuf {
        let moment = format!("{}/{:?}", std::process::id(), std::time::SystemTime::now());
        self.servers.join(format!(".new-{name}.{}", hex(moment.as_bytes(), 8)))
    }

    /// As root others must be able to pass through, whatever the umask, because the server is not root.
    fn make_parents(&self) -> io::Result<()> {
        let mode = if nix::unistd::Uid::effective().is_root() { 0o755 } else { 0o700 };
        for folder in self.ours.iter().rev() {
            match fs::create_dir(folder) {
                Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(mode))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes those folders around the servers that are empty now. One that is not, or is a mount, stays, and so does one in
    /// which somebody is about to begin.
    pub(super) fn remove_empty(&self) {
        let gate = fs::File::open(&self.servers);
        if gate.as_ref().is_ok_and(|gate| gate.try_lock().is_err()) {
            return;
        }
        for folder in &self.ours {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }

    /// Ports for a server that asked for none, the same each time it is made, so that what people noted still works.
    pub(super) fn ports(&self, name: &str) -> impl Iterator<Item = u16> {
        let digest = Sha256::digest(self.server(name).as_os_str().as_bytes());
        let count = PORTS.end - PORTS.start;
        let first = u16::from_be_bytes([digest[0], digest[1]]) % count;
        (0..200).map(move |step| PORTS.start + (first + step) % count)
    }
}

/// Holds a folder for as long as the file is open; the system lets go of it when the process dies.
///
/// # Errors
/// [`LocalError::Busy`] if another run holds it.
pub(super) fn lock(folder: &Path, name: &str) -> Result<fs::File, LocalError> {
    let file = fs::File::open(folder).map_err(LocalError::io("open", folder))?;
    if held(&file, folder)? { Ok(file) } else { Err(LocalError::Busy { name: name.into() }) }
}

fn held(file: &fs::File, folder: &Path) -> Result<bool, LocalError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) => Err(LocalError::io("lock", folder)(error)),
    }
}

/// Whether the folder that was opened is the one that is there now.
fn is_still(file: &fs::File, folder: &Path) -> bool {
    let there = file.metadata().and_then(|opened| Ok((opened, fs::metadata(folder)?)));
    there.is_ok_and(|(opened, found)| (opened.dev(), opened.ino()) == (found.dev(), found.ino()))
}

/// The server's own files.
pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// The folder of the socket: the server's own, or a short one where the path is too long for a socket or holds
/// characters that are special in PostgreSQL's list of folders.
pub(super) fn socket(folder: &Path) -> PathBuf {
    let bytes = folder.as_os_str().as_bytes();
    if bytes.len() <= LONGEST_SOCKET_FOLDER && is_plain(folder) {
        return folder.to_path_buf();
    }
    PathBuf::from(format!("/tmp/infra-{}", hex(bytes, 16)))
}

/// Whether a path needs no quoting anywhere: not in a shell, not in a configuration file.
pub(super) fn is_plain(path: &Path) -> bool {
    path.as_os_str().as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(byte))
}

/// Makes the socket's folder where it is not the server's own. In /tmp anybody may have been there before us.
pub(super) fn make_socket(folder: &Path, account: &Account) -> Result<(), LocalError> {
    let socket = socket(folder);
    if socket == folder {
        return Ok(());
    }
    match fs::DirBuilder::new().mode(0o700).create(&socket) {
        Ok(()) => return account.give(&socket),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(LocalError::io("make the folder", socket)(error)),
    }
    let found = fs::symlink_metadata(&socket).map_err(LocalError::io("look at", &socket))?;
    if found.is_dir() && found.uid() == account.uid() && found.mode() & 0o777 == 0o700 {
        Ok(())
    } else {
        Err(LocalError::Permission { path: socket })
    }
}

/// Removes the socket's folder where it is not the server's own.
pub(super) fn remove_socket(folder: &Path) -> Result<(), LocalError> {
    let socket = socket(folder);
    if socket == folder {
        return Ok(());
    }
    match fs::remove_dir_all(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LocalError::io("remove", socket)(error)),
        _ => Ok(()),
    }
}

/// Names become parts of paths, of process titles and of messages.
pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), LocalError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let good = name.len() <= 63
        && name.bytes().next().is_some_and(fits)
        && name.bytes().all(|byte| fits(byte) || byte == b'-' || byte == b'_');
    if good { Ok(()) } else { Err(LocalError::BadName { what, name: name.into() }) }
}

fn hex(bytes: &[u8], digits: usize) -> String {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'a' + value - 10 });
    let mut text: String =
        Sha256::digest(bytes).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    text.truncate(digits);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_fits_or_moves() {
        let short = Path::new("/srv/shop/.infra/local/servers/main");
        assert_eq!(socket(short), short);
        for folder in
            ["/srv/a,b/main".to_owned(), "/srv/$(x)/main".to_owned(), format!("/srv/{}/main", "a".repeat(90))]
        {
            let moved = socket(Path::new(&folder));
            assert!(
                moved.starts_with("/tmp") && moved.as_os_str().len() < LONGEST_SOCKET_FOLDER,
                "{moved:?}"
            );
        }
    }

    #[test]
    fn names_stay_inside_their_folder() {
        for good in ["main", "a", "eu-west_2", "1"] {
            assert!(check_name("server", good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "-x", "A", "a b", "a\n", &"a".repeat(64)] {
            assert!(check_name("server", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ports_are_stable_and_differ() {
        let layout = Layout::new(Path::new("/srv/shop"), "local");
        let main: Vec<u16> = layout.ports("main").collect();
        assert_eq!(main, layout.ports("main").collect::<Vec<_>>());
        assert_ne!(main[0], layout.ports("events").next().unwrap());
        assert!(main.iter().all(|port| PORTS.contains(port)));
    }
}
