//! MongoDB: one direct connection for each member, and typed commands on it.
//!
//! The driver's own view of a replica set knows neither hidden nor delayed members, and sends commands to the primary; so it
//! is never asked for more than one member.

mod access;
pub mod admin;
mod answers;
pub mod catalog;
mod error;
mod member;
mod optime;

pub use access::Access;
pub use admin::Mongo;
pub use answers::{
    Configuration, Configured, Granted, Hello, Holding, LockState, Pending, Reported, Rights, SetStatus,
    Storage, Worker,
};
pub use catalog::Catalog;
pub use error::MongoError;
pub use member::{ACTIONS, Member};
pub use optime::OpTime;
