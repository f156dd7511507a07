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
    /// How many there are, or may be.
    Count,
    /// Which version of a secret is the current one.
    SecretVersion,
    /// Why it is time for something.
    Due,
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
            Self::Count => "count",
            Self::SecretVersion => "version of the secret",
            Self::Due => "time",
        })
    }
}

/// What one resource has told.
pub type Outputs = BTreeMap<Output, String>;
/// What all resources have told so far.
pub type Known = BTreeMap<Address, Outputs>;

/// A text that is either known now, or told by another resource once that is applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Late {
    Known(String),
    After {
        #[serde(rename = "$after")]
        after: Awaited,
    },
}

/// What is waited for, and the text around it: an ARN is known but for the id in its middle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Awaited {
    pub address: Address,
    pub output: Output,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub suffix: String,
}

impl Late {
    pub fn after(address: Address, output: Output) -> Self {
        Self::After { after: Awaited { address, output, prefix: String::new(), suffix: String::new() } }
    }

    /// The same, with text before and after it.
    #[must_use]
    pub fn within(self, before: &str, behind: &str) -> Self {
        match self {
            Self::Known(value) => Self::Known(format!("{before}{value}{behind}")),
            Self::After { mut after } => {
                after.prefix.insert_str(0, before);
                after.suffix.push_str(behind);
                Self::After { after }
            }
        }
    }

    /// Becomes `Known` if `known` has the answer.
    pub fn bind(&mut self, known: &Known) {
        if let Self::After { after: Awaited { address, output, prefix, suffix } } = self
            && let Some(value) = known.get(address).and_then(|outputs| outputs.get(output))
        {
            *self = Self::Known(format!("{prefix}{value}{suffix}"));
        }
    }

    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(value) => Some(value),
            Self::After { .. } => None,
        }
    }

    /// The resource that will tell.
    pub fn awaits(&self) -> Option<&Address> {
        match self {
            Self::Known(_) => None,
            Self::After { after } => Some(&after.address),
        }
    }
}

impl From<String> for Late {
    fn from(value: String) -> Self {
        Self::Known(value)
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(value) => f.write_str(value),
            Self::After { after: Awaited { address, output, prefix, suffix } }
                if prefix.is_empty() && suffix.is_empty() =>
            {
                write!(f, "the {output} of {address}")
            }
            Self::After { after: Awaited { address, output, prefix, suffix } } => {
                write!(f, "{prefix}(the {output} of {address}){suffix}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_around_what_is_awaited() {
        let address = Address::new("aurora_cluster", "main");
        let mut late = Late::after(address.clone(), Output::ResourceId).within("a:", "/b").within("<", ">");
        assert_eq!(late.to_string(), "<a:(the resource id of aurora_cluster.main)/b>");
        let json = serde_json::to_string(&late).unwrap();
        assert_eq!(serde_json::from_str::<Late>(&json).unwrap(), late);
        let outputs = Outputs::from([(Output::ResourceId, "cluster-1".to_owned())]);
        late.bind(&Known::from([(address, outputs)]));
        assert_eq!(late, Late::Known("<a:cluster-1/b>".into()));
        assert_eq!(Late::Known("x".into()).within("<", ">").known(), Some("<x>"));
    }
}
