//! Names of things and what an environment declares. No I/O, and nothing above is known here.

pub mod access;
pub mod access_matrix;
pub mod address;
pub mod duration;
pub mod environment;
pub mod mark;
pub mod mongo_uri;
pub mod names;
pub mod percent;
pub mod picture;
pub mod policy;
pub mod secret;
pub mod service_output;
pub mod version;

pub use address::Address;

/// An error with its causes in one line, for a plan to carry.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
