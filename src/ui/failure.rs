//! How an error is told: what, why, and how to go on.

use std::error::Error;

use super::terminal;
use crate::report::{self, docs::Docs};

/// What is told of an error, as data, so that it can be printed or put into JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    pub summary: String,
    /// Each cause of the one before.
    pub causes: Vec<String>,
    pub hints: Vec<String>,
    /// Where the documentation tells more.
    pub see: Option<Docs>,
}

impl Failure {
    pub fn new(summary: impl Into<String>) -> Self {
        Self { summary: summary.into(), ..Self::default() }
    }

    /// The error and its sources.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            failure.causes.push(cause.to_string());
            source = cause.source();
        }
        failure
    }

    /// Puts what was being done in front; what was told so far becomes its cause.
    #[must_use]
    pub fn named(mut self, what: &str) -> Self {
        self.causes.insert(0, std::mem::replace(&mut self.summary, what.to_owned()));
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub fn see(mut self, docs: Docs) -> Self {
        self.see = Some(docs);
        self
    }

    /// Plain, or in Terraform's box when in colour. tfcmt looks for a line that starts with `Error: `.
    pub fn text(&self, colour: bool) -> String {
        self.labelled("Error: ", "31", colour)
    }

    fn labelled(&self, title: &str, code: &str, colour: bool) -> String {
        let mut lines = Vec::new();
        let told = |label: &str, text: &str, lines: &mut Vec<String>| {
            for (place, line) in text.lines().enumerate() {
                let label = if place == 0 { label.to_string() } else { " ".repeat(2) };
                lines.push(report::line(&format!("{label}{line}")));
            }
        };
        told(title, &self.summary, &mut lines);
        for cause in &self.causes {
            told("  caused by: ", cause, &mut lines);
        }
        for hint in &self.hints {
            told("  hint: ", hint, &mut lines);
        }
        if let Some(docs) = self.see {
            lines.push(format!("  see {docs}"));
        }
        if !colour {
            return format!("{}\n", lines.join("\n"));
        }
        let bar = |mark: &str| format!("\x1b[{code}m{mark}\x1b[0m");
        let mut boxed = vec![bar("╷")];
        for (place, line) in lines.iter().enumerate() {
            let line = match line.strip_prefix(title) {
                Some(rest) if place == 0 => format!("\x1b[1;{code}m{title}\x1b[0m\x1b[1m{rest}\x1b[0m"),
                _ => line.clone(),
            };
            boxed.push(format!("{} {line}", bar("│")));
        }
        boxed.push(bar("╵"));
        format!("{}\n", boxed.join("\n"))
    }

    /// Prints it to stderr.
    pub fn print(&self, colour: bool) {
        terminal::err(&self.text(colour));
    }

    /// Prints it to stderr as something that fails nothing.
    pub fn warn(&self, colour: bool) {
        terminal::err(&self.labelled("Warning: ", "33", colour));
        let causes = self.causes.iter().map(|cause| format!(": {cause}"));
        terminal::annotate(&report::visible(&format!("{}{}", self.summary, causes.collect::<String>())));
    }
}

#[cfg(test)]
mod tests {
    use std::{fmt, io};

    use super::*;
    use crate::report::docs;

    #[derive(Debug)]
    struct Outer(io::Error);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cannot reach the cluster\n  at line two")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn what_why_and_how_to_go_on() {
        let failure = Failure::of(&Outer(io::Error::other("no \x1b[2Jroute\n::error::to host")))
            .hint("is the VPN up?")
            .see(docs::LOCKED);
        insta::assert_snapshot!(failure.text(false), @r"
        Error: cannot reach the cluster
            at line two
          caused by: no \u001b[2Jroute
          \u003a:error::to host
          hint: is the VPN up?
          see docs/history.md#one-at-a-time
        ");
        let coloured = failure.text(true);
        assert!(
            coloured.starts_with("\x1b[31m╷\x1b[0m\n\x1b[31m│\x1b[0m \x1b[1;31mError: \x1b[0m"),
            "{coloured:?}"
        );
        assert!(coloured.ends_with("\x1b[31m╵\x1b[0m\n"), "{coloured:?}");
    }
}
