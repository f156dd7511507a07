//! `infra snapshot`, started, watched, and judged when it has ended.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::{
        fs::{OpenOptionsExt as _, PermissionsExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::replica_set::{ROOT, ReplicaSet, SNAPSHOT, escaped, until, within};

/// A run that is not over then hangs.
const PATIENCE: Duration = Duration::from_mins(2);
/// Every process of a run has it in its environment, with a value of its own.
const MARK: &str = "INFRA_TEST_RUN";

/// A run that is to be started.
pub(super) struct Run<'a> {
    set: &'a ReplicaSet,
    pub(super) folder: Folder,
    pub(super) command: Command,
    mark: String,
    secrets: Vec<String>,
}

pub(super) enum Folder {
    Own(tempfile::TempDir),
    Shared(PathBuf),
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Shared(folder) => folder,
        }
    }
}

/// The snapshot command that most tests use: it takes a moment.
pub(super) const SHORT: &str = "sleep 0.3";

impl<'a> Run<'a> {
    /// With the least privileges, the connection string in a file, and a short snapshot command.
    pub(super) fn of(set: &'a ReplicaSet) -> Self {
        Self::with_uri(set, &set.uri(SNAPSHOT))
    }

    pub(super) fn with_uri(set: &'a ReplicaSet, uri: &str) -> Self {
        let run = Self::without_uri(set, Folder::Own(tempfile::tempdir().unwrap()));
        run.uri(uri)
    }

    /// Another run on the same machine: it has the same folder of state.
    pub(super) fn beside(set: &'a ReplicaSet, folder: &Path) -> Self {
        Self::without_uri(set, Folder::Shared(folder.to_owned())).uri(&set.uri(SNAPSHOT))
    }

    pub(super) fn without_uri(set: &'a ReplicaSet, folder: Folder) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mark = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut command = Command::new(env!("CARGO_BIN_EXE_infra"));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder.path()).env(MARK, &mark);
        command.current_dir(folder.path()).stdin(Stdio::null()).arg("snapshot");
        command.arg("--state-dir").arg(folder.path().join("state"));
        for (at, member) in set.members.iter().enumerate() {
            command.arg("--vm-host").arg(format!("{}=vm-{at}", member.host));
        }
        let secrets =
            [ROOT.1, SNAPSHOT.1].into_iter().flat_map(|secret| [secret.to_owned(), escaped(secret)]);
        Self { set, folder, command, mark, secrets: secrets.collect() }.script(SHORT)
    }

    fn uri(mut self, uri: &str) -> Self {
        let path = self.folder.path().join(format!("uri-{}", self.mark));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, uri.as_bytes()).unwrap();
        self.command.arg("--uri-file").arg(path);
        self
    }

    /// What runs while the member is locked; `$1` is `vm-` and the member's number. Says that it has begun.
    pub(super) fn script(self, body: &str) -> Self {
        let path = self.script_path();
        let text = format!("#!/bin/sh\necho \"$1\" >>'{}'\n{body}\n", self.began().display());
        // Written under another name, because what is open for writing cannot be run.
        fs::write(path.with_extension("new"), text).unwrap();
        fs::set_permissions(path.with_extension("new"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
        self
    }

    pub(super) fn script_path(&self) -> PathBuf {
        self.folder.path().join(format!("command-{}", self.mark))
    }

    fn began(&self) -> PathBuf {
        self.folder.path().join(format!("began-{}", self.mark))
    }

    pub(super) fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(super) fn member(self, member: usize) -> Self {
        let host = self.set.members[member].host.clone();
        self.args(&["--member", &host])
    }

    /// Neither shown nor in a process list.
    pub(super) fn secret(mut self, secret: &str) -> Self {
        self.secrets.extend([secret.to_owned(), escaped(secret)]);
        self
    }

    pub(super) fn start(self) -> Running<'a> {
        let script = self.script_path();
        self.start_with(&script)
    }

    pub(super) fn start_with(mut self, script: &Path) -> Running<'a> {
        let file = |name: &str| self.folder.path().join(format!("{name}-{}", self.mark));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        self.command.arg("--command").arg(script);
        self.command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let locks = self.set.lock_counts();
        let begun = Instant::now();
        let child = self.command.spawn().unwrap();
        let mut running = Running {
            child,
            begun,
            stdout,
            stderr,
            locks,
            command_lines: BTreeSet::new(),
            ended: None,
            run: self,
        };
        running.look();
        running
    }

    /// Starts it and waits for its end.
    #[track_caller]
    pub(super) fn finish(self) -> Ended<'a> {
        self.start().wait()
    }
}

pub(super) struct Running<'a> {
    run: Run<'a>,
    child: Child,
    begun: Instant,
    stdout: PathBuf,
    stderr: PathBuf,
    /// How often each member had been locked before.
    locks: Vec<usize>,
    command_lines: BTreeSet<String>,
    ended: Option<ExitStatus>,
}

impl<'a> Running<'a> {
    pub(super) fn folder(&self) -> &Path {
        self.run.folder.path()
    }

    pub(super) fn began(&self) -> bool {
        self.run.began().exists()
    }

