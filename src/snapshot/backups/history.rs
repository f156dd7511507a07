//! What has been taken, and what follows from that and the clock. Pure.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    time,
};

use jiff::Timestamp;

use super::Entry;
use crate::{
    model::{duration::Duration, environment::Keep},
    snapshot::retention::{self, Leave, Retention, State, retain},
};

/// A snapshot is due somewhat before it is as old as the policy says: whoever asks every six hours, asks some seconds early
/// now and then, and must not be sent away for another six hours. This share of the time, and no more than this.
const EARLY_SHARE: u32 = 20;
const EARLY: time::Duration = time::Duration::from_mins(5);

/// Stands for the snapshot that is about to be made.
const NEW: &str = "new";

/// All that was tried on a set, in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// By their names in the catalogue.
    pub entries: BTreeMap<String, Entry>,
    pub now: Timestamp,
}

/// Whether it is time for a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Of the last good one; `None` if there is none.
    pub age: Option<time::Duration>,
    pub every: Duration,
}

impl History {
    pub fn new(entries: BTreeMap<String, Entry>, now: Timestamp) -> Self {
        Self { entries, now }
    }

    pub fn last_good(&self) -> Option<(&String, &Entry)> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.is_good())
            .max_by_key(|(name, entry)| (entry.at(), *name))
    }

    pub fn due(&self, every: Duration) -> Due {
        let age = self.last_good().map(|(_, entry)| self.now.duration_since(entry.at()));
        // One of the future is as young as can be.
        Due { age: age.map(|age| age.try_into().unwrap_or_default()), every }
    }

    /// What is kept, and what goes. `with_new`: counting one that is made now.
    pub fn retention(&self, keep: &Keep, with_new: bool, leave: Leave) -> Retention {
        let state = |entry: &Entry| match entry {
            entry if entry.deleting.is_some() => State::Deleting,
            entry if entry.is_good() => State::Good,
            _ => State::Bad,
        };
        let mut all: Vec<retention::Taken> = (self.entries.iter())
            .map(|(name, entry)| retention::Taken { name: name.clone(), at: entry.at(), state: state(entry) })
            .collect();
        if with_new {
            // Newer than any, were the clock to have gone back.
            let newest = all.iter().map(|taken| taken.at).max().unwrap_or(self.now);
            all.push(retention::Taken { name: NEW.into(), at: newest.max(self.now), state: State::Good });
        }
        let mut retention = retain(&all, keep, self.now, leave);
        retention.kept.remove(NEW);
        retention
    }
}

impl Due {
    pub fn is_due(&self) -> bool {
        let every = time::Duration::from(self.every);
        self.age.is_none_or(|age| age + early(every) >= every)
    }

    /// By how much, if whoever should have asked did not.
    pub fn overdue(&self) -> Option<time::Duration> {
        let every = time::Duration::from(self.every);
        let over = self.age?.checked_sub(every)?;
        (over > early(every)).then_some(over)
    }
}

fn early(every: time::Duration) -> time::Duration {
    (every / EARLY_SHARE).min(EARLY)
}

/// `last 7h ago, policy every 6h`
impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.age {
            Some(age) => write!(f, "last {} ago, policy every {}", length(age), self.every)?,
            None => write!(f, "never taken, policy every {}", self.every)?,
        }
        self.overdue().map_or(Ok(()), |over| write!(f, "; overdue by {}", length(over)))
    }
}

/// A length of time for people: `7h`, `1d 3h`, `45s`.
pub fn length(of: time::Duration) -> String {
    const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let seconds = of.as_secs();
    let first = UNITS.iter().position(|(_, unit)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (name, unit) = UNITS[first];
    let mut text = format!("{}{name}", seconds / unit);
    if let Some((name, smaller)) = UNITS.get(first + 1).filter(|(_, smaller)| seconds % unit / smaller > 0) {
        let _ = write!(text, " {}{name}", seconds % unit / smaller);
    }
    text
}
