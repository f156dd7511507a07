//! What runs on AWS.

mod cloud;
mod iam;
mod login;
