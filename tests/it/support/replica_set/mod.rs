//! A real replica set on loopback, with authentication by a key file.

pub(crate) mod log;
pub(crate) mod member;
mod questions;
pub(crate) mod restore;
pub(crate) mod runtime;
pub(crate) mod shared;
pub(crate) mod tcp_proxy;
pub(crate) mod writer;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
};

use mongodb::{
    Client,
    bson::{Document, doc},
};

pub(crate) use member::Member;
pub(crate) use questions::{until, within};

pub(crate) const SET: &str = "rs0";
/// May everything. Its password has what must be escaped in a connection string.
pub(crate) const ROOT: (&str, &str) = ("admin", "r00t:of/the@tests");
/// May just what a snapshot takes.
pub(crate) const SNAPSHOT: (&str, &str) = ("infra_snapshot", "sn@p/5ecret:of?99%");
/// The cluster actions of its role.
pub(crate) const ACTIONS: [&str; 5] = ["fsync", "unlock", "inprog", "replSetGetStatus", "replSetGetConfig"];

/// What set is wanted.
#[derive(Clone)]
pub(crate) struct Layout {
    version: &'static str,
    members: Vec<Document>,
    proxied: Vec<usize>,
    tls: bool,
    arguments: Vec<String>,
}

impl Layout {
    /// So many equal members, of 6.0.5.
    pub(crate) fn of(members: usize) -> Self {
        Self {
            version: "6.0.5",
            members: vec![Document::new(); members],
            proxied: Vec::new(),
            tls: false,
            arguments: Vec::new(),
        }
    }

    pub(crate) fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// What the configuration says of this member, such as `{hidden: true, priority: 0}`.
    pub(crate) fn member(mut self, member: usize, configuration: Document) -> Self {
        self.members[member].extend(configuration);
        self
    }

    /// Everybody reaches this member through a [`tcp_proxy::TcpProxy`].
    pub(crate) fn proxied(mut self, member: usize) -> Self {
        self.proxied.push(member);
        self
    }

    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Of each mongod, such as `--syncdelay=1`.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// [`ReplicaSet::block`] works: mongod takes the commands of its own tests.
    pub(crate) fn blockable(self) -> Self {
        self.argument("--setParameter=enableTestCommands=1")
    }

    /// Comes back when the first member is primary and all others are secondaries, or arbiters.
    pub(crate) fn start(&self) -> ReplicaSet {
        ReplicaSet::start(self)
    }
}

/// Ended and removed when it is dropped, or when the tests end.
pub(crate) struct ReplicaSet {
    pub(crate) members: Vec<Member>,
    pub(crate) version: &'static str,
    clients: Mutex<BTreeMap<(usize, String), Client>>,
    tls: bool,
    folder: tempfile::TempDir,
}

impl ReplicaSet {
    fn start(layout: &Layout) -> Self {
        let folder = tempfile::Builder::new().prefix("infra-mongo-").tempdir().unwrap();
        member::ends_with_us(&format!("folder {}", folder.path().display()));
        let key = folder.path().join("key");
        fs::write(&key, "onlyForTests0000").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
        let mut arguments: Vec<String> = vec!["--replSet".into(), SET.into(), "--keyFile".into()];
        arguments.push(key.display().to_string());
        arguments.extend(["--oplogSize".into(), "200".into()]);
        arguments.extend(layout.arguments.clone());
        if layout.tls {
            certify(folder.path());
            let path = |name: &str| folder.path().join(name).display().to_string();
            arguments.extend([
                "--tlsMode".into(),
                "requireTLS".into(),
                "--tlsAllowConnectionsWithoutCertificates".into(),
            ]);
            arguments.extend(["--tlsCAFile".into(), path("ca.pem")]);
            arguments.extend(["--tlsCertificateKeyFile".into(), path("member.pem")]);
        }
        let members = layout.members.iter().enumerate().map(|(at, configuration)| {
            let folder = folder.path().join(at.to_string());
            let mut member =
                Member::new(layout.version, folder, arguments.clone(), layout.proxied.contains(&at));
            member.arbiter = configuration.get_bool("arbiterOnly").unwrap_or(false);
            member.launch();
            member
        });
        let members: Vec<Member> = members.collect();
        let set =
            Self { members, version: layout.version, clients: Mutex::default(), tls: layout.tls, folder };
        for member in &set.members {
            member.await_listening();
        }
        set.initiate(layout);
        set
    }

    /// The first alone becomes primary at once and makes the users; then the others come.
    fn initiate(&self, layout: &Layout) {
        let member = |at: usize| {
            let mut member = doc! {"_id": i32::try_from(at).unwrap(), "host": &self.members[at].host};
            member.extend(layout.members[at].clone());
            member
        };
        // Everybody follows the primary, so that none is ever behind because of another's lock.
        let settings = doc! {"chainingAllowed": false};
        let alone = doc! {"_id": SET, "version": 1, "members": [member(0)], "settings": settings.clone()};
        self.run_as(None, 0, doc! {"replSetInitiate": alone});
        until("the first member is primary", || {
            self.try_run_as(None, 0, doc! {"hello": 1})
                .is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false))
        });
        let (name, password) = ROOT;
        self.run_as(None, 0, doc! {"createUser": name, "pwd": password, "roles": ["root"]});
        self.make_user(SNAPSHOT, &ACTIONS);
        if self.members.iter().any(|member| member.arbiter) {
            self.run(0, doc! {"setDefaultRWConcern": 1, "defaultWriteConcern": {"w": 1}});
        }
        if self.members.len() > 1 {
            let members: Vec<Document> = (0..self.members.len()).map(member).collect();
            let all = doc! {"_id": SET, "version": 2, "members": members, "settings": settings};
            self.run(0, doc! {"replSetReconfig": all, "force": true});
        }
        self.until_healthy();
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// For a user of the set, with all members in it.
    pub(crate) fn uri(&self, user: (&str, &str)) -> String {
        let hosts: Vec<&str> = self.members.iter().map(|member| member.host.as_str()).collect();
        let tls = if self.tls {
            format!("&tls=true&tlsCAFile={}", self.ca_file().display())
        } else {
            String::new()
        };
        format!("mongodb://{}:{}@{}/admin?replicaSet={SET}{tls}", user.0, escaped(user.1), hosts.join(","))
    }
}

/// As a connection string wants it.
pub(crate) fn escaped(text: &str) -> String {
    let escape = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(escape).collect()
}

/// An authority, and one certificate for all members.
fn certify(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
    let authority =
        ["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Authority of the tests"];
    openssl(&[&authority[..], &key].concat());
    let request =
        ["req", "-new", "-keyout", "member.key", "-out", "member.csr", "-subj", "/O=tests/CN=member"];
    openssl(&[&request[..], &key].concat());
    fs::write(folder.join("extensions"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    let sign = ["x509", "-req", "-in", "member.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    openssl(&[&sign[..], &["-days", "30", "-extfile", "extensions", "-out", "member.crt"]].concat());
    let pair = ["member.crt", "member.key"].map(|name| fs::read(folder.join(name)).unwrap());
    fs::write(folder.join("member.pem"), pair.concat()).unwrap();
}
