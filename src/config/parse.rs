//! One file of YAML 1.2 to one tree, within limits. What makes YAML surprising is refused rather than guessed at: aliases,
//! tags, several documents, keys given twice.

use std::{borrow::Cow, collections::btree_map};

use serde_yaml::granit_parser::{
    ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag, options,
};

use super::{
    problem::Problems,
    source::{Sources, Spot, inline_password, quoted},
    tree::{Entry, Map, Node, Value},
};

/// How deep lists and maps may lie in each other; what an environment declares needs seven.
const DEPTH: usize = 64;

/// The file could not be understood; why, is among the problems.
#[derive(Debug)]
pub(crate) struct Broken;

/// The tree of the file; an error when there is none, or when a part of it is not what its author meant.
pub(crate) fn parse(file: u32, sources: &mut Sources, problems: &mut Problems) -> Result<Node, Broken> {
    let (result, secrets) = {
        let text = sources.text(file);
        // One deeper than we allow ourselves, so that our own message comes first.
        let options = options! {
            emit_comments: false,
            disallow_directives: true,
            flow_nesting_limit: DEPTH + 1,
            block_nesting_limit: DEPTH + 1,
        };
        let events = Parser::new_from_str_with_options(text, options);
        let mut reader = Reader {
            events,
            text,
            file,
            problems,
            secrets: Vec::new(),
            whole: true,
            said_aliases: false,
            said_anchors: false,
        };
        let root = reader.document();
        let result = match root {
            Ok(root) if reader.whole => Ok(root),
            Ok(_) | Err(Stop::Said) => Err(Broken),
            Err(Stop::Syntax(error)) => {
                reader.syntax(&error);
                Err(Broken)
            }
        };
        (result, reader.secrets)
    };
    for spot in secrets {
        sources.hide(spot);
    }
    result
}

struct Reader<'t, 'p> {
    events: Parser<'t, StrInput<'t>>,
    text: &'t str,
    file: u32,
    problems: &'p mut Problems,
    /// Texts with a password in them, which no message may show.
    secrets: Vec<Spot>,
    /// Whether everything so far is understood.
    whole: bool,
    said_aliases: bool,
    said_anchors: bool,
}

/// Why reading a file ends early.
enum Stop {
    Syntax(ScanError),
    /// It is among the problems already.
    Said,
}

type Next<'t> = (Event<'t>, Span);

