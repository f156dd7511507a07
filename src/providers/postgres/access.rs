//! How sessions prove who they are.

use std::{collections::BTreeMap, error::Error, fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{sync::Mutex, time::Instant};

use super::{
    Endpoint,
    error::{Cause, Refusal},
};
use crate::model::{names::IAM, secret::Secret};

/// A token is good for 15 minutes from when it was signed. This leaves time for the login itself, and for clocks that
/// are off.
const REUSE: Duration = Duration::from_mins(5);

/// Makes tokens that stand for a login at one endpoint.
pub trait Tokens: fmt::Debug + Send + Sync {
    fn token<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Secret<String>, Box<dyn Error + Send + Sync>>>;
}

/// What a login shows at the door.
#[derive(Clone, Debug)]
pub enum Access {
    /// Nothing: the server on loopback believes everybody, and speaks no TLS.
    Trust,
    /// A token, new every few minutes.
    Iam(Keyring),
    /// What only the master has, and only until there is somebody else.
    Password(Secret<String>),
}

impl Access {
    pub fn iam(tokens: Arc<dyn Tokens>) -> Self {
        Self::Iam(Keyring { tokens, kept: Arc::default() })
    }

    /// What to show, and whether it has been shown before.
    pub(super) async fn proof(
        &self,
        endpoint: &Endpoint,
        user: &str,
    ) -> Result<Option<(Secret<String>, bool)>, Cause> {
        match self {
            Self::Trust => Ok(None),
            Self::Password(password) => Ok(Some((password.clone(), false))),
            Self::Iam(keyring) => keyring.token(endpoint, user).await.map(Some).map_err(Cause::Token),
        }
    }

    /// The server refused what it was shown.
    pub(super) async fn forget(&self, endpoint: &Endpoint, user: &str) {
        if let Self::Iam(keyring) = self {
            keyring.kept.lock().await.remove(&key(endpoint, user));
        }
    }

    /// What a refusal most likely means. The server tells no more, so that nobody can guess his way in.
    pub(super) fn explain(&self, refusal: &Refusal, user: &str) -> Option<String> {
        if !refusal.is_of_login() {
            return None;
        }
        if refusal.message.contains("no pg_hba.conf entry") {
            return Some("the server takes this login only with TLS, or not from this address".into());
        }
        match self {
            // Who is no member is asked for a password; no token is one.
            Self::Iam(_) if refusal.code == "28P01" => Some(format!(
                "there is no role {user}, or it is no member of {IAM}: infra apply makes infra_admin and infra_planner"
            )),
            Self::Iam(_) if refusal.message.contains("authentication failed") => Some(format!(
                "the AWS identity that signs may not rds-db:connect as {user} to this cluster's resource id, its \
                 credentials have expired or been revoked, or this machine's clock is off by minutes"
            )),
            Self::Password(_) => Some(format!(
                "the password may have been rotated just now: try again; a member of {IAM} is not let in by password \
                 at all"
            )),
            Self::Trust | Self::Iam(_) => None,
        }
    }
}

/// The tokens of this run.
#[derive(Clone, Debug)]
pub struct Keyring {
    tokens: Arc<dyn Tokens>,
    kept: Arc<Mutex<BTreeMap<Key, Kept>>>,
}

/// Host, port and user.
type Key = (String, u16, String);
/// When it was made.
type Kept = (Instant, Secret<String>);

fn key(endpoint: &Endpoint, user: &str) -> Key {
    (endpoint.host.clone(), endpoint.port, user.to_owned())
}

impl Keyring {
    /// Whoever comes while one is made waits for that one: a refresh of credentials may need AWS.
    async fn token(
        &self,
        endpoint: &Endpoint,
        user: &str,
    ) -> Result<(Secret<String>, bool), Box<dyn Error + Send + Sync>> {
        let mut kept = self.kept.lock().await;
        let key = key(endpoint, user);
        if let Some((made, token)) = kept.get(&key)
            && made.elapsed() < REUSE
        {
            return Ok((token.clone(), true));
        }
        let token = self.tokens.token(endpoint, user).await?;
        kept.insert(key, (Instant::now(), token.clone()));
        Ok((token, false))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct Counting(AtomicUsize);

    impl Tokens for Counting {
        fn token<'a>(
            &'a self,
            endpoint: &'a Endpoint,
            user: &'a str,
        ) -> BoxFuture<'a, Result<Secret<String>, Box<dyn Error + Send + Sync>>> {
            Box::pin(async move {
                let count = self.0.fetch_add(1, Ordering::Relaxed);
                Ok(Secret::new(format!("canary-{}-{user}-{count}", endpoint.host)))
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_made_anew_when_it_is_minutes_old() {
        let access = Access::iam(Arc::new(Counting::default()));
        let endpoint = |host: &str| Endpoint { cluster: "main".into(), host: host.into(), port: 5432 };
        let show = async |host: &str, user: &str| {
            let (secret, reused) = access.proof(&endpoint(host), user).await.unwrap().unwrap();
            (secret.reveal().clone(), reused)
        };
        assert_eq!(show("a", "ana").await, ("canary-a-ana-0".into(), false));
        assert_eq!(show("a", "ana").await, ("canary-a-ana-0".into(), true));
        assert_eq!(show("b", "ana").await, ("canary-b-ana-1".into(), false));
        assert_eq!(show("a", "boris").await, ("canary-a-boris-2".into(), false));
        tokio::time::advance(REUSE).await;
        assert_eq!(show("a", "ana").await, ("canary-a-ana-3".into(), false));
        access.forget(&endpoint("a"), "ana").await;
        assert_eq!(show("a", "ana").await, ("canary-a-ana-4".into(), false));
        let shown = format!("{access:?} {:?}", Access::Password(Secret::new("canary".into())));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
