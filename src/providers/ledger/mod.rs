//! What an environment remembers: JSON documents in a folder or in a bucket of S3, and leases that keep hands apart.
//!
//! ```text
//! leases/<name>                                      who is at something that takes one hand: `apply`, `mongo-<cluster>`
//! history/<UTC time>-<run>.json                      one document for each apply and destroy that began
//! snapshots/<cluster>/<UTC time>-<run>.json          one document for each snapshot that was tried
//! ```

mod bucket;
mod error;
mod file_lock;
mod lease;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::TryStreamExt as _;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, UpdateVersion,
    local::LocalFileSystem, path,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::timeout;

pub use error::LedgerError;
use file_lock::FileLock;
pub use lease::Lease;

use super::{ReadOnly, ReadWrite, aws::Cloud};

/// All tries of one call together.
const CALL: Duration = Duration::from_mins(1);

/// Whose a lock is, for whoever finds it taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub who: String,
    /// The machine.
    pub host: String,
    pub operation: String,
    pub pid: u32,
    /// UTC, to the second.
    pub since: String,
    /// Where its log can be read, if it is a run of a CI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The name of this machine.
pub fn host() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| "unknown".into())
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, host, operation, pid, since, url } = self;
        write!(f, "{operation} (by {who} on {host}, process {pid}, since {since}")?;
        match url {
            Some(url) => write!(f, ", {url})"),
            None => f.write_str(")"),
        }
    }
}

/// Where the documents are.
#[derive(Clone, Debug)]
enum Place {
    /// Made when something is first written.
    Folder {
        path: PathBuf,
        /// How many folders, this one and those around it, go with the last lease if nothing else is in them.
        around: usize,
    },
    Bucket {
        store: Arc<dyn ObjectStore>,
        prefix: String,
        url: String,
    },
}

/// The ledger of one environment. `Ledger<ReadOnly>` has no method that writes.
#[derive(Clone, Debug)]
pub struct Ledger<M> {
    place: Place,
    /// A holder of a lease that shows no sign of life for so long has lost it.
    life: Duration,
    mode: PhantomData<M>,
}

impl Ledger<ReadOnly> {
    /// In a folder that somebody named.
    pub fn folder(path: &Path) -> Self {
        Self::at(Place::Folder { path: path.to_owned(), around: 0 })
    }

    /// Beside the environments, where nothing is left when nothing is kept.
    pub fn of_project(project: &Path, environment: &str) -> Self {
        Self::at(of_project(project, environment))
    }

    /// `url`: `s3://bucket/prefix`.
    pub fn bucket(url: &str, cloud: &Cloud) -> Result<Self, LedgerError> {
        bucket::open(url, cloud).map(Self::at)
    }
}

impl Ledger<ReadWrite> {
    /// In a folder that somebody named.
    pub fn folder(path: &Path) -> Self {
        Self::at(Place::Folder { path: path.to_owned(), around: 0 })
    }

    /// Beside the environments, where nothing is left when nothing is kept.
    pub fn of_project(project: &Path, environment: &str) -> Self {
        Self::at(of_project(project, environment))
    }

    /// `url`: `s3://bucket/prefix`.
    pub fn bucket(url: &str, cloud: &Cloud) -> Result<Self, LedgerError> {
        bucket::open(url, cloud).map(Self::at)
    }
}

fn of_project(project: &Path, environment: &str) -> Place {
    Place::Folder { path: project.join(".infra").join(environment), around: 2 }
}

/// What a document was when it was read; it can be replaced only while it is the same.
#[derive(Clone, Debug, PartialEq)]
struct Version(Option<UpdateVersion>);

impl<M> Ledger<M> {
    fn at(place: Place) -> Self {
        Self { place, life: lease::LIFE, mode: PhantomData }
    }

    /// Leases that are taken from here on end when their holder shows no sign of life for so long. Others go by what the
    /// lease says, so that not all need to have the same.
    #[must_use]
    pub fn with_life(self, life: Duration) -> Self {
        Self { life, ..self }
    }

    /// Who has the lease of this name, as far as can be told without taking it.
    pub async fn holder(&self, lease: &str) -> Result<Option<Holder>, LedgerError> {
        lease::holder(self, lease).await
    }

