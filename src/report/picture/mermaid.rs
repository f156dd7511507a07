//! A picture as a flowchart of Mermaid, which GitHub and GitLab draw.

use std::fmt::Write as _;

use super::{inside, titled, word};
use crate::{
    model::picture::{End, Fate, Kind, Picture, Way},
    report::escape,
};

/// Strokes alone, so that it can be read on light and on dark ground.
fn style(fate: Fate) -> &'static str {
    match fate {
        Fate::Delete => "stroke:#d1242f,stroke-width:3px,stroke-dasharray:6 3",
        Fate::Replace => "stroke:#a03fc4,stroke-width:3px",
        Fate::Update => "stroke:#b7791f,stroke-width:3px",
        Fate::Create => "stroke:#1f9d4d,stroke-width:3px",
        Fate::Hold => "stroke:#7a869a,stroke-width:3px,stroke-dasharray:2 3",
    }
}

pub fn mermaid(picture: &Picture) -> String {
    let mut text = String::from("flowchart LR\n");
    frame(&mut text, picture, None, 1);
    for edge in &picture.edges {
        let told = word(picture, edge.from);
        let arrow = match edge.way {
            Way::Plain => "-->",
            Way::Reads if told => "-. reads .->",
            Way::Reads => "-.->",
            Way::Writes if told => "== writes ==>",
            Way::Writes => "==>",
        };
        let _ = writeln!(text, "  {} {arrow} {}", id(edge.from), id(edge.to));
    }
    for fate in picture.fates() {
        let nodes =
            (0..picture.nodes.len()).filter(|node| picture.nodes[*node].fate == Some(fate)).map(End::Node);
        let frames = (0..picture.frames.len())
            .filter(|frame| picture.frames[*frame].fate == Some(fate))
            .map(End::Frame);
        let ids: Vec<String> = nodes.chain(frames).map(id).collect();
        let _ = writeln!(text, "  classDef {} {}", fate.name(), style(fate));
        let _ = writeln!(text, "  class {} {}", ids.join(","), fate.name());
    }
    text
}

/// Ids are numbers, so that no name can be anything but a label.
fn id(end: End) -> String {
    match end {
        End::Node(node) => format!("n{node}"),
        End::Frame(frame) => format!("f{frame}"),
    }
}

fn frame(text: &mut String, picture: &Picture, of: Option<usize>, depth: usize) {
    let indent = "  ".repeat(depth);
    let (nodes, frames) = inside(picture, of);
    for node in nodes {
        let shown = &picture.nodes[node];
        let title = titled(shown.fate, &shown.title);
        let lines: Vec<String> =
            std::iter::once(&title).chain(&shown.lines).map(|line| label(line)).collect();
        let (open, close) = match shown.kind {
            Kind::Person | Kind::Workload => ("([", "])"),
            Kind::Group => ("[[", "]]"),
            Kind::Database => ("[(", ")]"),
            Kind::Endpoint => ("{{", "}}"),
            Kind::Instance => ("(", ")"),
            Kind::Service | Kind::Backup | Kind::Leftover => ("[", "]"),
        };
        let _ = writeln!(text, "{indent}n{node}{open}\"{}\"{close}", lines.join("<br/>"));
    }
    for inner in frames {
        let title = titled(picture.frames[inner].fate, &picture.frames[inner].title);
        let _ = writeln!(text, "{indent}subgraph f{inner}[\"{}\"]", label(&title));
        frame(text, picture, Some(inner), depth + 1);
        let _ = writeln!(text, "{indent}end");
    }
}

/// A label in quotes: what is not plainly a letter is written as its number, for Mermaid reads Markdown and HTML in labels.
fn label(text: &str) -> String {
    let mut label = String::with_capacity(text.len());
    for c in escape::visible(text).chars() {
        if c.is_alphanumeric() || " .,:/-_+~()·−±‖".contains(c) {
            label.push(c);
        } else {
            let _ = write!(label, "#{};", u32::from(c));
        }
    }
    // A list or a heading would be Markdown, too.
    if label.is_empty() { " ".into() } else { label }
}
