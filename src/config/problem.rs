//! What is wrong with an environment: every problem at once, each as a compiler would show it.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::json;

use super::source::{Place, Sources, Spot};

/// More problems than this help nobody; the rest is only counted.
const SHOWN_PROBLEMS: usize = 300;

/// An environment that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Ordered by file and line. Never empty.
    pub problems: Vec<Problem>,
    /// How many more there are than `problems` holds.
    pub more: usize,
}

/// One thing that is wrong, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub summary: String,
    pub place: Option<Place>,
    /// Another place that has to do with it, and in which way: `first given here`.
    pub also: Option<(String, Place)>,
    /// Why this is a problem, where that is not plain.
    pub detail: Option<String>,
    /// What to write instead.
    pub mend: Option<String>,
}

/// A problem while it is being collected: places are looked up at the end, and only for what is shown.
#[derive(Debug)]
pub(crate) struct Draft {
    summary: String,
    spot: Option<Spot>,
    also: Option<(String, Spot)>,
    detail: Option<String>,
    mend: Option<String>,
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Draft>);

impl Problems {
    pub(crate) fn add(&mut self, spot: impl Into<Option<Spot>>, summary: impl Into<String>) -> &mut Draft {
        let draft =
            Draft { summary: summary.into(), spot: spot.into(), also: None, detail: None, mend: None };
        self.0.push(draft);
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one of `names` that `name` was probably meant to be. Nobody reads so many problems that it would matter for
    /// those that are only counted, and there it could cost minutes.
    pub(crate) fn near<'n>(
        &self,
        name: &str,
        names: impl IntoIterator<Item = &'n (impl AsRef<str> + ?Sized + 'n)>,
    ) -> Option<&'n str> {
        if self.0.len() > SHOWN_PROBLEMS { None } else { near(name, names) }
    }

    pub(crate) fn into_invalid(self, sources: &Sources) -> Invalid {
        let mut drafts = self.0;
        let key = |draft: &Draft| draft.spot.map(|spot| (sources.file(spot.file).to_owned(), spot));
        drafts.sort_by_cached_key(key);
        let more = drafts.len().saturating_sub(SHOWN_PROBLEMS);
        let shown = drafts.into_iter().take(SHOWN_PROBLEMS);
        let problems = shown
            .map(|draft| Problem {
                summary: draft.summary,
                place: draft.spot.and_then(|spot| sources.place(spot)),
                also: draft.also.and_then(|(why, spot)| Some((why, sources.place(spot)?))),
                detail: draft.detail,
                mend: draft.mend,
            })
            .collect();
        Invalid { problems, more }
    }
}

impl Draft {
    pub(crate) fn mend(&mut self, mend: impl Into<String>) -> &mut Self {
        self.mend = Some(mend.into());
        self
    }

    pub(crate) fn mend_if(&mut self, mend: Option<String>) -> &mut Self {
        self.mend = mend;
        self
    }

    pub(crate) fn because(&mut self, detail: impl Into<String>) -> &mut Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn also(&mut self, why: &str, spot: impl Into<Option<Spot>>) -> &mut Self {
        self.also = spot.into().map(|spot| (why.to_owned(), spot));
        self
    }
}

/// The one of `names` that lies near enough to `name` to be what was meant.
pub(crate) fn near<'n>(
    name: &str,
    names: impl IntoIterator<Item = &'n (impl AsRef<str> + ?Sized + 'n)>,
) -> Option<&'n str> {
    let length = name.chars().count();
    let limit = (length / 3).max(1);
    let candidates =
        names.into_iter().map(AsRef::as_ref).filter(|other| other.len().abs_diff(name.len()) <= limit * 2);
    let ranked = candidates.map(|other| (strsim::osa_distance(name, other), other));
    let (distance, best) = ranked.min()?;
    (distance <= limit && distance < length).then_some(best)
}

