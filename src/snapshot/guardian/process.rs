//! The guardian, as the supervisor sees it.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Stdio,
    time::Duration,
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use super::{
    super::{command::this_binary, journal::Turn},
    protocol::{Event, Hearing, Order, Speech, Start},
};

/// A guardian with nothing left to do ends at once.
const END: Duration = Duration::from_secs(2);

pub(in super::super) struct Process {
    child: Child,
    hearing: Hearing,
    speech: Speech,
}

impl Process {
    /// It inherits the turn, so that no other run begins while it is at work, whatever becomes of us. `gate`: what lets the command
    /// begin, which nobody else may have: with the guardian ends what it has not let begin.
    pub(in super::super) fn start(turn: &Turn, hidden: &[String], gate: Option<OwnedFd>) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(this_binary()?);
        command.arg0("infra").arg("__guard");
        // Our streams would keep open what waits for ours to end, long after we are gone.
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stderr(Stdio::null());
        command.stdout(gate.map_or_else(Stdio::null, Stdio::from));
        for name in hidden {
            command.env_remove(name);
        }
        fcntl(&turn.file, FcntlArg::F_SETFD(FdFlag::empty()))?;
        let child = command.spawn();
        fcntl(&turn.file, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        let (hearing, speech) = tokio::net::UnixStream::from_std(ours)?.into_split();
        Ok(Self { child: child?, hearing: Hearing::new(hearing), speech: Speech::new(speech) })
    }

    pub(in super::super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(in super::super) async fn begin(&self, start: &Start) {
        self.speech.say(start).await;
    }

    pub(in super::super) async fn order(&self, order: Order) {
        self.speech.say(&order).await;
    }

    /// What it says next; nothing when it is dead. Loses nothing when it is dropped while it waits.
    pub(in super::super) async fn next(&mut self) -> Option<Event> {
        self.hearing.next().await
    }

    /// Ends one that does not answer, so that there are never two that unlock.
    pub(in super::super) async fn kill(&mut self) {
        let _ = timeout(END, self.child.kill()).await;
    }

    /// Lets it end, and with it its turn.
    pub(in super::super) async fn finish(mut self) {
        self.order(Order::Done).await;
        let _ = timeout(END, self.child.wait()).await;
    }
}
