//! How `infra_admin` and `infra_planner` come to be on a new cluster, of which only the master can log in.

use std::{error::Error, time::Duration};

use tokio::time::sleep;

use super::{
    ADMIN, Endpoint, MAINTENANCE, PLANNER, Postgres, SqlError,
    connection::{Login, Session},
};
use crate::providers::ReadWrite;

/// Tries of a transaction that met another session, and of a login whose permission AWS may not know of everywhere yet.
const TRIES: u32 = 5;
const BETWEEN: Duration = Duration::from_secs(1);

/// What the admin has to be, and whom else there has to be. Every new cluster answers with no row, or with `f`.
const READY: &str = "SELECT a.rolcreaterole AND a.rolcreatedb AND a.rolinherit \
    AND has_database_privilege(p.oid, 'postgres', 'CONNECT') AND p.rolcanlogin \
    AND EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid \
      WHERE m.member = a.oid AND r.rolname = 'rds_superuser') \
    AND EXISTS (SELECT FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid \
      WHERE m.member = p.oid AND r.rolname = 'rds_iam') \
    FROM pg_roles a, pg_roles p WHERE a.rolname = current_user AND p.rolname = 'infra_planner'";

/// What was to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrapped {
    /// Nothing: both could log in.
    Already,
    Made,
}

#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The server did not say that there is no such login, so the master would fare no better.
    #[error("cluster {cluster} cannot be reached")]
    Unreachable {
        cluster: String,
        #[source]
        source: SqlError,
    },
    #[error("cluster {cluster} has no {ADMIN} yet, and how its master logs in is unknown")]
    NoMaster {
        cluster: String,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("cluster {cluster}: its master {master} could not make {ADMIN} and {PLANNER}")]
    Failed {
        cluster: String,
        master: String,
        #[source]
        source: SqlError,
    },
    #[error("cluster {cluster}: {user} was made, but cannot log in")]
    NoLogin {
        cluster: String,
        user: &'static str,
        #[source]
        source: SqlError,
    },
    #[error(
        "cluster {cluster}: {ADMIN} was made, but lacks what it needs: CREATEROLE, CREATEDB, rds_superuser"
    )]
    Powerless { cluster: String },
}

impl Postgres<ReadWrite> {
    /// Makes the two logins if they are not there, and proves that both can log in. `master` is asked only when it is
    /// needed, so that nobody reads its secret without a reason.
    pub async fn bootstrap(
        &self,
        endpoint: &Endpoint,
        master: impl AsyncFnOnce() -> Result<Login, Box<dyn Error + Send + Sync>>,
    ) -> Result<Bootstrapped, BootstrapError> {
        let cluster = || endpoint.cluster.clone();
        match self.is_ready(endpoint).await {
            Ok(true) => return Ok(Bootstrapped::Already),
            Ok(false) => {}
            Err(error) if error.refusal().is_some_and(super::error::Refusal::is_of_login) => {}
            Err(source) => return Err(BootstrapError::Unreachable { cluster: cluster(), source }),
        }
        let master =
            master().await.map_err(|source| BootstrapError::NoMaster { cluster: cluster(), source })?;
        make(endpoint, &master).await.map_err(|source| BootstrapError::Failed {
            cluster: cluster(),
            master: master.user.clone(),
            source,
        })?;
        let no_login = |user| move |source| BootstrapError::NoLogin { cluster: cluster(), user, source };
        let planner = Login { user: PLANNER.into(), read_only: true, ..self.login.clone() };
        patiently(&planner, endpoint).await.map_err(no_login(PLANNER))?.close().await;
        let mut session = patiently(&self.login, endpoint).await.map_err(no_login(ADMIN))?;
        let ready = session.text(READY).await.map_err(no_login(ADMIN))?;
        session.close().await;
        if ready.as_deref() == Some("t") {
            Ok(Bootstrapped::Made)
        } else {
            Err(BootstrapError::Powerless { cluster: cluster() })
        }
    }

    async fn is_ready(&self, endpoint: &Endpoint) -> Result<bool, SqlError> {
        let mut session = Session::open(&self.login, endpoint, MAINTENANCE).await?;
        let ready = session.text(READY).await?;
        session.close().await;
        Ok(ready.as_deref() == Some("t"))
    }
}

async fn make(endpoint: &Endpoint, master: &Login) -> Result<(), SqlError> {
    let statements = ["BEGIN", include_str!("bootstrap.sql").trim_end(), "COMMIT"].map(str::to_owned);
    let mut session = Session::open(master, endpoint, MAINTENANCE).await?;
    let mut tries = 0;
    loop {
        tries += 1;
        let Err((_, error)) = session.execute(&statements).await else { break };
        let _ = session.execute(&["ROLLBACK".to_owned()]).await;
        if !error.is_transient() || tries == TRIES {
            return Err(match error {
                // Pages long; its reason says enough.
                SqlError::Statement { source, .. } => {
                    SqlError::Statement { statement: "bootstrap, rolled back".into(), source }
                }
                other => other,
            });
        }
        sleep(BETWEEN).await;
    }
    session.close().await;
    Ok(())
}

/// A new session, and who it is by the server's own word.
async fn patiently(login: &Login, endpoint: &Endpoint) -> Result<Session, SqlError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match Session::open(login, endpoint, MAINTENANCE).await {
            Err(error) if error.refusal().is_some() && tries < TRIES => sleep(BETWEEN * tries).await,
            opened => return opened,
        }
    }
}
