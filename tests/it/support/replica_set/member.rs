//! One mongod: a process, its folder and its log.

use std::{
    fs,
    io::Write as _,
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::tcp_proxy::TcpProxy;

const START: Duration = Duration::from_mins(1);

pub(crate) struct Member {
    /// As the set's configuration writes it: `host:port`, that of the proxy if there is one.
    pub(crate) host: String,
    /// Where the mongod itself listens.
    pub(crate) port: u16,
    pub(crate) arbiter: bool,
    pub(crate) proxy: Option<TcpProxy>,
    pub(crate) folder: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    process: Mutex<Option<Child>>,
}

impl Member {
    /// Not started yet.
    pub(crate) fn new(version: &str, folder: PathBuf, arguments: Vec<String>, proxied: bool) -> Self {
        let port = free_port();
        let proxy = proxied.then(|| TcpProxy::start(port));
        let host = format!("127.0.0.1:{}", proxy.as_ref().map_or(port, |proxy| proxy.port));
        fs::create_dir_all(folder.join("data")).unwrap();
        let program = mongod(version).join("mongod");
        Self { host, port, arbiter: false, proxy, folder, program, arguments, process: Mutex::default() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap_or_default()).into_owned()
    }

    /// Comes back when it listens.
    pub(crate) fn start(&self) {
        self.launch();
        self.await_listening();
    }

    pub(crate) fn launch(&self) {
        let mut process = self.process.lock().unwrap();
        assert!(process.is_none(), "{} runs already", self.host);
        let mut command = Command::new(&self.program);
        // What the system lacks is in the folder beside.
        let libraries = self.program.parent().unwrap().join("../lib");
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LD_LIBRARY_PATH", libraries);
        command.arg("--dbpath").arg(self.data()).arg("--logpath").arg(self.folder.join("log"));
        command.args(["--logappend", "--bind_ip", "127.0.0.1", "--nounixsocket"]);
        command.args(["--wiredTigerCacheSizeGB", "0.25", "--port", &self.port.to_string()]);
        command.args(["--setParameter", "diagnosticDataCollectionEnabled=false"]);
        // Else each member lays out 300 MB of journal before it has written anything.
        command.args(["--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=16MB)"]);
        command.args(&self.arguments).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        ends_with_us(&format!("process {}", child.id()));
        *process = Some(child);
    }

    pub(crate) fn await_listening(&self) {
        if let Err(complaints) = self.try_listening() {
            panic!("{} does not start:\n{complaints}", self.host);
        }
    }

    /// Waits until it listens; if it ends instead, what its log says.
    pub(crate) fn try_listening(&self) -> Result<(), String> {
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let mut process = self.process.lock().unwrap();
            let ended = process.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
            drop(process);
            if ended || begun.elapsed() > START {
                return Err(self.complaints());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What its log says in earnest, and its last lines.
    fn complaints(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let grave = lines.iter().filter(|line| line.contains(r#""s":"E""#) || line.contains(r#""s":"F""#));
        let last = lines[lines.len().saturating_sub(5)..].iter();
        grave.chain(last).copied().collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        let process = self.process.lock().unwrap();
        process.as_ref().map(|child| Pid::from_raw(child.id().try_into().unwrap()))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    /// SIGSTOP, until [`Self::thaw`].
    pub(crate) fn freeze(&self) {
        kill(self.pid().unwrap(), Signal::SIGSTOP).unwrap();
    }

    pub(crate) fn thaw(&self) {
        kill(self.pid().unwrap(), Signal::SIGCONT).unwrap();
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; how it ended.
    pub(crate) fn stop(&self) -> Option<i32> {
        let mut child = self.process.lock().unwrap().take().unwrap();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        child.wait().unwrap().code()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The folder with this version of mongod: what `tests/run.sh` says, or what it left earlier.
pub(crate) fn mongod(version: &str) -> PathBuf {
    let variable = format!("INFRA_TEST_MONGOD_{}", version.replace('.', "_"));
    let unpacked =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/test-servers/mongo-{version}/bin"));
    let told = std::env::var_os(&variable).map(PathBuf::from);
    let folder = told.into_iter().chain([unpacked]).find(|folder| folder.join("mongod").exists());
    folder.unwrap_or_else(|| {
        panic!("no MongoDB {version} to test with: run sh tests/run.sh, or set {variable}")
    })
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Statics are never dropped, and tests may be killed: a shell that hears of our end by the end of its input clears away the
/// `process PID` and `folder PATH` that it was told of.
pub(crate) fn ends_with_us(what: &str) {
    const CLEAR: &str = "trap '' INT TERM HUP
        processes= folders=
        while read -r kind name; do
            if [ \"$kind\" = process ]; then processes=\"$processes $name\"; else folders=\"$folders $name\"; fi
        done
        for name in $processes; do
            [ \"$(cat \"/proc/$name/comm\" 2>/dev/null)\" = mongod ] && kill -KILL \"$name\"
        done
        rm -rf $folders";
    static INPUT: OnceLock<Mutex<ChildStdin>> = OnceLock::new();
    let input = INPUT.get_or_init(|| {
        let mut shell = Command::new("sh");
        shell.args(["-c", CLEAR]).current_dir("/").process_group(0);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        #[expect(clippy::zombie_processes, reason = "it is to outlive us")]
        let mut shell = shell.spawn().unwrap();
        Mutex::new(shell.stdin.take().unwrap())
    });
    writeln!(input.lock().unwrap(), "{what}").unwrap();
}
