//! How a server fares, for whoever wants to know before he relies on it. Only asks.

use tokio::{net::TcpStream, time::timeout};

use super::{
    Endpoint, MAINTENANCE, Postgres,
    access::Access,
    connection::{CONNECT, Session},
    error::{Cause, SqlError},
};

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// `17.10`
    pub version: String,
    /// 170010
    pub version_num: u32,
    /// By its own clock, in seconds since 1970.
    pub now: i64,
    pub free_connections: i64,
}

const VITALS: &str = "SELECT split_part(current_setting('server_version'), ' ', 1), current_setting('server_version_num'), \
    extract(epoch FROM clock_timestamp())::int8, current_setting('max_connections')::int \
    - current_setting('superuser_reserved_connections')::int \
    - (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL)";

impl<M> Postgres<M> {
    /// Whether there is a way to the server, and it is who it says it is. Nobody logs in.
    pub async fn knock(&self, endpoint: &Endpoint) -> Result<(), SqlError> {
        let knock = async {
            if matches!(self.login.access, Access::Trust) {
                let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await;
                return stream.map(drop).map_err(|error| Cause::Wire(error.to_string()));
            }
            let route = self.login.routes.to(endpoint);
            let address = route.prepare(endpoint).await?;
            route.connect(&address, endpoint).await.map(drop)
        };
        let answer = timeout(CONNECT, knock).await;
        let source = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(cause)) => cause,
            Err(_) => Cause::Wire(format!("no answer within {} s", CONNECT.as_secs()))
                .likely(super::connection::UNREACHABLE),
        };
        Err(SqlError::Connect {
            database: MAINTENANCE.into(),
            user: self.login.user.clone(),
            at: format!("{}:{}", endpoint.host, endpoint.port),
            source,
        })
    }

    /// Logs in and asks.
    pub async fn vitals(&self, endpoint: &Endpoint) -> Result<Vitals, SqlError> {
        let mut session = Session::open(&self.login, endpoint, MAINTENANCE).await?;
        let rows = session.rows(VITALS).await?;
        session.close().await;
        let row = rows.into_iter().next().unwrap_or_default();
        let column = |place: usize| row.get(place).cloned().flatten().unwrap_or_default();
        Ok(Vitals {
            version: column(0),
            version_num: column(1).parse().unwrap_or_default(),
            now: column(2).parse().unwrap_or_default(),
            free_connections: column(3).parse().unwrap_or_default(),
        })
    }
}
