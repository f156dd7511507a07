//! What goes wrong with the ledger, by what can be done about it.

use std::{
    error::Error,
    io::{self, ErrorKind},
    path::PathBuf,
};

use object_store::Error as StoreError;

/// The longest reason that is shown: S3 answers with documents.
const LONGEST: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{name} is taken by another run: {holder}")]
    Taken { name: String, holder: String },
    #[error("cannot use {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the ledger at {place} is full: {name} could not be {done}")]
    Full { place: String, name: String, done: &'static str },
    #[error("the ledger at {place} does not let us: {name} could not be {done} ({why})")]
    Denied { place: String, name: String, done: &'static str, why: String },
    #[error("the ledger at {place} cannot be used: {name} could not be {done} ({why})")]
    Failed { place: String, name: String, done: &'static str, why: String },
    #[error("the ledger at {place} did not answer within {seconds} s: {name} could not be {done}")]
    Slow { place: String, name: String, done: &'static str, seconds: u64 },
    #[error("{name} in the ledger at {place} is not what this version of infra writes")]
    Garbled {
        place: String,
        name: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the ledger at {place} has {name} already")]
    Exists { place: String, name: String },
    #[error("`{url}` is no place for a ledger: {why}")]
    Place { url: String, why: String },
}

impl LedgerError {
    pub(super) fn of(done: &'static str, name: &str, place: &str, error: &StoreError) -> Self {
        let (place, name) = (place.to_owned(), name.to_owned());
        let disk = disk(error);
        match (disk, error) {
            (Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge), _) => {
                Self::Full { place, name, done }
            }
            (Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem), _)
            | (_, StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }) => {
                Self::Denied { place, name, done, why: why(error) }
            }
            _ => Self::Failed { place, name, done, why: why(error) },
        }
    }
}

/// What the disk said, if one did.
fn disk(error: &StoreError) -> Option<ErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

/// The innermost reason: those around it repeat it.
fn why(error: &StoreError) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    let text = innermost.to_string();
    let text = code(&text).unwrap_or(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= LONGEST {
        text
    } else {
        text.chars().take(LONGEST).chain("...".chars()).collect()
    }
}

/// `AccessDenied: no` out of the document that S3 answers with.
fn code(text: &str) -> Option<String> {
    let part = |tag: &str| Some(text.split_once(&format!("<{tag}>"))?.1.split_once(&format!("</{tag}>"))?.0);
    let code = part("Code")?;
    Some(part("Message").map_or_else(|| code.to_owned(), |message| format!("{code}: {message}")))
}
