//! Postgres servers on this machine: what `platform: {local: {}}` makes of `clusters`.
//!
//! They are made to look like Aurora: the superuser `rdsadmin` is out of reach, `infra_admin` is a member of
//! `rds_superuser` and no more. They listen on 127.0.0.1 alone and ask for no password, so they are for throw-away data.

mod binaries;
mod error;
mod layout;
mod process;
mod record;
mod server;
mod user;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    marker::PhantomData,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
};

pub use binaries::Search;
pub use error::LocalError;
use layout::Layout;
use record::Record;
use user::Account;

use super::{ReadOnly, ReadWrite};

/// The local servers of one environment. `Local<ReadOnly>` lists them, `Local<ReadWrite>` changes them.
#[derive(Clone, Debug)]
pub struct Local<M> {
    layout: Layout,
    environment: String,
    search: Search,
    mode: PhantomData<M>,
}

/// A server to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    pub name: String,
    /// A prefix such as `16` or `16.4`; the newest that satisfies it is taken.
    pub version: Option<String>,
    /// One that is free is chosen, by the name, when none is given.
    pub port: Option<u16>,
    /// Set in the server's configuration, over our defaults.
    pub parameters: BTreeMap<String, String>,
}

/// A server that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub name: String,
    /// `17.10`: what it runs as, or was last run as.
    pub version: String,
    /// 170010
    pub version_num: u32,
    pub port: u16,
    /// As the server's configuration has them, hand-made changes included.
    pub parameters: BTreeMap<String, String>,
    pub running: bool,
    pub folder: PathBuf,
    pub environment: String,
}

impl Local<ReadOnly> {
    /// `project` is the folder that holds `environments/`.
    pub fn new(project: &Path, environment: &str) -> Self {
        Self::of(project, environment)
    }
}

impl Local<ReadWrite> {
    /// `project` is the folder that holds `environments/`.
    pub fn new(project: &Path, environment: &str) -> Self {
        Self::of(project, environment)
    }
}

impl<M> Local<M> {
    fn of(project: &Path, environment: &str) -> Self {
        let layout = Layout::new(project, environment);
        Self { layout, environment: environment.into(), search: Search::system(), mode: PhantomData }
    }

    /// Looks for PostgreSQL programs there instead of in the usual places.
    #[must_use]
    pub fn searching(self, search: Search) -> Self {
        Self { search, ..self }
    }

    /// All servers of the environment, by name. Folders without our record are not ours and not listed.
    #[expect(clippy::unused_async, reason = "reading is async in every provider")]
    pub async fn servers(&self) -> Result<Vec<Server>, LocalError> {
        layout::check_name("environment", &self.environment)?;
        let mut servers = Vec::new();
        for folder in self.layout.candidates()? {
            if let Some(record) = Record::read(&folder, &self.environment)? {
                servers.push(server_of(&record, folder));
            }
        }
        Ok(servers)
    }

    /// The version a new server would get.
    pub fn newest_version(&self, prefix: Option<&str>) -> Result<String, LocalError> {
        self.search.newest(prefix).map(|binaries| binaries.version)
    }

    fn existing(&self, name: &str) -> Result<(PathBuf, Record), LocalError> {
        layout::check_name("environment", &self.environment)?;
        layout::check_name("server", name)?;
        let folder = self.layout.server(name);
        match Record::read(&folder, &self.environment)? {
            Some(record) => Ok((folder, record)),
            None if folder.exists() => Err(LocalError::NotOurs { folder, why: "there is none".into() }),
            None => Err(LocalError::Missing { name: name.into() }),
        }
    }

