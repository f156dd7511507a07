//! One way in which objects of a database do not follow the rule, and the statements that mend it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Class;
use crate::providers::postgres::{grantee, ident};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum Deviation {
    /// Somebody may do what he should not.
    Extra {
        #[serde(flatten)]
        on: Objects,
        role: String,
        privileges: BTreeSet<String>,
    },
    /// Somebody may pass on what he has rightly.
    GrantOption {
        #[serde(flatten)]
        on: Objects,
        role: String,
        privileges: BTreeSet<String>,
    },
    /// Somebody may do with single columns what he should not.
    ExtraOnColumn {
        #[serde(flatten)]
        on: Objects,
        column: String,
        role: String,
        privileges: BTreeSet<String>,
    },
    /// Somebody may not do what he should.
    Missing {
        #[serde(flatten)]
        on: Objects,
        role: String,
        privileges: BTreeSet<String>,
    },
    /// Somebody else than the service's owner owns them.
    Owner {
        #[serde(flatten)]
        on: Objects,
        owner: String,
    },
    /// Future objects of somebody would be open to somebody else.
    DefaultPrivileges {
        by: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
        class: Class,
        role: String,
        privileges: BTreeSet<String>,
    },
}

/// Objects that deviate in the same way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Objects {
    pub kind: Kind,
    /// Empty for what lies in no schema.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub schema: String,
    /// Names; of routines with the arguments that tell overloads apart, as Postgres writes them.
    pub names: BTreeSet<Name>,
}

/// A name, and for a routine its arguments. Shown as `name` or `name(arguments)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub name: String,
    pub arguments: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Schema,
    Table,
    View,
    MaterializedView,
    ForeignTable,
    Sequence,
    Routine,
    Type,
    LargeObject,
}

impl Kind {
    /// By `pg_class.relkind`; a partitioned table is a table.
    pub(super) fn of(relkind: char) -> Self {
        match relkind {
            'S' => Self::Sequence,
            'v' => Self::View,
            'm' => Self::MaterializedView,
            'f' => Self::ForeignTable,
            _ => Self::Table,
        }
    }

    pub(super) fn class(self) -> Class {
        match self {
            Self::Schema => Class::Schemas,
            Self::Table | Self::View | Self::MaterializedView | Self::ForeignTable => Class::Tables,
            Self::Sequence => Class::Sequences,
            Self::Routine => Class::Functions,
            Self::Type => Class::Types,
            Self::LargeObject => Class::LargeObjects,
        }
    }

    /// As `GRANT` names them.
    fn in_grant(self) -> &'static str {
        match self {
            Self::Schema => "SCHEMA",
            Self::Table | Self::View | Self::MaterializedView | Self::ForeignTable => "TABLE",
            Self::Sequence => "SEQUENCE",
            Self::Routine => "ROUTINE",
            Self::Type => "TYPE",
            Self::LargeObject => "LARGE OBJECT",
        }
    }

    /// As `ALTER` names them.
    fn in_alter(self) -> &'static str {
        match self {
            Self::View => "VIEW",
            Self::MaterializedView => "MATERIALIZED VIEW",
            Self::ForeignTable => "FOREIGN TABLE",
            other => other.in_grant(),
        }
    }
}

impl Objects {
    pub fn schema(name: &str) -> Self {
        let name = Name { name: name.into(), arguments: None };
        Self { kind: Kind::Schema, schema: String::new(), names: [name].into() }
    }

    fn quoted(&self) -> Vec<String> {
        let one = |name: &Name| match self.kind {
            // A number, which nobody may quote.
            Kind::LargeObject => name.name.clone(),
            Kind::Schema => ident(&name.name),
            _ => {
                let arguments = name.arguments.as_ref().map(|text| format!("({text})")).unwrap_or_default();
                format!("{}.{}{arguments}", ident(&self.schema), ident(&name.name))
            }
        };
        self.names.iter().map(one).collect()
    }

    /// Each by itself, in plain words: `table app.item`.
    pub fn labels(&self) -> Vec<String> {
        let kind = self.kind.in_alter().to_lowercase();
        let schema = if self.schema.is_empty() { String::new() } else { format!("{}.", self.schema) };
        let one = |Name { name, arguments }: &Name| {
            let arguments = arguments.as_ref().map(|text| format!("({text})")).unwrap_or_default();
            format!("{kind} {schema}{name}{arguments}")
        };
        self.names.iter().map(one).collect()
    }

    fn target(&self) -> String {
        format!("{} {}", self.kind.in_grant(), self.quoted().join(", "))
    }

    pub(super) fn change_owner(&self, owner: &str) -> Vec<String> {
        let alter = |name| format!("ALTER {} {name} OWNER TO {}", self.kind.in_alter(), ident(owner));
        self.quoted().into_iter().map(alter).collect()
    }
}

impl Deviation {
    /// The role it is about.
    pub fn role(&self) -> Option<&String> {
        match self {
            Self::Extra { role, .. }
            | Self::GrantOption { role, .. }
            | Self::ExtraOnColumn { role, .. }
            | Self::Missing { role, .. } => Some(role),
            Self::Owner { owner, .. } => Some(owner),
            Self::DefaultPrivileges { by, .. } => Some(by),
        }
    }

    pub(super) fn revoke(&self) -> Option<String> {
        match self {
            Self::Extra { on, role, privileges } => {
                let names: Vec<&str> = privileges.iter().map(|p| p.trim_end_matches('*')).collect();
                let (names, target) = (names.join(", "), on.target());
                Some(format!("REVOKE {names} ON {target} FROM {} CASCADE", grantee(role)))
            }
            Self::GrantOption { on, role, privileges } => {
                let names: Vec<&str> = privileges.iter().map(String::as_str).collect();
                let (names, target) = (names.join(", "), on.target());
                Some(format!("REVOKE GRANT OPTION FOR {names} ON {target} FROM {} CASCADE", grantee(role)))
            }
            Self::ExtraOnColumn { on, column, role, privileges } => {
                let one = |p: &String| format!("{} ({})", p.trim_end_matches('*'), ident(column));
                let names: Vec<String> = privileges.iter().map(one).collect();
                let (names, target) = (names.join(", "), on.target());
                Some(format!("REVOKE {names} ON {target} FROM {} CASCADE", grantee(role)))
            }
            Self::Missing { .. } | Self::Owner { .. } | Self::DefaultPrivileges { .. } => None,
        }
    }

    pub(super) fn grant(&self) -> Option<String> {
        let Self::Missing { on, role, privileges } = self else { return None };
        let names: Vec<&str> = privileges.iter().map(String::as_str).collect();
        Some(format!("GRANT {} ON {} TO {}", names.join(", "), on.target(), grantee(role)))
    }
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.arguments {
            None => serializer.serialize_str(&self.name),
            Some(arguments) => serializer.collect_str(&format_args!("{}({arguments})", self.name)),
        }
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
            Some((name, arguments)) => Self { name: name.into(), arguments: Some(arguments.into()) },
            None => Self { name: text, arguments: None },
        })
    }
}