    /// The folder, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder { path, .. } => Some(path),
            Place::Bucket { .. } => None,
        }
    }

    /// For messages.
    pub fn place(&self) -> String {
        match &self.place {
            Place::Folder { path, .. } => path.display().to_string(),
            Place::Bucket { url, .. } => url.clone(),
        }
    }

    /// A document; `None` if there is none of this name.
    pub async fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LedgerError> {
        match self.bytes(name).await? {
            Some((bytes, _)) => self.parse(name, &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// The names of all documents below a folder of the ledger, in order.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let Some(store) = self.store(folder, false)? else { return Ok(Vec::new()) };
        let prefix = self.path_of(folder);
        let all = self.limited("read", folder, store.list(Some(&prefix)).try_collect::<Vec<_>>()).await?;
        let begin = self.path_of("").as_ref().len();
        let below = |location: &path::Path| {
            let name = location.as_ref().get(begin..)?.trim_start_matches('/');
            name.strip_suffix(".json").map(|_| name.to_owned())
        };
        let mut names: Vec<String> = all.iter().filter_map(|object| below(&object.location)).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn path_of(&self, name: &str) -> path::Path {
        match &self.place {
            Place::Folder { .. } => path::Path::from(name),
            Place::Bucket { prefix, .. } => path::Path::from(format!("{prefix}/{name}")),
        }
    }

    /// `None` if there is nothing yet, and nothing is to be made.
    fn store(&self, name: &str, make: bool) -> Result<Option<Arc<dyn ObjectStore>>, LedgerError> {
        let folder = match &self.place {
            Place::Bucket { store, .. } => return Ok(Some(store.clone())),
            Place::Folder { path, .. } => path,
        };
        let failed = |source| LedgerError::Io { path: folder.clone(), source };
        if make {
            std::fs::create_dir_all(folder).map_err(failed)?;
        } else if !std::fs::exists(folder).map_err(failed)? {
            return Ok(None);
        }
        let files = LocalFileSystem::new_with_prefix(folder)
            .map_err(|error| self.failed(if make { "written" } else { "read" }, name, &error))?;
        Ok(Some(Arc::new(files.with_fsync(true))))
    }

    async fn bytes(&self, name: &str) -> Result<Option<(Vec<u8>, Version)>, LedgerError> {
        let Some(store) = self.store(name, false)? else { return Ok(None) };
        let path = self.path_of(name);
        let read = async {
            match store.get_opts(&path, GetOptions::default()).await {
                Ok(got) => {
                    let version =
                        UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
                    Ok(Some((got.bytes().await?.to_vec(), Version(Some(version)))))
                }
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.limited("read", name, read).await
    }

    fn parse<T: DeserializeOwned>(&self, name: &str, bytes: &[u8]) -> Result<T, LedgerError> {
        serde_json::from_slice(bytes).map_err(|source| LedgerError::Garbled {
            name: name.into(),
            place: self.place(),
            source,
        })
    }

    async fn limited<T>(
        &self,
        done: &'static str,
        name: &str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, LedgerError> {
        match timeout(CALL, call).await {
            Ok(ended) => ended.map_err(|error| self.failed(done, name, &error)),
            Err(_) => Err(LedgerError::Slow {
                name: name.into(),
                place: self.place(),
                done,
                seconds: CALL.as_secs(),
            }),
        }
    }

    fn failed(&self, done: &'static str, name: &str, error: &object_store::Error) -> LedgerError {
        LedgerError::of(done, name, &self.place(), error)
    }
}

impl Ledger<ReadWrite> {
    /// Writes a document under a name that no other document has.
    ///
    /// # Errors
    /// [`LedgerError::Exists`] if one has it, with another content.
    pub async fn put_new<T: Serialize + Sync>(&self, name: &str, document: &T) -> Result<(), LedgerError> {
        let bytes = self.render(name, document)?;
        if self.put(name, &bytes, PutMode::Create).await?.is_some() {
            return Ok(());
        }
        // A write whose answer was lost is sent again, and then finds itself.
        match self.bytes(name).await? {
            Some((there, _)) if there == bytes => Ok(()),
            _ => Err(LedgerError::Exists { name: name.into(), place: self.place() }),
        }
    }

    /// Writes a document, whatever was there.
    pub async fn replace<T: Serialize + Sync>(&self, name: &str, document: &T) -> Result<(), LedgerError> {
        let bytes = self.render(name, document)?;
        self.put(name, &bytes, PutMode::Overwrite).await.map(|_| ())
    }

    /// Deletes a document. One that is not there is deleted already.
    pub async fn delete(&self, name: &str) -> Result<(), LedgerError> {
        let Some(store) = self.store(name, false)? else { return Ok(()) };
        let path = self.path_of(name);
        let delete = async {
            match store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.limited("deleted", name, delete).await
    }

    /// Deletes all documents below a folder of the ledger.
    pub async fn clear(&self, folder: &str) -> Result<(), LedgerError> {
        for name in self.list(folder).await? {
            self.delete(&name).await?;
        }
        if let Place::Folder { path, .. } = &self.place {
            // Gone only if nothing else is in it.
            let _ = std::fs::remove_dir(path.join(folder));
        }
        Ok(())
    }

    /// Takes the lease of this name, asking again until `patience` is over.
    ///
    /// # Errors
    /// [`LedgerError::Taken`] with its holder if it is taken.
    pub async fn lease(&self, name: &str, holder: &Holder, patience: Duration) -> Result<Lease, LedgerError> {
        lease::take(self, name, holder, patience).await
    }

    fn render<T: Serialize>(&self, name: &str, document: &T) -> Result<Vec<u8>, LedgerError> {
        let mut bytes = serde_json::to_vec_pretty(document).map_err(|source| LedgerError::Garbled {
            name: name.into(),
            place: self.place(),
            source,
        })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// `None` if what `mode` asks for does not hold.
    async fn put(&self, name: &str, bytes: &[u8], mode: PutMode) -> Result<Option<Version>, LedgerError> {
        let Some(store) = self.store(name, true)? else { return Ok(None) };
        let path = self.path_of(name);
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = async {
            match store.put_opts(&path, PutPayload::from(bytes.to_vec()), options).await {
                Ok(done) => Ok(Some(Version(Some(done.into())))),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        };
        self.limited("written", name, put).await
    }
}
