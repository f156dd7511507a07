//! AWS on loopback: `tests/emulator`, one for each test, started for it and ended with it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The account of the credentials in [`environment`], unless the emulator is started with another.
pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ACCESS_KEY: &str = "AKIAINFRATESTS000001";
pub(crate) const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// What stands in the managed secrets of clusters, and so is the password of the master in a stand-in.
pub(crate) const MASTER_PASSWORD: &str = "Master-of-the-emulator-1";

/// One call that the emulator got.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(crate) struct Call {
    pub(crate) service: String,
    pub(crate) action: String,
    /// Seconds since 1970.
    pub(crate) time: f64,
    pub(crate) status: u16,
    /// The parameters, of services that take them as forms.
    pub(crate) asked: BTreeMap<String, String>,
}

/// Credentials that `sts:AssumeRole` gave out.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Session {
    pub(crate) access_key: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    pub(crate) arn: String,
}

/// A running emulator: a process of its own.
pub(crate) struct Emulator {
    process: Pid,
    port: u16,
    account: String,
}

/// What starts emulators, for all tests of this process. They end with it, and it ends with us.
struct Starter {
    _child: Child,
    asked: ChildStdin,
    told: BufReader<ChildStdout>,
}

impl Starter {
    fn new() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator/emulator.py");
        let mut child = Command::new(python())
            .arg(script)
            .arg("--many")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (asked, told) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { _child: child, asked, told: BufReader::new(told) }
    }

    /// Its port and process.
    fn start(&mut self, variables: &Value) -> (u16, Pid) {
        writeln!(self.asked, "{variables}").unwrap();
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        let (port, process) =
            line.trim().split_once(' ').expect("an emulator tells its port; what stopped it is above");
        (port.parse().unwrap(), Pid::from_raw(process.parse().unwrap()))
    }
}

impl Emulator {
    pub(crate) fn start() -> Self {
        Self::start_with(ACCOUNT, &[])
    }

    /// With variables of its own, such as `EMULATOR_PRINCIPALS` (see emulator.py).
    pub(crate) fn start_with(account: &str, variables: &[(&str, &str)]) -> Self {
        static STARTER: Mutex<Option<Starter>> = Mutex::new(None);
        let mut all =
            BTreeMap::from([("MOTO_ACCOUNT_ID", account), ("EMULATOR_MASTER_PASSWORD", MASTER_PASSWORD)]);
        all.extend(variables.iter().copied());
        let mut starter = STARTER.lock().unwrap_or_else(PoisonError::into_inner);
        let (port, process) = starter.get_or_insert_with(Starter::new).start(&json!(all));
        Self { process, port, account: account.into() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn account(&self) -> &str {
        &self.account
    }

    /// Everything that was called since the start or [`Self::reset_calls`], in order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        serde_json::from_value(self.control("GET", "calls", &json!({}))).unwrap()
    }

    /// How often an action was called.
    pub(crate) fn count(&self, action: &str) -> usize {
        self.calls().iter().filter(|call| call.action == action).count()
    }

    pub(crate) fn reset_calls(&self) {
        self.post("reset-calls", &json!({}));
    }

    /// Credentials that belong to a session.
    pub(crate) fn session(&self, access_key: &str) -> Option<Session> {
        session(self.port, access_key)
    }

    /// Changes settings, such as `{"polls": 3, "delay_ms": 50}` (see store.py).
    pub(crate) fn settings(&self, changed: &Value) {
        self.post("settings", changed);
    }

    /// What only AWS itself does (see control.py).
    #[track_caller]
    pub(crate) fn post(&self, path: &str, asked: &Value) -> Value {
        self.control("POST", path, asked)
    }

    #[track_caller]
    fn control(&self, method: &str, path: &str, asked: &Value) -> Value {
        let (status, body) =
            request(self.port, method, &format!("/_emulator/{path}"), &[], asked.to_string().as_bytes());
        let body = String::from_utf8(body).unwrap();
        assert_eq!(status, 200, "{method} {path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Runs a script with boto3, which finds the emulator as `client("rds")`: another hand on the same account. What it
    /// prints is returned.
    #[track_caller]
    pub(crate) fn boto3(&self, script: &str) -> String {
        boto3(&self.url(), script)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = kill(self.process, Signal::SIGKILL);
    }
}

/// Credentials that belong to a session of the emulator on this port.
pub(crate) fn session(port: u16, access_key: &str) -> Option<Session> {
    let (_, body) = request(port, "GET", "/_emulator/sessions", &[], b"{}");
    let sessions: Vec<Session> = serde_json::from_slice(&body).unwrap();
    sessions.into_iter().find(|session| session.access_key == access_key)
}

/// What a client of the emulator has in its environment. Nothing of this machine's own configuration comes through.
pub(crate) fn environment(url: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
        ("AWS_REGION", REGION.into()),
        ("AWS_DEFAULT_REGION", REGION.into()),
        ("AWS_ENDPOINT_URL", url.into()),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("AWS_CONFIG_FILE", "/dev/null".into()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into()),
        ("NO_PROXY", "127.0.0.1".into()),
    ]
}

/// Runs a script with boto3 against a URL (the emulator's or a proxy's).
#[track_caller]
pub(crate) fn boto3(url: &str, script: &str) -> String {
    let head = "import boto3, json\nfrom botocore.config import Config\nfrom botocore.exceptions import ClientError\n\
                def client(name, **more):\n    return boto3.client(name, config=Config(retries={'total_max_attempts': 1}), **more)\n";
    let mut command = Command::new(python());
    command.args(["-c", &format!("{head}{script}")]).env_clear().env("PATH", "/usr/bin:/bin");
    let output = command.envs(environment(url)).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Where a cluster is reached: as `Region.host` in tests/emulator/store.py has it.
pub(crate) fn writer_endpoint(account: &str, region: &str, cluster: &str) -> String {
    host(account, region, &format!("{cluster}.cluster-"))
}

pub(crate) fn reader_endpoint(account: &str, region: &str, cluster: &str) -> String {
    host(account, region, &format!("{cluster}.cluster-ro-"))
}

pub(crate) fn instance_endpoint(account: &str, region: &str, instance: &str) -> String {
    host(account, region, &format!("{instance}."))
}

fn host(account: &str, region: &str, start: &str) -> String {
    let digest = Sha256::digest(format!("{account}/{region}"));
    let digits = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    format!("{start}c{}.{region}.rds.amazonaws.com", &digits[..11])
}

/// The Python that has moto and boto3.
pub(crate) fn python() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-servers/venv/bin/python");
    let told = std::env::var_os("INFRA_TEST_PYTHON").map(PathBuf::from);
    told.into_iter().chain([unpacked]).find(|python| python.exists()).unwrap_or_else(|| {
        panic!("no Python with moto and boto3 to test with: run sh tests/run.sh, or set INFRA_TEST_PYTHON")
    })
}

/// One HTTP request on loopback, on a connection of its own: status and body.
pub(crate) fn request(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n").unwrap();
    for (name, value) in headers {
        write!(stream, "{name}: {value}\r\n").unwrap();
    }
    write!(stream, "Content-Length: {}\r\n\r\n", body.len()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an HTTP answer");
    let status = std::str::from_utf8(&answer[..end]).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer[end + 4..].to_vec())
}
