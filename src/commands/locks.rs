//! Everything that keeps another run away from an environment: its lease in the ledger, and a lock in each of its clusters, for
//! who has another ledger.

use std::time::Duration;

use tokio::time::timeout;

use super::{Exit, Stop, session::Session};
use crate::{
    engine,
    providers::{
        ReadWrite,
        ledger::{Holder, Lease, Ledger, LedgerError},
        postgres::{Lock, LockError},
    },
    report::docs,
    resources::Live,
    ui::{Failure, Terminal},
};

/// The lease that whoever changes an environment has.
pub(super) const LEASE: &str = "apply";
/// What to do about a lock that another run has.
const HINT: &str = "wait for it, or pass --lock-timeout=10m; what a killed run held is taken over by itself";
/// After so long somebody who waits is told.
const SILENCE: Duration = Duration::from_secs(3);

pub(super) struct Locks {
    /// Ourselves, as others find us.
    pub(super) holder: Holder,
    lease: Lease,
    clusters: Vec<Lock>,
}

impl Locks {
    /// Takes the lease of the environment, asking again until `patience` is over.
    pub(super) async fn take(
        session: &Session,
        ledger: &Ledger<ReadWrite>,
        verb: &str,
        patience: Duration,
        terminal: &Terminal,
    ) -> Result<Self, Stop> {
        let holder = session.holder(verb);
        let taken = {
            let mut taking = Box::pin(ledger.lease(LEASE, &holder, patience));
            if let Ok(taken) = timeout(SILENCE, &mut taking).await {
                taken
            } else {
                let other = ledger.holder(LEASE).await.ok().flatten();
                let other = other.map_or_else(|| "another run".into(), |holder| holder.to_string());
                terminal.err(&format!("Waiting for the lock of {}, which {other} has...\n", session.name));
                taking.await
            }
        };
        let lease = taken.map_err(|error| match &error {
            LedgerError::Taken { holder, .. } => {
                let message = format!("the environment is locked by another run: {holder}");
                Stop::new(Exit::Locked, Failure::new(message).hint(HINT).see(docs::LOCKED))
            }
            _ => Failure::of(&error)
                .hint("`ledger:` in environment.yaml says where it is; a bucket must be there already, and let itself be written to")
                .into(),
        })?;
        Ok(Self { holder, lease, clusters: Vec::new() })
    }

    /// Takes the locks of the clusters that run.
    pub(super) async fn clusters(
        &mut self,
        session: &Session,
        live: &Live<ReadWrite>,
        patience: Duration,
    ) -> Result<(), Stop> {
        let running = live.running(&session.interest()).await;
        for (cluster, endpoint) in running.map_err(|error: engine::Error| Failure::of(error.as_ref()))? {
            let lock = live.postgres.lock(&cluster, &endpoint, patience).await;
            self.clusters.push(lock.map_err(|error| match &error {
                LockError::Held { .. } => Stop::new(Exit::Locked, Failure::of(&error).hint(HINT)),
                LockError::Failed { .. } => Failure::of(&error).into(),
            })?);
        }
        Ok(())
    }

    pub(super) async fn release(self) {
        for lock in self.clusters {
            lock.release().await;
        }
        self.lease.release().await;
    }

    /// Ends when one of them is lost.
    pub(super) async fn lost(&self) -> String {
        let clusters = async {
            if self.clusters.is_empty() {
                return std::future::pending().await;
            }
            let kept = self.clusters.iter().map(|lock| Box::pin(lock.keep()));
            let (error, ..) = futures::future::select_all(kept).await;
            error.to_string()
        };
        tokio::select! {
            why = clusters => why,
            why = self.lease.lost() => why,
        }
    }

    /// Whether the lease's time is over, although nobody may have been told yet.
    pub(super) fn over(&self) -> bool {
        self.lease.is_over()
    }
}
