//! The first line of a comment, by which it is found again: whose plan it shows, of which commit, made by which run.

use std::{fmt, str::FromStr as _};

use super::{Content, Origin};
use crate::{engine::Digest, model::percent};

const BEGIN: &str = "<!-- infra:plan v=1 ";
const END: &str = " -->";

/// A run of CI; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    pub id: u64,
    pub attempt: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Sorted by environment. No digest: there was no plan.
    pub plans: Vec<(String, Option<Digest>)>,
    pub head: Option<String>,
    pub run: Option<Run>,
    /// From 1; what does not fit into one comment is continued in the next.
    pub part: usize,
}

impl Marker {
    pub(super) fn of(contents: &[Content<'_>], origin: &Origin, part: usize) -> Self {
        let one = |content: &Content<'_>| {
            let digest = match content {
                // Read from a file, a digest may be any text.
                Content::Plan(view) => view.digest.to_string().parse().ok(),
                Content::Failed { .. } => None,
            };
            (content.environment().to_owned(), digest)
        };
        let mut plans: Vec<_> = contents.iter().map(one).collect();
        plans.sort_by(|a, b| a.0.cmp(&b.0));
        let head = origin.head.clone().filter(|head| is_commit(head));
        Self { plans, head, run: origin.run, part }
    }

    /// Of the first line of a comment, if it is one of ours.
    pub fn parse(body: &str) -> Option<Self> {
        let line = body.lines().next()?.trim_end();
        let fields = line.strip_prefix(BEGIN)?.strip_suffix(END)?;
        let field =
            |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let environments: Vec<String> = field("env")?.split(',').map(decode).collect::<Option<_>>()?;
        let digests = digests(field("digest")?)?;
        if environments.len() != digests.len() || environments.iter().any(String::is_empty) {
            return None;
        }
        let run = match field("run") {
            Some(text) => {
                let (id, attempt) = text.split_once('.')?;
                Some(Run { id: id.parse().ok()?, attempt: attempt.parse().ok()? })
            }
            None => None,
        };
        let head = field("sha").map(str::to_owned);
        if head.as_deref().is_some_and(|head| !is_commit(head)) {
            return None;
        }
        let part = field("part").map_or(Some(1), |part| part.parse().ok())?;
        Some(Self { plans: environments.into_iter().zip(digests).collect(), head, run, part })
    }

    /// It shows the same environments, all of them and no others.
    pub fn same_environments(&self, other: &Self) -> bool {
        self.plans.iter().map(|(name, _)| name).eq(other.plans.iter().map(|(name, _)| name))
    }

    /// It shows this environment, among others perhaps.
    pub fn shows(&self, environment: &str) -> bool {
        self.plans.iter().any(|(name, _)| name == environment)
    }

    /// The digest of one environment; `None` if it does not show it, or there was no plan.
    pub fn digest(&self, environment: &str) -> Option<&Digest> {
        self.plans.iter().find(|(name, _)| name == environment)?.1.as_ref()
    }

    /// Whether this may take the place of `old`. CI runs end in any order: what is about a newer commit stays.
    /// `tip` is the head of the pull request as it is now.
    pub fn may_replace(&self, old: &Self, tip: Option<&str>) -> bool {
        if self.head != old.head && tip.is_some() {
            if self.head.as_deref() == tip {
                return true;
            }
            if old.head.as_deref() == tip {
                return false;
            }
        }
        self.run >= old.run
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.plans.iter().map(|(name, _)| encode(name)).collect();
        let digests = self.plans.iter().map(|(_, digest)| match digest {
            Some(digest) => format!("sha256:{digest}"),
            None => "none".into(),
        });
        let digests: Vec<String> = digests.collect();
        write!(f, "{BEGIN}env={} digest={}", names.join(","), digests.join(","))?;
        if let Some(head) = &self.head {
            write!(f, " sha={head}")?;
        }
        if let Some(Run { id, attempt }) = self.run {
            write!(f, " run={id}.{attempt}")?;
        }
        if self.part > 1 {
            write!(f, " part={}", self.part)?;
        }
        f.write_str(END)
    }
}

