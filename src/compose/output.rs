//! What a service's application has to know, from the declaration and from where the servers are.

use super::{Composition, compose};
use crate::{
    model::{
        environment::{Environment, Isolation, MongoAuthentication, Platform},
        mark::Subject,
        mongo_uri::{Mechanism, MongoUri, Seeds},
        names::{Names, Roles},
        service_output::{MongoOutput, PostgresOutput, Server, ServiceAccount, ServiceOutput, Users},
    },
    resources::{
        iam_role::{Holder, IamRole},
        mongo::{secret::MongoSecret, user::MongoUser},
    },
};

/// The authorities of RDS in all regions, as AWS gives them out.
const AUTHORITIES: &str = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem";

/// Writer and reader of a service's cluster, and the replica set it uses as its connection string has it.
#[derive(Clone, Debug)]
pub struct Places {
    pub writer: Server,
    pub reader: Server,
    pub mongo: Option<MongoUri>,
}

/// The cluster of a service. `config` has seen to it that there is one.
pub fn cluster_of<'a>(environment: &'a Environment, service: &str) -> Option<&'a str> {
    let composition = Composition::new("", environment);
    let service = environment.services.get(service)?;
    Some(composition.cluster_of(service.cluster.as_deref()))
}

/// The database of a service, and its schema where it shares the database.
pub fn database_of(environment: &Environment, service: &str) -> (String, Option<String>) {
    let names = Names::of(environment);
    let schema = (environment.isolation == Isolation::Schema).then(|| names.schema(service));
    (names.database(service), schema)
}

/// The ARN of the role of IAM that somebody has, on AWS.
pub fn role_arn(name: &str, environment: &Environment, holder: Holder<'_>) -> Option<String> {
    let Platform::Aws(aws) = &environment.platform else { return None };
    let partition = super::identity::partition(&aws.region);
    let role = format!("{}{}", IamRole::path(name), holder.role(name));
    Some(format!("arn:{partition}:iam::{}:role{role}", aws.account))
}

/// Pure. `None` for a service that is not declared.
pub fn service_output(
    name: &str,
    environment: &Environment,
    service: &str,
    places: Places,
) -> Option<ServiceOutput> {
    let declared = environment.services.get(service)?;
    let aws = match &environment.platform {
        Platform::Aws(aws) => Some(aws),
        Platform::Local(_) => None,
    };
    let Roles { app, migrator, reader, .. } = Names::of(environment).roles(service);
    let (database, schema) = database_of(environment, service);
    let desired = compose(name, environment).resources;
    let has_role = desired.contains_key(&Holder::Service(service).address());
    let mongodb = declared.mongo.as_ref().map(|cluster| {
        let subject = Subject::Service(service.into());
        let user = desired.get(&MongoUser::address(cluster, &subject)).cloned();
        let user = user.and_then(|any| MongoUser::try_from(any).ok());
        let secret = desired.get(&MongoSecret::address(cluster, &subject)).cloned();
        let secret = secret.and_then(|any| MongoSecret::try_from(any).ok());
        let by_certificate = matches!(
            environment.mongo_clusters.get(cluster).and_then(|c| c.authentication.as_ref()),
            Some(MongoAuthentication::X509(_))
        );
        let mechanism = if by_certificate { Mechanism::X509 } else { Mechanism::ScramSha256 };
        let uri = places.mongo.as_ref();
        let (hosts, srv) = match uri.map(|uri| &uri.seeds) {
            Some(Seeds::Hosts(hosts)) => (hosts.iter().map(ToString::to_string).collect(), false),
            Some(Seeds::Srv(host)) => (vec![host.clone()], true),
            None => (Vec::new(), false),
        };
        MongoOutput {
            auth_mechanism: user.as_ref().map(|_| mechanism.name().to_owned()),
            auth_source: user.as_ref().map(|user| user.database.clone()),
            cluster: cluster.clone(),
            database: service.into(),
            hosts,
            replica_set: uri.and_then(|uri| uri.replica_set.clone()),
            secret: secret.map(|secret| secret.name),
            srv,
            tls: uri.is_some_and(|uri| uri.tls.is_some()),
            user: user.map(|user| user.name),
        }
    });
    Some(ServiceOutput {
        service: service.into(),
        iam_role_arn: role_arn(name, environment, Holder::Service(service)).filter(|_| has_role),
        mongodb,
        postgres: PostgresOutput {
            cluster: cluster_of(environment, service)?.into(),
            database,
            reader: places.reader,
            schema,
            ssl_root_cert_url: aws.map(|_| AUTHORITIES),
            sslmode: if aws.is_some() { "verify-full" } else { "disable" },
            users: Users { app, migrator, reader },
            writer: places.writer,
        },
        region: aws.map(|aws| aws.region.clone()),
        service_account: declared.service_account.as_ref().and_then(|account| {
            let (namespace, name) = account.split_once('/')?;
            Some(ServiceAccount { name: name.into(), namespace: namespace.into() })
        }),
    })
}
