//! A place in the oplog.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A place in the oplog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OpTime {
    /// Seconds since 1970.
    pub t: u32,
    /// Counts the operations within that second.
    pub i: u32,
    /// The election that its primary had won.
    pub term: i64,
}

/// `seconds:count:term`, as `INFRA_MONGO_OPTIME` has it.
impl fmt::Display for OpTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.t, self.i, self.term)
    }
}

/// A text that is no place in an oplog.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not seconds:count:term")]
pub struct BadOpTime(String);

impl FromStr for OpTime {
    type Err = BadOpTime;

    fn from_str(text: &str) -> Result<Self, BadOpTime> {
        let mut parts = text.split(':');
        let mut part = || parts.next().and_then(|part| part.parse::<i64>().ok());
        let read =
            (|| Some(Self { t: part()?.try_into().ok()?, i: part()?.try_into().ok()?, term: part()? }))();
        read.filter(|_| parts.next().is_none()).ok_or_else(|| BadOpTime(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let optime = OpTime { t: 1_795_478_605, i: 2121, term: -1 };
        assert_eq!(optime.to_string(), "1795478605:2121:-1");
        assert_eq!(optime.to_string().parse::<OpTime>().unwrap(), optime);
        for bad in ["", "1", "1:2", "1:2:3:4", "-1:2:3", "a:b:c", "4294967296:0:0"] {
            assert!(bad.parse::<OpTime>().is_err(), "{bad}");
        }
    }
}
