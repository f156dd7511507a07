//! Where everything stands: a column for each kind, a band for each cluster, and a service in the row of its database.
//!
//! Widths are counted in letters of one width, so that no text can be wider than what is around it, whatever font there is.

use std::collections::BTreeMap;

use super::{inside, titled};
use crate::{
    model::picture::{Edge, End, Kind, Node, Picture},
    report::escape,
};

/// All lengths are in pixels. A letter of a title of 13 pixels, and of a line of 11.
const TITLE_LETTER: f32 = 7.85;
const LINE_LETTER: f32 = 6.65;
/// Longer texts are cut.
const LONGEST: usize = 34;
const PAD: i32 = 14;
const TITLE: i32 = 34;
pub(super) const LINE: i32 = 15;
/// Between two rows.
const ROW: i32 = 10;
/// Around what stands in a frame, and above it for the title.
const FRAME: i32 = 14;
const FRAME_TITLE: i32 = 30;
/// Between two columns, frames included: room for lines to bend.
const COLUMN: i32 = 104;
const BAND: i32 = 28;
pub(super) const MARGIN: i32 = 24;
/// Title, facts and legend.
const HEAD: i32 = 118;
const COLUMNS: usize = 6;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Rect {
    pub(super) fn right(self) -> i32 {
        self.x + self.width
    }

    pub(super) fn bottom(self) -> i32 {
        self.y + self.height
    }

    pub(super) fn middle(self) -> i32 {
        self.y + self.height / 2
    }

    fn around(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let (right, bottom) = (self.right().max(other.right()), self.bottom().max(other.bottom()));
        Self { x, y, width: right - x, height: bottom - y }
    }
}

/// Texts as they are shown, and where.
pub(super) struct Layout {
    pub(super) nodes: Vec<Rect>,
    pub(super) frames: Vec<Option<Rect>>,
    pub(super) width: i32,
    pub(super) height: i32,
}

fn column(kind: Kind) -> usize {
    match kind {
        Kind::Person | Kind::Workload | Kind::Leftover => 0,
        Kind::Group | Kind::Service => 1,
        Kind::Database => 2,
        Kind::Endpoint => 3,
        Kind::Instance => 4,
        Kind::Backup => 5,
    }
}

/// How tall a node is that stands alone.
pub(super) fn tall(node: &Node) -> i32 {
    TITLE + LINE * i32::try_from(node.lines.len()).unwrap_or_default()
}

/// What is shown of a text; what is cut off can be read where the pointer rests.
pub(super) fn shown(text: &str) -> String {
    let text: String =
        escape::visible(text).chars().filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
    let (mut shown, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += letters(c);
        if used > LONGEST {
            return shown + "…";
        }
        shown.push(c);
    }
    shown
}

/// Letters of East Asia and pictures are two wide.
fn letters(c: char) -> usize {
    if u32::from(c) >= 0x1100 && !('\u{2000}'..='\u{2bff}').contains(&c) { 2 } else { 1 }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a few hundred pixels")]
pub(super) fn width(text: &str, letter: f32) -> i32 {
    (text.chars().map(letters).sum::<usize>() as f32 * letter).ceil() as i32
}

pub(super) fn title_width(text: &str) -> i32 {
    width(text, TITLE_LETTER)
}

pub(super) fn line_width(text: &str) -> i32 {
    width(text, LINE_LETTER)
}

pub(super) fn layout(picture: &Picture) -> Layout {
    let mut placing = Placing::new(picture);
    let (_, frames) = inside(picture, None);
    // What no service has its row in stands beside the people, where there is room.
    let (beside, below): (Vec<usize>, Vec<usize>) =
        frames.into_iter().partition(|frame| !placing.has_rows(*frame));
    placing.people();
    let under = std::mem::replace(&mut placing.y, HEAD);
    for frame in beside {
        placing.band(frame, false);
    }
    placing.y = placing.y.max(under);
    for frame in below {
        placing.band(frame, true);
    }
    placing.leftovers();
    placing.finish()
}

struct Placing<'a> {
    picture: &'a Picture,
    nodes: Vec<Option<Rect>>,
    /// Left edge and width of each column.
    columns: [(i32, i32); COLUMNS],
    /// Where the next band begins.
    y: i32,
}

