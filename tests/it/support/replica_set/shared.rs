//! Sets of three that tests borrow, and give back as they were.

use std::{ops::Deref, sync::Mutex, thread};

use super::{Layout, ReplicaSet};

static IDLE: Mutex<Vec<ReplicaSet>> = Mutex::new(Vec::new());

/// Three equal members. When it is dropped it is kept for the next test, unless this one fails.
pub(crate) struct Borrowed(Option<ReplicaSet>);

/// A set that nobody else uses meanwhile. The test ends with all members up and unlocked, and the users as they were.
pub(crate) fn borrow(version: &'static str) -> Borrowed {
    let idle = {
        let mut idle = IDLE.lock().unwrap();
        let found = idle.iter().position(|set| set.version == version);
        found.map(|at| idle.swap_remove(at))
    };
    let set = idle.unwrap_or_else(|| Layout::of(3).version(version).start());
    set.until_healthy();
    Borrowed(Some(set))
}

impl Deref for Borrowed {
    type Target = ReplicaSet;

    fn deref(&self) -> &ReplicaSet {
        self.0.as_ref().unwrap()
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(set) = self.0.take()
            && !thread::panicking()
        {
            set.unlock_all();
            IDLE.lock().unwrap().push(set);
        }
    }
}
