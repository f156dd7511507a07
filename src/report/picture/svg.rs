//! A picture, drawn: one file that loads nothing, for light and for dark.

use maud::{Markup, PreEscaped, html};

use super::{
    layout::{LINE, Layout, MARGIN, Rect, layout, line_width, shown, tall, title_width},
    summary, titled,
};
use crate::{
    model::picture::{Edge, End, Fate, Kind, Node, Picture, Way},
    report::escape,
};

const STYLE: &str = include_str!("svg.css");

pub fn svg(picture: &Picture) -> String {
    let layout = layout(picture);
    let (width, height) = (layout.width, layout.height);
    let class = if picture.planned { "planned" } else { "declared" };
    let drawing = html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) }
            class=(class) role="img" aria-labelledby="title desc" {
            title #title { "Architecture of " (clean(&picture.title)) }
            desc #desc { (clean(&picture.facts.join(", "))) ". " (summary(picture)) "." }
            style { (PreEscaped(STYLE)) }
            defs {
                @for id in ["arrow", "bold"] {
                    marker id=(id) viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
                        markerUnits="userSpaceOnUse" orient="auto" { path d="M0 0L8 4L0 8Z" {} }
                }
            }
            rect.ground width="100%" height="100%" {}
            (head(picture))
            (frames(picture, &layout, None))
            @for edge in &picture.edges { (line(edge, &layout)) }
            @for (node, rect) in picture.nodes.iter().zip(&layout.nodes) { (boxed(node, *rect)) }
        }
    };
    // XML has no elements that end by themselves, and one document has one line break at its end.
    drawing.into_string() + "\n"
}

/// Characters that XML cannot hold are written out.
fn clean(text: &str) -> String {
    escape::visible(text).replace(['\u{fffe}', '\u{ffff}'], "")
}

/// Name, facts, and what lines and colours mean.
fn head(picture: &Picture) -> Markup {
    let facts = shown_facts(picture);
    let mut legend = vec![(None, Some(Way::Writes), "writes"), (None, Some(Way::Reads), "reads")];
    legend.extend(picture.fates().into_iter().map(|fate| (Some(fate), None, fate.words())));
    let wide = |words: &str| 36 + line_width(words) + 22;
    let mut x = MARGIN;
    let legend = legend.into_iter().map(|(fate, way, words)| {
        let at = x;
        x += wide(words);
        (at, fate, way, words)
    });
    html! {
        text.name x=(MARGIN) y="46" { (shown(&picture.title)) }
        text x=(MARGIN) y="68" { (facts) }
        @for (x, fate, way, words) in legend {
            @if let Some(way) = way {
                path class={ "edge " (way_name(way)) } d={ "M" (x) " 90h28" } {}
            } @else if let Some(fate) = fate {
                g class={ "node fated " (fate.name()) } { rect x=(x) y="82" width="26" height="16" rx="4" {} text.title x=(x + 9) y="95" { (fate.sign()) } }
            }
            text x=(x + 36) y="94" { (words) }
        }
    }
}

fn shown_facts(picture: &Picture) -> String {
    picture.facts.iter().map(|fact| shown(fact)).collect::<Vec<_>>().join(" · ")
}

fn way_name(way: Way) -> &'static str {
    match way {
        Way::Plain => "plain",
        Way::Reads => "reads",
        Way::Writes => "writes",
    }
}

/// Frames, each around those that stand in it.
fn frames(picture: &Picture, layout: &Layout, of: Option<usize>) -> Markup {
    html! {
        @for (place, frame) in picture.frames.iter().enumerate().filter(|(_, frame)| frame.parent == of) {
            @if let Some(rect) = layout.frames[place] {
                g class={ "frame" (fated(frame.fate)) } {
                    title { (clean(&frame.title)) (told(&frame.objects, frame.fate)) }
                    rect x=(rect.x) y=(rect.y) width=(rect.width) height=(rect.height) rx="12" {}
                    text x=(rect.x + 14) y=(rect.y + 20) { (fitting(&titled(frame.fate, &frame.title), rect.width - 28)) }
                    (frames(picture, layout, Some(place)))
                }
            }
        }
    }
}

