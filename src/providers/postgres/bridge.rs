//! A session over any stream.
//!
//! The Postgres client opens its sockets itself, checks a server's name against where it connects to, and trusts every
//! public authority beside ours. So it is given a socket of ours instead, in a folder that nobody else may enter; what
//! comes through it is passed on to a stream that is already there, TLS included.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy, split},
    net::{UnixListener, UnixStream},
    time::timeout,
};

use super::error::Cause;

/// Saying goodbye to a server that may be gone.
const GOODBYE: Duration = Duration::from_secs(1);
/// Part of the socket's name, as Postgres' clients want it.
const PORT: u16 = 5432;

/// What sessions run over.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Opens a session over a stream to the server.
pub(super) async fn connect(
    stream: Box<dyn Stream>,
    options: &PgConnectOptions,
) -> Result<PgConnection, Cause> {
    let (folder, listener) = Folder::with_socket().map_err(|error| {
        Cause::Wire(format!("no socket of our own can be made for this session: {error}"))
            .likely("TMPDIR must name a folder that can be written to")
    })?;
    let options = options.clone().socket(&folder.0).port(PORT);
    let accept = async {
        let (local, _) = listener.accept().await?;
        // Nobody else is to come, so nothing of it needs to be there any longer.
        drop(folder);
        tokio::spawn(forward(local, stream));
        Ok(())
    };
    let both = futures::future::try_join(PgConnection::connect_with(&options), accept).await;
    both.map(|(connection, ())| connection).map_err(Cause::from)
}

/// Passes everything on, until one side ends.
async fn forward(mut local: UnixStream, stream: Box<dyn Stream>) {
    let (mut from_server, mut to_server) = split(stream);
    let (mut from_client, mut to_client) = local.split();
    tokio::select! {
        _ = copy(&mut from_client, &mut to_server) => {
            let _ = timeout(GOODBYE, to_server.shutdown()).await;
        }
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

/// A folder that goes with its value.
struct Folder(PathBuf);

impl Folder {
    fn with_socket() -> io::Result<(Self, UnixListener)> {
        let usual = std::env::temp_dir();
        // A socket's path may have about 100 bytes.
        let short = Path::new("/tmp");
        let base = if usual.as_os_str().len() > 60 { short } else { &usual };
        let folder = Self::new(base)?;
        let listener = UnixListener::bind(folder.0.join(format!(".s.PGSQL.{PORT}")))?;
        Ok((folder, listener))
    }

    fn new(base: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("infra-{}-{count}", std::process::id()));
            // Fails if anything at all is there, be it a link: so what is made is ours.
            match DirBuilder::new().mode(0o700).create(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && count < 10_000 => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn the_folder_is_nobody_elses_and_goes() {
        let (folder, _listener) = Folder::with_socket().unwrap();
        let path = folder.0.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(path.join(".s.PGSQL.5432").exists());
        drop(folder);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_ends_before_it_began_is_an_error() {
        let (ours, theirs) = tokio::io::duplex(64);
        drop(theirs);
        let options = PgConnectOptions::new_without_pgpass();
        assert!(timeout(Duration::from_secs(5), connect(Box::new(ours), &options)).await.unwrap().is_err());
    }
}
