//! A real Postgres that lets logins in as Aurora does: members of `rds_iam` by a token that is checked, everybody else by
//! password, all of them over TLS only. Tokens are checked by a small LDAP server, because that way Postgres hands on
//! passwords of any length.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use nix::unistd::{Uid, User, chown};
use sha2::{Digest as _, Sha256};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::support::postgres;

pub(super) const HOST: &str = "main.cluster-c1abcdefghij.eu-central-1.rds.amazonaws.com";
pub(super) const PORT: u16 = 5432;
pub(super) const REGION: &str = "eu-central-1";
pub(super) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(super) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(super) const MASTER_PASSWORD: &str = "canary master ' password";

/// What the verifier lets in beside tokens being right.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// Logins of these are refused, whatever they show.
    pub(super) refused: BTreeSet<String>,
    /// While this one is a member of `rds_iam`, `infra_admin` is refused.
    pub(super) shut_by: Option<String>,
    /// User and verdict of every attempt.
    pub(super) seen: Vec<(String, Result<(), String>)>,
    /// Every token that was shown.
    pub(super) tokens: Vec<String>,
}

pub(super) struct StandIn {
    pub(super) port: u16,
    pub(super) policy: Arc<Mutex<Policy>>,
    folder: tempfile::TempDir,
    programs: PathBuf,
}

impl StandIn {
    pub(super) async fn new(major: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("stand-in-").tempdir_in("/tmp").unwrap();
        give(folder.path());
        let stand_in = Self { port: free_port(), policy: Arc::default(), folder, programs: postgres(major) };
        stand_in.certificates();
        let data = stand_in.path("data");
        stand_in.run("initdb", &["-D", &data, "-U", "rdsadmin", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        let verifier = stand_in.verify();
        let hba = format!(
            "local all rdsadmin trust\n\
             hostssl all +rds_iam 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport={verifier} ldapprefix=\"user=\"\n\
             hostssl all all 127.0.0.1/32 scram-sha-256\n"
        );
        fs::write(Path::new(&data).join("pg_hba.conf"), hba).unwrap();
        let conf = format!(
            "port = {}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\nssl = on\n\
             ssl_cert_file = '{}'\nssl_key_file = '{}'\n",
            stand_in.port,
            stand_in.folder.path().display(),
            stand_in.path("server.pem"),
            stand_in.path("server.key"),
        );
        let mut file = fs::OpenOptions::new().append(true).open(format!("{data}/postgresql.conf")).unwrap();
        file.write_all(conf.as_bytes()).unwrap();
        stand_in.run("pg_ctl", &["start", "-w", "-s", "-D", &data, "-l", &stand_in.path("log")]);
        // What RDS itself makes.
        let sql = "CREATE ROLE rds_superuser NOLOGIN; CREATE ROLE rds_iam NOLOGIN; CREATE ROLE rds_password NOLOGIN; \
             GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION; \
             CREATE ROLE master LOGIN CREATEDB CREATEROLE PASSWORD 'canary master '' password'; \
             GRANT rds_superuser TO master WITH ADMIN OPTION; GRANT rds_iam, rds_password TO rds_superuser WITH ADMIN OPTION";
        // From 16 on a member with ADMIN alone is enough, and no member by inheritance.
        let newer = " ; REVOKE rds_iam, rds_password FROM rds_superuser; \
             GRANT rds_iam, rds_password TO rds_superuser WITH ADMIN TRUE, INHERIT FALSE, SET FALSE; ";
        let sql = if major == "15" {
            sql.replace("; GRANT rds_iam, rds_password TO rds_superuser WITH ADMIN OPTION", "")
        } else {
            format!("{sql}{newer}")
        };
        stand_in.sql(&sql).await;
        stand_in
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Runs a program of Postgres, as an unprivileged user where we are root.
    fn run(&self, program: &str, arguments: &[&str]) {
        let (success, said) = self.attempt(program, arguments);
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        assert!(success, "{program}: {said}\n{log}");
    }

    fn attempt(&self, program: &str, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(self.programs.join(program));
        command.args(arguments).current_dir(self.folder.path());
        if let Some(user) = unprivileged() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        // A server that keeps a pipe open would be waited for.
        let log = fs::File::create(self.folder.path().join(format!("{program}.out"))).unwrap();
        let status = command.stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
        let said = fs::read_to_string(self.folder.path().join(format!("{program}.out"))).unwrap();
        (status.success(), said)
    }

    /// An authority of its own, and a certificate for `HOST`.
    fn certificates(&self) {
        let script = format!(
            "set -e; cd '{}'; openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj '/CN=A test' \
             -addext basicConstraints=critical,CA:TRUE; \
             openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN={HOST}'; \
             printf 'subjectAltName=DNS:{HOST}\\nbasicConstraints=CA:FALSE\\n' >ext; \
             openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out server.pem; \
             chmod 600 server.key; chmod 644 ca.pem server.pem",
            self.folder.path().display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        give(&self.folder.path().join("server.key"));
    }

    /// As the one who may do everything, by the socket.
    pub(super) async fn sql(&self, sql: &str) {
        let mut session = self.superuser().await;
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut session).await.unwrap();
    }

    pub(super) async fn ask(&self, sql: &str) -> Option<String> {
        let mut session = self.superuser().await;
        let rows = crate::support::sandbox::sql(&mut session, sql).await.unwrap();
        rows.into_iter().next().and_then(|row| row.into_iter().next().flatten())
    }

    async fn superuser(&self) -> PgConnection {
        PgConnection::connect_with(&self.superuser_options()).await.unwrap()
    }

    fn superuser_options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(self.folder.path())
            .port(self.port)
            .username("rdsadmin")
            .database("postgres")
    }

    /// Starts what checks tokens; answers with its port.
    fn verify(&self) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (policy, superuser) = (self.policy.clone(), self.superuser_options());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), policy, superuser) = (stream, policy.clone(), superuser.clone()) else {
                    break;
                };
                std::thread::spawn(move || bind(stream, &policy, &superuser));
            }
        });
        port
    }
}

