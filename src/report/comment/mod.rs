//! A plan as a comment on a pull request. Pure: what is posted, found again and edited is text, and all that decides about
//! it is here.

mod changes;
mod layout;
mod marker;
mod status;

pub use changes::Approved;
pub use layout::page;
pub use marker::{Marker, Run};
pub use status::{Status, superseded, with_status};

use std::fmt::Write as _;

use super::{
    count,
    markdown::{code, fence, prose},
    view::PlanView,
};

/// How long a text may be.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    most: usize,
    bytes: bool,
}

impl Limit {
    /// GitHub refuses comments of more than 65,536 characters; the rest is for what the life of a comment adds to it.
    pub const GITHUB: Self = Self::characters(60_000);
    /// GitLab refuses notes of more than 1,000,000 characters.
    pub const GITLAB: Self = Self::characters(900_000);

    pub const fn characters(most: usize) -> Self {
        Self { most, bytes: false }
    }

    pub const fn bytes(most: usize) -> Self {
        Self { most, bytes: true }
    }

    fn length(self, text: &str) -> usize {
        if self.bytes { text.len() } else { text.chars().count() }
    }

    fn fits(self, text: &str) -> bool {
        self.length(text) <= self.most
    }

    #[must_use]
    fn without(self, text: &str) -> Self {
        Self { most: self.most.saturating_sub(self.length(text)), ..self }
    }
}

/// What a comment tells.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    Plan(&'a PlanView),
    /// There is no plan, and why. It stands in place of the plan of an earlier commit, which would look valid.
    Failed {
        environment: String,
        errors: Vec<String>,
    },
}

impl Content<'_> {
    pub fn environment(&self) -> &str {
        match self {
            Self::Plan(view) => &view.environment,
            Self::Failed { environment, .. } => environment,
        }
    }

    fn word(&self) -> String {
        match self {
            Self::Failed { .. } => "✘ planning failed".into(),
            Self::Plan(view) if view.counts.changes() == 0 => "✔ no changes".into(),
            Self::Plan(view) if !view.guards.is_empty() => {
                format!("✘ {}, refused", count(view.counts.changes(), "change"))
            }
            Self::Plan(view) => count(view.counts.changes(), "change"),
        }
    }
}

/// Where a plan comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The commit that was planned: the head of the pull request, not what CI merges it into.
    pub head: Option<String>,
    pub run: Option<Run>,
    /// What people call the run, and where it is.
    pub link: Option<(String, String)>,
    pub read_at: Option<String>,
}

impl Origin {
    /// `[run #812](https://...)`
    pub fn run(&self) -> Option<String> {
        let (name, url) = self.link.as_ref()?;
        Some(if linkable(url) { format!("[{}]({url})", prose(name)) } else { prose(name) })
    }

    fn footer(&self, content: &Content<'_>) -> String {
        let mut parts = Vec::new();
        if let Content::Plan(view) = content {
            parts.push(format!("digest {}", code(&format!("sha256:{}", view.digest))));
        }
        if let Some(head) = &self.head {
            parts.push(format!("commit {}", code(&head.chars().take(12).collect::<String>())));
        }
        parts.extend(self.run());
        parts.extend(self.read_at.as_ref().map(|moment| format!("read at {}", prose(moment))));
        parts.join(" · ")
    }
}

/// Nothing in it can end a link.
fn linkable(url: &str) -> bool {
    url.starts_with("http") && url.bytes().all(|b| b.is_ascii_graphic() && !b"()<>[]\\`\"'*_~".contains(&b))
}

/// One comment of one or more environments: its parts, each a comment of its own. There is one part unless more objects are
/// destroyed than one can name.
pub fn render(contents: &[Content<'_>], origin: &Origin, limit: Limit) -> Vec<String> {
    let marker = |part| Marker::of(contents, origin, part).to_string();
    let mut body = vec![marker(1)];
    if contents.len() > 1 {
        body.push(format!("### infra plan · {} environments\n", contents.len()));
        body.push("| environment | plan |\n|---|---|".into());
        for content in contents {
            body.push(format!("| {} | {} |", super::markdown::cell(content.environment()), content.word()));
        }
        body.push(String::new());
    }
    // What is small takes what it needs, and leaves the rest to the others.
    let mut left = limit.without(&(body.join("\n") + "\n"));
    let mut order: Vec<usize> = (0..contents.len()).collect();
    order.sort_by_key(|place| match &contents[*place] {
        Content::Plan(view) => view.counts.changes(),
        Content::Failed { .. } => 0,
    });
    let mut sections = vec![String::new(); contents.len()];
    let mut overflow = Vec::new();
    for (done, place) in order.iter().enumerate() {
        let share = Limit { most: left.most / (contents.len() - done), ..left };
        let (section, more) = section(&contents[*place], origin, share);
        left = left.without(&section);
        overflow.extend(more);
        sections[*place] = section;
    }
    body.push(sections.join("\n"));
    let mut parts = vec![body.join("\n")];
    for (place, rest) in overflow.into_iter().enumerate() {
        parts.push(format!("{}\n{rest}", marker(place + 2)));
    }
    parts
}

fn section(content: &Content<'_>, origin: &Origin, limit: Limit) -> (String, Vec<String>) {
    let slot = status::slot(content.environment());
    let footer = format!("\n\n{}\n", origin.footer(content));
    match content {
        Content::Plan(view) => {
            let limit = limit.without(&slot).without(&footer);
            let mut hidden = changes::hidden(view, limit.most / 3);
            let (mut head, mut rest, mut more) = layout::fitted(view, limit.without(&hidden));
            if !more.is_empty() {
                // What people see comes before what machines read.
                hidden = changes::hidden(view, 0);
                (head, rest, more) = layout::fitted(view, limit.without(&hidden));
            }
            (format!("{head}\n{slot}{rest}{footer}{hidden}"), more)
        }
        Content::Failed { environment, errors } => {
            let (heading, said) = failed(environment, errors, limit);
            (format!("{heading}\n{slot}\n{said}{footer}"), Vec::new())
        }
    }
}

fn failed(environment: &str, errors: &[String], limit: Limit) -> (String, String) {
    let heading = format!("### infra plan · {} · `planning failed`", prose(environment));
    let mut text = errors.join("\n");
    // What is escaped may become longer.
    if let Some((end, _)) = text.char_indices().nth(limit.most / 8) {
        text.truncate(end);
        text.push_str("\n... (cut)");
    }
    // Indented, no line of it can be taken for one of ours.
    let lines: Vec<String> = text.lines().map(|line| format!("  {}", super::escape::line(line))).collect();
    let errors = fence("", &lines.join("\n"));
    (heading, format!("> [!CAUTION]\n> There is no plan: what is below kept it from being made.\n\n{errors}"))
}

/// The same for the summary of a job, which has no life.
pub fn summary(contents: &[Content<'_>], origin: &Origin, limit: Limit) -> String {
    let mut page = String::new();
    for (done, content) in contents.iter().enumerate() {
        let footer = format!("\n\n{}\n\n", origin.footer(content));
        let share =
            Limit { most: limit.without(&page).most / (contents.len() - done), ..limit }.without(&footer);
        let (head, rest, more) = match content {
            Content::Plan(view) => layout::fitted(view, share),
            Content::Failed { environment, errors } => {
                let (heading, said) = failed(environment, errors, share);
                (heading, format!("\n{said}"), Vec::new())
            }
        };
        let _ = write!(page, "{head}\n{rest}{footer}");
        for part in more.iter().filter(|part| limit.fits(&format!("{page}{part}"))).collect::<Vec<_>>() {
            page.push_str(part);
        }
    }
    page
}
