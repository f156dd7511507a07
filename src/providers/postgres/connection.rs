//! Connections, and their limits in time.

use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Either, PgConnection, Row as _,
    postgres::{PgConnectOptions, PgSslMode},
};
use tokio::time::timeout;

use super::{
    access::Access,
    bridge,
    error::{Cause, SqlError},
    route::Routes,
};

/// A connection that is not there by then is not coming; the kernel alone would wait for minutes.
pub(super) const CONNECT: Duration = Duration::from_secs(15);
pub(super) const UNREACHABLE: &str = "clusters of Aurora answer inside their network only: is there a way from here, such as a VPN, or one \
    that connection.host or connection.tunnel names, and do the cluster's security groups let this machine in?";

/// A server: whose it is, and where it says it is. The way there may be another; see [`Routes`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub cluster: String,
    pub host: String,
    pub port: u16,
}

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not host:port")]
pub struct BadEndpoint(String);

impl Endpoint {
    /// Reads `host:port`.
    pub fn parse(cluster: &str, text: &str) -> Result<Self, BadEndpoint> {
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        parts
            .map(|(host, port)| Self { cluster: cluster.into(), host: host.into(), port })
            .ok_or_else(|| BadEndpoint(text.into()))
    }
}

/// Who logs in and how, and what the sessions call themselves.
#[derive(Clone, Debug)]
pub struct Login {
    pub user: String,
    /// Shown in `pg_stat_activity`, and to whoever finds the lock taken.
    pub application: String,
    /// Longest time for one statement.
    pub statement_timeout: Duration,
    /// Sessions cannot write, whatever the login may do.
    pub read_only: bool,
    pub access: Access,
    pub routes: Routes,
}

impl Login {
    /// Opens a connection. A token that was used before and is refused now is made anew: it may have lost what it was
    /// good for, as when its credentials ended or this machine slept.
    async fn open(
        &self,
        endpoint: &Endpoint,
        database: &str,
        options: &PgConnectOptions,
    ) -> Result<PgConnection, SqlError> {
        loop {
            let mut at = format!("{}:{}", endpoint.host, endpoint.port);
            let failed = |at: String, source| SqlError::Connect {
                database: database.into(),
                user: self.user.clone(),
                at,
                source,
            };
            let Some((secret, reused)) =
                (self.access.proof(endpoint, &self.user).await).map_err(|cause| failed(at.clone(), cause))?
            else {
                let connection = timeout(CONNECT, PgConnection::connect_with(options)).await;
                let connection = connection.map_err(|_| SqlError::Timeout(CONNECT, database.into()))?;
                return connection.map_err(|error| failed(at, error.into()));
            };
            let route = self.routes.to(endpoint);
            let address = route.prepare(endpoint).await.map_err(|cause| failed(at.clone(), cause))?;
            if address.to_string() != at {
                at = format!("{at} (through {address})");
            }
            let connect = async {
                let stream = route.connect(&address, endpoint).await?;
                let options = options.clone().password(secret.reveal());
                bridge::connect(stream, &options).await
            };
            let cause = match timeout(CONNECT, connect).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(cause)) => cause,
                Err(_) => {
                    let cause = Cause::Wire(format!("no answer within {} s", CONNECT.as_secs()));
                    return Err(failed(at, cause.likely(UNREACHABLE)));
                }
            };
            let Some(refusal) = cause.refusal() else { return Err(failed(at, cause)) };
            if refusal.is_of_login() {
                self.access.forget(endpoint, &self.user).await;
                if reused {
                    continue;
                }
            }
            let likely = self.access.explain(refusal, &self.user);
            return Err(failed(at, likely.into_iter().fold(cause, Cause::likely)));
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
            // Where there is TLS, it is ours; see `bridge`.
            .ssl_mode(PgSslMode::Disable)
            .options(settings.into_iter().chain(role))
            .disable_statement_logging();
        let connection = login.open(endpoint, database, &options).await?;
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
