//! Names of things and what an environment declares. No I/O, and nothing above is known here.

pub mod access;
pub mod address;
pub mod duration;
pub mod environment;
pub mod mark;
pub mod names;
pub mod secret;

pub use address::Address;