impl<'t> Reader<'t, '_> {
    fn next(&mut self) -> Result<Next<'t>, Stop> {
        match self.events.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(Stop::Syntax(error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn spot(&self, span: &Span) -> Spot {
        let end = self.text.len();
        let byte = |marker: &serde_yaml::granit_parser::Marker| marker.byte_offset().unwrap_or(0).min(end);
        let start = byte(&span.start);
        let number = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        Spot { file: self.file, start: number(start), end: number(byte(&span.end).max(start)) }
    }

    fn document(&mut self) -> Result<Node, Stop> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let spot = self.spot(&span);
                    self.refuse(spot, "a second document in one file")
                        .mend("put it into a file of its own; all *.yaml of the folder are read");
                    return Err(Stop::Said);
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, &span, 0)?),
            }
        }
        let start = Spot { file: self.file, start: 0, end: 0 };
        let Some(root) = root.filter(|root| !root.is_null()) else {
            // Only comments, or nothing at all: a file may be prepared before there is anything to say.
            return Ok(Node { spot: start, value: Value::Map(Map::new()) });
        };
        if root.map().is_none() {
            self.refuse(root.spot, "a file declares keys with values, and this one does not")
                .mend("start with a key such as `services:`");
        }
        Ok(root)
    }

    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Node, Stop> {
        let spot = self.spot(span);
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.plain_only(spot, anchor, tag.as_deref(), span);
                if inline_password(&text).is_some() {
                    self.secrets.push(spot);
                }
                scalar(text, style, spot)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.plain_only(spot, anchor, tag.as_deref(), span);
                self.deeper(spot, depth)?;
                self.list(depth)?
            }
            Event::MappingStart(_, anchor, tag) => {
                self.plain_only(spot, anchor, tag.as_deref(), span);
                self.deeper(spot, depth)?;
                self.map(depth)?
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.alias(spot);
                Value::Null { written: true }
            }
            _ => Value::Null { written: false },
        };
        Ok(Node { spot, value })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Stop> {
        let mut map = Map::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok(Value::Map(map));
            }
            let spot = self.spot(&span);
            let name = self.key(event, &span, depth)?;
            let (event, span) = self.next()?;
            let node = self.node(event, &span, depth + 1)?;
            let Some(name) = name else { continue };
            match map.entry(name) {
                btree_map::Entry::Vacant(vacant) => {
                    vacant.insert(Entry { key: spot, node });
                }
                btree_map::Entry::Occupied(first) => {
                    self.problems
                        .add(spot, format!("{} is given twice", quoted(first.key())))
                        .also("first given here", first.get().key)
                        .mend("keep one of them");
                }
            }
        }
    }

    /// The text of a key; `None` when it is not one that can be used.
    fn key(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Option<String>, Stop> {
        let spot = self.spot(span);
        match event {
            Event::Scalar(text, _, anchor, tag) => {
                self.plain_only(spot, anchor, tag.as_deref(), span);
                if text == "<<" {
                    self.refuse(spot, "merge keys (`<<`) are not read here")
                        .mend("write the keys out, or put what is shared into a folder named by `extends:`");
                    return Ok(None);
                }
                if text.is_empty() || spot.end == spot.start {
                    self.refuse(spot, "a key is missing before the colon");
                    return Ok(None);
                }
                Ok(Some(text.into_owned()))
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.alias(spot);
                Ok(None)
            }
            event => {
                self.node(event, span, depth + 1)?;
                self.refuse(spot, "a key must be a plain word, not a list or a map").mend(
                    "a value that begins with `{`, `[` or `*` and is meant as text is written in quotes",
                );
                Ok(None)
            }
        }
    }

    fn refuse(&mut self, spot: Spot, summary: &str) -> &mut super::problem::Draft {
        self.whole = false;
        self.problems.add(spot, summary)
    }

    /// Aliases and anchors come in crowds; the first one of a file says all there is to say.
    fn alias(&mut self, spot: Spot) {
        self.whole = false;
        if std::mem::replace(&mut self.said_aliases, true) {
            return;
        }
        self.refuse(spot, "aliases (`*name`) are not read here")
            .because(
                "an alias can stand for a thousand times its own size, and hides where a value comes from",
            )
            .mend("write the value out, or put what is shared into a folder named by `extends:`");
    }

    fn plain_only(&mut self, spot: Spot, anchor: usize, tag: Option<&Tag>, span: &Span) {
        if tag.is_some() {
            let spot = span.tag_span().map_or(spot, |span| self.spot(&span));
            self.refuse(spot, "tags (`!name`) are not read here")
                .mend("leave the tag out; a value that is meant as text is written in quotes");
        } else if anchor > 0 {
            self.whole = false;
            if std::mem::replace(&mut self.said_anchors, true) {
                return;
            }
            self.refuse(spot, "anchors (`&name`) are not read here")
                .because("with aliases (`*name`), which belong to them, it is hard to see where a value comes from")
                .mend("write the value out, or put what is shared into a folder named by `extends:`");
        }
    }

    fn deeper(&mut self, spot: Spot, depth: usize) -> Result<(), Stop> {
        if depth < DEPTH {
            return Ok(());
        }
        self.refuse(spot, &format!("more than {DEPTH} lists and maps inside each other"));
        Err(Stop::Said)
    }

    fn syntax(&mut self, error: &ScanError) {
        let marker = error.marker();
        let byte = marker.byte_offset().unwrap_or_else(|| {
            self.text.char_indices().nth(marker.index()).map_or(self.text.len(), |(byte, _)| byte)
        });
        let byte = u32::try_from(byte.min(self.text.len())).unwrap_or(u32::MAX);
        let spot = Spot { file: self.file, start: byte, end: byte };
        let (summary, mend) = explain(error.kind());
        self.refuse(spot, &format!("this is not YAML: {summary}")).mend_if(mend.map(str::to_owned));
    }
}

