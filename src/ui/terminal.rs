//! Where words go, and whether they may be coloured.

use std::{
    cell::Cell,
    io::{self, IsTerminal, Write},
};

use super::safe;

/// What decides about colour, besides what a stream is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// `--no-color`
    pub no_color_flag: bool,
    /// `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set, not empty and not `0`: colour even into a pipe (bixense.com/clicolors).
    pub force: bool,
    /// `TERM=dumb`
    pub dumb: bool,
}

impl Wishes {
    /// What the environment and the flag say.
    pub fn read(no_color_flag: bool) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            no_color_flag,
            no_color: set("NO_COLOR").is_some(),
            force: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            dumb: set("TERM").is_some_and(|value| value == "dumb"),
        }
    }

    /// A refusal stands above a demand, and both above what the stream is.
    pub fn colour(self, terminal: bool) -> bool {
        !self.no_color_flag && !self.no_color && (self.force || (terminal && !self.dumb))
    }
}

/// The two streams of one run.
pub struct Terminal {
    /// Colour on stdout.
    pub colour: bool,
    /// Colour on stderr.
    pub err_colour: bool,
    closed: Cell<bool>,
}

impl Terminal {
    pub fn new(no_color_flag: bool) -> Self {
        let wishes = Wishes::read(no_color_flag);
        Self {
            colour: wishes.colour(io::stdout().is_terminal()),
            err_colour: wishes.colour(io::stderr().is_terminal()),
            closed: Cell::new(false),
        }
    }

    /// Writes to stdout. That the reader has gone (`| head`) is no error: the rest is dropped, and
    /// [`Terminal::is_closed`] says so, upon which the run should end with exit code 0.
    pub fn out(&self, text: &str) -> io::Result<()> {
        if self.closed.get() {
            return Ok(());
        }
        self.put(&mut io::stdout().lock(), &safe::safe(text))
    }

    /// Writes to stderr. There is nobody left to tell when that fails.
    pub fn err(&self, text: &str) {
        err(text);
    }

    /// Whether the reader of stdout has gone.
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    fn put(&self, stream: &mut impl Write, text: &str) -> io::Result<()> {
        match stream.write_all(text.as_bytes()).and_then(|()| stream.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.set(true);
                Ok(())
            }
            other => other,
        }
    }
}

/// Shows a warning at the job, not only in its log. On stderr, where nobody reads a document.
pub(super) fn annotate(text: &str) {
    if safe::github() {
        let line = format!("::warning title=infra::{}\n", safe::escaped(&safe::masked(text)));
        let mut stderr = io::stderr().lock();
        let _ = stderr.write_all(line.as_bytes()).and_then(|()| stderr.flush());
    }
}

/// Writes to stderr.
pub(super) fn err(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(safe::safe(text).as_bytes()).and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_decides_about_colour() {
        let none = Wishes::default();
        for (wishes, terminal, expected) in [
            (none, true, true),
            (none, false, false),
            (Wishes { dumb: true, ..none }, true, false),
            (Wishes { no_color: true, ..none }, true, false),
            (Wishes { no_color_flag: true, ..none }, true, false),
            (Wishes { force: true, ..none }, false, true),
            (Wishes { force: true, dumb: true, ..none }, true, true),
            (Wishes { force: true, no_color: true, ..none }, true, false),
            (Wishes { force: true, no_color_flag: true, ..none }, true, false),
        ] {
            assert_eq!(wishes.colour(terminal), expected, "{wishes:?} {terminal}");
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_a_quiet_end() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let terminal = Terminal { colour: false, err_colour: false, closed: Cell::new(false) };
        assert!(terminal.put(&mut Vec::new(), "a").is_ok() && !terminal.is_closed());
        assert!(terminal.put(&mut Gone, "a").is_ok() && terminal.is_closed());
        assert!(terminal.out("dropped").is_ok());
    }
}