/// A commit of git, in full or cut short.
fn is_commit(text: &str) -> bool {
    (7..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `None` if one of them is neither a digest nor `none`.
fn digests(text: &str) -> Option<Vec<Option<Digest>>> {
    let mut digests = Vec::new();
    for one in text.split(',') {
        digests.push(match one {
            "none" => None,
            one => Some(Digest::from_str(one.strip_prefix("sha256:")?).ok()?),
        });
    }
    Some(digests)
}

/// A name without whatever could end the marker, a field or an item of it.
pub(super) fn encode(name: &str) -> String {
    percent::encode_all_but(b"/:", name)
}

pub(super) fn decode(text: &str) -> Option<String> {
    percent::decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(head: &str, run: (u64, u64)) -> Marker {
        Marker {
            plans: vec![("prod".into(), Some("ab".repeat(32).parse().unwrap()))],
            head: Some(head.into()),
            run: Some(Run { id: run.0, attempt: run.1 }),
            part: 1,
        }
    }

    #[test]
    fn there_and_back() {
        let one = marker("0123456789abcdef", (812, 2));
        let line = one.to_string();
        assert_eq!(
            line,
            format!(
                "<!-- infra:plan v=1 env=prod digest=sha256:{} sha=0123456789abcdef run=812.2 -->",
                "ab".repeat(32)
            )
        );
        assert_eq!(Marker::parse(&format!("{line}\r\nmore")), Some(one.clone()));
        let hostile = Marker {
            plans: vec![("a --> @all, b=\n%".into(), None), ("b".into(), None)],
            head: None,
            run: None,
            part: 3,
        };
        let line = hostile.to_string();
        assert_eq!(line.matches("-->").count(), 1, "{line}");
        assert_eq!(Marker::parse(&line), Some(hostile));
        for other in [
            format!("said: {one}"),
            format!("\n{one}"),
            one.to_string().replace("v=1", "v=2"),
            one.to_string().replace("sha256:abab", "sha256:"),
            one.to_string().replace("run=812.2", "run=x"),
            one.to_string().replace("env=prod", "env="),
            one.to_string().replace("env=prod", "env=prod,test"),
            "<!-- infra:plan v=1 -->".into(),
        ] {
            assert_eq!(Marker::parse(&other), None, "{other}");
        }
    }

    #[test]
    fn names_are_compared_whole() {
        let (one, mut other) = (marker("0123456", (1, 1)), marker("0123456", (1, 1)));
        other.plans[0].0 = "prod-eu".into();
        assert!(!one.same_environments(&other) && one.same_environments(&one));
        assert!(one.shows("prod") && !one.shows("prod-eu") && !other.shows("prod"));
    }

    #[test]
    fn the_newer_commit_stays() {
        let (old, new) = (marker("aaaaaaa", (10, 1)), marker("bbbbbbb", (11, 1)));
        for (ours, there, tip, replaced) in [
            // In order, and out of order.
            (&new, &old, Some("bbbbbbb"), true),
            (&old, &new, Some("bbbbbbb"), false),
            // The head was moved back by force: the older run is about what counts.
            (&old, &new, Some("aaaaaaa"), true),
            // Nobody knows the head, or it is another by now: the later run.
            (&new, &old, None, true),
            (&old, &new, None, false),
            (&old, &new, Some("ccccccc"), false),
            (&old, &old, Some("aaaaaaa"), true),
            (&marker("aaaaaaa", (10, 1)), &marker("aaaaaaa", (10, 2)), Some("aaaaaaa"), false),
            (&marker("aaaaaaa", (9, 3)), &marker("aaaaaaa", (10, 1)), Some("aaaaaaa"), false),
        ] {
            assert_eq!(ours.may_replace(there, tip), replaced, "{ours} {there} {tip:?}");
        }
    }
}
