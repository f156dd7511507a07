//! The command that runs on the connection. The terminal is its own; we stay behind it for as long as the tunnel is needed.

use std::{ffi::OsString, io, os::unix::process::ExitStatusExt as _, process::ExitStatus};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

use super::super::{Exit, Stop};
use crate::ui::Failure;

/// What is started.
pub(super) struct Child<'a> {
    /// Unless another was asked for.
    pub(super) default: &'a [&'a str],
    /// How to get the default.
    pub(super) get: &'a str,
    /// Variables that it must not find.
    pub(super) cleared: &'a [&'a str],
}

impl Child<'_> {
    /// Runs it to its end, with these variables; answers with its exit code.
    pub(super) async fn run(
        &self,
        asked: &[OsString],
        variables: Vec<(&'static str, String)>,
    ) -> Result<Exit, Stop> {
        let words: Vec<OsString> =
            if asked.is_empty() { self.default.iter().map(Into::into).collect() } else { asked.to_vec() };
        let Some((program, arguments)) = words.split_first() else {
            return Err(Failure::new("there is no command to start").into());
        };
        let mut command = Command::new(program);
        command.args(arguments);
        for name in self.cleared {
            command.env_remove(name);
        }
        command.envs(variables);
        // What comes from the keyboard comes to both. It is the command's to obey; what comes to us alone is passed on.
        let (mut interrupts, mut quits) = (signal(SignalKind::interrupt())?, signal(SignalKind::quit())?);
        let (mut hangups, mut terminations) =
            (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
        let mut child =
            command.spawn().map_err(|error| self.not_started(program, asked.is_empty(), &error))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let pass_on = |signal| pid.map(|pid| kill(pid, signal));
        loop {
            tokio::select! {
                ended = child.wait() => return Ok(code(ended?)),
                _ = interrupts.recv() => {}
                _ = quits.recv() => {}
                _ = hangups.recv() => drop(pass_on(Signal::SIGHUP)),
                _ = terminations.recv() => drop(pass_on(Signal::SIGTERM)),
            }
        }
    }

    fn not_started(&self, program: &OsString, default: bool, error: &io::Error) -> Stop {
        let failure = Failure::of(error).named(&format!("{} could not be started", program.display()));
        if default && error.kind() == io::ErrorKind::NotFound {
            return failure.hint(format!("{}; or give another command behind `--`", self.get)).into();
        }
        failure.into()
    }
}

/// As shells count: a signal is 128 and its number.
fn code(ended: ExitStatus) -> Exit {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    Exit::OfCommand(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
