//! What several integration tests need.

pub(crate) mod emulator;
pub(crate) mod fault_proxy;
pub(crate) mod local;
pub(crate) mod replica_set;
pub(crate) mod sandbox;
pub(crate) mod stand_in;
pub(crate) mod verifier;

use std::path::{Path, PathBuf};

/// The folder with the programs of this major version of PostgreSQL: what `tests/run.sh` says, or what it left earlier.
pub(crate) fn postgres(major: &str) -> PathBuf {
    let variable = format!("INFRA_TEST_POSTGRES_{major}");
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/test-servers/pg{major}/bin"));
    let system = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
    let told = std::env::var_os(&variable).map(PathBuf::from);
    let folder = told.into_iter().chain([system, unpacked]).find(|folder| folder.join("initdb").exists());
    folder.unwrap_or_else(|| {
        panic!("no PostgreSQL {major} to test with: run sh tests/run.sh, or set {variable}")
    })
}