/// A title that is no wider than its frame.
fn fitting(title: &str, room: i32) -> String {
    let mut fits = shown(title);
    let cut = title_width(&fits) > room;
    while title_width(&fits) > room - if cut { 8 } else { 0 } && fits.pop().is_some() {}
    if cut { fits + "…" } else { fits }
}

fn fated(fate: Option<Fate>) -> String {
    fate.map(|fate| format!(" fated {}", fate.name())).unwrap_or_default()
}

fn boxed(node: &Node, rect: Rect) -> Markup {
    let Rect { x, y, width, height } = rect;
    let kind = match node.kind {
        Kind::Person => "person",
        Kind::Workload => "workload",
        Kind::Group => "group",
        Kind::Service => "service",
        Kind::Database => "database",
        Kind::Endpoint => "endpoint",
        Kind::Instance => "instance",
        Kind::Backup => "backup",
        Kind::Leftover => "leftover",
    };
    let round = match node.kind {
        Kind::Person | Kind::Workload | Kind::Endpoint => height.min(34) / 2,
        _ => 7,
    };
    html! {
        g class={ "node " (kind) (fated(node.fate)) } {
            title { (clean(&std::iter::once(&node.title).chain(&node.lines).cloned().collect::<Vec<_>>().join(", "))) (told(&node.objects, node.fate)) }
            @if node.kind == Kind::Database {
                // A cylinder, seen from the side: data lies here.
                path d={ "M" (x) " " (y + 6) "v" (height - 12) "a" (width / 2) " 6 0 0 0 " (width / 2 * 2) " 0v" (12 - height) "a" (width / 2) " 6 0 0 0 " (-(width / 2 * 2)) " 0a" (width / 2) " 6 0 0 0 " (width / 2 * 2) " 0" } {}
            } @else {
                rect x=(x) y=(y) width=(width) height=(height) rx=(round) {}
            }
            @let top = y + (height - tall(node)) / 2 + if node.kind == Kind::Database { 25 } else { 22 };
            text.title x=(x + 14) y=(top) { (shown(&titled(node.fate, &node.title))) }
            @for (line, place) in node.lines.iter().zip(1..) {
                text x=(x + 14) y=(top - 1 + LINE * place) { (shown(line)) }
            }
        }
    }
}

/// What of something changes, where the pointer rests.
fn told(objects: &std::collections::BTreeSet<crate::model::Address>, fate: Option<Fate>) -> String {
    let Some(fate) = fate else { return String::new() };
    let names: Vec<String> = objects.iter().take(8).map(|address| clean(address.as_str())).collect();
    let more = if objects.len() > 8 { ", ..." } else { "" };
    format!(": {} ({}{more})", fate.words(), names.join(", "))
}

/// A line that leaves to the right and comes from the left.
fn line(edge: &Edge, layout: &Layout) -> Markup {
    let rect = |end: End| match end {
        End::Node(node) => layout.nodes.get(node).copied(),
        End::Frame(frame) => layout.frames.get(frame).copied().flatten(),
    };
    let (Some(from), Some(to)) = (rect(edge.from), rect(edge.to)) else { return html! {} };
    let x1 = from.right();
    // A frame is met where its title stands, above what is in it.
    let (x2, y2) = (to.x, if matches!(edge.to, End::Frame(_)) { to.y + 16 } else { to.middle() });
    // A line leaves a frame where it has the least way.
    let y1 = match edge.from {
        End::Frame(_) => y2.clamp(from.y + 16, (from.bottom() - 16).max(from.y + 16)),
        End::Node(_) => from.middle(),
    };
    let bend = ((x2 - x1) / 2).max(24);
    html! {
        path class={ "edge " (way_name(edge.way)) } d={ "M" (x1) " " (y1) "C" (x1 + bend) " " (y1) " " (x2 - bend) " " (y2) " " (x2 - 1) " " (y2) } {}
    }
}
