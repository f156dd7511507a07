//! An account of AWS on loopback, and a project that is to be in it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::sandbox::{Ran, binary};

pub(crate) const ACCOUNT: &str = "123456789012";
/// Users and roles that exist beforehand.
const PRINCIPALS: [&str; 3] = [
    "arn:aws:iam::123456789012:user/ana",
    "arn:aws:iam::123456789012:role/engineering/esi",
    "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef",
];

/// What scripts of tests begin with.
const PRELUDE: &str = r#"
import json, sys, urllib.request
import boto3
url, asked = sys.argv[1], json.loads(sys.argv[2])
of = lambda service: boto3.client(service, endpoint_url=url, region_name="eu-central-1",
                                  aws_access_key_id="test", aws_secret_access_key="test")
def emulator(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{url}/_emulator/{path}", data) as answer:
        return json.load(answer)
answer = None
"#;

/// A Python that has moto, boto3 and parliament: what `tests/run.sh` says, or what it left earlier.
pub(crate) fn python() -> PathBuf {
    let left = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-servers/venv/bin/python");
    let told = std::env::var_os("INFRA_TEST_PYTHON").map(PathBuf::from);
    told.into_iter().chain([left]).find(|python| python.exists()).unwrap_or_else(|| {
        panic!("no Python to test with: run sh tests/run.sh, or set INFRA_TEST_PYTHON to one with moto, boto3 and parliament")
    })
}

pub(crate) struct Cloud {
    emulator: Child,
    pub(crate) url: String,
    folder: tempfile::TempDir,
}

impl Cloud {
    pub(crate) fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulator/emulator.py");
        let mut emulator = Command::new(python())
            .arg(script)
            .arg("0")
            .env("EMULATOR_PRINCIPALS", PRINCIPALS.join(","))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(emulator.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
        let url = format!("http://127.0.0.1:{}", port.trim());
        Self { emulator, url, folder: tempfile::tempdir().unwrap() }
    }

    /// Runs a script as another client of the same account; what it leaves in `answer` is the answer.
    #[track_caller]
    pub(crate) fn script(&self, script: &str, asked: &Value) -> Value {
        let whole = format!("{PRELUDE}{script}\nprint(json.dumps(answer, default=str))\n");
        let output =
            Command::new(python()).args(["-c", &whole, &self.url, &asked.to_string()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn settings(&self, settings: &Value) {
        self.script("emulator('settings', asked)", settings);
    }

    /// The calls since the last time, as `service:Action`.
    pub(crate) fn calls(&self) -> Vec<String> {
        let script = "answer = [f\"{call['service']}:{call['action']}\" for call in emulator('calls')]\nemulator('reset-calls', {})";
        let calls = self.script(script, &Value::Null);
        calls.as_array().unwrap().iter().map(|call| call.as_str().unwrap().to_owned()).collect()
    }

    /// Declares the environment `prod`, but for its platform.
    pub(crate) fn declare(&self, yaml: &str) {
        let platform =
            json!({ "aws": { "account": ACCOUNT, "region": "eu-central-1", "endpoint_url": self.url } });
        let folder = self.folder.path().join("environments/prod");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("environment.yaml"), format!("platform: {platform}\n{yaml}")).unwrap();
    }

    #[must_use = "look at the exit code or the output"]
    pub(crate) fn infra(&self, arguments: &[&str]) -> Ran {
        let output = Command::new(binary())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.folder.path())
            .env("INFRA_ENV", "prod")
            .env("INFRA_POLL_MILLISECONDS", "100")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .current_dir(self.folder.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // It ends when its stdin does; and is waited for, so that nothing is left behind.
        if let Some(mut stdin) = self.emulator.stdin.take() {
            let _ = stdin.flush();
        }
        let _ = self.emulator.wait();
    }
}
