//! Who can do what where, as plain data: what `infra access` prints, as a table, JSON, CSV or a page.
//!
//! Made by `compose::access_matrix`, from the declaration and, if the servers were asked, from what they answered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The whole of one environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessMatrix {
    pub environment: String,
    /// Whether the servers were asked too. Without, no entry has an `actual`.
    pub compared: bool,
    /// Everybody, in the order of rows, also who may nothing.
    pub who: Vec<Who>,
    /// Everything, in the order of columns, also where nobody may anything.
    pub places: Vec<Place>,
    /// Only where somebody may something, or differs. In the order of `who`, then of `places`.
    pub entries: Vec<Entry>,
    /// What could not be read, and why: of it nothing is known, which is not the same as nothing there.
    pub unreadable: BTreeMap<String, String>,
}

/// A login.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Who {
    pub kind: WhoKind,
    /// As the YAML names the person or service; the login itself where it names none.
    pub name: String,
    /// As the servers name it: `dev_ana`, `svc_orders_app`. One with a certificate has a subject for a name.
    pub login: String,
}

/// In the order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhoKind {
    Person,
    Service,
    /// `infra` itself: who applies, who plans, who takes backups.
    Infra,
    /// Nobody the YAML knows of.
    Unknown,
}

/// A database, a schema in a shared one, or a database on a replica set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub system: System,
    /// As the YAML names the cluster or the replica set.
    pub cluster: String,
    /// Empty for a replica set as a whole.
    pub database: String,
    /// Only where services share the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    Postgres,
    Mongodb,
}

/// What one login may do at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub who: Who,
    pub place: Place,
    pub declared: Rights,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<Rights>,
    /// What the server lets him do although it is not declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<Right>,
    /// What is declared, and the server does not let him do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Right>,
}

/// Rights at one place, and in one word what they come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    pub level: Level,
    pub rights: Vec<Right>,
}

/// What rights come to. The later includes the earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing; or rights that are worth nothing, for he is not let in.
    #[default]
    None,
    /// He is let in.
    Connects,
    /// Something that is neither all reading nor all writing, such as one table.
    Some,
    Reads,
    Writes,
    /// Owns everything there, by becoming the owner.
    Owns,
}

/// Privileges on something, and by way of whom he has them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Right {
    /// In words: `database orders`, `all tables`, `table app.item`, `future tables`, `billing`.
    pub on: String,
    /// As the server names them, such as `SELECT`; one that may be passed on ends in `*`.
    pub privileges: BTreeSet<String>,
    /// The chain of memberships: the login first, last the role that was granted the right.
    pub through: Vec<Membership>,
}

/// One link of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Membership {
    pub role: String,
    /// How the one before has this role's rights.
    pub by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The first of a chain: it is the login.
    Itself,
    /// At all times.
    Inherits,
    /// After `SET ROLE`.
    Becomes,
    /// Once he has given himself the membership, which he may.
    Grants,
    /// As everybody has them.
    Public,
}

impl AccessMatrix {
    /// Whether declared and actual differ anywhere, or could not be compared.
    pub fn differs(&self) -> bool {
        self.compared && (!self.unreadable.is_empty() || self.entries.iter().any(Entry::differs))
    }

    /// The entry of one login at one place; none where it may nothing.
    pub fn entry(&self, who: &Who, place: &Place) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.who == *who && entry.place == *place)
    }
}

impl Entry {
    pub fn differs(&self) -> bool {
        !self.extra.is_empty() || !self.missing.is_empty()
    }
}

impl Level {
    /// One word for a cell; nothing is a dash.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Connects => "connects",
            Self::Some => "some",
            Self::Reads => "reads",
            Self::Writes => "writes",
            Self::Owns => "owns",
        }
    }
}

impl WhoKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
            Self::Infra => "infra",
            Self::Unknown => "unknown",
        }
    }
}

impl Place {
    /// `main/orders`, `main/shared.orders`, `events/billing`; `events` for a replica set as a whole.
    pub fn label(&self) -> String {
        let Self { cluster, database, schema, .. } = self;
        match (database.as_str(), schema) {
            ("", _) => cluster.clone(),
            (database, Some(schema)) => format!("{cluster}/{database}.{schema}"),
            (database, None) => format!("{cluster}/{database}"),
        }
    }
}

impl Right {
    /// The roles of the chain, the login first: `dev_ana -> dev_backend -> svc_orders_ro`.
    pub fn chain(&self) -> String {
        self.through.iter().map(|link| link.role.as_str()).collect::<Vec<_>>().join(" -> ")
    }

    /// `SELECT, UPDATE on all tables`.
    pub fn text(&self) -> String {
        format!("{} on {}", self.privileges.iter().cloned().collect::<Vec<_>>().join(", "), self.on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_words() {
        let place = |database: &str, schema: Option<&str>| Place {
            system: System::Postgres,
            cluster: "main".into(),
            database: database.into(),
            schema: schema.map(Into::into),
            service: None,
        };
        assert_eq!(place("orders", None).label(), "main/orders");
        assert_eq!(place("shared", Some("orders")).label(), "main/shared.orders");
        assert_eq!(place("", None).label(), "main");
    }

    #[test]
    fn what_could_not_be_read_is_a_difference() {
        let mut matrix = AccessMatrix { compared: true, ..AccessMatrix::default() };
        assert!(!matrix.differs());
        matrix.unreadable.insert("main".into(), "no answer".into());
        assert!(matrix.differs());
        matrix.compared = false;
        assert!(!matrix.differs());
    }
}