/// `did you mean` for a name that does not exist, or the names that do while they are few.
pub(crate) fn did_you_mean<'n>(
    near: Option<&str>,
    names: impl IntoIterator<Item = &'n (impl AsRef<str> + ?Sized + 'n)>,
) -> Option<String> {
    if let Some(near) = near {
        return Some(format!("did you mean `{near}`?"));
    }
    let mut names: Vec<&str> = names.into_iter().map(AsRef::as_ref).take(21).collect();
    names.sort_unstable();
    match names.len() {
        0 | 21.. => None,
        1 => Some(format!("there is only `{}`", names[0])),
        _ => Some(format!("expected one of {}", listed(&names, "and"))),
    }
}

/// `a`, `b` and `c`.
pub(crate) fn listed(names: &[&str], last: &str) -> String {
    match names {
        [] => String::new(),
        [only] => format!("`{only}`"),
        [front @ .., end] => {
            let front: Vec<String> = front.iter().map(|name| format!("`{name}`")).collect();
            format!("{} {last} `{end}`", front.join(", "))
        }
    }
}

impl Invalid {
    /// One problem that has no place, such as a folder that cannot be read.
    pub(crate) fn one(summary: String, mend: Option<String>) -> Self {
        let problem = Problem { summary, place: None, also: None, detail: None, mend };
        Self { problems: vec![problem], more: 0 }
    }

    /// How many problems there are, shown or not.
    pub fn count(&self) -> usize {
        self.problems.len() + self.more
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        if self.more > 0 {
            writeln!(f, "and {} more, not shown\n", self.more)?;
        }
        let count = self.count();
        write!(f, "{count} problem{} found", if count == 1 { "" } else { "s" })
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Problem {
    /// Ends with a line end, so that problems below each other are a blank line apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.summary)?;
        let places = self.place.iter().chain(self.also.as_ref().map(|(_, place)| place));
        let width = places.map(|place| place.line.to_string().len()).max().unwrap_or(1);
        if let Some(place) = &self.place {
            writeln!(f, "{:width$}--> {}:{}:{}", "", place.file, place.line, place.column)?;
            snippet(f, place, width, "")?;
        }
        if let Some((why, place)) = &self.also {
            writeln!(f, "{:width$}::: {}:{}:{}", "", place.file, place.line, place.column)?;
            snippet(f, place, width, why)?;
        }
        if let Some(detail) = &self.detail {
            writeln!(f, "{:width$} = note: {detail}", "")?;
        }
        if let Some(mend) = &self.mend {
            writeln!(f, "{:width$} = help: {mend}", "")?;
        }
        Ok(())
    }
}

fn snippet(f: &mut fmt::Formatter<'_>, place: &Place, width: usize, why: &str) -> fmt::Result {
    let marks = "^".repeat(place.marked.len().max(1));
    let label = if why.is_empty() { String::new() } else { format!(" {why}") };
    writeln!(f, "{:width$} |", "")?;
    writeln!(f, "{:>width$} | {}", place.line, place.text_of_line.trim_end())?;
    writeln!(f, "{:width$} | {:indent$}{marks}{label}", "", "", indent = place.marked.start)
}

impl Serialize for Problem {
    /// As a diagnostic of `terraform validate -json`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let elsewhere = self
            .also
            .as_ref()
            .map(|(why, place)| format!("{why}: {}:{}:{}", place.file, place.line, place.column));
        let parts = [elsewhere.as_ref(), self.detail.as_ref(), self.mend.as_ref()];
        let detail: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        let mut diagnostic =
            json!({"severity": "error", "summary": self.summary, "detail": detail.join("\n")});
        if let (Some(place), Some(object)) = (&self.place, diagnostic.as_object_mut())
            && let serde_json::Value::Object(more) = place.diagnostic()
        {
            object.extend(more);
        }
        diagnostic.serialize(serializer)
    }
}

impl Serialize for Invalid {
    /// As the answer of `terraform validate -json`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "format_version": "1.0",
            "valid": false,
            "error_count": self.count(),
            "warning_count": 0,
            "diagnostics": self.problems,
        })
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let names = ["retention_days", "window", "services"];
        assert_eq!(near("retention_day", names), Some("retention_days"));
        assert_eq!(near("servces", names), Some("services"));
        assert_eq!(near("x", names), None);
        assert_eq!(near("people", names), None);
        assert_eq!(near("a", ["b"]), None);
    }
}
