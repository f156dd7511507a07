//! What a mongod's log says of locks.

use jiff::Timestamp;
use serde_json::Value;

use super::{Member, ReplicaSet};

/// A lock, from the log of the mongod that was locked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// When the command arrived: from here on writes may wait.
    pub(crate) asked: Timestamp,
    pub(crate) locked: Timestamp,
    pub(crate) unlocked: Option<Timestamp>,
}

impl ReplicaSet {
    /// All locks that a member ever had, in order.
    pub(crate) fn locks(&self, member: usize) -> Vec<Held> {
        locks(&self.members[member])
    }
}

fn locks(member: &Member) -> Vec<Held> {
    let mut locks: Vec<Held> = Vec::new();
    let mut asked = None;
    for line in member.log().lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        let at = || entry["t"]["$date"].as_str().unwrap().parse::<Timestamp>().unwrap();
        match entry["id"].as_u64() {
            // "CMD fsync", "mongod is locked and no writes are allowed", "fsyncUnlock completed"
            Some(20461) if entry["attr"]["lock"] == true => asked = Some(at()),
            Some(20462) => {
                let locked = at();
                locks.push(Held { asked: asked.take().unwrap_or(locked), locked, unlocked: None });
            }
            Some(20466) => {
                if let Some(last) = locks.last_mut() {
                    last.unlocked = Some(at());
                }
            }
            _ => {}
        }
    }
    locks
}
