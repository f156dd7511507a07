//! What runs on AWS.

mod login;
mod stand_in;
mod tokens;
