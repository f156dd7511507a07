//! What a login can try on a server, and how it came out.

use std::fmt;

use serde::Serialize;

/// One kind of thing that a login may or may not do. Ordered as tables show them: from the door inwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    // On a database.
    Connect,
    CreateTemporary,
    CreateSchema,
    CreateInPublic,
    // On a schema.
    Usage,
    CreateTable,
    /// Becoming a role of the service whose rights the login does not have anyway.
    Become,
    // On an object.
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    References,
    Trigger,
    Lock,
    Alter,
    Nextval,
    Execute,
}

impl Operation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::CreateTemporary => "create temp table",
            Self::CreateSchema => "create schema",
            Self::CreateInPublic => "create in public",
            Self::Usage => "usage",
            Self::CreateTable => "create table",
            Self::Become => "become another role",
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::References => "references",
            Self::Trigger => "create trigger",
            Self::Lock => "lock table",
            Self::Alter => "alter table",
            Self::Nextval => "nextval",
            Self::Execute => "execute",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Operation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// How much a trial proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Method {
    /// The login itself logged in and did it.
    #[serde(rename = "login")]
    Login,
    /// The admin became the login inside a transaction, and did it.
    #[serde(rename = "set role")]
    SetRole,
    /// The server was asked whether it would let the login (`has_table_privilege` and its kin), because doing it would
    /// leave a trace, or somebody else held a lock.
    #[serde(rename = "inquiry")]
    Inquiry,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "login",
            Self::SetRole => "set role",
            Self::Inquiry => "inquiry",
        })
    }
}

/// How an attempt came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    Allowed,
    Denied,
    /// It failed for a reason that says nothing of permissions.
    Unknown(String),
}

/// The name under which everybody's rights are tried: by a role that is a member of nothing.
pub const ANYBODY: &str = "PUBLIC";
