//! What runs on AWS.

mod login;
