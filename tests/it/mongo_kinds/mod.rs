//! Users and roles of MongoDB: made, changed, mended and removed by the real binary in real replica sets.
//!
//! Those whose passwords lie in AWS are in `tests/it/aws/mongo/`.

mod certificates;
mod drift;
mod foreign;
mod killed;
mod lifecycle;
pub(crate) mod project;
mod trouble;
