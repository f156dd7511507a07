//! The end of the snapshot command, as somebody sees it who has not started it.

use std::time::Duration;

use tokio::io::{Interest, unix::AsyncFd};

/// How long the supervisor, who sees the end too, waits for the guardian to have acted on it: whatever it does sooner takes a
/// processor from those who release the lock.
pub(in super::super) const SEEN: Duration =
    Duration::from_millis(if cfg!(target_os = "linux") { 10 } else { 0 });

/// A handle on the command's process. Without one, on systems that have none, the supervisor's word has to do.
pub(super) struct Command(Option<AsyncFd<std::os::fd::OwnedFd>>);

impl Command {
    /// To be called while the process is there: later its number may be another's.
    #[expect(
        deprecated,
        reason = "what takes its place is unsafe, for the sake of handles that are not owned; this one is"
    )]
    pub(super) fn of(process: Option<i32>) -> Self {
        let handle = process.and_then(handle);
        Self(handle.and_then(|handle| AsyncFd::with_interest(handle, Interest::READABLE).ok()))
    }

    /// Resolves when the process has ended, whether its parent knows it or not.
    pub(super) async fn ended(&self) {
        if let Some(handle) = &self.0
            && handle.readable().await.is_ok()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

#[cfg(target_os = "linux")]
fn handle(process: i32) -> Option<std::os::fd::OwnedFd> {
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    pidfd_open(Pid::from_raw(process)?, PidfdFlags::NONBLOCK).ok()
}

#[cfg(not(target_os = "linux"))]
fn handle(_: i32) -> Option<std::os::fd::OwnedFd> {
    None
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn it_is_seen_to_end_and_not_before() {
        let mut sleeper = std::process::Command::new("sleep").arg("0.3").spawn().unwrap();
        let command = Command::of(sleeper.id().try_into().ok());
        assert!(timeout(Duration::from_millis(100), command.ended()).await.is_err());
        // Nobody has waited for it yet.
        let ended = timeout(Duration::from_secs(5), command.ended()).await;
        assert_eq!(ended.is_ok(), cfg!(target_os = "linux"));
        sleeper.wait().unwrap();
        // Of nothing there is no end.
        assert!(timeout(Duration::from_millis(50), Command::of(None).ended()).await.is_err());
    }
}
