//! How long names may be, and why. `compose` makes the names; these numbers leave room for them.

/// Longest name Postgres keeps; it cuts longer ones with a mere notice (`NAMEDATALEN` is 64 with its end mark).
/// <https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS>
pub const POSTGRES_NAME: usize = 63;

/// Longest name of an IAM role.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
pub const IAM_ROLE_NAME: usize = 64;

/// Longest identifier of an Aurora cluster or instance.
/// <https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/CHAP_Limits.html>
pub const AURORA_IDENTIFIER: usize = 63;

/// `<service>__retired_<yyyymmdd>` is longer than `svc_<service>_migrator`, so it decides.
pub const SERVICE: usize = POSTGRES_NAME - "__retired_20261231".len();

/// `dev_<person>` and `dev_<group>`.
pub const PERSON: usize = POSTGRES_NAME - "dev_".len();

/// Leaves 23 bytes of an Aurora identifier to the environment, the hyphens and the number of an instance.
pub const CLUSTER: usize = 40;

/// With [`CLUSTER`] and `-<cluster>-<number>` within [`AURORA_IDENTIFIER`].
pub const ENVIRONMENT: usize = AURORA_IDENTIFIER - CLUSTER - "--15".len();

/// Bytes of the IAM role's name for a service or a person of an environment: `infra-<environment>-svc-<name>`, with `dev`
/// for people.
pub fn iam_role_bytes(environment: &str, name: &str) -> usize {
    "infra--svc-".len() + environment.len() + name.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!((SERVICE, PERSON, ENVIRONMENT), (45, 59, 19));
        let service = "x".repeat(SERVICE);
        assert!(format!("svc_{service}_migrator").len() <= POSTGRES_NAME);
        assert_eq!(iam_role_bytes("prod", "orders"), "infra-prod-svc-orders".len());
    }
}
