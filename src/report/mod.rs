//! Plans and applies in words. [`PlanView`] is the only thing a renderer sees, so that a plan saved by one job can be
//! shown by another that has no access to anything.

pub mod access_matrix;
mod account;
pub mod checks;
pub mod comment;
mod diff;
mod difference;
pub mod docs;
mod escape;
mod glance;
mod grid;
pub mod history;
pub mod json;
pub mod markdown;
pub mod output;
pub mod page;
mod paint;
pub mod picture;
#[cfg(test)]
mod tests;
pub mod text;
mod trials;
mod view;

pub use account::{Account, Failed, Skipped};
pub use difference::difference;
pub use escape::{line, visible};
pub use trials::{NotTried, Trial, Trials};
pub use view::{About, Change, Counts, Held, Options, PlanView, ResourceChange, Verdict, schema};

/// `1 change`, `2 changes`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