/// Whether a role is a member of `rds_iam` by now.
fn is_member(superuser: &PgConnectOptions, role: &str) -> bool {
    let sql = format!(
        "SELECT EXISTS (SELECT FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole AND member = to_regrole('{role}'))"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut session = PgConnection::connect_with(superuser).await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut session).await.unwrap()
    })
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.attempt("pg_ctl", &["stop", "-s", "-m", "immediate", "-D", &self.path("data")]);
    }
}

fn unprivileged() -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    ["postgres", "nobody"].iter().find_map(|name| User::from_name(name).unwrap())
}

fn give(path: &Path) {
    if let Some(user) = unprivileged() {
        chown(path, Some(user.uid), Some(user.gid)).unwrap();
    }
}

pub(super) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// One LDAP simple bind.
fn bind(mut stream: TcpStream, policy: &Mutex<Policy>, superuser: &PgConnectOptions) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let Some(message) = message(&mut stream) else { return };
    let (_, id, rest) = element(&message);
    let (_, request, _) = element(rest);
    let (_, _version, rest) = element(request);
    let (_, user, rest) = element(rest);
    let (_, token, _) = element(rest);
    let (user, token) =
        (String::from_utf8_lossy(user).replace("user=", ""), String::from_utf8_lossy(token).into_owned());
    let verdict = {
        let mut policy = policy.lock().unwrap();
        if user == "infra_admin" && policy.shut_by.as_ref().is_some_and(|role| is_member(superuser, role)) {
            policy.refused.insert(user.clone());
        } else if policy.shut_by.is_some() {
            policy.refused.remove(&user);
        }
        let mut verdict = verify(&token, &user, SystemTime::now());
        if policy.refused.contains(&user) {
            verdict = Err("refused by the test".into());
        }
        policy.tokens.push(token);
        policy.seen.push((user, verdict.clone()));
        verdict
    };
    // success or invalidCredentials
    let code = if verdict.is_ok() { 0 } else { 49 };
    let mut answer = vec![0x02, u8::try_from(id.len()).unwrap()];
    answer.extend(id);
    answer.extend([0x61, 7, 0x0a, 1, code, 4, 0, 4, 0]);
    let mut all = vec![0x30, u8::try_from(answer.len()).unwrap()];
    all.extend(answer);
    let _ = stream.write_all(&all);
    let _ = stream.read(&mut [0; 64]);
}

/// The content of the sequence that comes next.
fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut length = usize::from(head[1]);
    if length >= 0x80 {
        let mut bytes = vec![0; length - 0x80];
        stream.read_exact(&mut bytes).ok()?;
        length = bytes.iter().fold(0, |all, byte| all << 8 | usize::from(*byte));
    }
    let mut content = vec![0; length];
    stream.read_exact(&mut content).ok()?;
    Some(content)
}

/// One element of BER: its tag, its content, and what follows.
fn element(text: &[u8]) -> (u8, &[u8], &[u8]) {
    let (header, length) = match text[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let bytes = usize::from(long & 0x7f);
            (2 + bytes, text[2..2 + bytes].iter().fold(0, |all, byte| all << 8 | usize::from(*byte)))
        }
    };
    (text[0], &text[header..header + length], &text[header + length..])
}

/// Checks a token as RDS does: for this server, this user, not too old, and signed with our key.
fn verify(token: &str, user: &str, now: SystemTime) -> Result<(), String> {
    let (server, query) = token.split_once("/?").ok_or("this is no token")?;
    if server != format!("{HOST}:{PORT}") {
        return Err(format!("a token for {server}"));
    }
    let (signed, signature) = query.rsplit_once("&X-Amz-Signature=").ok_or("no signature at the end")?;
    let value = |name: &str| {
        let found = signed.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.map(decoded).ok_or_else(|| format!("no {name}"))
    };
    if (value("Action")?, value("DBUser")?) != ("connect".into(), user.into()) {
        return Err(format!("a token for {}", value("DBUser")?));
    }
    let scope = value("X-Amz-Credential")?;
    let [key, day, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
        return Err(format!("scope {scope}"));
    };
    if (key, region, service) != (ACCESS_KEY, REGION, "rds-db") {
        return Err(format!("scope {scope}"));
    }
    let date = value("X-Amz-Date")?;
    let made = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &date).map_err(|error| error.to_string())?;
    let made = jiff::tz::TimeZone::UTC.to_timestamp(made).unwrap().as_second();
    let made = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(made).unwrap());
    let lasts = Duration::from_secs(value("X-Amz-Expires")?.parse().map_err(|_| "no number")?);
    if lasts > Duration::from_mins(15) || now > made + lasts || made > now + Duration::from_mins(5) {
        return Err(format!("made at {date}"));
    }
    let mut pairs: Vec<&str> = signed.split('&').collect();
    pairs.sort_unstable();
    let canonical =
        format!("GET\n/\n{}\nhost:{server}\n\nhost\n{}", pairs.join("&"), hex(&Sha256::digest("")));
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{day}/{region}/{service}/aws4_request\n{}",
        hex(&Sha256::digest(canonical))
    );
    let key = [day, region, service, "aws4_request", &to_sign]
        .iter()
        .fold(format!("AWS4{SECRET_KEY}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    if hex(&key) == signature { Ok(()) } else { Err("signed by somebody else".into()) }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::digest([&padded(0x36)[..], text].concat());
    Sha256::digest([&padded(0x5c)[..], &inner].concat()).to_vec()
}