impl<'a> Placing<'a> {
    fn new(picture: &'a Picture) -> Self {
        let mut widths = [0; COLUMNS];
        for node in picture.nodes.iter().filter(|node| node.kind != Kind::Leftover) {
            let title = title_width(&shown(&titled(node.fate, &node.title)));
            let lines = node.lines.iter().map(|line| line_width(&shown(line)));
            let widest = lines.chain([title]).max().unwrap_or_default();
            let of = &mut widths[column(node.kind)];
            *of = (*of).max(widest + 2 * PAD);
        }
        let mut x = MARGIN + 2 * FRAME;
        let columns = widths.map(|width| {
            let left = x;
            if width > 0 {
                x += width + COLUMN;
            }
            (left, width)
        });
        Self { picture, nodes: vec![None; picture.nodes.len()], columns, y: HEAD }
    }

    fn height(&self, node: usize) -> i32 {
        tall(&self.picture.nodes[node])
    }

    /// Puts a node into its column. All that stand in one row are as tall as the tallest.
    fn place(&mut self, node: usize, y: i32, height: i32) {
        let (x, width) = self.columns[column(self.picture.nodes[node].kind)];
        self.nodes[node] = Some(Rect { x, y, width, height });
    }

    fn of(&self, kind: Kind) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.picture.nodes[*node].kind == kind).collect()
    }

    /// One below the other; answers with where the next would stand.
    fn stack(&mut self, nodes: &[usize], mut top: i32) -> i32 {
        for node in nodes {
            let height = self.height(*node);
            self.place(*node, top, height);
            top += height + ROW;
        }
        top
    }

    fn people(&mut self) {
        let top = self.y + FRAME_TITLE;
        let bottom = [Kind::Person, Kind::Group].map(|kind| {
            let nodes = self.of(kind);
            if nodes.is_empty() { self.y } else { self.stack(&nodes, top) + FRAME + BAND }
        });
        self.y = bottom[0].max(bottom[1]);
    }

    /// All that stands in a frame, at any depth.
    fn within(&self, frame: usize) -> Vec<usize> {
        let (mut nodes, frames) = inside(self.picture, Some(frame));
        nodes.extend(frames.into_iter().flat_map(|inner| self.within(inner)));
        nodes
    }

    /// Who leads to a node, and is of this kind.
    fn before(&self, node: usize, kind: Kind) -> Vec<usize> {
        let from = self.picture.edges.iter().filter(|edge| edge.to == End::Node(node)).map(|edge| edge.from);
        let nodes = from.filter_map(|end| match end {
            End::Node(node) if self.picture.nodes[node].kind == kind => Some(node),
            _ => None,
        });
        nodes.filter(|node| self.nodes[*node].is_none()).collect()
    }

    /// Whether there are services that lead to a frame before they lead anywhere else.
    fn has_rows(&self, frame: usize) -> bool {
        let within = self.within(frame);
        let first = |service: usize| self.picture.edges.iter().find(|edge| edge.from == End::Node(service));
        let services = within.iter().flat_map(|node| self.before(*node, Kind::Service));
        services.filter_map(first).any(|edge| within.iter().any(|node| edge.to == End::Node(*node)))
    }

    /// A cluster or a replica set, one below the other; with its services in the rows of their databases.
    fn band(&mut self, frame: usize, rows: bool) {
        let within = self.within(frame);
        let is = |kind: Kind| {
            within.iter().copied().filter(|node| self.picture.nodes[*node].kind == kind).collect::<Vec<_>>()
        };
        let (databases, endpoints, instances) = (is(Kind::Database), is(Kind::Endpoint), is(Kind::Instance));
        if databases.is_empty() && endpoints.is_empty() {
            return;
        }
        let nested = databases.first().is_some_and(|node| self.picture.nodes[*node].frame != Some(frame));
        let top = self.y + FRAME_TITLE + if nested { FRAME_TITLE } else { 0 };
        let mut y = top;
        for database in databases {
            let services = if rows { self.before(database, Kind::Service) } else { Vec::new() };
            let workloads: Vec<usize> =
                services.iter().flat_map(|service| self.before(*service, Kind::Workload)).collect();
            let all: Vec<usize> = services.into_iter().chain(workloads).chain([database]).collect();
            let row = all.iter().map(|node| self.height(*node)).max().unwrap_or_default();
            for node in all {
                self.place(node, y, row);
            }
            y += row + ROW;
        }
        let backups: Vec<usize> = (self.picture.edges.iter())
            .filter_map(|edge| match edge {
                Edge { from: End::Frame(from), to: End::Node(to), .. }
                    if *from == frame && self.picture.nodes[*to].kind == Kind::Backup =>
                {
                    Some(*to)
                }
                _ => None,
            })
            .collect();
        let stacks = [endpoints, instances, backups].map(|nodes| (self.tall(&nodes, frame), nodes));
        let tallest = stacks.iter().map(|(tall, _)| *tall).max().unwrap_or_default().max(y - ROW - top);
        for (tall, nodes) in stacks {
            self.zones(&nodes, frame, top + (tallest - tall) / 2);
        }
        self.y = top + tallest + FRAME + if nested { FRAME } else { 0 } + BAND;
    }

    /// How tall a stack is, the titles of frames in it included.
    fn tall(&self, nodes: &[usize], frame: usize) -> i32 {
        let mut seen = Some(frame);
        let mut tall = 0;
        for (place, node) in nodes.iter().enumerate() {
            let own = self.picture.nodes[*node].frame;
            tall += Self::step(place, own, &mut seen, frame) + self.height(*node);
        }
        tall + if seen == Some(frame) { 0 } else { FRAME }
    }

    /// What is left free above the next node of a stack.
    fn step(place: usize, own: Option<usize>, seen: &mut Option<usize>, frame: usize) -> i32 {
        let row = if place == 0 { 0 } else { ROW };
        if own == *seen || own.is_none() {
            return row;
        }
        let left = if *seen == Some(frame) { 0 } else { FRAME };
        *seen = own;
        let title = if own == Some(frame) { 0 } else { FRAME_TITLE };
        row + left + title
    }

    /// A stack in which some nodes have a frame of their own.
    fn zones(&mut self, nodes: &[usize], frame: usize, mut top: i32) {
        let mut seen = Some(frame);
        for (place, node) in nodes.iter().enumerate() {
            let own = self.picture.nodes[*node].frame;
            top += Self::step(place, own, &mut seen, frame);
            let height = self.height(*node);
            self.place(*node, top, height);
            top += height;
        }
    }

    /// In rows, as wide as all else.
    fn leftovers(&mut self) {
        let nodes = self.of(Kind::Leftover);
        if nodes.is_empty() {
            return;
        }
        let widths: BTreeMap<usize, i32> = nodes
            .iter()
            .map(|node| {
                let of = &self.picture.nodes[*node];
                let lines = of.lines.iter().map(|line| line_width(&shown(line)));
                let title = title_width(&shown(&titled(of.fate, &of.title)));
                (*node, lines.chain([title]).max().unwrap_or_default() + 2 * PAD)
            })
            .collect();
        let right = self.columns.iter().map(|(x, width)| x + width).max().unwrap_or_default().max(700);
        let (left, mut y) = (MARGIN + 2 * FRAME, self.y + FRAME_TITLE);
        let (mut x, mut row) = (left, 0);
        for node in nodes {
            let (width, height) = (widths[&node], self.height(node));
            if x > left && x + width > right {
                (x, y, row) = (left, y + row + ROW, 0);
            }
            self.nodes[node] = Some(Rect { x, y, width, height });
            x += width + ROW;
            row = row.max(height);
        }
        self.y = y + row + FRAME + BAND;
    }

    fn finish(mut self) -> Layout {
        // What nothing leads to, such as an unused group of another kind of picture, stands below.
        for node in 0..self.nodes.len() {
            if self.nodes[node].is_none() {
                let height = self.height(node);
                self.place(node, self.y, height);
                self.y += height + ROW;
            }
        }
        let nodes: Vec<Rect> = self.nodes.iter().map(|rect| rect.unwrap_or_default()).collect();
        let frames = 0..self.picture.frames.len();
        let frames: Vec<Option<Rect>> = frames.map(|frame| self.rect(frame, &nodes)).collect();
        let all = nodes.iter().copied().chain(frames.iter().copied().flatten());
        let (right, bottom) = all.fold((0, HEAD), |(x, y), rect| (x.max(rect.right()), y.max(rect.bottom())));
        Layout { nodes, frames, width: (right + MARGIN).max(640), height: bottom + MARGIN }
    }

    /// A frame is around what stands in it, and has room for its title, however narrow that is.
    fn rect(&self, frame: usize, nodes: &[Rect]) -> Option<Rect> {
        let (own, inner) = inside(self.picture, Some(frame));
        let inner = inner.into_iter().filter_map(|inner| self.rect(inner, nodes));
        let within = own.into_iter().map(|node| nodes[node]).chain(inner).reduce(Rect::around)?;
        Some(Rect {
            x: within.x - FRAME,
            y: within.y - FRAME_TITLE,
            width: within.width + 2 * FRAME,
            height: within.height + FRAME_TITLE + FRAME,
        })
    }
}
