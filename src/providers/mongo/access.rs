//! How members are reached, and who we are there.

use std::time::Duration;

use mongodb::{
    Client,
    options::{AuthMechanism, ClientOptions, Credential, ServerAddress, Tls, TlsOptions},
};

use super::MongoError;
use crate::model::mongo_uri::{self, Host, Mechanism, MongoUri, Seeds};

/// A refused port costs the whole of it, so it is short; members are dialled side by side.
const DIAL: Duration = Duration::from_secs(3);

/// What a connection string becomes: options for one member at a time.
#[derive(Clone, Debug)]
pub struct Access {
    uri: MongoUri,
    application: String,
}

impl Access {
    /// `application` is the name that the server's log and `currentOp` show.
    pub fn new(uri: MongoUri, application: &str) -> Self {
        Self { uri, application: application.to_owned() }
    }

    /// Who we are, for messages.
    pub fn user(&self) -> &str {
        self.uri.user.as_deref().unwrap_or("nobody")
    }

    pub fn auth_source(&self) -> &str {
        &self.uri.auth_source
    }

    /// The connection string, for whoever has to hand it on to another process.
    pub fn uri(&self) -> &MongoUri {
        &self.uri
    }

    /// The name that the server's log and `currentOp` show for us.
    pub fn application(&self) -> &str {
        &self.application
    }

    /// The same members, to be asked as nobody.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        let uri = MongoUri { user: None, password: None, mechanism: None, ..self.uri.clone() };
        Self { uri, application: self.application.clone() }
    }

    /// The name that the set must have, if the connection string says one.
    pub fn replica_set(&self) -> Option<&str> {
        self.uri.replica_set.as_deref()
    }

    /// Members to begin with; asks DNS when the connection string says so.
    pub async fn seeds(&self) -> Result<Vec<Host>, MongoError> {
        match &self.uri.seeds {
            Seeds::Hosts(hosts) => Ok(hosts.clone()),
            Seeds::Srv(name) => {
                // Without a user in it, so that no error can show one.
                let resolved = ClientOptions::parse(format!("mongodb+srv://{name}/")).await;
                let options = resolved.map_err(|source| MongoError::Unreachable {
                    host: name.clone(),
                    source: Box::new(source),
                })?;
                let hosts = options.hosts.iter().filter_map(|address| match address {
                    ServerAddress::Tcp { host, port } => {
                        Some(Host { name: host.clone(), port: port.unwrap_or(mongo_uri::DEFAULT_PORT) })
                    }
                    _ => None,
                });
                Ok(hosts.collect())
            }
        }
    }

    /// A client of this member alone, whatever the set says. Connects when it is first used.
    pub fn direct(&self, host: &Host) -> Result<Client, MongoError> {
        let address = ServerAddress::Tcp { host: host.name.clone(), port: Some(host.port) };
        let mut options = ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .app_name(self.application.clone())
            .connect_timeout(DIAL)
            .server_selection_timeout(DIAL)
            .retry_reads(false)
            .retry_writes(false)
            .build();
        options.credential = self.credential();
        options.tls = self.uri.tls.as_ref().map(tls);
        Client::with_options(options).map_err(|error| {
            MongoError::of(error, &host.to_string(), "connect", self.user(), self.auth_source())
        })
    }

    fn credential(&self) -> Option<Credential> {
        let mechanism = self.uri.mechanism.map(|mechanism| match mechanism {
            Mechanism::ScramSha1 => AuthMechanism::ScramSha1,
            Mechanism::ScramSha256 => AuthMechanism::ScramSha256,
            Mechanism::X509 => AuthMechanism::MongoDbX509,
        });
        if self.uri.user.is_none() && mechanism.is_none() {
            return None;
        }
        let mut credential = Credential::default();
        credential.username.clone_from(&self.uri.user);
        credential.password = self.uri.password.as_ref().map(|password| password.reveal().clone());
        credential.source = Some(self.uri.auth_source.clone());
        credential.mechanism = mechanism;
        Some(credential)
    }
}

fn tls(asked: &mongo_uri::Tls) -> Tls {
    let mut options = TlsOptions::default();
    options.ca_file_path.clone_from(&asked.ca_file);
    options.cert_key_file_path.clone_from(&asked.certificate_key_file);
    options.allow_invalid_certificates = asked.allow_invalid_certificates.then_some(true);
    Tls::Enabled(options)
}
