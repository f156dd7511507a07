//! The only place that prints. Plans and answers go to stdout; progress, warnings and errors to stderr.

pub mod failure;
pub mod progress;
pub mod prompt;
pub mod safe;
pub mod terminal;

pub use failure::Failure;
pub use progress::Progress;
pub use prompt::{Approval, NotApproved};
pub use terminal::Terminal;