    /// Waits until the snapshot command runs, and says which member is locked.
    #[track_caller]
    pub(super) fn locked(&mut self) -> usize {
        let began = self.run.began();
        until("the snapshot command runs", || {
            self.look();
            assert_eq!(self.ended, None, "ended before: {}", self.stderr());
            fs::read_to_string(&began).is_ok_and(|text| text.ends_with('\n'))
        });
        let text = fs::read_to_string(began).unwrap();
        let member = text.trim().strip_prefix("vm-").unwrap().parse().unwrap();
        assert!(
            self.run.set.lock(member).is_ok_and(|lock| lock.held),
            "the command runs, but {member} is not locked"
        );
        member
    }

    pub(super) fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    fn look(&mut self) {
        for process in self.processes() {
            self.command_lines.insert(process.line);
        }
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    pub(super) fn guardian(&self) -> Pid {
        let found = self.processes().into_iter().find(|process| process.line.contains("__guard"));
        found.expect("no guardian runs").pid
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.look();
        self.ended.is_some()
    }

    /// Waits for the end of the supervisor.
    #[track_caller]
    pub(super) fn wait(mut self) -> Ended<'a> {
        let begun = Instant::now();
        while !self.has_ended() {
            assert!(begun.elapsed() < PATIENCE, "it hangs: {}", self.stderr());
            thread::sleep(Duration::from_millis(5));
        }
        let took = self.begun.elapsed();
        let read = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
        let manifest = stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let status = self.ended.unwrap();
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        Ended { running: self, code, stdout, stderr, manifest: manifest.unwrap_or_default(), took }
    }

    /// All that belong to the run: supervisor, guardian, snapshot command.
    pub(super) fn processes(&self) -> Vec<Process> {
        marked(&format!("{MARK}={}", self.run.mark))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = kill(process.pid, Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    pub(super) line: String,
}

fn marked(mark: &str) -> Vec<Process> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // It may have ended in between.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            found.push(Process { pid: Pid::from_raw(pid), line });
        }
    }
    found
}

/// A run whose supervisor has ended.
pub(super) struct Ended<'a> {
    running: Running<'a>,
    /// The exit code, or minus the signal.
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// The last line of stdout, or null.
    pub(super) manifest: Value,
    pub(super) took: Duration,
}

impl Ended<'_> {
    /// It ended so; no member is locked, no process is left, nothing secret was told.
    #[track_caller]
    pub(super) fn clean(&self, code: i32) -> &Self {
        self.ended(code);
        self.gone();
        assert_eq!(self.running.run.set.locked(), Vec::<usize>::new(), "locked still: {}", self.stderr);
        self
    }

    /// It ended so, and nothing secret was told.
    #[track_caller]
    pub(super) fn ended(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for secret in &self.running.run.secrets {
            for text in [&self.stdout, &self.stderr].into_iter().chain(&self.running.command_lines) {
                assert!(!text.contains(secret), "a password is told: {text}");
            }
        }
        assert!(!self.running.command_lines.is_empty(), "no process was ever seen");
        self
    }

    /// No process is left, soon.
    #[track_caller]
    pub(super) fn gone(&self) -> &Self {
        let limit = Duration::from_secs(20);
        let left = || self.running.processes();
        let begun = Instant::now();
        while !left().is_empty() {
            assert!(begun.elapsed() < limit, "left: {:?}\n{}", left(), self.stderr);
            thread::sleep(Duration::from_millis(20));
        }
        self
    }

    /// How often each member was locked during the run, by whomever.
    pub(super) fn locks(&self) -> Vec<usize> {
        let now = self.running.run.set.lock_counts();
        now.iter().zip(&self.running.locks).map(|(now, before)| now - before).collect()
    }

    /// The snapshot command never ran, and no member was locked for a moment.
    #[track_caller]
    pub(super) fn untouched(&self) -> &Self {
        self.never_began();
        assert_eq!(self.locks().iter().sum::<usize>(), 0, "something was locked: {}", self.stderr);
        self
    }

    #[track_caller]
    pub(super) fn never_began(&self) -> &Self {
        assert!(!self.running.began(), "the command ran: {}", self.stderr);
        self
    }

    /// In what people read.
    #[track_caller]
    pub(super) fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "{text:?} is not in {}", self.stderr);
        self
    }

    /// A field of the manifest.
    #[track_caller]
    pub(super) fn holds(&self, field: &str, value: impl Into<Value>) -> &Self {
        assert_eq!(self.manifest[field], value.into(), "{field} of {:#}\n{}", self.manifest, self.stderr);
        self
    }

    pub(super) fn folder(&self) -> &Path {
        self.running.folder()
    }

    pub(super) fn processes(&self) -> Vec<Process> {
        self.running.processes()
    }

    /// The number of the member that was locked, as the manifest has it.
    pub(super) fn member(&self) -> usize {
        let members = &self.running.run.set.members;
        let member = members.iter().position(|member| self.manifest["member"] == *member.host);
        member.unwrap_or_else(|| panic!("no member in {:#}", self.manifest))
    }
}

impl ReplicaSet {
    pub(super) fn lock_counts(&self) -> Vec<usize> {
        (0..self.members.len()).map(|member| self.locks(member).len()).collect()
    }

    /// Soon nobody is locked.
    #[track_caller]
    pub(super) fn unlocked_within(&self, limit: Duration) -> Duration {
        within(limit, "nobody is locked", || self.locked().is_empty())
    }
}