    fn missing(&self, name: &str) -> Result<(), LocalError> {
        match self.existing(name) {
            Ok(_) => Err(LocalError::Exists { name: name.into() }),
            Err(LocalError::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Local<ReadWrite> {
    /// Makes a server and starts it. On failure nothing of it stays; what a killed run left is cleared away first.
    pub async fn create(&self, spec: &Spec, progress: &dyn Fn(&str)) -> Result<Server, LocalError> {
        let name = &spec.name;
        record::check_parameters(&spec.parameters)?;
        self.missing(name)?;
        let account = Account::for_new()?;
        let binaries = self.search.newest(spec.version.as_deref())?;
        let port = self.port_for(spec).await?;
        let gate = self.layout.gate(name).await?;
        // Another run may have made it meanwhile.
        self.missing(name)?;
        for abandoned in self.layout.unfinished(Some(name))? {
            progress("clearing away what an interrupted run left");
            clear_away(&abandoned, name).await?;
        }
        let record = Record::new(&self.environment, name, port, &binaries.version, &spec.parameters);
        let folder = self.layout.server(name);
        let new = self.layout.prepare(name, &account)?;
        let _lock = layout::lock(&new, name)?;
        drop(gate);
        let made = async {
            progress(&format!("initialising PostgreSQL {}", binaries.version));
            server::initdb(&binaries, &new, &account).await?;
            record.write_first_configuration(&layout::data(&new), &new, &account)?;
            server::check(&binaries, &new, name, &account).await?;
            progress("making its roles");
            server::start(&binaries, &new, name, &account, true).await?;
            server::bootstrap(&binaries, &new, port).await?;
            process::stop(&new, name).await?;
            layout::remove_socket(&new)?;
            record.write_configuration(&layout::data(&new), &folder, &account)?;
            record.write(&new, &account)?;
            fs::rename(&new, &folder).map_err(LocalError::io("name", &folder))?;
            progress(&format!("starting on 127.0.0.1:{port}"));
            server::start(&binaries, &folder, name, &account, false)
                .await
                .map_err(|error| in_use(error, port))
        };
        if let Err(error) = made.await {
            for folder in [&new, &folder] {
                // The first failure is the one to tell.
                if folder.exists() {
                    let _ = process::stop(folder, name).await;
                    let _ = layout::remove_socket(folder);
                    let _ = server::remove(folder).await;
                }
            }
            self.layout.remove_empty();
            return Err(match error {
                LocalError::DiskFull { .. } => LocalError::DiskFull { folder: self.layout.disk() },
                other => other,
            });
        }
        Ok(server_of(&record, folder))
    }

    /// Starts a server that does not run. A newer minor version that has been installed since is taken.
    pub async fn start(&self, name: &str, progress: &dyn Fn(&str)) -> Result<Server, LocalError> {
        let (folder, mut record) = self.existing(name)?;
        let account = Account::of(&folder)?;
        if process::postmaster(&folder).is_none() {
            let binaries = self.search.compatible(&record.version)?;
            check_port(name, record.port)?;
            progress(&format!("starting on 127.0.0.1:{}", record.port));
            let started = server::start(&binaries, &folder, name, &account, false).await;
            started.map_err(|error| in_use(error, record.port))?;
            if record.version != binaries.version {
                record.version = binaries.version;
                record.write(&folder, &account)?;
            }
        }
        Ok(server_of(&record, folder))
    }

    /// Gives a server these parameters and no others, and another port if one is given; reloads or restarts it as
    /// that needs, if it runs. What PostgreSQL does not accept is undone, so that a server is never left broken.
    pub async fn configure(
        &self,
        name: &str,
        parameters: &BTreeMap<String, String>,
        port: Option<u16>,
        progress: &dyn Fn(&str),
    ) -> Result<Server, LocalError> {
        record::check_parameters(parameters)?;
        let (folder, mut old) = self.existing(name)?;
        let account = Account::of(&folder)?;
        let data = layout::data(&folder);
        let binaries = self.search.compatible(&old.version)?;
        let port = port.unwrap_or(old.port);
        if port != old.port {
            check_port(name, port)?;
        }
        let mut new = old.clone();
        (new.port, new.parameters, new.configuring) = (port, parameters.clone(), false);
        old.parameters = old.actual_parameters(&folder);
        old.configuring = true;
        old.write(&folder, &account)?;
        let ran = process::postmaster(&folder).is_some();
        let changed = async {
            new.write_configuration(&data, &folder, &account)?;
            server::check(&binaries, &folder, name, &account).await?;
            if !ran {
                return Ok(());
            }
            if port == old.port {
                progress("reloading its configuration");
                if !server::reload(&folder, port).await? {
                    return Ok(());
                }
            }
            progress("restarting it");
            process::stop(&folder, name).await?;
            new.version.clone_from(&binaries.version);
            let started = server::start(&binaries, &folder, name, &account, false).await;
            started.map_err(|error| in_use(error, port))
        };
        if let Err(error) = changed.await {
            progress("going back to the configuration before");
            old.configuring = false;
            old.write_configuration(&data, &folder, &account)?;
            if process::postmaster(&folder).is_some() {
                server::reload(&folder, old.port).await?;
            } else if ran {
                server::start(&binaries, &folder, name, &account, false).await?;
            }
            old.write(&folder, &account)?;
            return Err(error);
        }
        new.write(&folder, &account)?;
        Ok(server_of(&new, folder))
    }

    /// Stops a server; one that does not run is fine.
    pub async fn stop(&self, name: &str, progress: &dyn Fn(&str)) -> Result<(), LocalError> {
        let (folder, _) = self.existing(name)?;
        Account::of(&folder)?;
        progress("stopping");
        process::stop(&folder, name).await
    }

    /// Stops a server and removes it with all its data, and the folders around it that are empty then.
    pub async fn destroy(&self, name: &str, progress: &dyn Fn(&str)) -> Result<(), LocalError> {
        let (folder, _) = self.existing(name)?;
        Account::of(&folder)?;
        progress("stopping");
        process::abandon(&folder, name).await?;
        progress("removing its files");
        layout::remove_socket(&folder)?;
        // Under a name that no reader takes for a server: a kill in the middle leaves no half of one.
        let gone = self.layout.discarded(name);
        fs::rename(&folder, &gone).map_err(LocalError::io("remove", &folder))?;
        clear_away(&gone, name).await?;
        self.layout.remove_empty();
        Ok(())
    }

    /// Removes what runs that were killed while making or removing servers left, and folders that are empty: the last
    /// step of destroying an environment. What another run works on stays.
    pub async fn clear_abandoned(&self) -> Result<(), LocalError> {
        layout::check_name("environment", &self.environment)?;
        let unfinished = || self.layout.unfinished(None);
        let gate = if unfinished()?.is_empty() { None } else { Some(self.layout.gate("").await?) };
        for folder in unfinished()? {
            match clear_away(&folder, "").await {
                Ok(()) | Err(LocalError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        drop(gate);
        self.layout.remove_empty();
        Ok(())
    }

    /// The port asked for, if it is free, or one that is.
    async fn port_for(&self, spec: &Spec) -> Result<u16, LocalError> {
        let name = &spec.name;
        if let Some(port) = spec.port {
            check_port(name, port)?;
            return Ok(port);
        }
        let taken: BTreeSet<u16> = self.servers().await?.into_iter().map(|server| server.port).collect();
        let ports: Vec<u16> = self.layout.ports(name).collect();
        let free = ports.iter().find(|port| !taken.contains(port) && check_port(name, **port).is_ok());
        let (first, last) =
            (ports.first().copied().unwrap_or_default(), ports.last().copied().unwrap_or_default());
        free.copied().ok_or_else(|| LocalError::NoPort { name: name.clone(), first, last })
    }
}

/// Removes a folder in which a server was being made or removed, unless another run holds it.
async fn clear_away(folder: &Path, name: &str) -> Result<(), LocalError> {
    let _lock = layout::lock(folder, name)?;
    process::stop(folder, name).await?;
    process::end_all(folder).await;
    layout::remove_socket(folder)?;
    server::remove(folder).await
}

/// A port is free when one can listen on it.
fn check_port(name: &str, port: u16) -> Result<(), LocalError> {
    if port == 0 {
        return Err(LocalError::BadParameter { name: "port".into(), why: "0 is no port" });
    }
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(LocalError::PortForbidden { name: name.into(), port })
        }
        Err(_) => Err(LocalError::PortTaken { name: name.into(), port }),
    }
}

/// Somebody may have taken the port after it was looked at.
fn in_use(error: LocalError, port: u16) -> LocalError {
    match error {
        LocalError::StartFailed { name, log, .. } if log.contains("Address already in use") => {
            LocalError::PortTaken { name, port }
        }
        other => other,
    }
}

fn server_of(record: &Record, folder: PathBuf) -> Server {
    Server {
        name: record.name.clone(),
        version: record.version.clone(),
        version_num: binaries::version_num(&record.version).unwrap_or_default(),
        port: record.port,
        parameters: record.actual_parameters(&folder),
        running: process::postmaster(&folder).is_some(),
        folder,
        environment: record.environment.clone(),
    }
}
