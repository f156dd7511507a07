//! A Postgres server on this machine, which stands for a cluster.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{Any, Effects, Handle, List};
use crate::{
    engine::{Action, Error, Found, Known, Output, Outputs, Removal, Resource, Verdict, World},
    model::{Address, version::satisfies},
    providers::{
        ReadWrite,
        local::{Local, LocalError, Server, Spec},
    },
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LocalServer {
    pub name: String,
    /// A prefix: `17` is satisfied by any 17.x. None: any.
    pub engine_version: Option<String>,
    /// None: a free one is chosen when the server is made.
    pub port: Option<u16>,
    pub parameters: BTreeMap<String, String>,
    pub running: bool,
}

impl LocalServer {
    pub fn address(name: &str) -> Address {
        Address::new("local_server", name)
    }

    fn found(server: &Server) -> Self {
        Self {
            name: server.name.clone(),
            engine_version: Some(server.version.clone()),
            port: Some(server.port),
            parameters: server.parameters.clone(),
            running: server.running,
        }
    }

    fn spec(&self) -> Spec {
        Spec {
            name: self.name.clone(),
            version: self.engine_version.clone(),
            port: self.port,
            parameters: self.parameters.clone(),
        }
    }

    /// A server that stands still tells nothing of what is in it.
    pub(super) fn unreadable(world: &mut World<Any>) {
        let stopped = world.found.iter().filter(|(address, found)| {
            address.kind() == "local_server" && !found.outputs.contains_key(&Output::Endpoint)
        });
        let stopped: Vec<Address> = stopped.map(|(address, _)| address.clone()).collect();
        world.unreadable.extend(stopped.into_iter().map(|address| (address, "it is not running".into())));
    }
}

fn outputs(server: &Server) -> Outputs {
    let mut outputs = Outputs::from([
        (Output::Version, server.version.clone()),
        (Output::Port, server.port.to_string()),
        (Output::Folder, server.folder.display().to_string()),
    ]);
    if server.running {
        let endpoint = format!("127.0.0.1:{}", server.port);
        outputs.insert(Output::Endpoint, endpoint.clone());
        outputs.insert(Output::ReaderEndpoint, endpoint);
    }
    outputs
}

impl Resource for LocalServer {
    fn depends_on(&self) -> Vec<Address> {
        Vec::new()
    }

    /// A version that satisfies the prefix is as declared, and so is the port of one who asked for none.
    fn bind(&mut self, known: &Known) {
        let Some(outputs) = known.get(&Self::address(&self.name)) else { return };
        if let Some(version) = outputs.get(&Output::Version)
            && self.engine_version.as_ref().is_none_or(|prefix| satisfies(version, prefix))
        {
            self.engine_version = Some(version.clone());
        }
        if self.port.is_none() {
            self.port = outputs.get(&Output::Port).and_then(|port| port.parse().ok());
        }
    }

    fn verdict(&self, before: &Self) -> Verdict {
        match (&self.engine_version, &before.engine_version) {
            (Some(wanted), Some(found)) if wanted != found => Verdict::Refuse(format!(
                "it runs Postgres {found}, not {wanted}; a local server is not upgraded in place: \
                 `infra destroy` and apply again, or declare the version it has"
            )),
            _ => Verdict::InPlace,
        }
    }

    fn removal(&self) -> Removal {
        Removal::Declared(format!(
            "cluster {} is no longer declared, but its data is there; `infra destroy --target local_server.{}` removes it",
            self.name, self.name
        ))
    }
}

impl Effects for LocalServer {
    fn effects(action: &Action<Self>) -> Vec<String> {
        match action {
            Action::Create { new } => {
                let port = new.port.map_or("a free port".into(), |port| port.to_string());
                vec![format!("initdb, then start Postgres on 127.0.0.1:{port}")]
            }
            Action::Update { old, .. } if !old.running => vec!["start Postgres".into()],
            Action::Update { .. } => vec!["write its settings, then reload or restart Postgres".into()],
            Action::Delete { .. } => vec!["stop Postgres, then remove its folder with all data".into()],
            Action::Replace { .. } | Action::Keep | Action::Hold { .. } => Vec::new(),
        }
    }
}

/// What went wrong with a server, and how to mend it.
#[derive(Debug)]
struct ServerError(LocalError);

impl ServerError {
    fn boxed(error: LocalError) -> Error {
        Box::new(Self(error))
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.hint() {
            Some(hint) => write!(f, "{}; {hint}", self.0),
            None => self.0.fmt(f),
        }
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl<M> List<LocalServer> for Local<M> {
    async fn list(&self) -> Result<Vec<(Address, Found<LocalServer>)>, Error> {
        let found = self.servers().await.map_err(ServerError::boxed)?.into_iter().map(|server| {
            let resource = LocalServer::found(&server);
            let outputs = outputs(&server);
            (LocalServer::address(&server.name), Found { resource, outputs, owned: true, protected: false })
        });
        Ok(found.collect())
    }
}

impl Handle<LocalServer> for Local<ReadWrite> {
    async fn create(&self, new: &LocalServer, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
        let server = Local::create(self, &new.spec(), progress).await.map_err(ServerError::boxed)?;
        Ok(outputs(&server))
    }

    async fn update(
        &self,
        old: &LocalServer,
        new: &LocalServer,
        progress: &dyn Fn(&str),
    ) -> Result<Outputs, Error> {
        let mut server = None;
        if old.parameters != new.parameters || old.port != new.port {
            server = Some(
                self.configure(&new.name, &new.parameters, new.port, progress)
                    .await
                    .map_err(ServerError::boxed)?,
            );
        }
        if !old.running {
            server = Some(self.start(&new.name, progress).await.map_err(ServerError::boxed)?);
        }
        Ok(server.map(|server| outputs(&server)).unwrap_or_default())
    }

    async fn delete(&self, old: &LocalServer, progress: &dyn Fn(&str)) -> Result<(), Error> {
        self.destroy(&old.name, progress).await.map_err(ServerError::boxed)?;
        // What a killed run began to make is listed nowhere, and would stay behind.
        self.clear_abandoned().await.map_err(ServerError::boxed)
    }
}
