//! Names that follow from a service's, a group's or a person's. `config` has checked that all fit into 63 bytes.

/// The database that services share under `isolation: schema`.
pub const SHARED: &str = "shared";
/// The schema of a service in a database of its own.
pub const APP: &str = "app";
/// Where extensions lie.
pub const EXTENSIONS: &str = "public";
/// Membership in it makes a login one of IAM's: no password lets it in. Reserved by RDS.
pub const IAM: &str = "rds_iam";

/// The six roles of a service.
#[derive(Clone, Debug)]
pub struct Roles {
    /// Owns everything; nobody logs in as it.
    pub owner: String,
    /// Group that may change data.
    pub writers: String,
    /// Group that may read.
    pub readers: String,
    /// Login that becomes the owner.
    pub migrator: String,
    /// Login of the writers.
    pub app: String,
    /// Login of the readers.
    pub reader: String,
}

impl Roles {
    pub fn of(service: &str) -> Self {
        let role = |suffix: &str| format!("svc_{service}_{suffix}");
        Self {
            owner: role("owner"),
            writers: role("rw"),
            readers: role("ro"),
            migrator: role("migrator"),
            app: role("app"),
            reader: role("reader"),
        }
    }

    pub fn all(&self) -> [&str; 6] {
        let Self { owner, writers, readers, migrator, app, reader } = self;
        [owner, writers, readers, migrator, app, reader]
    }
}

/// The role of a group or of a person; `config` sees to it that no group has a person's name.
pub fn developer(name: &str) -> String {
    format!("dev_{name}")
}
