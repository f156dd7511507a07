//! A real Postgres that stands for an Aurora cluster: TLS for the names of the endpoints, members of `rds_iam` judged by
//! the verifier over LDAP, everybody else by password, nobody without TLS.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, Uid, User},
};

/// The master user, as `master_username` has it.
pub(crate) const MASTER: &str = "infra_master";

const START: Duration = Duration::from_secs(30);

/// The roles of Aurora; see `src/providers/local/bootstrap.sql`. What infra makes itself on Aurora is not here.
const ROLES: &str = "
CREATE ROLE rds_superuser NOLOGIN;
CREATE ROLE rds_iam NOLOGIN;
CREATE ROLE rds_password NOLOGIN;
CREATE ROLE rds_replication NOLOGIN;
CREATE ROLE rds_ad NOLOGIN;
GRANT pg_monitor, pg_signal_backend TO rds_superuser WITH ADMIN OPTION;
CREATE ROLE infra_master LOGIN NOSUPERUSER INHERIT CREATEDB CREATEROLE NOREPLICATION;
GRANT rds_superuser TO infra_master WITH ADMIN OPTION;
ALTER DATABASE postgres OWNER TO infra_master;
CREATE DATABASE rdsadmin;
REVOKE ALL ON DATABASE rdsadmin FROM PUBLIC;
";
/// From 16 on, CREATEROLE alone does not let a role grant another one.
const ROLES_16: &str = "GRANT rds_iam, rds_password, rds_replication, rds_ad TO rds_superuser WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;";

/// Removed with everything when it goes.
pub(crate) struct StandIn {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    server: Child,
    port: u16,
    major: u32,
}

/// What a stand-in is started with.
pub(crate) struct Options<'a> {
    /// The names its certificate is for.
    pub(crate) hosts: &'a [String],
    pub(crate) master_password: &'a str,
    /// Where the verifier listens.
    pub(crate) ldap_port: u16,
    pub(crate) parameters: &'a [(&'a str, &'a str)],
}

impl StandIn {
    pub(crate) fn start(options: &Options<'_>) -> Self {
        let (binaries, major) = with_ldap();
        let folder = tempfile::tempdir().unwrap();
        // The server's account must be able to go through.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        certify(folder.path(), options.hosts);
        for name in ["data", "socket"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            give(&folder.path().join(name), 0o700);
        }
        let data = folder.path().join("data");
        let mut initdb = as_account(&binaries.join("initdb"), folder.path());
        initdb.args(["-U", "rdsadmin", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"]);
        run(initdb.arg(&data));
        for name in ["server.key", "server.pem"] {
            fs::copy(folder.path().join(name), data.join(name)).unwrap();
            give(&data.join(name), 0o600);
        }
        fs::write(data.join("pg_hba.conf"), access(options.ldap_port)).unwrap();
        let mut port = free_port();
        let mut server = launch(&binaries, folder.path(), port, options.parameters);
        for _ in 0..3 {
            if is_up(&mut server, &binaries, folder.path(), port) {
                break;
            }
            // Somebody else took the port in between.
            port = free_port();
            server = launch(&binaries, folder.path(), port, options.parameters);
        }
        let stand_in = Self { folder, binaries, server, port, major };
        stand_in.superuser("postgres", ROLES);
        if major >= 16 {
            stand_in.superuser("postgres", ROLES_16);
        }
        let password = options.master_password.replace('\'', "''");
        stand_in.superuser("postgres", &format!("ALTER ROLE {MASTER} PASSWORD '{password}'"));
        stand_in
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The major version, which a cluster that is declared for it must have too.
    pub(crate) fn major(&self) -> u32 {
        self.major
    }

    /// What signed the server's certificate.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What the server itself has to say.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap()
    }

    /// Runs statements as the bootstrap superuser, for whom alone the private socket is. Answers with rows, whose columns
    /// are separated by `|`.
    #[track_caller]
    pub(crate) fn superuser(&self, database: &str, sql: &str) -> String {
        let socket = self.folder.path().join("socket");
        let target = format!("host={} port={} user=rdsadmin dbname={database}", socket.display(), self.port);
        self.psql(&target, "", sql).unwrap()
    }

    /// Logs in as an application does, over TLS under one of its names, and runs statements. The error is psql's.
    pub(crate) fn login(&self, host: &str, user: &str, password: &str, sql: &str) -> Result<String, String> {
        self.login_to("postgres", host, user, password, sql)
    }

    pub(crate) fn login_to(
        &self,
        database: &str,
        host: &str,
        user: &str,
        password: &str,
        sql: &str,
    ) -> Result<String, String> {
        let target = format!(
            "host={host} hostaddr=127.0.0.1 port={} user={user} dbname={database} sslmode=verify-full sslrootcert={}",
            self.port,
            self.ca_file().display()
        );
        self.psql(&target, password, sql)
    }

    fn psql(&self, target: &str, password: &str, sql: &str) -> Result<String, String> {
        let mut child = Command::new(self.binaries.join("psql"))
            .args(["-XAtq", "-w", "-v", "ON_ERROR_STOP=1", "-d", target, "-f", "-"])
            .env_clear()
            .env("PGPASSWORD", password)
            .env("PGCONNECT_TIMEOUT", "20")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A refused login does not read what it is told.
        let _ = child.stdin.take().unwrap().write_all(sql.as_bytes());
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout).unwrap().trim_end().to_owned())
        } else {
            Err(String::from_utf8(output.stderr).unwrap())
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // Immediate shutdown: nothing of it is kept.
        let _ = kill(Pid::from_raw(self.server.id().try_into().unwrap()), Signal::SIGQUIT);
        let _ = self.server.wait();
    }
}

