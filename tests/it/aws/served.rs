//! Clusters of an emulated account, with a real Postgres behind them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::account::Account;
use crate::support::{
    emulator::{
        ACCESS_KEY, MASTER_PASSWORD, REGION, SECRET_KEY, boto3, reader_endpoint, session, writer_endpoint,
    },
    stand_in::{Options, StandIn},
    verifier::{Key, Verifier},
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

    /// From now on sessions of roles may log in, as whom the policies that their roles have now allow, like RDS asks IAM.
    pub(super) fn obey(&self, account: &Account) {
        let port = account.emulator.port();
        self.verifier.look_up(Box::new(move |access_key| {
            let session = session(port, access_key)?;
            Some(Key { secret: session.secret, session_token: Some(session.token) })
        }));
        // Each role with the ARNs it may connect to, and the id of the only cluster.
        let allowed = account.script(
            "iam, answer = of('iam'), {}
for page in iam.get_paginator('list_roles').paginate(PathPrefix='/infra/'):
    for role in page['Roles']:
        statements = iam.get_role_policy(RoleName=role['RoleName'], PolicyName='infra')['PolicyDocument']['Statement']
        answer[role['RoleName']] = [one for statement in statements for one in statement['Resource']]
answer['id'] = of('rds').describe_db_clusters()['DBClusters'][0]['DbClusterResourceId']",
            &Value::Null,
        );
        let of = account.emulator.account().to_owned();
        self.verifier.policy(Box::new(move |access_key, user| {
            let Some(session) = session(port, access_key) else { return true };
            let role = session.arn.split('/').nth(1).unwrap();
            let login =
                format!("arn:aws:rds-db:{REGION}:{of}:dbuser:{}/{user}", allowed["id"].as_str().unwrap());
            allowed[role].as_array().is_some_and(|all| all.contains(&login.into()))
        }));
    }

    /// Works as somebody who has a role of IAM, with a token of that.
    pub(super) fn work_by(
        &self,
        account: &Account,
        role: &str,
        user: &str,
        database: &str,
        sql: &str,
    ) -> Result<String, String> {
        let script = format!(
            "given = client('sts').assume_role(RoleArn='arn:aws:iam::{}:role/infra/prod/{role}', RoleSessionName='pod')['Credentials']
there = client('rds', aws_access_key_id=given['AccessKeyId'], aws_secret_access_key=given['SecretAccessKey'],
    aws_session_token=given['SessionToken'])
print(there.generate_db_auth_token('{}', 5432, '{user}'))",
            account.emulator.account(),
            self.writer
        );
        let token = account.emulator.boto3(&script);
        self.server.login_to(database, &self.writer, user, token.trim(), sql)
    }

    /// Works as somebody who logs in with a token that boto3 made.
    pub(super) fn work(&self, user: &str, database: &str, sql: &str) -> Result<String, String> {
        let script =
            format!("print(client('rds').generate_db_auth_token('{}', 5432, '{user}'))", self.writer);
        let token = boto3("http://127.0.0.1:9", &script);
        self.server.login_to(database, &self.writer, user, token.trim(), sql)
    }
}
