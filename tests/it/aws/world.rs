//! An environment in a region of its own of an emulated account, with the proxy of faults between it and AWS; and what
//! another client finds there.

mod cycle;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{
    emulator::{ACCOUNT, Emulator, environment, python},
    fault_proxy::{Fault, FaultProxy, Moment, Seen, When},
    sandbox::{Ran, binary},
};

pub(super) use cycle::{PHASES, PRINCIPALS, Undisturbed};

/// Longer than any run that goes on may take; the product itself would wait for hours.
const HUNG: Duration = Duration::from_secs(100);

/// Regions that worlds are in: what is in one is not in the way of another.
pub(super) const REGIONS: [&str; 12] = [
    "eu-central-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eu-north-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
];

/// What is there at one moment.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Looked {
    /// Without ids and times.
    pub(super) estate: Value,
    pub(super) ids: BTreeMap<String, String>,
    /// The resource ids of the clusters that they are of.
    pub(super) snapshots: Vec<String>,
    pub(super) writers: Vec<String>,
}

/// Another client, which is asked many times.
struct Looker {
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
}

impl Looker {
    fn new(url: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/aws/world/look.py");
        let mut command = Command::new(python());
        command.arg(script).arg(url).env_clear().env("PATH", "/usr/bin:/bin").envs(environment(url));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (ask, answer) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, ask, answer }
    }

    fn look(&mut self, region: &str, environment: &str) -> Looked {
        writeln!(self.ask, "{}", json!({"region": region, "environment": environment})).unwrap();
        let mut line = String::new();
        self.answer.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("an answer; what stopped the script is above")
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a run ended, and what it had called by then.
#[derive(Debug)]
pub(super) struct Ended {
    /// None: it was killed.
    pub(super) ran: Option<Ran>,
    pub(super) calls: Vec<Seen>,
    pub(super) struck: Vec<(Seen, Fault)>,
    /// Calls that AWS said yes to.
    pub(super) carried_out: Vec<Seen>,
}

impl Ended {
    #[track_caller]
    pub(super) fn expect(self, code: i32) -> Self {
        let ran = self.ran.as_ref().expect("it was not killed");
        assert_eq!(ran.code, code, "stdout:\n{}\nstderr:\n{}", ran.stdout, ran.stderr);
        self
    }
}

/// What is done to a run.
#[derive(Debug)]
pub(super) enum Trouble {
    None,
    Faults(Vec<(When, Fault)>),
    Kill(When, Moment),
}

/// An emulator, and the client that looks at it.
pub(super) struct Cloud {
    emulator: Emulator,
    looker: Arc<Mutex<Looker>>,
}

impl Cloud {
    pub(super) fn start() -> Self {
        let emulator = Emulator::start_with(ACCOUNT, &[("EMULATOR_PRINCIPALS", PRINCIPALS)]);
        emulator.settings(&json!({"polls": 1}));
        let looker = Arc::new(Mutex::new(Looker::new(&emulator.url())));
        Self { emulator, looker }
    }

    /// Every change is under way for so many looks.
    pub(super) fn slow(polls: u32) -> Self {
        let cloud = Self::start();
        cloud.emulator.settings(&json!({"polls": polls}));
        cloud
    }
}

pub(super) struct World {
    proxy: FaultProxy,
    folder: tempfile::TempDir,
    pub(super) environment: String,
    region: &'static str,
    looker: Arc<Mutex<Looker>>,
    targets: Vec<&'static str>,
    head: String,
}

impl World {
    pub(super) fn new(cloud: &Cloud, region: &'static str) -> Self {
        let Cloud { emulator, looker } = cloud;
        let head = format!(
            "platform: {{aws: {{account: \"{}\", region: {region}}}}}\n\
             workload_identity: {{irsa: {{oidc_provider: oidc.example.com/id/ABC123}}}}\n",
            emulator.account()
        );
        Self {
            proxy: FaultProxy::start(emulator.port()),
            folder: tempfile::tempdir().unwrap(),
            environment: format!("at-{region}"),
            region,
            looker: looker.clone(),
            targets: vec!["aurora_*", "iam_role.*"],
            head,
        }
    }

    /// One with a Postgres behind its cluster: everything is applied.
    pub(super) fn with_postgres(self) -> Self {
        Self { targets: Vec::new(), ..self }
    }

    pub(super) fn write(&self, yaml: &str) {
        let folder = self.folder.path().join("environments").join(&self.environment);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("environment.yaml"), format!("{}{yaml}", self.head)).unwrap();
    }

    fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().envs(environment(&self.proxy.url())).env("PATH", "/usr/bin:/bin");
        command.env("HOME", self.folder.path()).env("INFRA_ENV", &self.environment);
        command.env("INFRA_POLL_MILLISECONDS", "10").stdin(Stdio::null());
        // A server notices only after a moment that the client of a session was killed.
        command.env("INFRA_LOCK_TIMEOUT", "10s");
        command.current_dir(self.folder.path()).arg(verb).args(arguments);
        if verb != "destroy" {
            command.args(self.targets.iter().map(|target| format!("--target={target}")));
        }
        command
    }

    /// Runs to its end, or until it is killed. A run that hangs fails the test.
    #[track_caller]
    pub(super) fn run(&self, verb: &str, trouble: &Trouble) -> Ended {
        let arguments: &[&str] = match verb {
            "plan" => &["--detailed-exitcode"],
            _ => &["--auto-approve", "--allow-destroy=all"],
        };
        self.proxy.reset();
        let victim: Arc<Mutex<Option<Pid>>> = Arc::default();
        match trouble {
            Trouble::None => {}
            Trouble::Faults(faults) => {
                for (when, fault) in faults {
                    self.proxy.inject(when.clone(), fault.clone());
                }
            }
            Trouble::Kill(when, moment) => {
                let victim = victim.clone();
                let hook = move |_: &Seen| {
                    // Once dead it stays so, whatever this number becomes later.
                    if let Some(pid) = victim.lock().unwrap().take() {
                        kill(pid, Signal::SIGKILL).unwrap();
                    }
                };
                self.proxy.hook(when.clone(), *moment, Box::new(hook));
            }
        }
        let mut locked = victim.lock().unwrap();
        let mut command = self.command(verb, arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(child.id().try_into().unwrap());
        *locked = Some(pid);
        drop(locked);
        let (tell, told) = mpsc::channel();
        thread::spawn(move || tell.send(child.wait_with_output().unwrap()));
        let output = told.recv_timeout(HUNG).unwrap_or_else(|_| {
            kill(pid, Signal::SIGKILL).unwrap();
            let output = told.recv().unwrap();
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            panic!(
                "{verb} hangs; last calls {:?}\n{out}\n{err}",
                self.proxy.calls().iter().rev().take(5).collect::<Vec<_>>()
            )
        });
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = output.status.code().map(|code| Ran {
            code,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        });
        let killed = matches!(trouble, Trouble::Kill(..)) && victim.lock().unwrap().is_none();
        assert_eq!(ran.is_none(), killed, "{verb} ended by another signal");
        Ended {
            ran,
            calls: self.proxy.calls(),
            struck: self.proxy.struck(),
            carried_out: self.proxy.carried_out(),
        }
    }

    pub(super) fn look(&self) -> Looked {
        self.looker.lock().unwrap().look(self.region, &self.environment)
    }
}
