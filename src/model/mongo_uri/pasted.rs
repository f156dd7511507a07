//! What mail, chat, documents and terminals do to a text on its way.

use super::BadUri;

/// What stands around a connection string in prose and in code.
const QUOTES: &str = "\"'`\u{b4}<>\u{201c}\u{201d}\u{201e}\u{201f}\u{2018}\u{2019}\u{201a}\u{201b}\u{ab}\u{bb}\u{2039}\u{203a}\
    \u{ff02}\u{ff07}\u{300c}\u{300d}";
const BYTE_ORDER_MARK: char = '\u{feff}';

pub(super) struct Cleaned {
    pub(super) text: String,
    pub(super) warnings: Vec<String>,
}

/// Where in the text something is, as far as that decides what may be said of it.
struct Places {
    /// Just behind `://`.
    login: usize,
    password: Option<usize>,
    /// The last `@`: whatever is before it may belong to the password.
    at: Option<usize>,
}

impl Places {
    fn of(chars: &[char]) -> Self {
        let login = chars.windows(3).position(|three| three == [':', '/', '/']).map_or(0, |index| index + 3);
        let at = chars.iter().rposition(|c| *c == '@').filter(|at| *at >= login);
        let colon = chars[login..at.unwrap_or(login)].iter().position(|c| *c == ':');
        Self { login, password: colon.map(|colon| login + colon + 1), at }
    }

    fn in_login(&self, index: usize) -> bool {
        index >= self.login && self.at.is_some_and(|at| index < at)
    }

    fn in_password(&self, index: usize) -> bool {
        self.in_login(index) && self.password.is_some_and(|password| index >= password)
    }
}

/// Takes away what is certain not to be meant, and refuses what nobody can see.
pub(super) fn clean(text: &str) -> Result<Cleaned, BadUri> {
    let chars: Vec<char> = text.chars().collect();
    let mut warnings = Vec::new();
    let core = peel(&chars, &mut warnings);
    let (begin, chars) = (core.start, &chars[core]);
    let places = Places::of(chars);
    for (index, c) in chars.iter().copied().enumerate() {
        if let Some(bad) = unfit(c, index, begin + index + 1, &places) {
            return Err(bad);
        }
    }
    let text = join(chars, begin, &places, &mut warnings)?;
    Ok(Cleaned { text, warnings })
}

/// Without white space, quotes and byte order marks around it.
fn peel(chars: &[char], warnings: &mut Vec<String>) -> std::ops::Range<usize> {
    let edge = |c: &char| c.is_whitespace() || QUOTES.contains(*c) || *c == BYTE_ORDER_MARK;
    let start = chars.iter().position(|c| !edge(c)).unwrap_or(chars.len());
    let behind = |c: &char| edge(c) || *c == ';';
    let end = chars.iter().rposition(|c| !behind(c)).map_or(start, |index| index + 1).max(start);
    let around = || chars[..start].iter().chain(&chars[end..]);
    if around().any(|c| QUOTES.contains(*c) || *c == ';') {
        warnings.push("the quotes around the connection string were left out".into());
    }
    if around().any(|c| *c == BYTE_ORDER_MARK) {
        warnings.push("a byte order mark beside the connection string was left out".into());
    }
    start..end
}

fn unfit(c: char, index: usize, number: usize, places: &Places) -> Option<BadUri> {
    let code = u32::from(c);
    if c.is_whitespace() {
        return None;
    }
    if invisible(c) {
        let message = if places.in_password(index) {
            format!("the password has a character that cannot be seen (character {number} of the text)")
        } else {
            format!("character {number} is U+{code:04X}, which cannot be seen")
        };
        return Some(BadUri::new(message).hint("delete it; or type the text around it anew"));
    }
    if c.is_ascii() || places.in_login(index) {
        return None;
    }
    let bad =
        BadUri::new(format!("character {number} is U+{code:04X} ({c}), which no host and no option has"));
    Some(match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => bad.hint("write a plain hyphen"),
        _ if QUOTES.contains(c) => bad.hint("leave the quotes out"),
        _ => bad.hint("write hosts in ASCII; international names as xn--..."),
    })
}

fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e01ef}'
        )
}

/// Without line breaks, and without white space around commas; any other white space is an error.
fn join(chars: &[char], begin: usize, places: &Places, warnings: &mut Vec<String>) -> Result<String, BadUri> {
    let (mut broken, mut spaced) = (false, false);
    let mut text = String::with_capacity(chars.len());
    let mut index = 0;
    while let Some(c) = chars.get(index) {
        if !c.is_whitespace() {
            text.push(*c);
            index += 1;
            continue;
        }
        let end =
            chars[index..].iter().position(|c| !c.is_whitespace()).map_or(chars.len(), |run| index + run);
        let beside_comma = text.ends_with(',') || chars.get(end) == Some(&',');
        if chars[index..end].iter().any(|c| line_end(*c)) {
            broken = true;
        } else if beside_comma && !places.in_login(index) {
            spaced = true;
        } else {
            let number = begin + index + 1;
            return Err(if places.in_login(index) {
                BadUri::new(format!("there is white space in the user or the password (character {number})"))
                    .hint("if it belongs there, write a space as %20")
            } else {
                BadUri::new(format!("there is white space at character {number}")).hint("delete it")
            });
        }
        index = end;
    }
    if broken {
        warnings.push("line breaks in the connection string were left out".into());
    }
    if spaced {
        warnings.push("white space between the hosts was left out".into());
    }
    Ok(text)
}

fn line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}
