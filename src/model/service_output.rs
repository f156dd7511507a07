//! What an application has to know to use what was made for it: no secret among it.

use serde::Serialize;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceOutput {
    #[serde(skip)]
    pub service: String,
    /// The role of IAM that its service account becomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam_role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<MongoOutput>,
    pub postgres: PostgresOutput,
    /// Of AWS; tokens are signed for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,
}

/// On Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceAccount {
    pub name: String,
    pub namespace: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PostgresOutput {
    pub cluster: String,
    pub database: String,
    pub reader: Server,
    /// Only where services share the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The authorities that sign the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssl_root_cert_url: Option<&'static str>,
    /// As libpq calls it.
    pub sslmode: &'static str,
    pub users: Users,
    pub writer: Server,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Users {
    pub app: String,
    pub migrator: String,
    pub reader: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MongoOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_mechanism: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_source: Option<String>,
    pub cluster: String,
    pub database: String,
    /// `host:port`, or the one name under which DNS lists them.
    pub hosts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replica_set: Option<String>,
    /// The name of the secret in AWS Secrets Manager that the password is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    pub srv: bool,
    pub tls: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl ServiceOutput {
    /// As variables of an environment, in a fixed order.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let Self { postgres, mongodb, .. } = self;
        let mut all = vec![
            ("POSTGRES_WRITER_HOST", postgres.writer.host.clone()),
            ("POSTGRES_WRITER_PORT", postgres.writer.port.to_string()),
            ("POSTGRES_READER_HOST", postgres.reader.host.clone()),
            ("POSTGRES_READER_PORT", postgres.reader.port.to_string()),
            ("POSTGRES_DATABASE", postgres.database.clone()),
        ];
        all.extend(postgres.schema.iter().map(|schema| ("POSTGRES_SCHEMA", schema.clone())));
        all.extend([
            ("POSTGRES_APP_USER", postgres.users.app.clone()),
            ("POSTGRES_READER_USER", postgres.users.reader.clone()),
            ("POSTGRES_MIGRATOR_USER", postgres.users.migrator.clone()),
            ("POSTGRES_SSLMODE", postgres.sslmode.to_owned()),
        ]);
        let optional = [
            ("POSTGRES_SSL_ROOT_CERT_URL", postgres.ssl_root_cert_url.map(str::to_owned)),
            ("AWS_REGION", self.region.clone()),
            // Not AWS_ROLE_ARN, which the SDKs obey.
            ("IAM_ROLE_ARN", self.iam_role_arn.clone()),
        ];
        all.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        let Some(mongo) = mongodb else { return all };
        all.extend([
            ("MONGODB_HOSTS", mongo.hosts.join(",")),
            ("MONGODB_SRV", mongo.srv.to_string()),
            ("MONGODB_DATABASE", mongo.database.clone()),
            ("MONGODB_TLS", mongo.tls.to_string()),
        ]);
        let optional = [
            ("MONGODB_REPLICA_SET", &mongo.replica_set),
            ("MONGODB_USER", &mongo.user),
            ("MONGODB_AUTH_SOURCE", &mongo.auth_source),
            ("MONGODB_AUTH_MECHANISM", &mongo.auth_mechanism),
            ("MONGODB_SECRET_NAME", &mongo.secret),
        ];
        all.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        all
    }
}
