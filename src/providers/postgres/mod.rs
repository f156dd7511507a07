//! Postgres: one query reads a cluster, one more each database; changes go in transactions, one database at a time.

mod access;
mod bootstrap;
mod bridge;
mod canary;
mod catalog;
mod checkup;
mod connection;
mod error;
mod lock;
mod quote;
mod read;
mod route;
mod script;
mod tls;
mod trial;
mod tunnel;
mod write;

pub use access::{Access, Keyring, Tokens};
pub use bootstrap::{BootstrapError, Bootstrapped};
pub use catalog::{
    Acl, Catalog, Column, Database, DatabaseEntry, DefaultAcl, Extension, LargeObjects, Member, Oid,
    Relations, Role, Routines, Schema, Shared, Types,
};
pub use checkup::Vitals;
pub use connection::{BadEndpoint, Endpoint, Login};
pub use error::{Cause, SqlError};
pub use lock::{Lock, LockError};
pub use quote::{PUBLIC, grantee, ident, literal};
pub use route::{Route, Routes, Way};
pub use script::{Place, Script, Stage};
pub use tls::AUTHORITIES;
pub use trial::{Again, Attempted, DeclaredSchema, Door, Object, Tried};
pub use write::{Ending, Task};

use std::{
    collections::BTreeMap,
    marker::PhantomData,
    sync::{Arc, Mutex},
};

use crate::model::secret::Secret;
use connection::Session;

/// The login that `infra plan` uses: it may connect, and nothing else.
pub const PLANNER: &str = "infra_planner";
/// The login that `infra apply` uses: no superuser, but may create roles and databases.
pub const ADMIN: &str = "infra_admin";
/// The database that is always there; shared catalogs are read and changed from it, and the lock lies in it.
pub const MAINTENANCE: &str = "postgres";

/// A client of any number of servers. `Postgres<ReadOnly>` has no method that writes.
#[derive(Clone, Debug)]
pub struct Postgres<M> {
    login: Login,
    /// Sessions to maintenance databases that wait for their next use.
    idle: Arc<Mutex<Vec<(Endpoint, Session)>>>,
    /// Servers whose lock we have, and the process there that has it.
    locked: Arc<Mutex<BTreeMap<Endpoint, String>>>,
    mode: PhantomData<M>,
}

impl<M> Postgres<M> {
    pub fn new(login: Login) -> Self {
        Self { login, idle: Arc::default(), locked: Arc::default(), mode: PhantomData }
    }

    /// Another login that goes the same ways; with a password, or else as this one proves itself.
    pub fn login_as(&self, user: &str, password: Option<Secret<String>>) -> Login {
        let access = password.map_or_else(|| self.login.access.clone(), Access::Password);
        Login { user: user.into(), access, ..self.login.clone() }
    }

    /// Says goodbye on all sessions that were kept, and ends the tunnels.
    pub async fn close(&self) {
        let idle = self.idle.lock().map(|mut idle| std::mem::take(&mut *idle)).unwrap_or_default();
        for (_, session) in idle {
            session.close().await;
        }
        self.login.routes.close().await;
    }
}
