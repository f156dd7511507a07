//! The process that becomes the snapshot command when it is let, and what that writes.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    io::{BufRead as _, Write as _},
    os::{fd::OwnedFd, unix::process::CommandExt as _},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Child,
    task::JoinHandle,
    time::timeout,
};

use super::{GRACE, Resolved, end_group, this_binary};
use crate::snapshot::manifest::OpTime;

/// How much of the command's output is kept.
const KEPT: usize = 64 * 1024;

/// A process that will become the command. Being there already, it costs no time while the member is locked.
pub(in super::super) struct Gate {
    child: Child,
    output: Arc<Mutex<Output>>,
    drains: Vec<JoinHandle<()>>,
}

impl Gate {
    /// `variables` are added to the environment, `hidden` ones removed from it. Also what it is opened by, which it ends with if it
    /// was not.
    pub(in super::super) fn start(
        resolved: &Resolved,
        words: &[String],
        variables: &[(&str, String)],
        hidden: &[String],
    ) -> io::Result<(Self, OwnedFd)> {
        let mut command = tokio::process::Command::new(this_binary()?);
        command.arg0("infra").args(["__gate", "--"]).arg(&resolved.program).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        for name in hidden {
            command.env_remove(name);
        }
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.spawn()?;
        let opener = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?.into_owned_fd()?;
        let output = Arc::new(Mutex::new(Output::default()));
        let mut drains = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            drains.push(tokio::spawn(drain(stdout, output.clone(), true)));
        }
        if let Some(stderr) = child.stderr.take() {
            drains.push(tokio::spawn(drain(stderr, output.clone(), false)));
        }
        Ok((Self { child, output, drains }, opener))
    }

    /// The process group, which is the command's.
    pub(in super::super) fn group(&self) -> Option<i32> {
        self.child.id().and_then(|id| id.try_into().ok())
    }

    /// Waits for the process alone: children that it leaves may have its output open for ever.
    pub(in super::super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// How it has ended, if it has.
    pub(in super::super) fn ended(&mut self) -> Option<io::Result<ExitStatus>> {
        self.child.try_wait().transpose()
    }

    /// Ends it, the command that it has become, and all that this has started. How it ended, if it did.
    pub(in super::super) async fn end(&mut self) -> Option<ExitStatus> {
        let Some(group) = self.group() else { return self.child.wait().await.ok() };
        let (status, ()) = futures::join!(timeout(GRACE * 2, self.child.wait()), end_group(group));
        status.ok().and_then(Result::ok)
    }

    /// What it has written so far; what is still in the pipes is read first, if there is somebody to read it from.
    pub(in super::super) async fn output(&mut self) -> Output {
        let drained = futures::future::join_all(self.drains.iter_mut());
        let _ = timeout(Duration::from_millis(200), drained).await;
        for drain in &self.drains {
            drain.abort();
        }
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *output)
    }
}

/// Reads to the end, whoever writes, so that nobody has to wait with a full pipe.
async fn drain(mut pipe: impl AsyncRead + Unpin, output: Arc<Mutex<Output>>, is_stdout: bool) {
    let mut buffer = vec![0; KEPT];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
        output.both.push(&buffer[..read]);
        if is_stdout {
            output.stdout.push(&buffer[..read]);
        }
    }
}

/// The end of what a command has written.
#[derive(Debug, Default)]
pub(in super::super) struct Output {
    pub(in super::super) both: Tail,
    pub(in super::super) stdout: Tail,
}

#[derive(Debug, Default)]
pub(in super::super) struct Tail {
    kept: VecDeque<u8>,
    pub(in super::super) omitted: u64,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let skip = bytes.len().saturating_sub(KEPT);
        let room = KEPT - (bytes.len() - skip);
        let drop = self.kept.len().saturating_sub(room);
        self.kept.drain(..drop);
        self.kept.extend(&bytes[skip..]);
        self.omitted += (skip + drop) as u64;
    }

    pub(in super::super) fn text(&self) -> String {
        let (front, back) = self.kept.as_slices();
        String::from_utf8_lossy(&[front, back].concat()).into_owned()
    }
}

/// Lets the command begin, which is told what its snapshot will contain.
pub(in super::super) fn open(mut opener: &File, optime: Option<OpTime>) {
    let text = optime.map(|optime| optime.to_string()).unwrap_or_default();
    // That nobody reads it is seen by the end of the process.
    let _ = opener.write_all(format!("{text}\n").as_bytes());
}

/// Runs as the gate: waits for one line with the optime, then becomes the command. Without the line the guardian is dead, and
/// nothing may run. Returns only if the command cannot be run.
pub fn gate(command: &[std::ffi::OsString]) -> io::Result<()> {
    let [program, name, arguments @ ..] = command else { return Ok(()) };
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 || !line.ends_with('\n') {
        return Err(io::Error::other("nobody let it begin"));
    }
    let nothing = File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&nothing)?;
    let mut command = std::process::Command::new(program);
    command.arg0(name).args(arguments).env("INFRA_MONGO_OPTIME", line.trim_end());
    Err(command.exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::default();
        tail.push(b"first ");
        tail.push(b"second");
        assert_eq!((tail.text().as_str(), tail.omitted), ("first second", 0));
        for _ in 0..100 {
            tail.push(&[b'x'; 5000]);
        }
        tail.push(b"the end");
        let text = tail.text();
        assert_eq!((text.len(), tail.omitted), (KEPT, 12 + 500_000 + 7 - KEPT as u64));
        assert!(text.ends_with("xxthe end"));
        tail.push(&vec![b'y'; KEPT * 2 + 1]);
        assert_eq!((tail.text(), tail.kept.len()), ("y".repeat(KEPT), KEPT));
    }
}
