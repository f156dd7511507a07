//! Lines with a sign before them, in Terraform's colours, or as a `diff` that GitHub colours.

/// What happens to what stands on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    None,
    Add,
    Remove,
    Change,
    Replace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Plain,
    Colour,
    /// Signs in column 0, and `!` for a change: the only place and the only signs that a `diff` fence colours.
    Fence,
}

pub(super) struct Page {
    manner: Manner,
    text: String,
}

impl Page {
    pub(super) fn new(manner: Manner) -> Self {
        Self { manner, text: String::new() }
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// A line whose sign stands at column `at`, and whose content two columns further.
    pub(super) fn line(&mut self, sign: Sign, at: usize, content: &str) {
        let mark = match (sign, self.manner) {
            (Sign::None, _) => " ",
            (Sign::Add, _) => "+",
            (Sign::Remove, _) | (Sign::Replace, Manner::Fence) => "-",
            (Sign::Change, Manner::Fence) => "!",
            (Sign::Change, _) => "~",
            (Sign::Replace, _) => "-/+",
        };
        if self.manner == Manner::Fence {
            self.text.push_str(mark);
            self.text.extend(std::iter::repeat_n(' ', at + 1));
        } else {
            // A replacement's sign is three columns wide, and ends where the others stand.
            let at = if sign == Sign::Replace { at.saturating_sub(2) } else { at };
            self.text.extend(std::iter::repeat_n(' ', at));
            let shown = match sign {
                Sign::None => mark.to_string(),
                Sign::Add => self.green(mark),
                Sign::Remove => self.red(mark),
                Sign::Change => self.yellow(mark),
                Sign::Replace => format!("{}/{}", self.red("-"), self.green("+")),
            };
            self.text.push_str(&shown);
            self.text.push(' ');
        }
        self.text.push_str(content);
        self.text.push('\n');
    }

    /// A line inside of something whose first line has the sign already; a `diff` fence needs it on every line.
    pub(super) fn inner(&mut self, sign: Sign, at: usize, content: &str) {
        self.line(if self.manner == Manner::Fence { sign } else { Sign::None }, at, content);
    }

    /// A line at column 0.
    pub(super) fn bare(&mut self, content: &str) {
        self.text.push_str(content);
        self.text.push('\n');
    }

    fn wrap(&self, code: &str, text: &str) -> String {
        if self.manner == Manner::Colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.into() }
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(super) fn dim(&self, text: &str) -> String {
        self.wrap("90", text)
    }

    pub(super) fn green(&self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(super) fn yellow(&self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(super) fn red(&self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(super) fn bold_red(&self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    pub(super) fn bold_green(&self, text: &str) -> String {
        self.wrap("1;32", text)
    }

    pub(super) fn arrow(&self) -> String {
        self.yellow("->")
    }
}
