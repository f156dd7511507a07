//! What runs on AWS.

mod cloud;
mod iam;
mod login;
mod stand_in;
mod tokens;
