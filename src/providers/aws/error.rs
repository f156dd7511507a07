//! What AWS refuses, and what never reached it.

use std::{error::Error as StdError, time::Duration};

use aws_smithy_runtime_api::{client::result::SdkError, http::Response};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// The codes of a call that the caller may not make.
pub const DENIED: [&str; 2] = ["AccessDenied", "AccessDeniedException"];

/// A call that failed. `action` is `service:Action`, as IAM policies write it.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    #[error("{action} was refused: {message} ({code}{})", request.as_ref().map(|id| format!(", request {id}")).unwrap_or_default())]
    Refused { action: &'static str, code: String, message: String, request: Option<String> },
    #[error("{action} got no answer: {why}")]
    NoAnswer { action: &'static str, why: String },
    #[error("{action} gave an answer that is none of AWS's: {why}")]
    Answer { action: &'static str, why: String },
    #[error(
        "no credentials for AWS were found: not in the environment, in no profile, and no role is at hand; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in with `aws sso login`"
    )]
    NoCredentials,
    #[error(
        "the credentials for AWS cannot be had: {why}; try `aws sts get-caller-identity`, or log in with `aws sso login`"
    )]
    Credentials { why: String },
    #[error(
        "these credentials are of account {found} ({arn}), but the environment declares account {declared}; nothing was read or changed"
    )]
    WrongAccount { found: String, arn: String, declared: String },
    #[error(
        "{what} did not become {wanted} within {limit:?}; it is now {state}. Running infra again goes on waiting"
    )]
    TimedOut { what: String, wanted: &'static str, limit: Duration, state: String },
    #[error("{what}: {why}")]
    Unfit { what: String, why: String },
}

impl AwsError {
    pub(in crate::providers) fn of<E>(action: &'static str, error: SdkError<E, Response>) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let chain = |error: &(dyn StdError + 'static)| crate::model::causes(error);
        match error {
            SdkError::ServiceError(refusal) => {
                let status = refusal.raw().status().as_u16();
                let request = refusal.raw().headers().get("x-amzn-requestid").map(Into::into);
                let error = refusal.into_err();
                match error.code() {
                    Some(code) => Self::Refused {
                        action,
                        code: code.into(),
                        message: error.message().unwrap_or("without a reason").trim().into(),
                        request,
                    },
                    None => Self::Answer { action, why: format!("HTTP status {status}") },
                }
            }
            SdkError::ResponseError(error) => {
                let status = error.raw().status().as_u16();
                Self::Answer { action, why: format!("HTTP status {status}") }
            }
            SdkError::TimeoutError(_) => Self::NoAnswer { action, why: "it took too long".into() },
            SdkError::DispatchFailure(failure) => {
                let why = failure.as_connector_error().map_or_else(String::new, |error| chain(error));
                if failure.is_other() && why.contains("no credentials found in chain") {
                    return Self::NoCredentials;
                }
                if failure.is_other() && why.contains("credential") {
                    let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
                    return Self::Credentials { why };
                }
                Self::NoAnswer { action, why }
            }
            other => Self::NoAnswer { action, why: chain(&other) },
        }
    }

    /// The code on the wire, such as `DBClusterNotFoundFault`; nothing if it was no refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    pub fn is(&self, codes: &[&str]) -> bool {
        self.code().is_some_and(|code| codes.contains(&code))
    }
}
