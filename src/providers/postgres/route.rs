//! The way to a cluster from this machine. Wherever it leads through, the cluster stays who it is: tokens are signed for
//! its own endpoint, and its certificate is checked against that name.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use rustls::ClientConfig;
use tokio::net::TcpStream;

use super::{Endpoint, bridge::Stream, error::Cause, tls, tunnel::Tunnel};
use crate::model::environment::Tls;

/// The ways to all clusters, by name. Copies share their tunnels; those end with the last copy, or with `close`.
#[derive(Clone, Debug)]
pub struct Routes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    by_cluster: BTreeMap<String, Route>,
    /// For clusters of which nothing is said.
    usual: Route,
}

impl Default for Routes {
    fn default() -> Self {
        Self::new(BTreeMap::new())
    }
}

impl Routes {
    pub fn new(by_cluster: BTreeMap<String, Route>) -> Self {
        Self(Arc::new(Inner { by_cluster, usual: Route::new(Tls::VerifyFull, None) }))
    }

    pub(super) fn to(&self, endpoint: &Endpoint) -> &Route {
        self.0.by_cluster.get(&endpoint.cluster).unwrap_or(&self.0.usual)
    }

    /// Opens the way for a client that is not ours, and says all that it must know to be as safe on it. A tunnel stays
    /// until [`Routes::close`].
    ///
    /// # Errors
    /// When a tunnel does not open, or a token would leave this machine unencrypted.
    pub async fn open(&self, endpoint: &Endpoint) -> Result<Way, Cause> {
        let route = self.to(endpoint);
        let address = route.prepare(endpoint).await?;
        route.is_safe(&address)?;
        let Route { tls, ca_file, .. } = route;
        Ok(Way { host: address.host, port: address.port, tls: *tls, ca_file: ca_file.clone() })
    }

    /// Whether the way to one cluster leads to whichever of its endpoints is asked for: a fixed host or a command without
    /// `{host}` leads to one only.
    pub fn leads_to_all(&self, cluster: &str) -> bool {
        let Some(route) = self.0.by_cluster.get(cluster) else { return true };
        match &route.tunnel {
            Some(tunnel) => tunnel.names_the_host(),
            None => route.host.is_none() && route.port.is_none(),
        }
    }

    /// Whether the way to a cluster is there only while this process runs.
    pub fn is_tunnel(&self, cluster: &str) -> bool {
        self.0.by_cluster.get(cluster).is_some_and(|route| route.tunnel.is_some())
    }

    /// Ends all tunnels, and waits until they have ended.
    pub async fn close(&self) {
        futures::future::join_all(
            self.0.by_cluster.values().filter_map(|route| route.tunnel.as_ref()).map(Tunnel::close),
        )
        .await;
    }
}

/// A way that is open: where the socket leads, and whom it must find there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    /// None: the authorities of RDS ([`AUTHORITIES`](super::AUTHORITIES)).
    pub ca_file: Option<PathBuf>,
}

/// The way to one cluster.
#[derive(Debug)]
pub struct Route {
    tls: Tls,
    ca_file: Option<PathBuf>,
    host: Option<String>,
    port: Option<u16>,
    tunnel: Option<Tunnel>,
    /// Made once: it holds some eighty authorities.
    config: OnceLock<Arc<ClientConfig>>,
}

impl Route {
    /// Straight to the endpoint. Without a file: the bundled authorities of RDS.
    pub fn new(tls: Tls, ca_file: Option<PathBuf>) -> Self {
        Self { tls, ca_file, host: None, port: None, tunnel: None, config: OnceLock::new() }
    }

    /// By way of another address, such as that of a forwarded port. A port alone is one of this machine.
    #[must_use]
    pub fn through(mut self, host: Option<String>, port: Option<u16>) -> Self {
        (self.host, self.port) = (host, port);
        self
    }

    /// By way of a command that is started when the first session needs it.
    #[must_use]
    pub fn tunnel(mut self, command: Vec<String>) -> Self {
        self.tunnel = Some(Tunnel::new(command));
        self
    }

    /// Starts what has to run before anybody can connect, and says where that is.
    pub(super) async fn prepare(&self, endpoint: &Endpoint) -> Result<Address, Cause> {
        let mut address = Address { host: endpoint.host.clone(), port: endpoint.port };
        if let Some(host) = &self.host {
            address.host.clone_from(host);
        } else if self.port.is_some() {
            address.host = "127.0.0.1".into();
        }
        address.port = self.port.unwrap_or(address.port);
        match &self.tunnel {
            Some(tunnel) => tunnel.start(endpoint, address).await,
            None => Ok(address),
        }
    }

    /// A stream to the server, encrypted unless this is not to leave the machine.
    pub(super) async fn connect(
        &self,
        address: &Address,
        endpoint: &Endpoint,
    ) -> Result<Box<dyn Stream>, Cause> {
        self.is_safe(address)?;
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await;
        let stream = stream.map_err(|error| Cause::Wire(error.to_string()))?;
        // Messages are sent whole; to wait for more would only cost time.
        let _ = stream.set_nodelay(true);
        if self.tls == Tls::Disable {
            return Ok(Box::new(stream));
        }
        let stream = tls::handshake(stream, self.config()?, &endpoint.host, self.ca_file.as_deref()).await;
        let stream: Result<Box<dyn Stream>, Cause> = stream.map(|stream| Box::new(stream) as _);
        match (stream, &self.tunnel) {
            // Forwarders take connections that they cannot pass on, and say why only on their own output.
            (Err(cause @ Cause::Wire(_)), Some(tunnel)) => Err(tunnel.explain(cause).await),
            (stream, _) => stream,
        }
    }

    fn is_safe(&self, address: &Address) -> Result<(), Cause> {
        if self.tls == Tls::Disable && !address.is_loopback() {
            return Err(Cause::Wire(format!("a token may not go to {address} unencrypted"))
                .likely("connection.tls: disable is for loopback only; verify-full is the default"));
        }
        Ok(())
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Cause> {
        if let Some(config) = self.config.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(tls::config(self.ca_file.as_deref(), self.tls == Tls::VerifyCa)?);
        Ok(self.config.get_or_init(|| config).clone())
    }
}

/// Where a socket leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Address {
    fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_the_socket_leads() {
        let endpoint = Endpoint { cluster: "main".into(), host: "main.example".into(), port: 5432 };
        let through = async |host: Option<&str>, port| {
            let route = Route::new(Tls::VerifyFull, None).through(host.map(str::to_owned), port);
            route.prepare(&endpoint).await.unwrap().to_string()
        };
        assert_eq!(through(None, None).await, "main.example:5432");
        assert_eq!(through(Some("bastion"), None).await, "bastion:5432");
        assert_eq!(through(Some("bastion"), Some(1)).await, "bastion:1");
        assert_eq!(through(None, Some(15432)).await, "127.0.0.1:15432");
    }

    #[tokio::test]
    async fn nothing_leaves_the_machine_unencrypted() {
        let endpoint = Endpoint { cluster: "main".into(), host: "main.example".into(), port: 5432 };
        let route = Route::new(Tls::Disable, None);
        let address = route.prepare(&endpoint).await.unwrap();
        let cause = route.connect(&address, &endpoint).await.err().unwrap();
        assert_eq!(cause.to_string(), "a token may not go to main.example:5432 unencrypted");
    }
}
