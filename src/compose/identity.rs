//! Roles of IAM: one for each service, one for each person, and what each may log in as.

use std::collections::{BTreeMap, BTreeSet};

use super::Composition;
use crate::{
    engine::{Late, Output},
    model::{
        Address,
        environment::{Aws, Person, Platform, Service, WorkloadIdentity},
        mark::Subject,
        names::Roles,
        policy::{Document, Policy, Statement},
    },
    resources::{
        aurora::cluster::AuroraCluster,
        iam_role::{Holder, IamRole, POLICY},
    },
};

impl Composition<'_> {
    /// Roles are of AWS; on this machine whoever is on it may log in.
    pub(super) fn identities(&mut self) {
        let Platform::Aws(aws) = &self.environment.platform else { return };
        let identity = Identity { composition: self, aws, partition: partition(&aws.region) };
        let services = self.environment.services.iter();
        let services = services.filter_map(|(name, service)| identity.service(name, service));
        let people = self.environment.people.iter();
        let people = people.filter_map(|(name, person)| identity.person(name, person));
        for (address, role) in services.chain(people).collect::<Vec<_>>() {
            self.add(address, role);
        }
    }
}

struct Identity<'a> {
    composition: &'a Composition<'a>,
    aws: &'a Aws,
    partition: &'static str,
}

impl Identity<'_> {
    fn service(&self, name: &str, service: &Service) -> Option<(Address, IamRole)> {
        let (namespace, account) = service.service_account.as_deref()?.split_once('/')?;
        let workload = self.composition.environment.workload_identity.as_ref()?;
        let trust = self.workload(workload, namespace, account);
        let cluster = self.composition.cluster_of(service.cluster.as_deref());
        let Roles { migrator, app, reader, .. } = self.composition.names.roles(name);
        let logins = [migrator, app, reader].map(|login| self.login(cluster, &login));
        let secrets = self.composition.secrets_of(&Subject::Service(name.into()));
        Some(self.role(Holder::Service(name), trust, logins.into(), secrets))
    }

    /// A person has a login on each cluster, and so the right to use it.
    fn person(&self, name: &str, person: &Person) -> Option<(Address, IamRole)> {
        let trust = match (&person.principal, &person.sso) {
            (Some(principal), _) => Statement::allow("Person", &["sts:AssumeRole"]).to("AWS", principal),
            (None, Some(session)) => {
                let role = self.composition.environment.sso_role.as_ref()?;
                sso(role, session)
            }
            (None, None) => return None,
        };
        let clusters = self.composition.environment.clusters.keys();
        let logins =
            clusters.map(|cluster| self.login(cluster, &self.composition.names.person(name))).collect();
        let secrets = self.composition.secrets_of(&Subject::Person(name.into()));
        Some(self.role(Holder::Person(name), trust, logins, secrets))
    }

    fn role(
        &self,
        holder: Holder<'_>,
        trust: Statement<Late>,
        logins: Vec<Late>,
        secrets: Vec<(Address, Option<String>)>,
    ) -> (Address, IamRole) {
        let Composition { name, environment, .. } = self.composition;
        let address = holder.address();
        let mut policies = BTreeMap::new();
        let mut statements = Vec::new();
        if !logins.is_empty() {
            statements.push(Statement::allow("Connect", &["rds-db:connect"]).on(logins));
        }
        statements.extend(self.passwords(secrets));
        if !statements.is_empty() {
            policies.insert(POLICY.to_owned(), Policy::from(Document::new(statements)));
        }
        let role = IamRole {
            name: holder.role(name),
            path: IamRole::path(name),
            trust: Document::new(vec![trust]).into(),
            policies,
            attached: BTreeSet::new(),
            permissions_boundary: environment.permissions_boundary.clone(),
            tags: self.composition.tags(&address),
        };
        (address, role)
    }

    /// To read one's own passwords for MongoDB. An ARN of a secret ends in letters that AWS gives, so it is not guessed
    /// with a `*`, behind which another's could begin alike. A key of the account's own needs to be allowed, too.
    fn passwords(&self, secrets: Vec<(Address, Option<String>)>) -> Vec<Statement<Late>> {
        let keys: BTreeSet<String> = secrets.iter().filter_map(|(_, key)| key.clone()).collect();
        let arns: Vec<Late> =
            secrets.into_iter().map(|(address, _)| Late::after(address, Output::Arn)).collect();
        let mut statements = Vec::new();
        if !arns.is_empty() {
            statements.push(Statement::allow("ReadPassword", &["secretsmanager:GetSecretValue"]).on(arns));
        }
        if !keys.is_empty() {
            let keys = keys.iter().map(|key| Late::after(AuroraCluster::key_of(key), Output::Arn));
            let decrypt = Statement::allow("DecryptPassword", &["kms:Decrypt"]).on(keys.collect::<Vec<_>>());
            let service = format!("secretsmanager.{}.amazonaws.com", self.aws.region);
            statements.push(decrypt.only_if("StringEquals", "kms:ViaService", service));
        }
        statements
    }

    /// The ARN of one login on one cluster. Its id, and never `*`: in an account with two environments, that would open
    /// the login of the same name in the other. A cluster that is made anew has another id.
    fn login(&self, cluster: &str, login: &str) -> Late {
        let Aws { account, region, .. } = self.aws;
        let before = format!("arn:{}:rds-db:{region}:{account}:dbuser:", self.partition);
        let id = Late::after(AuroraCluster::address(cluster), Output::ResourceId);
        id.within(&before, &format!("/{login}"))
    }

    fn workload(&self, workload: &WorkloadIdentity, namespace: &str, account: &str) -> Statement<Late> {
        match workload {
            // Without `sub` every pod of the cluster could become it, without `aud` every token would do.
            WorkloadIdentity::Irsa(irsa) => {
                let issuer = &irsa.oidc_provider;
                let provider =
                    format!("arn:{}:iam::{}:oidc-provider/{issuer}", self.partition, self.aws.account);
                let subject = format!("system:serviceaccount:{namespace}:{account}");
                Statement::allow("Workload", &["sts:AssumeRoleWithWebIdentity"])
                    .to("Federated", &provider)
                    .only_if("StringEquals", &format!("{issuer}:aud"), "sts.amazonaws.com")
                    .only_if("StringEquals", &format!("{issuer}:sub"), subject)
            }
            // The service may become any role that trusts it; these tags are what it sets for whom.
            WorkloadIdentity::PodIdentity(identity) => {
                let tag = |name: &str| format!("aws:RequestTag/{name}");
                Statement::allow("Workload", &["sts:AssumeRole", "sts:TagSession"])
                    .to("Service", "pods.eks.amazonaws.com")
                    .only_if("StringEquals", &tag("eks-cluster-arn"), identity.cluster_arn.clone())
                    .only_if("StringEquals", &tag("kubernetes-namespace"), namespace)
                    .only_if("StringEquals", &tag("kubernetes-service-account"), account)
            }
        }
    }
}

