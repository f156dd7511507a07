//! What can go wrong with a connection or a statement, and what it most likely means.

use std::{error::Error, time::Duration};

use sqlx::postgres::PgDatabaseError;

/// A failed connection or statement. What it failed at is in here; why, in its source.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    #[error("cannot connect to database {database} as {user} at {at}")]
    Connect {
        database: String,
        user: String,
        /// `host:port`, and what the way there leads through.
        at: String,
        #[source]
        source: Cause,
    },
    #[error("no answer within {0:?} from database {1}")]
    Timeout(Duration, String),
    #[error("statement failed: {statement}")]
    Statement {
        statement: String,
        #[source]
        source: Cause,
    },
    #[error("the catalog query of database {database} gave an unexpected answer")]
    Answer {
        database: String,
        #[source]
        source: serde_json::Error,
    },
    /// Whoever answers is not whom the plan is about.
    #[error(
        "refused: the server at {at} is not the one that cluster {cluster} was when it was locked; nothing was changed there: \
         look what has become of the cluster, and plan again"
    )]
    Elsewhere { cluster: String, at: String },
    #[error("not tried: the connection to the server was lost before")]
    Abandoned,
    /// A membership let nobody but the members in any more; see `canary`.
    #[error("{0}")]
    LockedOut(String),
}

/// Who said no.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Postgres, in its own words.
    #[error(transparent)]
    Refused(Refusal),
    /// The network, or what speaks over it.
    #[error("{0}")]
    Wire(String),
    #[error("no token to log in with could be made")]
    Token(#[source] Box<dyn Error + Send + Sync>),
    /// Any of these, with what it most likely means.
    #[error("{cause}")]
    Explained {
        cause: Box<Cause>,
        #[source]
        likely: Likely,
    },
}

/// What a terse answer most likely means, and how to mend it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Likely(String);

/// Postgres' answer to what it does not do.
#[derive(Debug, thiserror::Error)]
#[error("{message}{} (SQLSTATE {code})", detail.as_ref().map(|text| format!("; {}", text.replace('\n', "; "))).unwrap_or_default())]
pub struct Refusal {
    pub code: String,
    pub message: String,
    /// What stands in the way, such as the objects that depend on a role.
    pub detail: Option<String>,
    table: Option<String>,
}

impl From<sqlx::Error> for Cause {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast::<PgDatabaseError>() {
                Ok(error) => Self::Refused(Refusal {
                    code: error.code().into(),
                    message: error.message().into(),
                    detail: error.detail().map(Into::into),
                    table: error.table().map(Into::into),
                }),
                Err(error) => Self::Wire(error.to_string()),
            },
            sqlx::Error::Io(error) => Self::Wire(error.to_string()),
            other => Self::Wire(other.to_string()),
        }
    }
}

impl Cause {
    pub(super) fn likely(self, likely: impl Into<String>) -> Self {
        Self::Explained { cause: Box::new(self), likely: Likely(likely.into()) }
    }

    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Explained { cause, .. } => cause.refusal(),
            Self::Wire(_) | Self::Token(_) => None,
        }
    }
}

impl Refusal {
    /// The server did not believe the login to be who it says it is, or lets it not in at all.
    pub(super) fn is_of_login(&self) -> bool {
        self.code.starts_with("28")
    }
}

impl SqlError {
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Connect { source, .. } | Self::Statement { source, .. } => source.refusal(),
            _ => None,
        }
    }

    /// The connection is gone, so that whatever comes next on it would fail too.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout(..) | Self::Abandoned | Self::Elsewhere { .. } => true,
            // 57P01 to 57P05: the server ends the session or is going down.
            Self::Statement { source, .. } => {
                source.refusal().is_none_or(|refusal| refusal.code.starts_with("57P"))
            }
            Self::Answer { .. } | Self::LockedOut(_) => false,
        }
    }

    /// Worth another try: two sessions met at the same catalog row or object, and one gave way.
    pub(super) fn is_transient(&self) -> bool {
        let Some(Refusal { code, message, table, .. }) = self.refusal() else { return false };
        match code.as_str() {
            // deadlock, serialization, lock_timeout, object in use
            "40P01" | "40001" | "55P03" | "55006" => true,
            "XX000" => message.contains("tuple concurrently") || message.contains("could not find tuple"),
            "23505" => table.as_ref().is_some_and(|table| table.starts_with("pg_")),
            _ => false,
        }
    }
}
