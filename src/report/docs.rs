//! Where a page of the documentation tells more. A test proves that each anchor is there.

use std::fmt;

/// A heading of a page, shown as `docs/history.md#drift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Docs(&'static str);

impl fmt::Display for Docs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

macro_rules! headings {
    ($($name:ident = $anchor:literal;)*) => {
        $(pub const $name: Docs = Docs($anchor);)*
        /// All of them, for the test.
        pub const ALL: &[Docs] = &[$($name),*];
    };
}

headings! {
    LOCKED = "docs/history.md#one-at-a-time";
    STALE = "docs/history.md#what-was-approved-is-what-runs";
    REFUSED = "docs/history.md#what-is-refused";
    PROGRAMS = "docs/trouble.md#programs";
    CREDENTIALS = "docs/trouble.md#credentials";
    ACCOUNT = "docs/trouble.md#account";
    ENDPOINT = "docs/trouble.md#endpoint";
    CLOCK = "docs/trouble.md#clock";
    RIGHTS = "docs/trouble.md#rights";
    QUOTAS = "docs/trouble.md#quotas";
    LEDGER = "docs/trouble.md#ledger";
    SERVER = "docs/trouble.md#server";
    CONNECTION = "docs/trouble.md#connection";
    LOGIN = "docs/trouble.md#login";
    MONGO = "docs/trouble.md#mongodb";
}
