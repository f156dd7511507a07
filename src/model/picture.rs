//! The architecture of an environment as a picture: what there is, what stands in what, and what leads where. Says nothing of
//! how it is drawn.

use std::collections::{BTreeMap, BTreeSet};

use super::Address;

/// A picture, in a fixed order: the same environment gives the same one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The environment.
    pub title: String,
    /// What is to be known of it, in a few short parts.
    pub facts: Vec<String>,
    pub frames: Vec<Frame>,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// It shows a plan: what has no fate stays as it is.
    pub planned: bool,
}

/// What something is. The order is that of columns, from who comes to where data lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Person,
    /// A service account of Kubernetes, and the role of IAM that it becomes.
    Workload,
    Group,
    Service,
    Database,
    Endpoint,
    Instance,
    Backup,
    /// What is in the plan but no longer declared.
    Leftover,
}

/// What a plan does to something, the dangerous first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Delete,
    Replace,
    Update,
    Create,
    Hold,
}

impl Fate {
    pub const ALL: [Self; 5] = [Self::Delete, Self::Replace, Self::Update, Self::Create, Self::Hold];

    /// A word for it, as a class of style.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Replace => "replace",
            Self::Update => "update",
            Self::Create => "create",
            Self::Hold => "hold",
        }
    }

    /// A sign for it, for whoever sees no colours.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Delete => "−",
            Self::Replace => "±",
            Self::Update => "~",
            Self::Create => "+",
            Self::Hold => "‖",
        }
    }

    /// What becomes of it, for a legend.
    pub fn words(self) -> &'static str {
        match self {
            Self::Delete => "will be destroyed",
            Self::Replace => "must be replaced",
            Self::Update => "will be changed",
            Self::Create => "will be created",
            Self::Hold => "held as it is",
        }
    }

    /// Of something that stands for several objects: what all share, or else that it changes. `None` when nothing happens.
    pub fn of(objects: &BTreeSet<Address>, fates: &BTreeMap<Address, Self>) -> Option<Self> {
        let each: BTreeSet<Option<Self>> =
            objects.iter().map(|address| fates.get(address).copied()).collect();
        match each.iter().copied().collect::<Vec<_>>()[..] {
            [] => None,
            [alone] => alone,
            // What is held beside what changes must not look as if all was well.
            _ if each.contains(&Some(Self::Hold)) => Some(Self::Hold),
            _ => Some(Self::Update),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// By its place in [`Picture::nodes`].
    Node(usize),
    /// By its place in [`Picture::frames`].
    Frame(usize),
}

/// Something around others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    pub title: String,
    /// The frame that it stands in, by its place.
    pub parent: Option<usize>,
    pub objects: BTreeSet<Address>,
    pub fate: Option<Fate>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    pub title: String,
    pub lines: Vec<String>,
    pub frame: Option<usize>,
    /// What it stands for in a plan.
    pub objects: BTreeSet<Address>,
    pub fate: Option<Fate>,
}

/// What a line means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Is a member of, runs as, is backed up by.
    Plain,
    Reads,
    Writes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub from: End,
    pub to: End,
    pub way: Way,
}

impl Picture {
    pub fn frame(&mut self, title: &str, parent: Option<usize>) -> usize {
        self.frames.push(Frame { title: title.into(), parent, ..Frame::default() });
        self.frames.len() - 1
    }

    pub fn node(&mut self, kind: Kind, title: &str, lines: Vec<String>, frame: Option<usize>) -> usize {
        let title = title.into();
        self.nodes.push(Node { kind, title, lines, frame, objects: BTreeSet::new(), fate: None });
        self.nodes.len() - 1
    }

    pub fn edge(&mut self, from: End, to: End, way: Way) {
        self.edges.push(Edge { from, to, way });
    }

    /// Fates that are seen in it, for a legend.
    pub fn fates(&self) -> BTreeSet<Fate> {
        let frames = self.frames.iter().filter_map(|frame| frame.fate);
        self.nodes.iter().filter_map(|node| node.fate).chain(frames).collect()
    }
}
