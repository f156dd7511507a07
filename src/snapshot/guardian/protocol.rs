//! What supervisor and guardian say to each other: one JSON document a line, over one socket. Each sees the death of the
//! other as its end.

use std::{io, path::PathBuf, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::unix::{OwnedReadHalf, OwnedWriteHalf},
    time::timeout,
};

use super::super::{
    manifest::{OpTime, Proof},
    release::{Gone, Ours},
};
use crate::{
    model::{
        mongo_uri::{Mechanism, MongoUri, Seeds, Tls},
        secret::Secret,
    },
    providers::mongo::Access,
};

/// A supervisor that is stopped reads nothing; what cannot be told within this is left untold.
const TELL: Duration = Duration::from_secs(1);

/// The first line to the guardian. It has the password in it, so it is sent where nobody else can read it, and no `Debug`.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Start {
    pub(in super::super) login: Login,
    pub(in super::super) member: String,
    /// The primary, which is watched.
    pub(in super::super) primary: Option<String>,
    pub(in super::super) run: String,
    pub(in super::super) journal: PathBuf,
    pub(in super::super) lock_timeout: Duration,
    pub(in super::super) max_lock: Duration,
    /// The process group of the snapshot command.
    pub(in super::super) group: Option<i32>,
    /// Nothing is to be locked: this is to be released, and nobody waits for it.
    pub(in super::super) release: Option<Ours>,
}

/// Whatever of a connection string it takes to reach one member.
#[derive(Serialize, Deserialize)]
pub(in super::super) struct Login {
    user: Option<String>,
    password: Option<String>,
    auth_source: String,
    /// As `authMechanism` has it.
    mechanism: Option<String>,
    tls: Option<(Option<PathBuf>, Option<PathBuf>, bool)>,
    application: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum Order {
    Lock,
    /// Release what is locked or waited for.
    Unlock,
    /// The snapshot command has ended: its process group is nobody's business any more.
    CommandEnded,
    /// Everything is done, also ending the command.
    Done,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum Event {
    /// Connected and logged in.
    Ready,
    /// There will be no lock, and none was asked for.
    NotReady(String),
    /// The next thing that is sent to the member is the lock command.
    Locking(Ours),
    /// The server has granted the lock, to us alone; nothing is verified yet.
    Granted {
        acquired: Duration,
        locked_at: Timestamp,
        /// Where the member stands, as the server said together with the lock; older ones do not.
        applied: Option<OpTime>,
    },
    /// It is verified that the member is locked, and how it was found.
    Locked(Held),
    /// There is no lock of ours, which was read back.
    NotLocked {
        why: NotLocked,
        message: String,
    },
    /// Releasing without having been told to.
    Releasing(Cause),
    Released {
        gone: Gone,
        proof: Option<Proof>,
        unlocked_at: Timestamp,
        held: Option<Duration>,
    },
    /// The lock cannot be released for now; it is tried again.
    Trouble(String),
}

/// A lock that is held, and what must not change while it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Held {
    pub(in super::super) ours: Ours,
    pub(in super::super) applied: Option<OpTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum NotLocked {
    /// Not granted in time.
    Timeout,
    /// Somebody else has it, or asked for it too.
    Foreign,
    /// The member is not what it was when it was chosen, or refused.
    Unfit,
    /// There was no primary before the lock was asked for.
    NoPrimary,
    /// The primary was lost meanwhile.
    PrimaryLost,
    /// We were told to stop.
    Stopped,
    /// What is locked could not be remembered.
    Journal,
}

/// Why the guardian releases on its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum Cause {
    Deadline,
    /// The primary was lost, or the member is not what it was.
    Lost(String),
}

impl Login {
    pub(in super::super) fn of(access: &Access) -> Self {
        let uri = access.uri();
        let mechanism = uri.mechanism.map(|mechanism| match mechanism {
            Mechanism::ScramSha1 => "SCRAM-SHA-1",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::X509 => "MONGODB-X509",
        });
        Self {
            user: uri.user.clone(),
            password: uri.password.as_ref().map(|password| password.reveal().clone()),
            auth_source: uri.auth_source.clone(),
            mechanism: mechanism.map(str::to_owned),
            tls: uri.tls.as_ref().map(|tls| {
                (tls.ca_file.clone(), tls.certificate_key_file.clone(), tls.allow_invalid_certificates)
            }),
            application: access.application().to_owned(),
        }
    }

