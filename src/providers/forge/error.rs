//! What can be the matter with GitHub or GitLab. No error holds a token.

use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    #[error("{0} is not set")]
    NoToken(&'static str),
    #[error("{url} is not https, and a token is not sent in the clear")]
    Clear { url: String },
    #[error("cannot reach {place}")]
    Unreachable {
        place: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{place} did not answer within {} seconds", .after.as_secs())]
    Late { place: String, after: Duration },
    #[error("{place} takes no more calls for now; the next in {} seconds", .wait.as_secs())]
    Limited { place: String, wait: Duration },
    #[error("{what}: {place} answered {status}{}", told(.message))]
    Refused { place: String, what: String, status: u16, message: String },
    #[error("{what}: {place} answered something that was not expected")]
    Answer { place: String, what: String },
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl ForgeError {
    /// How it may be mended.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoToken("GITHUB_TOKEN") => Some(
                "in the workflow: env: {GITHUB_TOKEN: \"${{ github.token }}\"}; a fork gets no token that may write",
            ),
            Self::NoToken(_) => Some(
                "CI_JOB_TOKEN may not write notes: add a project access token with the scope `api` as a masked variable",
            ),
            Self::Refused { status: 401, .. } => Some("the token is not valid, or has expired"),
            Self::Refused { status: 403, .. } => {
                Some("the token may not do this; in a workflow: permissions: {pull-requests: write}")
            }
            Self::Refused { status: 404, .. } => Some(
                "there is no such pull request, or the token may not see it; is it the right repository?",
            ),
            _ => None,
        }
    }

    /// It may have been done all the same.
    pub(super) fn is_doubtful(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Late { .. } | Self::Refused { status: 500.., .. })
    }
}
