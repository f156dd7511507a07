//! What a membership in a role lets the member do.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a membership lets the member do. Shown as `inherit`, `set`, `admin`, joined by `+`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Has the role's privileges at all times.
    pub inherit: bool,
    /// May become the role.
    pub set: bool,
    /// May give the membership to others.
    pub admin: bool,
}

impl Membership {
    pub const INHERIT: Self = Self { inherit: true, set: false, admin: false };
    pub const SET: Self = Self { inherit: false, set: true, admin: false };
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [("inherit", self.inherit), ("set", self.set), ("admin", self.admin)];
        let words: Vec<&str> = words.into_iter().filter(|(_, has)| *has).map(|(word, _)| word).collect();
        f.write_str(if words.is_empty() { "none".into() } else { words.join("+") }.as_str())
    }
}

impl FromStr for Membership {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut membership = Self::default();
        for word in text.split('+') {
            match word {
                "inherit" => membership.inherit = true,
                "set" => membership.set = true,
                "admin" => membership.admin = true,
                "none" => {}
                other => return Err(format!("`{other}` is no option of a membership")),
            }
        }
        Ok(membership)
    }
}

impl Serialize for Membership {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Membership {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
