//! How long a member stays locked beyond the snapshot command's own time, read from the log of the locked mongod: `infra
//! snapshot` beside a wrapper in Python and one in bash around mongosh, one after the other in the same run.
//!
//! `cargo bench --bench mongo` measures; RUNS=20 sets how often, INFRA_BENCH_BINARY which `infra`. See benches/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    dead_code,
    unused_imports,
    reason = "a benchmark speaks, and may end by panicking; the tests' sets can more than it needs"
)]

#[path = "../../tests/it/support/replica_set/mod.rs"]
mod replica_set;

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use replica_set::{Layout, ROOT, ReplicaSet, SET, SNAPSHOT, escaped, log::Held, writer::Writer};

/// What the snapshot command sleeps, in milliseconds.
const COMMAND: f64 = 50.0;

/// Around the lock of one run, all in milliseconds.
struct Figures {
    /// From the start of the process to the lock.
    to_lock: f64,
    /// From asking for the lock to having it: writes wait already.
    acquire: f64,
    /// What it was locked for, the command included.
    held: f64,
}

struct Bench {
    set: ReplicaSet,
    folder: tempfile::TempDir,
    mongosh: Option<PathBuf>,
}

fn main() {
    if !env::args().any(|argument| argument == "--bench") {
        return; // `cargo test --all-targets` runs this too
    }
    let runs = env::var("RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(100);
    for version in ["6.0.5", "6.0.27"] {
        let bench = Bench::new(version);
        println!("\nMongoDB {version}, a command of {COMMAND} ms, {runs} runs (mongosh: {})", runs / 10);
        bench.compare("idle", runs);
        let writer = Writer::start(&bench.set);
        bench.compare("1,000 inserts a second", runs);
        drop(writer);
        let writer = Writer::start_with(&bench.set, 200, Duration::from_millis(20));
        bench.flush(runs / 4);
        assert!(!writer.has_failed());
        drop(writer);
        bench.memory();
    }
}

impl Bench {
    fn new(version: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let command = folder.path().join("command");
        fs::write(&command, format!("#!/bin/sh\nexec sleep {}\n", COMMAND / 1000.0)).unwrap();
        fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
        Self { set: Layout::of(3).version(version).start(), folder, mongosh: mongosh() }
    }

    fn command(&self) -> PathBuf {
        self.folder.path().join("command")
    }

    fn compare(&self, load: &str, runs: usize) {
        let (mut infra, mut python, mut shell, mut alone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for run in 0..=runs {
            let figures = [self.infra(), self.wrapper(&[])];
            let begun = Instant::now();
            assert!(Command::new(self.command()).status().unwrap().success());
            // The first warms up what there is to warm.
            if run > 0 {
                let [first, second] = figures;
                infra.push(first);
                python.push(second);
                alone.push(begun.elapsed().as_secs_f64() * 1000.0);
            }
            if run % 10 == 1 {
                shell.extend(self.shell());
            }
        }
        println!("{load} (the command by itself {}):", shown(alone.iter().copied()));
        // What it is to be locked for in any case.
        let own = median(alone.into_iter());
        let rows = [("infra snapshot", &infra), ("pymongo", &python), ("bash and mongosh", &shell)];
        for (name, figures) in rows {
            println!(
                "| {name} | beyond the command {} | to acquire {} | from start to lock {} |",
                shown(figures.iter().map(|figures| figures.held - own)),
                shown(figures.iter().map(|figures| figures.acquire)),
                shown(figures.iter().map(|figures| figures.to_lock)),
            );
        }
        let beyond = |figures: &[Figures]| median(figures.iter().map(|figures| figures.held)) - own;
        println!(
            "infra / pymongo {:.2}, mongosh / infra {:.0}",
            beyond(&infra) / beyond(&python),
            beyond(&shell) / beyond(&infra)
        );
    }

    /// With much to be written down, a checkpoint before the lock makes the lock quick.
    fn flush(&self, runs: usize) {
        let (mut without, mut with, mut infra) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..runs {
            for (options, figures) in [(&[][..], &mut without), (&["flush"], &mut with)] {
                // What has not been written down yet piles up.
                thread::sleep(Duration::from_millis(1500));
                figures.push(self.wrapper(options).acquire);
            }
            thread::sleep(Duration::from_millis(1500));
            infra.push(self.infra().acquire);
        }
        println!("10,000 inserts a second, {runs} runs, to acquire the lock:");
        for (name, figures) in [("pymongo", without), ("pymongo with flush", with), ("infra snapshot", infra)]
        {
            println!("| {name} | {} |", shown(figures.into_iter()));
        }
    }

    fn infra(&self) -> Figures {
        self.timed(self.snapshot(&self.command()))
    }

    fn snapshot(&self, command: &Path) -> Command {
        let mut infra = Command::new(binary());
        infra.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
        infra.env("INFRA_MONGO_URI", self.set.uri(SNAPSHOT)).arg("snapshot");
        infra.arg("--command").arg(command).arg("--state-dir").arg(self.folder.path().join("state"));
        infra
    }

    fn wrapper(&self, options: &[&str]) -> Figures {
        let mut python = Command::new(python());
        python.arg(here("wrapper.py")).arg(self.address(SNAPSHOT)).arg(self.command()).args(options);
        self.timed(python)
    }

    fn shell(&self) -> Option<Figures> {
        let mut bash = Command::new(here("wrapper.sh"));
        bash.arg(self.mongosh.as_ref()?).arg(self.address(ROOT)).arg(self.command());
        bash.env("HOME", self.folder.path());
        Some(self.timed(bash))
    }

    /// The secondary that a person would write into a script.
    fn address(&self, user: (&str, &str)) -> String {
        let host = &self.set.members[1].host;
        format!(
            "mongodb://{}:{}@{host}/admin?directConnection=true&replicaSet={SET}",
            user.0,
            escaped(user.1)
        )
    }

    /// Runs it, and looks up the one lock that came of it.
    fn timed(&self, mut command: Command) -> Figures {
        let locks = || -> Vec<Vec<Held>> { (0..3).map(|member| self.set.locks(member)).collect() };
        let before = locks();
        let begun = Timestamp::now();
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let after = locks();
        let new: Vec<&Held> =
            after.iter().zip(&before).flat_map(|(after, before)| &after[before.len()..]).collect();
        let [held] = new[..] else { panic!("not locked once: {new:?}") };
        let between = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64() * 1000.0;
        Figures {
            to_lock: between(begun, held.locked),
            acquire: between(held.asked, held.locked),
            held: between(held.locked, held.unlocked.expect("it is unlocked")),
        }
    }

    /// Of all processes of a run that are infra, together: what is shared counts once.
    fn memory(&self) {
        let slow = self.folder.path().join("slow");
        fs::write(&slow, "#!/bin/sh\nexec sleep 0.5\n").unwrap();
        fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
        let mut peaks = Vec::new();
        for _ in 0..5 {
            let mut child = self.snapshot(&slow).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let (mut peak, mut processes) = (0.0_f64, 0);
            while child.try_wait().unwrap().is_none() {
                let sizes: Vec<f64> = family(child.id()).into_iter().filter_map(proportional).collect();
                processes = processes.max(sizes.len());
                peak = peak.max(sizes.iter().sum());
                thread::sleep(Duration::from_millis(2));
            }
            assert!(processes >= 2, "only {processes} processes were seen");
            peaks.push(peak);
        }
        peaks.sort_by(f64::total_cmp);
        println!("memory of all processes together at its peak: {peaks:.1?} MB");
    }
}

/// What is measured: the binary of this build, or another one, INFRA_BENCH_BINARY.
fn binary() -> PathBuf {
    env::var_os("INFRA_BENCH_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_infra").into(), PathBuf::from)
}

/// A process and its descendants, as far as they are infra.
fn family(root: u32) -> Vec<u32> {
    let mut family = vec![root];
    let mut at = 0;
    while let Some(pid) = family.get(at) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        at += 1;
    }
    let binary = binary().canonicalize().unwrap();
    family.retain(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary));
    family
}

/// Its proportional set, in megabytes.
fn proportional(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1024.0)
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/mongo").join(name)
}

/// The tests' own Python, which has pymongo.
fn python() -> PathBuf {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-servers/venv/bin/python");
    let python = env::var_os("INFRA_TEST_PYTHON").map_or(unpacked, PathBuf::from);
    assert!(python.exists(), "no Python with pymongo: run sh tests/run.sh, or set INFRA_TEST_PYTHON");
    python
}

/// From npm, once; without it the other two are compared.
fn mongosh() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-servers/mongosh");
    let program = folder.join("node_modules/.bin/mongosh");
    if !program.exists() {
        fs::create_dir_all(&folder).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
        let _ = npm.arg("mongosh@2.12.0").stdin(Stdio::null()).status();
    }
    if !program.exists() {
        println!("no mongosh, and npm cannot fetch it: it is left out");
        return None;
    }
    Some(program)
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Median, and what 95 of 100 do not exceed.
fn shown(figures: impl Iterator<Item = f64>) -> String {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let Some(last) = figures.len().checked_sub(1) else { return "-".into() };
    format!("{:.1} ms (p95 {:.1})", figures[figures.len() / 2], figures[last * 95 / 100])
}
