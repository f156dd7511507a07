//! Connections, their limits in time, and what can go wrong with them.

use std::{str::FromStr, time::Duration};

use futures::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Either, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgDatabaseError, PgSslMode},
};
use tokio::time::timeout;

/// A connection that is not there by then is not coming; the kernel alone would wait for minutes.
const CONNECT: Duration = Duration::from_secs(15);

/// `host:port` of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not host:port")]
pub struct BadEndpoint(String);

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        parts.map(|(host, port)| Self { host: host.into(), port }).ok_or_else(|| BadEndpoint(text.into()))
    }
}

/// Who logs in, and what the sessions call themselves.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    /// Shown in `pg_stat_activity`, and to whoever finds the lock taken.
    pub application: String,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// Sessions cannot write, whatever the login may do.
    pub read_only: bool,
}

/// A failed connection or statement. What it failed at is in here; why, in its source.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    #[error("cannot connect to database {database} as {user} at {host}:{port}")]
    Connect {
        database: String,
        user: String,
        host: String,
        port: u16,
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
    #[error("not tried: the connection to the server was lost before")]
    Abandoned,
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
}

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

impl SqlError {
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Connect { source: Cause::Refused(refusal), .. }
            | Self::Statement { source: Cause::Refused(refusal), .. } => Some(refusal),
            _ => None,
        }
    }

    /// The connection is gone, so that whatever comes next on it would fail too.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Timeout(..)
            | Self::Abandoned
            | Self::Statement { source: Cause::Wire(_), .. } => true,
            // 57P01 to 57P05: the server ends the session or is going down.
            Self::Statement { source: Cause::Refused(refusal), .. } => refusal.code.starts_with("57P"),
            Self::Answer { .. } => false,
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

/// One session. Every call on it has a limit in time; a call that passes it leaves the session unusable.
#[derive(Debug)]
pub(super) struct Session {
    connection: PgConnection,
    pub(super) database: String,
    limit: Duration,
}

impl Session {
    pub(super) async fn open(login: &Login, endpoint: &Endpoint, database: &str) -> Result<Self, SqlError> {
        Self::start(login, endpoint, database, Some(("role", "none".to_owned()))).await
    }

    /// A session that becomes whatever its login becomes by itself, as a migrator does.
    pub(super) async fn open_as_it_is(
        login: &Login,
        endpoint: &Endpoint,
        database: &str,
    ) -> Result<Self, SqlError> {
        Self::start(login, endpoint, database, None).await
    }

    async fn start(
        login: &Login,
        endpoint: &Endpoint,
        database: &str,
        role: Option<(&str, String)>,
    ) -> Result<Self, SqlError> {
        let milliseconds = |duration: Duration| format!("{}ms", duration.as_millis());
        let read_only = if login.read_only { "on" } else { "off" };
        let settings = [
            ("statement_timeout", milliseconds(login.statement_timeout)),
            ("lock_timeout", "5s".to_owned()),
            ("idle_in_transaction_session_timeout", "60s".to_owned()),
            // What a role's or a database's settings would otherwise change under us.
            ("search_path", "pg_catalog".to_owned()),
            ("default_transaction_read_only", read_only.to_owned()),
        ];
        let options = PgConnectOptions::new_without_pgpass()
            .host(&endpoint.host)
            .port(endpoint.port)
            .username(&login.user)
            .database(database)
            .application_name(&login.application)
            .ssl_mode(PgSslMode::Disable)
            .options(settings.into_iter().chain(role))
            .disable_statement_logging();
        let connection = match timeout(CONNECT, PgConnection::connect_with(&options)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                return Err(SqlError::Connect {
                    database: database.into(),
                    user: login.user.clone(),
                    host: endpoint.host.clone(),
                    port: endpoint.port,
                    source: error.into(),
                });
            }
            Err(_) => return Err(SqlError::Timeout(CONNECT, database.into())),
        };
        // The server gives up first, and says why.
        let limit = login.statement_timeout + Duration::from_secs(10);
        Ok(Self { connection, database: database.into(), limit })
    }

    /// The first column of the first row of a query, as text.
    pub(super) async fn text(&mut self, query: &str) -> Result<Option<String>, SqlError> {
        Ok(self.rows(query).await?.into_iter().next().and_then(|row| row.into_iter().next().flatten()))
    }

    /// All rows of a query, as texts.
    pub(super) async fn rows(&mut self, query: &str) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        let failed =
            |error: sqlx::Error| SqlError::Statement { statement: first_line(query), source: error.into() };
        let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut self.connection);
        let rows = timeout(self.limit, rows)
            .await
            .map_err(|_| SqlError::Timeout(self.limit, self.database.clone()))?
            .map_err(failed)?;
        rows.iter()
            .map(|row| (0..row.len()).map(|column| row.try_get_unchecked(column)).collect::<Result<_, _>>())
            .collect::<Result<_, _>>()
            .map_err(failed)
    }

    /// Sends statements as one message. On failure says which one failed, counted from zero.
    pub(super) async fn execute(&mut self, statements: &[String]) -> Result<(), (usize, SqlError)> {
        let text = statements.join(";\n");
        let mut done = 0;
        let run = async {
            let mut answers = sqlx::raw_sql(AssertSqlSafe(text)).fetch_many(&mut self.connection);
            while let Some(answer) = answers.try_next().await? {
                if let Either::Left(_) = answer {
                    done += 1;
                }
            }
            Ok::<(), sqlx::Error>(())
        };
        let result = timeout(self.limit, run).await;
        let statement = || statements.get(done).cloned().unwrap_or_default();
        match result {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err((done, SqlError::Statement { statement: statement(), source: error.into() }))
            }
            Err(_) => Err((done, SqlError::Timeout(self.limit, self.database.clone()))),
        }
    }

    /// Says goodbye; a failure to do so changes nothing.
    pub(super) async fn close(self) {
        let _ = timeout(Duration::from_secs(1), self.connection.close()).await;
    }
}

fn first_line(query: &str) -> String {
    query.lines().find(|line| !line.starts_with("--")).unwrap_or_default().into()
}
