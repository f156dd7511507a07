//! Clusters of an emulated account, with a real Postgres behind them.

use std::collections::BTreeSet;

use super::account::Account;
use crate::support::{
    emulator::{ACCESS_KEY, MASTER_PASSWORD, REGION, SECRET_KEY, boto3, reader_endpoint, writer_endpoint},
    stand_in::{Options, StandIn},
    verifier::Verifier,
};

/// A Postgres that stands for one cluster, under the names that the emulator gives to it.
pub(super) struct Served {
    pub(super) verifier: Verifier,
    pub(super) server: StandIn,
    writer: String,
}

impl Served {
    pub(super) fn start(account: &Account, identifier: &str) -> Self {
        Self::of(account.emulator.account(), identifier)
    }

    /// For a cluster in this account.
    pub(super) fn of(of: &str, identifier: &str) -> Self {
        let verifier = Verifier::start(REGION);
        let writer = writer_endpoint(of, REGION, identifier);
        let reader = reader_endpoint(of, REGION, identifier);
        for host in [&writer, &reader] {
            verifier.allow_endpoint(host, 5432);
        }
        verifier.know(ACCESS_KEY, SECRET_KEY, None);
        let server = StandIn::start(&Options {
            hosts: &[writer.clone(), reader.clone()],
            master_password: MASTER_PASSWORD,
            ldap_port: verifier.port(),
            parameters: &[],
        });
        Self { verifier, server, writer }
    }

    /// The way to it: as by a forwarded port.
    pub(super) fn connection(&self) -> String {
        let (port, authorities) = (self.server.port(), self.server.ca_file());
        format!("{{tls: verify-full, host: 127.0.0.1, port: {port}, ca_file: {}}}", authorities.display())
    }

    /// The version that a cluster must be declared with, for it is the server's.
    pub(super) fn version(&self) -> String {
        self.server.major().to_string()
    }

    /// Who logged in by token.
    pub(super) fn users(&self) -> BTreeSet<String> {
        self.verifier.accepted().into_iter().map(|accepted| accepted.user).collect()
    }

    /// Works as somebody who logs in with a token that boto3 made.
    pub(super) fn work(&self, user: &str, database: &str, sql: &str) -> Result<String, String> {
        let script =
            format!("print(client('rds').generate_db_auth_token('{}', 5432, '{user}'))", self.writer);
        let token = boto3("http://127.0.0.1:9", &script);
        self.server.login_to(database, &self.writer, user, token.trim(), sql)
    }
}
