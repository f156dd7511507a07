//! Things that reading learns beside what can be declared.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// Carried to the step that needs it (in which databases a role owns objects, who made a grant), but never a
/// difference: all values are equal, so that `==` on resources goes on comparing what is declared.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Facts<T>(pub T);

impl<T> PartialEq for Facts<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Deref for Facts<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
