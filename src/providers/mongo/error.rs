//! What goes wrong with MongoDB, by what can be done about it. No text of the driver about connection strings is in it.

use mongodb::error::ErrorKind;

/// `AuthenticationFailed`.
const AUTHENTICATION_FAILED: i32 = 18;
/// `Unauthorized`.
const UNAUTHORIZED: i32 = 13;

/// `host` is the member's `host:port`, or the name behind `mongodb+srv://`.
#[derive(Debug, thiserror::Error)]
pub enum MongoError {
    #[error("{host}: {user} cannot log in: wrong password, or no such user in {auth_source}")]
    Authentication { host: String, user: String, auth_source: String },
    #[error("{host}: {user} may not do this ({what})")]
    Unauthorized { host: String, user: String, what: String },
    #[error("{host} cannot be reached")]
    Unreachable {
        host: String,
        #[source]
        source: Box<mongodb::error::Error>,
    },
    #[error("{host} did not answer within {seconds} s ({what})")]
    Timeout { host: String, what: String, seconds: u64 },
    #[error("{host} refused: {what}")]
    Command {
        host: String,
        what: String,
        #[source]
        source: Box<mongodb::error::Error>,
    },
    #[error("{host} answered {what} in a way that this version of infra does not understand")]
    Answer { host: String, what: String },
    #[error("{host} refused {what}: {why}")]
    Refused { host: String, what: String, why: String },
    #[error("the replica set {cluster} has no primary now; changes wait for one")]
    NoPrimary { cluster: String },
    #[error("{host} is of {found}, not of {asked}, which the connection string names")]
    OtherSet { host: String, found: String, asked: String },
    #[error(
        "{host} did it, but within {seconds} s a majority of the members did not have it ({what}); running infra again goes on"
    )]
    Unconfirmed { host: String, what: String, seconds: u64 },
    #[error(
        "{host}: {user} is who infra is logged in as, and is never changed or dropped by it; log in as somebody else"
    )]
    Ourselves { host: String, user: String },
    #[error("{what}: {path} cannot be used")]
    File {
        what: &'static str,
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl MongoError {
    /// Nobody answered; others may.
    pub(super) fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Timeout { .. })
    }

    /// What went wrong, in one line.
    pub fn brief(&self) -> String {
        match self {
            Self::Unreachable { source, .. } | Self::Command { source, .. } => {
                format!("{self}: {}", reason(source))
            }
            Self::File { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }

    /// Sorts an error of the driver.
    pub(super) fn of(
        error: mongodb::error::Error,
        host: &str,
        what: &str,
        user: &str,
        auth_source: &str,
    ) -> Self {
        let (host, what) = (host.to_owned(), what.to_owned());
        let code = match &*error.kind {
            ErrorKind::Command(command) => Some(command.code),
            _ => None,
        };
        match (&*error.kind, code) {
            (ErrorKind::Authentication { .. }, _) | (_, Some(AUTHENTICATION_FAILED)) => {
                Self::Authentication { host, user: user.into(), auth_source: auth_source.into() }
            }
            (_, Some(UNAUTHORIZED)) => Self::Unauthorized { host, user: user.into(), what },
            (
                ErrorKind::ServerSelection { .. }
                | ErrorKind::Io(_)
                | ErrorKind::ConnectionPoolCleared { .. },
                _,
            ) => Self::Unreachable { host, source: Box::new(error) },
            _ => Self::Command { host, what, source: Box::new(error) },
        }
    }
}

/// What the driver has to say, without its own vocabulary.
fn reason(error: &mongodb::error::Error) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => command.message.clone(),
        ErrorKind::Io(error) => error.to_string(),
        ErrorKind::ServerSelection { message, .. } => {
            // The cause of each server stands at its end: `Error: Kind: I/O error: Connection refused (os error 111)`.
            let cause = message.rsplit_once("I/O error: ").or_else(|| message.rsplit_once("Error: "));
            let cause = cause.and_then(|(_, cause)| cause.split([',', '}']).next());
            cause.unwrap_or("no answer").trim().to_owned()
        }
        kind => kind.to_string(),
    }
}
