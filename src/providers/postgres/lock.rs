//! One apply at a time: a session lock in the server itself, which dies with the process that holds it.

use std::time::{Duration, Instant};

use tokio::{sync::Mutex, time::sleep};

use super::{Endpoint, MAINTENANCE, Postgres, SqlError, connection::Session, quote::literal};
use crate::providers::ReadWrite;

/// One fixed key in one fixed database: advisory locks are per database, and two environments on one cluster must
/// exclude each other too.
const KEY: &str = "hashtextextended('infra/apply', 0)";
/// The server ends a silent holder after this; a beat comes four times as often.
const SILENCE: &str = "60s";
const BEAT: Duration = Duration::from_secs(15);

/// The lock, for as long as this lives.
#[derive(Debug)]
pub struct Lock {
    session: Mutex<Option<Session>>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("cluster {cluster} is locked by another apply: {holder}")]
    Held { cluster: String, holder: String },
    #[error("the lock of cluster {cluster} could not be taken")]
    Failed {
        cluster: String,
        #[source]
        source: SqlError,
    },
}

impl Postgres<ReadWrite> {
    /// Takes the lock, asking again until `patience` is over. Never waits inside the server: a waiting session would
    /// hold up every `CREATE INDEX CONCURRENTLY` in that database.
    pub async fn lock(
        &self,
        cluster: &str,
        endpoint: &Endpoint,
        patience: Duration,
    ) -> Result<Lock, LockError> {
        let failed = |source| LockError::Failed { cluster: cluster.into(), source };
        let begun = Instant::now();
        let mut session = Session::open(&self.login, endpoint, MAINTENANCE).await.map_err(failed)?;
        let prepare = [
            format!("SET idle_session_timeout = '{SILENCE}'"),
            "SET tcp_keepalives_idle = 15".into(),
            "SET tcp_keepalives_interval = 5".into(),
            "SET tcp_keepalives_count = 3".into(),
        ];
        session.execute(&prepare).await.map_err(|(_, error)| failed(error))?;
        loop {
            let taken = session.text(&format!("SELECT pg_try_advisory_lock({KEY})")).await.map_err(failed)?;
            if taken.as_deref() == Some("t") {
                let pid = session.text("SELECT pg_backend_pid()").await.map_err(failed)?.unwrap_or_default();
                if let Ok(mut locked) = self.locked.lock() {
                    locked.insert(endpoint.clone(), pid);
                }
                return Ok(Lock { session: Mutex::new(Some(session)) });
            }
            if begun.elapsed() >= patience {
                let holder = session.text(&holder()).await.map_err(failed)?;
                session.close().await;
                let holder = holder.unwrap_or_else(|| "whoever held it has just let go; try again".into());
                return Err(LockError::Held { cluster: cluster.into(), holder });
            }
            sleep(Duration::from_millis(500).min(patience)).await;
        }
    }
}

impl Postgres<ReadWrite> {
    /// A session to write in: to the very server whose lock we have, if we have one there. Behind the same name there may be
    /// another by now, restored or promoted meanwhile, about which nothing was planned.
    pub(super) async fn open(&self, endpoint: &Endpoint, database: &str) -> Result<Session, SqlError> {
        let mut session = Session::open(&self.login, endpoint, database).await?;
        let locked = self.locked.lock().ok().and_then(|locked| locked.get(endpoint).cloned());
        let Some(pid) = locked else { return Ok(session) };
        let holder = session.text(&format!("SELECT l.pid FROM pg_locks l WHERE {}", ours())).await?;
        if holder == Some(pid) {
            return Ok(session);
        }
        session.close().await;
        Err(SqlError::Elsewhere {
            cluster: endpoint.cluster.clone(),
            at: format!("{}:{}", endpoint.host, endpoint.port),
        })
    }
}

impl Lock {
    /// Keeps the lock for as long as this is polled; ends when it has been lost, with the reason.
    pub async fn keep(&self) -> SqlError {
        loop {
            sleep(BEAT).await;
            let mut session = self.session.lock().await;
            let Some(open) = session.as_mut() else { continue };
            if let Err(error) = open.text("SELECT 1").await {
                return error;
            }
        }
    }

    /// Lets go. Without this the server does it when it sees that the connection has ended.
    pub async fn release(self) {
        if let Some(session) = self.session.into_inner() {
            session.close().await;
        }
    }
}

/// Of a lock `l`: it is the one of an apply. Locks of all databases are listed in each.
fn ours() -> String {
    format!(
        "l.locktype = 'advisory' AND l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = {}) \
         AND ((l.classid::int8 << 32) | l.objid::int8) = {KEY}",
        literal(MAINTENANCE)
    )
}

fn holder() -> String {
    format!(
        "SELECT a.application_name || ' (login ' || a.usename || ' from ' || coalesce(host(a.client_addr), 'a socket') \
         || ', since ' || to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC)' \
         FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE {}",
        ours()
    )
}