/// Of all who work under the role of IAM Identity Center, the one with this session name.
///
/// `aws:userid` of such a session is `<id of the role>:<session name>`. Identity Center sets the name, and it alone may
/// begin sessions of its roles, so nobody can choose another's; a name holds no `:`, so nothing else ends like it.
/// `sts:RoleSessionName` would be no proof: it is the name of the session that is about to begin, which the caller chooses.
fn sso(role: &str, session: &str) -> Statement<Late> {
    Statement::allow("Person", &["sts:AssumeRole"]).to("AWS", role).only_if(
        "StringLike",
        "aws:userid",
        format!("*:{}", literally(session)),
    )
}

/// In a pattern of IAM: each of these for itself.
fn literally(text: &str) -> String {
    let one = |character| match character {
        '*' | '?' | '$' => format!("${{{character}}}"),
        character => character.to_string(),
    };
    text.chars().map(one).collect()
}

/// The partition of a region, the second part of every ARN.
pub(super) fn partition(region: &str) -> &'static str {
    let starts = |prefix: &str| region.starts_with(prefix);
    match () {
        () if starts("cn-") => "aws-cn",
        () if starts("us-gov-") => "aws-us-gov",
        () if starts("us-isob-") => "aws-iso-b",
        () if starts("us-isof-") => "aws-iso-f",
        () if starts("eu-isoe-") => "aws-iso-e",
        () if starts("us-iso-") => "aws-iso",
        () if starts("eusc-") => "aws-eusc",
        () => "aws",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions() {
        for (region, expected) in [
            ("eu-central-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eusc-de-east-1", "aws-eusc"),
        ] {
            assert_eq!(partition(region), expected, "{region}");
        }
    }

    #[test]
    fn a_session_name_is_no_pattern() {
        assert_eq!(literally("a*b?c$d"), "a${*}b${?}c${$}d");
        assert_eq!(literally("boris+x=1,2@acme.example"), "boris+x=1,2@acme.example");
    }
}
