//! Just so much of YAML's grammar as says whether a line goes on below.

/// What is still open at the end of a line.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    brackets: usize,
    quote: Option<char>,
}

impl Scanner {
    pub(super) fn is_open(&self) -> bool {
        self.brackets > 0 || self.quote.is_some()
    }

    pub(super) fn line(&mut self, line: &str) {
        let mut chars = line.chars().peekable();
        // A quote or a bracket opens something only where a value or a key may begin.
        let (mut begins, mut previous) = (true, ' ');
        while let Some(c) = chars.next() {
            match self.quote {
                Some('"') if c == '\\' => drop(chars.next()),
                Some('\'') if c == '\'' && chars.peek() == Some(&'\'') => drop(chars.next()),
                Some(quote) => {
                    if c == quote {
                        (self.quote, begins) = (None, false);
                    }
                }
                None => match c {
                    '#' if previous == ' ' || previous == '\t' => return,
                    '"' | '\'' if begins => self.quote = Some(c),
                    '[' | '{' if begins => self.brackets += 1,
                    ']' | '}' if self.brackets > 0 => {
                        self.brackets -= 1;
                        begins = false;
                    }
                    ',' if self.brackets > 0 => begins = true,
                    ':' => begins = chars.peek().is_none_or(|next| *next == ' ') || self.brackets > 0,
                    '-' if begins => begins = chars.peek().is_none_or(|next| *next == ' '),
                    ' ' | '\t' => {}
                    _ => begins = false,
                },
            }
            previous = c;
        }
    }
}

/// The line without the comment at its end.
pub(super) fn without_comment(line: &str) -> &str {
    let (mut quote, mut previous, mut escaped) = (None, ' ', false);
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) => {
                if c == open && !escaped {
                    quote = None;
                }
                escaped = open == '"' && c == '\\' && !escaped;
            }
            None if c == '#' && previous == ' ' => return line[..at].trim_end(),
            None if (c == '"' || c == '\'') && " [{,:".contains(previous) => quote = Some(c),
            None => {}
        }
        previous = c;
    }
    line.trim_end()
}

/// Whether the lines below are a text: the line ends with `|` or `>`, and what may stand behind them.
pub(super) fn is_block_text(line: &str) -> bool {
    let last = line.rsplit(' ').next().unwrap_or_default();
    let mut chars = last.chars();
    matches!(chars.next(), Some('|' | '>'))
        && chars.all(|c| c.is_ascii_digit() || c == '+' || c == '-')
        && (last.len() == line.len()
            || line[..line.len() - last.len()].trim_end().ends_with([':', '-'])
            || line.contains(['!', '&']))
}