/// A syntax error in words of ours where the parser's are about its own machinery, and what usually is the cause.
fn explain(kind: &ErrorKind) -> (Cow<'static, str>, Option<&'static str>) {
    const QUOTES: &str =
        "a text that contains `: ` or ` #`, or begins with one of `{[*&!|>%@,?-`, is written in quotes";
    const INDENT: &str = "keys of one map begin in the same column; lines below `key:` are indented further";
    let (summary, mend) = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab, where only spaces may stand", "indent with spaces"),
        ErrorKind::UnclosedQuotedScalar => ("a quote is never closed", "close it on the same line"),
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            ("a bracket is never closed", "every `[` needs its `]`, and every `{` its `}`")
        }
        ErrorKind::UnknownAnchor => ("nothing has this alias's name", QUOTES),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a `:` where no key ends", QUOTES)
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => ("a key without its `:`", INDENT),
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::MappingKeyNotAllowed => ("the indentation does not fit the lines above", INDENT),
        ErrorKind::DirectiveDisallowed => ("directives (`%`) are not read here", "leave the line out"),
        ErrorKind::UnknownQuotedScalarEscape => (
            "an unknown escape (a backslash and a letter) in double quotes",
            "write the backslash twice, or use single quotes",
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            return (
                format!("a value cannot begin with `{}`", character.escape_debug()).into(),
                Some(QUOTES),
            );
        }
        ErrorKind::RecursionLimitExceeded => {
            return (format!("more than {DEPTH} lists and maps inside each other").into(), None);
        }
        other => {
            let words = other.to_string();
            let words = words.rsplit_once(", ").map_or(words.as_str(), |(_, end)| end).to_owned();
            return (words.into(), Some(QUOTES));
        }
    };
    (summary.into(), Some(mend))
}

/// A scalar by the core schema of YAML 1.2, in which `no`, `on` and `1_000` are texts.
fn scalar(text: Cow<'_, str>, style: ScalarStyle, spot: Spot) -> Value {
    if style != ScalarStyle::Plain {
        return Value::Text(text.into_owned());
    }
    // For a value that is not there the parser gives `~`, but no place.
    if spot.end == spot.start {
        return Value::Null { written: false };
    }
    match &*text {
        "~" | "null" | "Null" | "NULL" => return Value::Null { written: true },
        "true" | "True" | "TRUE" => return Value::Boolean(true),
        "false" | "False" | "FALSE" => return Value::Boolean(false),
        _ => {}
    }
    let bare = text.trim_start_matches(['+', '-']);
    if text.len() - bare.len() > 1 || !bare.starts_with(|first: char| first.is_ascii_digit() || first == '.')
    {
        return Value::Text(text.into_owned());
    }
    number(&text, bare).unwrap_or_else(|| Value::Text(text.into_owned()))
}

fn number(text: &str, bare: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16, char::is_ascii_hexdigit);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8, |digit| ('0'..='7').contains(digit));
    }
    match bare {
        ".inf" | ".Inf" | ".INF" => {
            return Some(Value::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
        }
        ".nan" | ".NaN" | ".NAN" if bare.len() == text.len() => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    if bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Value::Integer).or_else(|_| text.parse().map(Value::Float)).ok();
    }
    // Rust also reads `infinity` and the like as numbers; YAML does not.
    let floats =
        bare.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    if floats { text.parse().map(Value::Float).ok() } else { None }
}

fn radix(digits: &str, radix: u32, is_digit: impl Fn(&char) -> bool) -> Option<Value> {
    let all = !digits.is_empty() && digits.chars().all(|digit| is_digit(&digit));
    all.then(|| i64::from_str_radix(digits, radix).map_or(Value::Text(digits.to_owned()), Value::Integer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(yaml: &str) -> serde_json::Value {
        let (mut sources, mut problems) = (Sources::default(), Problems::default());
        let file = sources.add("a.yaml".into(), format!("k: {yaml}\n"));
        let root = parse(file, &mut sources, &mut problems).unwrap();
        assert!(problems.is_empty(), "{yaml}");
        root.to_json()["k"].clone()
    }

    #[test]
    fn the_core_schema() {
        for text in ["no", "on", "yes", "1_000", "12:30:45", "1.2.3", "+-1", "0b1", "infinity", "1e", "='x'"]
        {
            assert_eq!(value(text), serde_json::json!(text), "{text}");
        }
        assert_eq!(value("0x1F"), serde_json::json!(31));
        assert_eq!(value("0o17"), serde_json::json!(15));
        assert_eq!(value("017"), serde_json::json!(17));
        assert_eq!(value("-1"), serde_json::json!(-1));
        assert_eq!(value(".5"), serde_json::json!(0.5));
        assert_eq!(value("1e3"), serde_json::json!(1000.0));
        assert_eq!(value("'1'"), serde_json::json!("1"));
        assert_eq!(value("~"), serde_json::Value::Null);
    }
}