fn access(ldap_port: u16) -> String {
    format!(
        "local all rdsadmin trust\n\
         hostssl rdsadmin all 127.0.0.1/32 reject\n\
         hostssl all +rds_iam 127.0.0.1/32 ldap ldapserver=127.0.0.1 ldapport={ldap_port} ldapprefix=\"uid=\" ldapsuffix=\",dc=x\"\n\
         hostssl all all 127.0.0.1/32 scram-sha-256\n"
    )
}

/// The system's newest PostgreSQL that was built with LDAP, and its major version. What npm has was not.
fn with_ldap() -> (PathBuf, u32) {
    let mut majors: Vec<u32> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    majors.sort_unstable();
    for major in majors.into_iter().rev() {
        let binaries = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
        let Ok(output) = Command::new(binaries.join("pg_config")).arg("--configure").output() else {
            continue;
        };
        if binaries.join("initdb").exists() && String::from_utf8_lossy(&output.stdout).contains("--with-ldap")
        {
            return (binaries, major);
        }
    }
    panic!(
        "no PostgreSQL with LDAP under /usr/lib/postgresql: run sh tests/run.sh, or install Debian's package postgresql"
    )
}

/// Root hands the server to an unprivileged account, because Postgres does not run as root.
fn account() -> Option<User> {
    let known = || ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    Uid::effective().is_root().then(|| known().expect("a user postgres or nobody"))
}

fn as_account(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder).stdin(Stdio::null());
    if let Some(user) = account() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

fn give(path: &Path, mode: u32) {
    if let Some(user) = account() {
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn launch(binaries: &Path, folder: &Path, port: u16, parameters: &[(&str, &str)]) -> Child {
    let socket = folder.join("socket");
    let log = fs::File::create(folder.join("server.log")).unwrap();
    let mut command = as_account(&binaries.join("postgres"), folder);
    command.arg("-D").arg(folder.join("data"));
    let port = port.to_string();
    let own = [
        ("listen_addresses", "127.0.0.1"),
        ("port", &port),
        ("unix_socket_directories", socket.to_str().unwrap()),
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("shared_buffers", "32MB"),
        ("password_encryption", "scram-sha-256"),
        ("ssl", "on"),
        ("ssl_cert_file", "server.pem"),
        ("ssl_key_file", "server.key"),
    ];
    for (name, value) in own.iter().chain(parameters) {
        command.args(["-c", &format!("{name}={value}")]);
    }
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// False when the server ended because the port was taken; any other end fails the test.
fn is_up(server: &mut Child, binaries: &Path, folder: &Path, port: u16) -> bool {
    let deadline = Instant::now() + START;
    loop {
        let log = || fs::read_to_string(folder.join("server.log")).unwrap();
        if server.try_wait().unwrap().is_some() {
            let log = log();
            assert!(log.contains("Address already in use"), "{log}");
            return false;
        }
        let mut ready = Command::new(binaries.join("pg_isready"));
        ready.args(["-q", "-p", &port.to_string(), "-h"]).arg(folder.join("socket"));
        if ready.status().unwrap().success() {
            return true;
        }
        assert!(Instant::now() < deadline, "the stand-in does not start: {}", log());
        thread::sleep(Duration::from_millis(30));
    }
}

/// An authority of its own, and a certificate for the names, in `ca.pem`, `server.pem` and `server.key`.
fn certify(folder: &Path, hosts: &[String]) {
    let openssl = || {
        let mut command = Command::new("openssl");
        command.current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority =
        ["-keyout", "ca.key", "-out", "ca.pem", "-days", "30", "-subj", "/CN=Authority of the tests"];
    run(openssl().args(["req", "-x509"]).args(key).args(authority));
    let request = ["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=stand-in"];
    run(openssl().args(["req", "-new"]).args(key).args(request));
    let names: Vec<String> = hosts.iter().map(|host| format!("DNS:{host}")).collect();
    let extensions = format!(
        "subjectAltName={}\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\n",
        names.join(",")
    );
    fs::write(folder.join("extensions"), extensions).unwrap();
    run(openssl()
        .args(["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"])
        .args(["-days", "30", "-extfile", "extensions", "-out", "server.pem"]));
}
