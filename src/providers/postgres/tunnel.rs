//! A command that opens a way to a cluster: started when it is first needed, shared, and ended with all it has started.
//!
//! It runs in a process group of its own, so that an interrupt at the terminal does not end it under a transaction. The
//! group's leader is a shell that waits for the end of a pipe whose other end we hold: when we are gone, killed or not,
//! the pipe ends, and the shell ends the group. Since the leader lives as long as the group, its number means nothing
//! else.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    sync::{Arc, Mutex as Flat},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    net::TcpStream,
    process::{Child, ChildStdin, Command},
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use super::{Endpoint, error::Cause, route::Address};

/// A tunnel that takes no connections by then will not.
const START: Duration = Duration::from_secs(15);
/// Between two looks whether it takes connections.
const LOOK: Duration = Duration::from_millis(50);
/// What it has to end by itself, before it is ended.
const GRACE: Duration = Duration::from_secs(2);
/// Lines of output that are kept.
const LINES: usize = 10;
/// Waits for the end of its input, ends the group it leads, and with it itself.
const WATCH: &str = "trap '' HUP INT QUIT TERM; read -r _; kill -TERM 0; sleep 2; kill -KILL 0";

#[derive(Debug)]
pub(super) struct Tunnel {
    command: Vec<String>,
    running: Mutex<Option<Running>>,
    said: Said,
}

/// The last lines of what it said.
type Said = Arc<Flat<VecDeque<String>>>;

#[derive(Debug)]
struct Running {
    child: Child,
    group: Group,
    address: Address,
}

impl Tunnel {
    pub(super) fn new(command: Vec<String>) -> Self {
        Self { command, running: Mutex::default(), said: Said::default() }
    }

    /// Whether it is told which endpoint it is for.
    pub(super) fn names_the_host(&self) -> bool {
        self.command.iter().any(|word| word.contains("{host}"))
    }

    /// Where to connect, once connections are taken there: a port of this machine if the command has `{local_port}`,
    /// otherwise `address`. One that has ended meanwhile is started again.
    pub(super) async fn start(&self, endpoint: &Endpoint, address: Address) -> Result<Address, Cause> {
        let mut running = self.running.lock().await;
        if let Some(tunnel) = running.as_mut()
            && matches!(tunnel.child.try_wait(), Ok(None))
        {
            return Ok(tunnel.address.clone());
        }
        if let Some(ended) = running.take() {
            ended.end().await;
        }
        let mut started = match self.spawn(endpoint, address) {
            Ok(started) => started,
            Err(error) => return Err(self.failed(&error.to_string()).await),
        };
        match self.wait(&mut started).await {
            Ok(()) => Ok(running.insert(started).address.clone()),
            Err(cause) => {
                started.end().await;
                Err(cause)
            }
        }
    }

    fn spawn(&self, endpoint: &Endpoint, mut address: Address) -> io::Result<Running> {
        let mut local = String::new();
        if self.command.iter().any(|word| word.contains("{local_port}")) {
            // Free now; it is the command that takes it.
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            address = Address { host: Ipv4Addr::LOCALHOST.to_string(), port };
            local = port.to_string();
        }
        let fill = |word: &String| {
            let port = endpoint.port.to_string();
            word.replace("{host}", &endpoint.host).replace("{port}", &port).replace("{local_port}", &local)
        };
        let words: Vec<String> = self.command.iter().map(fill).collect();
        let (program, arguments) =
            words.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
        let group = Group::new()?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(group.id.as_raw())
            .spawn()?;
        if let Ok(mut said) = self.said.lock() {
            said.clear();
        }
        listen(child.stdout.take(), &self.said);
        listen(child.stderr.take(), &self.said);
        Ok(Running { child, group, address })
    }

    /// Until connections are taken.
    async fn wait(&self, started: &mut Running) -> Result<(), Cause> {
        let until = Instant::now() + START;
        loop {
            if let Ok(Some(status)) = started.child.try_wait() {
                let mut why = format!("it ended before it took a connection ({status})");
                if status.success() {
                    why.push_str("; it has to stay in the foreground");
                }
                return Err(self.failed(&why).await);
            }
            let Address { host, port } = &started.address;
            if let Ok(Ok(_)) =
                timeout(Duration::from_secs(1), TcpStream::connect((host.as_str(), *port))).await
            {
                return Ok(());
            }
            if Instant::now() > until {
                let seconds = START.as_secs();
                let why = format!("no connection was taken at {host}:{port} within {seconds} s");
                return Err(self.failed(&why).await);
            }
            sleep(LOOK).await;
        }
    }

    async fn failed(&self, why: &str) -> Cause {
        let program = self.command.first().map_or("", String::as_str);
        self.explain(Cause::Wire(format!("connection.tunnel ({program}): {why}"))).await
    }

    /// Adds what the command has said.
    pub(super) async fn explain(&self, cause: Cause) -> Cause {
        // Its last words may still be on their way.
        sleep(LOOK).await;
        let said: Vec<String> =
            self.said.lock().map(|said| said.iter().cloned().collect()).unwrap_or_default();
        if said.is_empty() { cause } else { cause.likely(format!("the tunnel said: {}", said.join("; "))) }
    }

    /// Ends it, if it runs.
    pub(super) async fn close(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.end().await;
        }
    }
}

impl Running {
    async fn end(mut self) {
        let _ = killpg(self.group.id, Signal::SIGTERM);
        let _ = timeout(GRACE, self.child.wait()).await;
        let _ = killpg(self.group.id, Signal::SIGKILL);
        let _ = timeout(GRACE, self.child.wait()).await;
        let _ = timeout(GRACE, self.group.leader.wait()).await;
    }
}

/// A process group that ends with this value, with its leader, and with this process.
#[derive(Debug)]
struct Group {
    id: Pid,
    leader: Child,
    /// Its end is the sign to end.
    _pipe: Option<ChildStdin>,
}

impl Group {
    fn new() -> io::Result<Self> {
        let mut leader = Command::new("/bin/sh")
            .args(["-c", WATCH])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        let id = Pid::from_raw(id.ok_or_else(|| io::Error::other("it ended at once"))?);
        let pipe = leader.stdin.take();
        Ok(Self { id, leader, _pipe: pipe })
    }
}

/// Keeps the last lines of an output, and goes on reading so that nobody has to wait for us.
fn listen(output: Option<impl AsyncRead + Send + Unpin + 'static>, said: &Said) {
    let Some(output) = output else { return };
    let said = said.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line: String = String::from_utf8_lossy(&line).trim().chars().take(300).collect();
            if let (false, Ok(mut said)) = (line.is_empty(), said.lock())
                && said.back() != Some(&line)
            {
                if said.len() == LINES {
                    said.pop_front();
                }
                said.push_back(line);
            }
        }
    });
}
