//! Which snapshots are kept, counted as restic counts. Pure.
//!
//! For each rule, the newest snapshot of each of the last so many periods that have one; a snapshot stays when any rule keeps
//! it. Periods are those of UTC, and weeks those of ISO 8601, so that no change of clocks moves a snapshot.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp, tz::Offset};

use crate::model::environment::Keep;

/// How long what came to nothing is kept, for whoever wants to know why.
const FAILED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// So many may go at once, however few there are.
const FEW: usize = 4;

/// A snapshot, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its name in the catalogue.
    pub name: String,
    pub at: Timestamp,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Consistent: the only ones that count.
    Good,
    /// Failed or inconsistent.
    Bad,
    /// Its deletion has begun, so nobody knows what is left of it.
    Deleting,
}

/// What becomes of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Each with every reason that there is.
    pub kept: BTreeMap<String, Vec<String>>,
    pub removed: BTreeMap<String, String>,
    /// Why good ones that no rule keeps are kept nevertheless; they are in `kept`.
    pub withheld: Option<Withheld>,
}

/// Why deletion is withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    LastFailed,
    /// So many of the good ones would go at once.
    Mass {
        going: usize,
        good: usize,
    },
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LastFailed => {
                f.write_str("the last run came to nothing: nothing good is deleted before one succeeds")
            }
            Self::Mass { going, good } => write!(
                f,
                "{going} of {good} good snapshots would go at once: that is taken for a mistake in `keep`"
            ),
        }
    }
}

/// What may be overruled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leave {
    /// Most of the good ones may go at once.
    pub mass: bool,
}

/// Decides about all snapshots of one replica set.
pub fn retain(snapshots: &[Taken], keep: &Keep, now: Timestamp, leave: Leave) -> Retention {
    let mut retention = Retention::default();
    let mut sorted: Vec<&Taken> = snapshots.iter().collect();
    sorted.sort_by(|a, b| (b.at, &b.name).cmp(&(a.at, &a.name)));
    let good: Vec<&Taken> = sorted.iter().filter(|taken| taken.state == State::Good).copied().collect();
    let empty = is_empty(keep);
    let reasons = by_rules(&good, keep);
    for (taken, mut reasons) in good.iter().zip(reasons) {
        if reasons.is_empty() && empty {
            reasons.push("no rule says what to keep".into());
        }
        if reasons.is_empty() {
            retention.removed.insert(taken.name.clone(), "no rule keeps it".into());
        } else {
            retention.kept.insert(taken.name.clone(), reasons);
        }
    }
    // Any rule keeps the newest, but that must not rest on how they are counted.
    if let Some(last) = good.first()
        && retention.removed.remove(&last.name).is_some()
    {
        retention.kept.insert(last.name.clone(), vec!["last good one".into()]);
    }
    withhold(&mut retention, &sorted, good.len(), leave);
    for taken in sorted.iter().filter(|taken| taken.state != State::Good) {
        let name = taken.name.clone();
        if taken.state == State::Deleting {
            retention.removed.insert(name, "its deletion has begun".into());
        } else if empty {
            retention.kept.insert(name, vec!["no rule says what to keep".into()]);
        } else if sorted.first().is_some_and(|newest| newest.name == name) {
            retention.kept.insert(name, vec!["the last run, which came to nothing".into()]);
        } else if now.duration_since(taken.at) > FAILED {
            retention.removed.insert(name, "came to nothing more than 7 days ago".into());
        } else {
            retention.kept.insert(name, vec!["came to nothing, less than 7 days ago".into()]);
        }
    }
    retention
}

fn is_empty(keep: &Keep) -> bool {
    counts(keep).iter().all(|(_, count)| *count == 0)
}

fn counts(keep: &Keep) -> [(Period, u32); 5] {
    [
        (Period::Last, keep.last),
        (Period::Hourly, keep.hourly),
        (Period::Daily, keep.daily),
        (Period::Weekly, keep.weekly),
        (Period::Monthly, keep.monthly),
    ]
    .map(|(period, count)| (period, count.unwrap_or(0)))
}

/// The reasons to keep each; newest first.
fn by_rules(good: &[&Taken], keep: &Keep) -> Vec<Vec<String>> {
    let mut reasons = vec![Vec::new(); good.len()];
    for (period, count) in counts(keep) {
        let mut left = count;
        let mut last = None;
        for (index, taken) in good.iter().enumerate() {
            if left == 0 {
                break;
            }
            let (at, name) = period.of(taken.at, index);
            let oldest = index + 1 == good.len();
            let is_new = last.as_ref() != Some(&at);
            // There are too few periods yet, so that even the oldest is needed.
            if !is_new && !oldest {
                continue;
            }
            reasons[index].push(if is_new { name } else { format!("oldest, {name}") });
            last = Some(at);
            left -= 1;
        }
    }
    reasons
}

/// Keeps the good ones when something seems to be wrong.
fn withhold(retention: &mut Retention, sorted: &[&Taken], good: usize, leave: Leave) {
    let going = retention.removed.len();
    if going == 0 {
        return;
    }
    let why = if sorted.first().is_some_and(|newest| newest.state == State::Bad) {
        Withheld::LastFailed
    } else if going > FEW && going * 2 > good && !leave.mass {
        Withheld::Mass { going, good }
    } else {
        return;
    };
    for name in std::mem::take(&mut retention.removed).into_keys() {
        retention.kept.insert(name, vec!["no rule keeps it, but deletion is withheld".into()]);
    }
    retention.withheld = Some(why);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Period {
    Last,
    Hourly,
    Daily,
    Weekly,
    Monthly,
}

impl Period {
    /// In which period it lies, and how that is told.
    fn of(self, at: Timestamp, index: usize) -> (i64, String) {
        let at = Offset::UTC.to_datetime(at);
        let date = at.date();
        let (year, month, day, hour) =
            (i64::from(at.year()), i64::from(at.month()), i64::from(at.day()), i64::from(at.hour()));
        let daily = (year * 100 + month) * 100 + day;
        match self {
            Self::Last => (i64::try_from(index).unwrap_or(i64::MAX), format!("last {}", index + 1)),
            Self::Hourly => (daily * 100 + hour, format!("hourly {date} {hour:02}h")),
            Self::Daily => (daily, format!("daily {date}")),
            Self::Weekly => {
                let week = date.iso_week_date();
                let (year, week) = (i64::from(week.year()), i64::from(week.week()));
                (year * 100 + week, format!("weekly {year}-W{week:02}"))
            }
            Self::Monthly => (year * 100 + month, format!("monthly {year}-{month:02}")),
        }
    }
}
