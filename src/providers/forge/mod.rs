//! Where a change is reviewed, GitHub or GitLab: its comments, and which commit it is about. Knows nothing of plans.

mod error;
mod github;
mod gitlab;
mod http;

pub use error::ForgeError;
pub use github::GitHub;
pub use gitlab::GitLab;

/// A comment on a pull request, or a note on a merge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub id: u64,
    /// GitHub's name of it in GraphQL.
    pub node: Option<String>,
    pub author: String,
    pub body: String,
}

/// A pull request or a merge request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub number: u64,
    /// The newest commit of its branch.
    pub head: String,
    pub merged: bool,
    /// What merging it has made of it.
    pub merge_commit: Option<String>,
}

/// One of the two.
#[derive(Clone, Debug)]
pub enum Forge {
    GitHub(GitHub),
    GitLab(GitLab),
}

/// The same question to either.
macro_rules! ask {
    ($self:ident, $forge:ident => $call:expr) => {
        match $self {
            Self::GitHub($forge) => $call.await,
            Self::GitLab($forge) => $call.await,
        }
    };
}

impl Forge {
    /// Whose comments ours are.
    pub async fn me(&self) -> Result<String, ForgeError> {
        ask!(self, forge => forge.me())
    }

    pub async fn request(&self, number: u64) -> Result<Request, ForgeError> {
        ask!(self, forge => forge.request(number))
    }

    /// The pull requests that a commit has come from.
    pub async fn requests_of(&self, commit: &str) -> Result<Vec<Request>, ForgeError> {
        ask!(self, forge => forge.requests_of(commit))
    }

    /// All comments, oldest first.
    pub async fn notes(&self, number: u64) -> Result<Vec<Note>, ForgeError> {
        ask!(self, forge => forge.notes(number))
    }

    pub async fn create(&self, number: u64, body: &str) -> Result<(), ForgeError> {
        ask!(self, forge => forge.create(number, body))
    }

    pub async fn edit(&self, number: u64, note: &Note, body: &str) -> Result<(), ForgeError> {
        ask!(self, forge => forge.edit(number, note, body))
    }

    /// Folds away what another comment has replaced; where there is no such thing, does nothing.
    pub async fn hide(&self, note: &Note) -> Result<(), ForgeError> {
        match self {
            Self::GitHub(forge) => forge.hide(note).await,
            Self::GitLab(_) => Ok(()),
        }
    }

    /// Gives it one label, with a colour, and takes away others.
    pub async fn label(&self, number: u64, label: (&str, &str), not: &[String]) -> Result<(), ForgeError> {
        ask!(self, forge => forge.label(number, label, not))
    }

    /// Whether an error leaves open if it was done.
    pub fn is_doubtful(error: &ForgeError) -> bool {
        error.is_doubtful()
    }
}
