//! Values that may only be learnt while applying.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::model::Address;

/// The closed list of facts that one resource tells another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// `host:port` of the writer.
    Endpoint,
    /// `host:port` of the readers.
    ReaderEndpoint,
    /// The id under which AWS names a cluster in IAM policies.
    ResourceId,
    Arn,
    /// Full version of a server: `17.4`.
    Version,
    Port,
    /// The folder of a server on this machine.
    Folder,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Endpoint => "endpoint",
            Self::ReaderEndpoint => "reader endpoint",
            Self::ResourceId => "resource id",
            Self::Arn => "ARN",
            Self::Version => "version",
            Self::Port => "port",
            Self::Folder => "folder",
        })
    }
}

/// What one resource has told.
pub type Outputs = BTreeMap<Output, String>;
/// What all resources have told so far.
pub type Known = BTreeMap<Address, Outputs>;

/// A text that is either known now, or told by another resource once that is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Late {
    Known(String),
    After {
        #[serde(rename = "$after")]
        after: (Address, Output),
    },
}

impl Late {
    pub fn after(address: Address, output: Output) -> Self {
        Self::After { after: (address, output) }
    }

    /// Becomes `Known` if `known` has the answer.
    pub fn bind(&mut self, known: &Known) {
        if let Self::After { after: (address, output) } = self
            && let Some(value) = known.get(address).and_then(|outputs| outputs.get(output))
        {
            *self = Self::Known(value.clone());
        }
    }

    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(value) => Some(value),
            Self::After { .. } => None,
        }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => f.write_str(value),
            Self::After { after: (address, output) } => write!(f, "the {output} of {address}"),
        }
    }
}
