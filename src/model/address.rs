//! An address is how a person, a plan and a log line name the same resource.

use std::{borrow::Borrow, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `kind.scope/name`, for example `pg_role.main/svc_orders_app`. Ordered, so that every listing is stable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Address(String);

/// A text that is not an address.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an address; expected `kind.scope/name`")]
pub struct BadAddress(String);

impl Address {
    /// `path` is everything behind the first dot: `scope/name`, or a lone name.
    pub fn new(kind: &str, path: &str) -> Self {
        Self(format!("{kind}.{path}"))
    }

    /// The part before the first dot: `pg_role`.
    pub fn kind(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(kind, _)| kind)
    }

    /// The part behind the first dot: `main/svc_orders_app`.
    pub fn path(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, path)| path)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.split_once('.') {
            Some((kind, path)) if !kind.is_empty() && !path.is_empty() => Ok(Self(text.into())),
            _ => Err(BadAddress(text.into())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let address: Address = "pg_schema.main/shared/orders".parse().unwrap();
        assert_eq!((address.kind(), address.path()), ("pg_schema", "main/shared/orders"));
        assert_eq!(Address::new("pg_schema", "main/shared/orders"), address);
        for bad in ["", "pg_role", ".main", "pg_role."] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
