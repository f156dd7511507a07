//! A picture in the language of Graphviz.

use std::fmt::Write as _;

use super::{inside, titled, word};
use crate::{
    model::picture::{End, Fate, Kind, Picture, Way},
    report::escape,
};

fn colour(fate: Fate) -> &'static str {
    match fate {
        Fate::Delete => "#b3162b",
        Fate::Replace => "#86198f",
        Fate::Update => "#854d0e",
        Fate::Create => "#166534",
        Fate::Hold => "#475569",
    }
}

pub fn dot(picture: &Picture) -> String {
    let mut text = format!("digraph {} {{\n", quoted(&picture.title));
    text.push_str("  rankdir=LR; compound=true; nodesep=0.15; ranksep=0.9;\n");
    text.push_str(
        "  graph [fontname=\"Helvetica\", fontsize=12, style=rounded, color=\"#8a93a5\", labeljust=l];\n",
    );
    text.push_str("  node [fontname=\"Helvetica\", fontsize=11, shape=box, style=rounded, color=\"#5b6474\", margin=\"0.15,0.07\"];\n");
    text.push_str("  edge [color=\"#5b6474\", fontname=\"Helvetica\", fontsize=9, arrowsize=0.7];\n");
    frame(&mut text, picture, None, 1);
    for edge in &picture.edges {
        // An edge goes from node to node, and is cut where it meets the frame.
        let (Some(from), Some(to)) = (first(picture, edge.from), first(picture, edge.to)) else { continue };
        let mut attributes = match edge.way {
            Way::Plain => vec![],
            Way::Reads => vec!["style=dashed".to_owned()],
            Way::Writes => vec!["penwidth=1.6".to_owned()],
        };
        if word(picture, edge.from) {
            attributes.push(format!("label={}", if edge.way == Way::Reads { "reads" } else { "writes" }));
        }
        attributes.extend(cut("ltail", edge.from));
        attributes.extend(cut("lhead", edge.to));
        let _ = writeln!(text, "  n{from} -> n{to} [{}];", attributes.join(", "));
    }
    text.push_str("}\n");
    text
}

fn cut(which: &str, end: End) -> Option<String> {
    match end {
        End::Node(_) => None,
        End::Frame(frame) => Some(format!("{which}=cluster_f{frame}")),
    }
}

fn first(picture: &Picture, end: End) -> Option<usize> {
    match end {
        End::Node(node) => Some(node),
        End::Frame(frame) => {
            let (nodes, frames) = inside(picture, Some(frame));
            frames.into_iter().find_map(|inner| first(picture, End::Frame(inner))).or(nodes.first().copied())
        }
    }
}

fn frame(text: &mut String, picture: &Picture, of: Option<usize>, depth: usize) {
    let indent = "  ".repeat(depth);
    let (nodes, frames) = inside(picture, of);
    for node in nodes {
        let shown = &picture.nodes[node];
        let title = titled(shown.fate, &shown.title);
        let lines: Vec<&str> =
            std::iter::once(title.as_str()).chain(shown.lines.iter().map(String::as_str)).collect();
        let mut attributes = vec![format!("label={}", quoted(&lines.join("\n")))];
        match shown.kind {
            Kind::Database => attributes.push("shape=cylinder, style=solid".into()),
            Kind::Person | Kind::Workload => attributes.push("shape=oval, style=solid".into()),
            Kind::Endpoint => attributes.push("shape=hexagon, style=solid".into()),
            Kind::Backup => attributes.push("shape=folder, style=solid".into()),
            Kind::Group | Kind::Service | Kind::Instance | Kind::Leftover => {}
        }
        attributes.extend(shown.fate.map(painted));
        let _ = writeln!(text, "{indent}n{node} [{}];", attributes.join(", "));
    }
    for inner in frames {
        let shown = &picture.frames[inner];
        let _ = writeln!(text, "{indent}subgraph cluster_f{inner} {{");
        let _ = writeln!(text, "{indent}  label={};", quoted(&titled(shown.fate, &shown.title)));
        if let Some(fate) = shown.fate {
            let _ = writeln!(text, "{indent}  color=\"{}\"; penwidth=2;", colour(fate));
        }
        frame(text, picture, Some(inner), depth + 1);
        let _ = writeln!(text, "{indent}}}");
    }
}

fn painted(fate: Fate) -> String {
    let colour = colour(fate);
    format!("color=\"{colour}\", fontcolor=\"{colour}\", penwidth=2")
}

/// A string of DOT, in which a line break of ours is one, and nothing else means anything: neither `\N` nor `&lt;`.
fn quoted(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let shown = escape::visible(line);
        shown.replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
    });
    format!("\"{}\"", lines.collect::<Vec<_>>().join("\\n"))
}
