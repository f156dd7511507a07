//! Reading: one query for the cluster, one for each database, over a bounded number of connections.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use serde::de::DeserializeOwned;

use super::{
    Catalog, Endpoint, MAINTENANCE, Postgres, SqlError,
    connection::{Login, Session},
};

/// Connections at once to a near server: with more, two cores of a server only fight over their cache.
const NEAR: usize = 8;
/// Connections at once when each round trip costs; these mostly wait.
const FAR: usize = 16;
/// A connection takes two round trips or more, so this is a round trip of about 10 ms.
const FAR_CONNECT: Duration = Duration::from_millis(22);

impl<M> Postgres<M> {
    /// Reads the shared catalogs, and of the databases named in `open` those that exist and take connections.
    pub async fn read(
        &self,
        cluster: &str,
        endpoint: &Endpoint,
        open: &BTreeSet<String>,
    ) -> Result<Catalog, SqlError> {
        let begun = Instant::now();
        let mut session = Session::open(&self.login, endpoint, MAINTENANCE).await?;
        let most = if begun.elapsed() > FAR_CONNECT { FAR } else { NEAR };
        let shared: super::Shared = document(&mut session, include_str!("cluster.sql")).await?;
        session.close().await;

        let free = usize::try_from(shared.free_connections).unwrap_or_default().max(1);
        let names: Vec<String> = (shared.databases.iter())
            .filter(|entry| entry.connectable && open.contains(&entry.name))
            .map(|entry| entry.name.clone())
            .collect();
        let databases: BTreeMap<_, _> = stream::iter(names)
            .map(|name| async move {
                let read = database(&self.login, endpoint, &name).await;
                (name, read.map_err(|error| crate::model::causes(&error)))
            })
            .buffer_unordered(most.min(free))
            .collect()
            .await;
        Ok(Catalog::new(cluster, shared, databases))
    }

    /// Whether the server answers at all; used while waiting for one to come up.
    pub async fn ping(&self, endpoint: &Endpoint) -> Result<(), SqlError> {
        let mut session = Session::open(&self.login, endpoint, MAINTENANCE).await?;
        session.text("SELECT 1").await?;
        session.close().await;
        Ok(())
    }
}

async fn database(login: &Login, endpoint: &Endpoint, name: &str) -> Result<super::Database, SqlError> {
    let mut session = Session::open(login, endpoint, name).await?;
    let database = document(&mut session, include_str!("database.sql")).await?;
    session.close().await;
    Ok(database)
}

async fn document<T: DeserializeOwned>(session: &mut Session, query: &str) -> Result<T, SqlError> {
    let text = session.text(query).await?.unwrap_or_default();
    let database = session.database.clone();
    serde_json::from_str(&text).map_err(|source| SqlError::Answer { database, source })
}
