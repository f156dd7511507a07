//! What RDS does with an IAM token at login, for a Postgres that asks over LDAP: the user comes in the DN of a simple bind,
//! the token as its password. A token is a presigned request; it is signed again here, with the secret of its key.

mod ldap;
mod token;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, SystemTime},
};

pub(crate) use token::Refusal;

/// What belongs to an access key.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) secret: String,
    /// Of temporary credentials: the token must carry it.
    pub(crate) session_token: Option<String>,
}

/// Finds the key of tokens whose key is in no table, such as those of sessions that the emulator gave out.
pub(crate) type Lookup = Box<dyn Fn(&str) -> Option<Key> + Send + Sync>;
/// Whether the owner of an access key may connect as a user: what IAM would say.
pub(crate) type Policy = Box<dyn Fn(&str, &str) -> bool + Send + Sync>;

/// A login that was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) user: String,
    pub(crate) access_key: String,
    /// The endpoint the token is for.
    pub(crate) endpoint: String,
}

/// A login that was not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) user: String,
    pub(crate) reason: Refusal,
}

/// Listens until it is dropped.
pub(crate) struct Verifier {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    region: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `host:port` as it stands in tokens.
    endpoints: Vec<String>,
    keys: BTreeMap<String, Key>,
    lookup: Option<Lookup>,
    policy: Option<Policy>,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
    closing: bool,
}

impl Verifier {
    /// For the clusters of one region.
    pub(crate) fn start(region: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { region: region.into(), state: Mutex::default() });
        let accepting = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.state().closing {
                    break;
                }
                let shared = accepting.clone();
                // The server may hang up at any time.
                thread::spawn(move || client.and_then(|client| shared.serve(client)));
            }
        });
        Self { port, shared }
    }

    /// Where the server asks.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Tokens may be for this endpoint: with the port of the cluster, not the one a test forwards.
    pub(crate) fn allow_endpoint(&self, host: &str, port: u16) {
        self.shared.state().endpoints.push(format!("{host}:{port}"));
    }

    pub(crate) fn know(&self, access_key: &str, secret: &str, session_token: Option<&str>) {
        let key = Key { secret: secret.into(), session_token: session_token.map(Into::into) };
        self.shared.state().keys.insert(access_key.into(), key);
    }

    pub(crate) fn look_up(&self, lookup: Lookup) {
        self.shared.state().lookup = Some(lookup);
    }

    pub(crate) fn policy(&self, policy: Policy) {
        self.shared.state().policy = Some(policy);
    }

    pub(crate) fn accepted(&self) -> Vec<Accepted> {
        self.shared.state().accepted.clone()
    }

    pub(crate) fn refused(&self) -> Vec<Refused> {
        self.shared.state().refused.clone()
    }

    /// Forgets what was accepted and refused.
    pub(crate) fn reset(&self) {
        let mut state = self.shared.state();
        state.accepted.clear();
        state.refused.clear();
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(Duration::from_mins(1)))?;
        while let Some(bind) = ldap::next_bind(&mut client)? {
            let answer = self.bind(&bind.name, &bind.password);
            ldap::answer(
                &mut client,
                &bind.message,
                answer.as_ref().err().map(ToString::to_string).as_deref(),
            )?;
        }
        Ok(())
    }

    /// Accepts or refuses one login, and remembers it.
    fn bind(&self, name: &str, password: &str) -> Result<(), Refusal> {
        let user = name.strip_prefix("uid=").and_then(|name| name.strip_suffix(",dc=x")).unwrap_or(name);
        let judged = self.judge(user, password);
        let mut state = self.state();
        match &judged {
            Ok(accepted) => state.accepted.push(accepted.clone()),
            Err(reason) => state.refused.push(Refused { user: user.into(), reason: reason.clone() }),
        }
        judged.map(|_| ())
    }

    fn judge(&self, user: &str, password: &str) -> Result<Accepted, Refusal> {
        let token = token::parse(password)?;
        let state = self.state();
        let found = state.keys.get(&token.access_key).cloned();
        let found = found.or_else(|| state.lookup.as_ref().and_then(|lookup| lookup(&token.access_key)));
        let key = found.ok_or(Refusal::UnknownKey)?;
        if token.session != key.session_token {
            return Err(Refusal::SessionToken);
        }
        if token.signature != token.sign(&key.secret) {
            return Err(Refusal::Signature);
        }
        token.check_time(SystemTime::now())?;
        if !state.endpoints.contains(&token.host) {
            return Err(Refusal::Host(token.host));
        }
        if token.region != self.region {
            return Err(Refusal::Region(token.region));
        }
        if token.user != user {
            return Err(Refusal::User(token.user));
        }
        if state.policy.as_ref().is_some_and(|policy| !policy(&token.access_key, user)) {
            return Err(Refusal::Policy);
        }
        Ok(Accepted { user: user.into(), access_key: token.access_key, endpoint: token.host })
    }
}
