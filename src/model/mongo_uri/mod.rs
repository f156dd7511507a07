//! A MongoDB connection string as people paste it.
//!
//! It is read here and not by the driver, which refuses options that make no difference to us, accepts hosts that cannot be
//! any, shows passwords in its errors, and panics on some.

mod hosts;
mod login;
mod options;
mod pasted;
#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, str::FromStr};

use super::{percent, secret::Secret};

/// The port of a member that names none.
pub const DEFAULT_PORT: u16 = 27017;

/// A member's address. Its text is `host:port`; a literal IPv6 address stands in brackets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// Without brackets.
    pub name: String,
    pub port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.name.contains(':') {
            write!(f, "[{}]:{}", self.name, self.port)
        } else {
            write!(f, "{}:{}", self.name, self.port)
        }
    }
}

/// A text that is no `host:port`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a host and a port")]
pub struct BadHost(String);

impl FromStr for Host {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let bad = || BadHost(text.into());
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']').ok_or_else(bad)?;
                (name, port.strip_prefix(':'))
            }
            None => match text.rsplit_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok()).ok_or_else(bad)?;
        if name.is_empty() || port == 0 {
            return Err(bad());
        }
        Ok(Self { name: name.to_ascii_lowercase(), port })
    }
}

/// Where to begin to look for the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeds {
    Hosts(Vec<Host>),
    /// DNS lists them: `mongodb+srv://`.
    Srv(String),
}

/// How to prove who one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    ScramSha1,
    ScramSha256,
    X509,
}

/// TLS as the connection string asks for it. Certificates are always checked unless it says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities to trust, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key that prove who we are.
    pub certificate_key_file: Option<PathBuf>,
    pub allow_invalid_certificates: bool,
}

/// What a connection string says, as far as it matters here: each member is dialled directly, so that how a driver
/// would choose among them does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongoUri {
    pub seeds: Seeds,
    pub user: Option<String>,
    pub password: Option<Secret<String>>,
    /// The database that knows the user: `authSource`, or else the database of the string, or else `admin`.
    pub auth_source: String,
    /// `None`: what the server and the user have in common.
    pub mechanism: Option<Mechanism>,
    /// The name that the set must have.
    pub replica_set: Option<String>,
    /// `None`: unencrypted.
    pub tls: Option<Tls>,
}

/// A connection string that cannot be used. Never holds a part of a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadUri {
    pub message: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// A connection string that was understood, and what was put right in it.
#[derive(Clone, Debug)]
pub struct Pasted {
    pub uri: MongoUri,
    pub warnings: Vec<String>,
}

impl BadUri {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// As a connection string, with the password masked.
impl fmt::Display for MongoUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "***")
    }
}

impl MongoUri {
    /// The connection string with the password in it.
    pub fn revealed(&self) -> Secret<String> {
        let password =
            self.password.as_ref().map(|secret| percent::encode(secret.reveal())).unwrap_or_default();
        let mut text = String::new();
        // A text takes whatever is written.
        let _ = self.write(&mut text, &password);
        Secret::new(text)
    }

    fn write(&self, f: &mut impl fmt::Write, password: &str) -> fmt::Result {
        f.write_str(if matches!(self.seeds, Seeds::Srv(_)) { "mongodb+srv://" } else { "mongodb://" })?;
        if let Some(user) = &self.user {
            f.write_str(&percent::encode(user))?;
            if self.password.is_some() {
                write!(f, ":{password}")?;
            }
            f.write_str("@")?;
        }
        match &self.seeds {
            Seeds::Srv(name) => f.write_str(name)?,
            Seeds::Hosts(hosts) => {
                for (index, host) in hosts.iter().enumerate() {
                    write!(f, "{}{host}", if index == 0 { "" } else { "," })?;
                }
            }
        }
        write!(f, "/?authSource={}", percent::encode(&self.auth_source))?;
        if let Some(mechanism) = self.mechanism {
            write!(f, "&authMechanism={}", mechanism.name())?;
        }
        if let Some(set) = &self.replica_set {
            write!(f, "&replicaSet={}", percent::encode(set))?;
        }
        let Some(tls) = &self.tls else {
            return if matches!(self.seeds, Seeds::Srv(_)) { f.write_str("&tls=false") } else { Ok(()) };
        };
        f.write_str("&tls=true")?;
        for (key, file) in [("tlsCAFile", &tls.ca_file), ("tlsCertificateKeyFile", &tls.certificate_key_file)]
        {
            if let Some(file) = file {
                write!(f, "&{key}={}", percent::encode(&file.to_string_lossy()))?;
            }
        }
        if tls.allow_invalid_certificates { f.write_str("&tlsAllowInvalidCertificates=true") } else { Ok(()) }
    }
}

impl Mechanism {
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::X509 => "MONGODB-X509",
        }
    }
}

/// What people paste although it is for something else.
const OTHER_SCHEMES: [&str; 8] =
    ["postgres", "postgresql", "mysql", "http", "https", "redis", "amqp", "mongo"];

/// Where the users are that certificates stand for.
const EXTERNAL: &str = "$external";

impl MongoUri {
    /// Reads a connection string as people paste it.
    ///
    /// # Errors
    /// What cannot be meant, with what to do about it; no part of a password is in it.
    pub fn parse(text: &str) -> Result<Pasted, BadUri> {
        let pasted::Cleaned { text, mut warnings } = pasted::clean(text)?;
        let (srv, rest) = scheme(&text)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('@') {
            return Err(BadUri::new(
                "there is an `@` behind the hosts, so the user or the password is cut short",
            )
            .hint(login::HOW_TO_ENCODE));
        }
        let (login, list) =
            authority.rsplit_once('@').map_or((None, authority), |(login, list)| (Some(login), list));
        let login = login.map(login::parse).transpose()?;
        let seeds = hosts::parse(list, srv, login.is_some())?;
        let (database, options) = path.split_once('?').unwrap_or((path, ""));
        let database = hosts::database(database.strip_prefix('/').unwrap_or(database))?;
        let options = options::parse(options, &mut warnings)?;
        let tls = options.tls(srv, &mut warnings)?;
        let auth = login::settle(login, &options, database, tls.as_ref(), &mut warnings)?;
        let uri = Self {
            seeds,
            user: auth.user,
            password: auth.password,
            auth_source: auth.source,
            mechanism: options.mechanism,
            replica_set: options.replica_set,
            tls,
        };
        Ok(Pasted { uri, warnings })
    }
}

/// Whether DNS is to be asked, and what follows.
fn scheme(text: &str) -> Result<(bool, &str), BadUri> {
    let begins =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme));
    for (scheme, srv) in [("mongodb://", false), ("mongodb+srv://", true)] {
        if begins(scheme) {
            return Ok((srv, &text[scheme.len()..]));
        }
    }
    let bad = BadUri::new("it does not begin with mongodb:// or mongodb+srv://");
    if text.is_empty() {
        return Err(BadUri::new("it is empty").hint("such as mongodb://user:password@host-1,host-2/admin"));
    }
    let other = OTHER_SCHEMES.into_iter().find(|scheme| begins(&format!("{scheme}://")));
    Err(if let Some(other) = other {
        bad.hint(format!("it begins with {other}://, which is something else"))
    } else if text.contains("mongodb://") || text.contains("mongodb+srv://") {
        bad.hint("leave out what stands before it")
    } else {
        bad.hint("such as mongodb://user:password@host-1,host-2/admin")
    })
}
