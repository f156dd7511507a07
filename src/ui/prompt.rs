//! Asking before anything is changed.

use std::{
    future::Future,
    io::{self, IsTerminal},
};

use tokio::sync::oneshot;

use super::terminal;
use crate::report;

/// What must be typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// `yes`
    Yes,
    /// The environment's name: it is protected, or all of it goes.
    Name { environment: String, destroy: bool },
}

/// Why nothing is done.
#[derive(Debug, thiserror::Error)]
pub enum NotApproved {
    #[error("approval is required, but there is no terminal to ask on")]
    NoTerminal,
    #[error("Apply cancelled.")]
    Refused,
    #[error("interrupted while waiting for approval")]
    Interrupted,
    #[error("cannot read the answer")]
    Io(#[source] io::Error),
}

impl NotApproved {
    /// How to go on.
    pub fn hint(&self) -> Option<&'static str> {
        matches!(self, Self::NoTerminal).then_some(
            "pass --auto-approve, a saved plan, or --expect-digest with the reviewed plan's digest",
        )
    }
}

impl Approval {
    /// What is asked for, with the plan's last line, so that it is seen without scrolling.
    pub fn question(&self, summary: &str) -> String {
        let summary = report::line(summary);
        match self {
            Self::Yes => format!(
                "\n{summary}\n\nDo you want to perform these actions?\n  infra will perform the actions described above.\n  \
                 Only 'yes' will be accepted to approve.\n\n  Enter a value: "
            ),
            Self::Name { environment, destroy } => {
                let environment = report::visible(environment);
                let (question, note) = if *destroy {
                    ("Do you really want to destroy all resources?", "There is no undo.")
                } else {
                    ("Do you want to perform these actions?", "The environment is protected.")
                };
                format!(
                    "\n{summary}\n\n{question}\n  infra will perform the actions described above. {note}\n  \
                     Only the name of the environment, '{environment}', will be accepted to approve.\n\n  Enter a value: "
                )
            }
        }
    }

    fn accepts(&self, answer: &str) -> bool {
        let wanted = match self {
            Self::Yes => "yes",
            Self::Name { environment, .. } => environment,
        };
        answer.trim_end_matches(['\r', '\n']) == wanted
    }
}

/// Asks on stderr and reads stdin; both must be terminals. Ends early when `interrupted` does.
pub async fn ask(
    approval: &Approval,
    summary: &str,
    interrupted: impl Future<Output = ()>,
) -> Result<(), NotApproved> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(NotApproved::NoTerminal);
    }
    terminal::err(&approval.question(summary));
    let answer = answer(approval, io::stdin, interrupted).await;
    terminal::err("\n");
    answer
}

async fn answer<I: LineInput>(
    approval: &Approval,
    input: impl FnOnce() -> I + Send + 'static,
    interrupted: impl Future<Output = ()>,
) -> Result<(), NotApproved> {
    // A thread of its own, which nobody waits for: a read of a terminal cannot be called off, and must neither hold
    // up an interrupt nor the end of the process (tokio's stdin and its blocking threads would).
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = send.send(input().line(&mut line).map(|_| line));
    });
    tokio::select! {
        biased;
        () = interrupted => Err(NotApproved::Interrupted),
        read = receive => match read {
            Ok(Ok(line)) if approval.accepts(&line) => Ok(()),
            Ok(Ok(_)) => Err(NotApproved::Refused),
            Ok(Err(error)) => Err(NotApproved::Io(error)),
            Err(_) => Err(NotApproved::Io(io::ErrorKind::UnexpectedEof.into())),
        },
    }
}

/// Something that gives one line: stdin, or a test.
trait LineInput {
    fn line(self, into: &mut String) -> io::Result<usize>;
}

impl LineInput for io::Stdin {
    fn line(self, into: &mut String) -> io::Result<usize> {
        self.read_line(into)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    impl LineInput for &'static str {
        fn line(self, into: &mut String) -> io::Result<usize> {
            into.push_str(self);
            Ok(self.len())
        }
    }

    struct Never;

    impl LineInput for Never {
        fn line(self, _: &mut String) -> io::Result<usize> {
            loop {
                std::thread::park();
            }
        }
    }

    fn answered<I: LineInput>(approval: &Approval, input: impl FnOnce() -> I + Send + 'static) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let result = runtime.block_on(async { answer(approval, input, std::future::pending()).await });
        format!("{result:?}")
    }

    #[test]
    fn only_yes_is_yes() {
        for (line, expected) in [
            ("yes\n", "Ok(())"),
            ("yes", "Ok(())"),
            ("y\n", "Err(Refused)"),
            ("YES\n", "Err(Refused)"),
            (" yes\n", "Err(Refused)"),
            ("", "Err(Refused)"),
        ] {
            assert_eq!(answered(&Approval::Yes, move || line), expected, "{line:?}");
        }
        let name = Approval::Name { environment: "prod".into(), destroy: false };
        assert_eq!(answered(&name, || "yes\n"), "Err(Refused)");
        assert_eq!(answered(&name, || "prod\r\n"), "Ok(())");
    }

    #[test]
    fn an_interrupt_does_not_wait_for_an_answer() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let soon = async { tokio::time::sleep(Duration::from_millis(50)).await };
        let result = runtime.block_on(async { answer(&Approval::Yes, || Never, soon).await });
        assert!(matches!(result, Err(NotApproved::Interrupted)));
    }

    #[test]
    fn the_question() {
        insta::assert_snapshot!(Approval::Yes.question("Plan: 1 to add, 0 to change, 0 to destroy."), @r"
        Plan: 1 to add, 0 to change, 0 to destroy.

        Do you want to perform these actions?
          infra will perform the actions described above.
          Only 'yes' will be accepted to approve.

          Enter a value:
        ");
        let name = Approval::Name { environment: "prod".into(), destroy: true };
        insta::assert_snapshot!(name.question("Plan: 0 to add, 0 to change, 9 to destroy."), @r"
        Plan: 0 to add, 0 to change, 9 to destroy.

        Do you really want to destroy all resources?
          infra will perform the actions described above. There is no undo.
          Only the name of the environment, 'prod', will be accepted to approve.

          Enter a value:
        ");
    }
}