    pub(super) fn access(&self) -> Access {
        let mechanism = self.mechanism.as_deref().and_then(|name| match name {
            "SCRAM-SHA-1" => Some(Mechanism::ScramSha1),
            "SCRAM-SHA-256" => Some(Mechanism::ScramSha256),
            "MONGODB-X509" => Some(Mechanism::X509),
            _ => None,
        });
        let tls = self.tls.clone().map(|(ca_file, certificate_key_file, allow_invalid_certificates)| Tls {
            ca_file,
            certificate_key_file,
            allow_invalid_certificates,
        });
        let uri = MongoUri {
            seeds: Seeds::Hosts(Vec::new()),
            user: self.user.clone(),
            password: self.password.clone().map(Secret::new),
            auth_source: self.auth_source.clone(),
            mechanism,
            replica_set: None,
            tls,
        };
        Access::new(uri, &self.application)
    }
}

/// What the other side says.
pub(in super::super) struct Hearing(Lines<BufReader<OwnedReadHalf>>);

impl Hearing {
    pub(in super::super) fn new(half: OwnedReadHalf) -> Self {
        Self(BufReader::new(half).lines())
    }

    /// The next message; nothing when the other side is gone. Loses none when it is dropped while it waits.
    pub(in super::super) async fn next<T: DeserializeOwned>(&mut self) -> Option<T> {
        let line = self.0.next_line().await.ok().flatten()?;
        serde_json::from_str(&line).ok()
    }
}

/// What is said to the other side. That it is gone is seen by hearing, so that saying need not tell.
pub(in super::super) struct Speech(tokio::sync::Mutex<OwnedWriteHalf>);

impl Speech {
    pub(in super::super) fn new(half: OwnedWriteHalf) -> Self {
        Self(tokio::sync::Mutex::new(half))
    }

    pub(in super::super) async fn say<T: Serialize>(&self, message: &T) {
        let _ = timeout(TELL, self.put(message)).await;
    }

    async fn put<T: Serialize>(&self, message: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.0.lock().await.write_all(&line).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mongo_uri::Host;

    fn pair() -> (Speech, Hearing) {
        let (ours, theirs) = tokio::net::UnixStream::pair().unwrap();
        (Speech::new(ours.into_split().1), Hearing::new(theirs.into_split().0))
    }

    #[tokio::test]
    async fn what_is_said_is_heard_and_death_ends_it() {
        let (speech, mut hearing) = pair();
        for order in [Order::Lock, Order::Unlock, Order::CommandEnded, Order::Done] {
            speech.say(&order).await;
            assert_eq!(hearing.next::<Order>().await, Some(order));
        }
        let event = Event::NotLocked { why: NotLocked::Timeout, message: "a\nb \u{1f512}".into() };
        speech.say(&event).await;
        assert_eq!(hearing.next::<Event>().await, Some(event));
        drop(speech);
        assert_eq!(hearing.next::<Event>().await, None);
    }

    /// A supervisor that stands still must not hold up the unlock.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_one_that_does_not_listen() {
        let (speech, hearing) = pair();
        let long = Event::Trouble("x".repeat(1 << 20));
        let saying = speech.say(&long);
        assert!(tokio::time::timeout(Duration::from_secs(5), saying).await.is_ok());
        drop(hearing);
    }

    #[test]
    fn a_login_survives_the_way() {
        let uri = MongoUri {
            seeds: Seeds::Hosts(vec![Host { name: "a".into(), port: 1 }]),
            user: Some("u".into()),
            password: Some(Secret::new("p\"\\\n\u{e9}".into())),
            auth_source: "shop".into(),
            mechanism: Some(Mechanism::ScramSha256),
            replica_set: Some("rs0".into()),
            tls: Some(Tls {
                ca_file: Some("/ca".into()),
                certificate_key_file: Some("/key".into()),
                allow_invalid_certificates: true,
            }),
        };
        let sent = serde_json::to_string(&Login::of(&Access::new(uri.clone(), "infra snapshot"))).unwrap();
        let heard: Login = serde_json::from_str(&sent).unwrap();
        let access = heard.access();
        // Which members there are does not matter to a guardian, which is told the one.
        let expected = MongoUri { seeds: Seeds::Hosts(Vec::new()), replica_set: None, ..uri };
        assert_eq!((access.uri(), access.application()), (&expected, "infra snapshot"));
    }
}
