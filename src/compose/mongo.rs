//! What lives inside of replica sets: for each service, group and person there, and for backups.

use std::collections::{BTreeMap, BTreeSet};

use super::Composition;
use crate::{
    model::{
        Address,
        environment::{Access, Environment, MongoAuthentication, MongoCluster, MongoScram, Platform},
        mark::Subject,
    },
    providers::mongo::catalog::{ADMIN, CLUSTER, Grant},
    resources::{
        Facts,
        mongo::{
            self, certificates,
            role::MongoRole,
            secret::{Content, MongoSecret},
            user::MongoUser,
        },
    },
};

/// Who takes backups.
pub(super) const BACKUP: &str = "backup";
/// All that it takes to lock a member, to see that it is locked, and to choose it (tried on MongoDB 6.0: nothing can be left
/// out).
const BACKUP_ACTIONS: [&str; 5] = ["fsync", "inprog", "replSetGetConfig", "replSetGetStatus", "unlock"];
/// MongoDB's own roles on one database.
const READ_WRITE: &str = "readWrite";
const READ: &str = "read";

/// How users of a replica set prove who they are.
enum Proof<'a> {
    Password(Password<'a>),
    Certificate(&'a str),
    /// Users are not ours to make: an environment on this machine that says nothing of it.
    Unsaid,
}

struct Password<'a> {
    prefix: String,
    kms_key: Option<&'a String>,
}

fn proof<'a>(
    environment: &'a Environment,
    name: &str,
    cluster: &str,
    declared: &'a MongoCluster,
) -> Proof<'a> {
    let password = |scram: Option<&'a MongoScram>| {
        let prefix = scram.and_then(|scram| scram.secret_prefix.clone());
        let prefix = prefix.unwrap_or_else(|| format!("{}{cluster}", prefix_of(name)));
        Proof::Password(Password { prefix, kms_key: scram.and_then(|scram| scram.kms_key.as_ref()) })
    };
    match (&environment.platform, &declared.authentication, certificates(declared)) {
        (_, _, Some(subject)) => Proof::Certificate(subject),
        (Platform::Local(_), ..) => Proof::Unsaid,
        (_, Some(MongoAuthentication::Scram(scram)), _) => password(Some(scram)),
        (_, None | Some(MongoAuthentication::X509(_)), _) => password(None),
    }
}

/// What the names of an environment's secrets begin with, unless it says otherwise.
fn prefix_of(environment: &str) -> String {
    format!("infra/{environment}/mongo/")
}

/// What of secrets is to be looked at; nothing where nobody has a password.
pub(super) fn secrets(name: &str, environment: &Environment) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut prefixes, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for (cluster, declared) in &environment.mongo_clusters {
        if let Proof::Password(password) = proof(environment, name, cluster, declared) {
            prefixes.insert(prefix_of(name));
            prefixes.insert(format!("{}/", password.prefix));
            keys.extend(password.kms_key.cloned());
        }
    }
    // What begins with one of them begins with the other.
    let shortest =
        |one: &String| !prefixes.iter().any(|other| other != one && one.starts_with(other.as_str()));
    (prefixes.iter().filter(|prefix| shortest(prefix)).cloned().collect(), keys)
}

impl Composition<'_> {
    pub(super) fn mongo(&mut self) {
        let environment = self.environment;
        for (cluster, declared) in &environment.mongo_clusters {
            self.desired.looked_at.insert(mongo::cluster(cluster));
            let proof = proof(environment, self.name, cluster, declared);
            let here =
                environment.services.iter().filter(|(_, service)| service.mongo.as_deref() == Some(cluster));
            for service in here.map(|(name, _)| name) {
                let subject = Subject::Service(service.clone());
                let role = self.mongo_role(cluster, &subject, [Grant::new(READ_WRITE, service)].into());
                self.mongo_user(cluster, &proof, &subject, [role].into(), Some(service));
            }
            self.mongo_developers(cluster, &proof);
            if declared.backup_policy.is_some() {
                self.mongo_backup(cluster, &proof);
            }
        }
        // A service has all its data elsewhere too; on a replica set it loses access only, so that it need not be removed
        // as a whole to leave one.
        let services = environment.services.keys().chain(environment.removed.services.keys());
        for subject in services.map(|service| Subject::Service(service.clone())) {
            for cluster in environment.mongo_clusters.keys() {
                self.desired.removed.extend([
                    MongoRole::address(cluster, &subject),
                    MongoUser::address(cluster, &subject),
                    MongoSecret::address(cluster, &subject),
                ]);
            }
        }
    }

    /// A group has a role where there is something for it; a person a user where there is such a role.
    fn mongo_developers(&mut self, cluster: &str, proof: &Proof<'_>) {
        let environment = self.environment;
        let mut people: BTreeMap<&str, BTreeSet<Grant>> = BTreeMap::new();
        for (name, group) in &environment.developer_groups {
            let role = match group.access.unwrap_or(environment.developers) {
                Access::ReadWrite => READ_WRITE,
                Access::ReadOnly => READ,
                Access::None => continue,
            };
            let services = self.services_of(group).into_iter().map(|(service, _)| service);
            let here =
                services.filter(|service| environment.services[*service].mongo.as_deref() == Some(cluster));
            let roles: BTreeSet<Grant> = here.map(|service| Grant::new(role, service)).collect();
            if roles.is_empty() {
                continue;
            }
            let granted = self.mongo_role(cluster, &Subject::Group(name.clone()), roles);
            for member in &group.members {
                people.entry(member).or_default().insert(granted.clone());
            }
        }
        for (person, roles) in people {
            self.mongo_user(cluster, proof, &Subject::Person(person.into()), roles, None);
        }
    }

    fn mongo_backup(&mut self, cluster: &str, proof: &Proof<'_>) {
        let subject = Subject::Infra(BACKUP.into());
        let role = self.mongo_role(cluster, &subject, BTreeSet::new());
        let address = MongoRole::address(cluster, &subject);
        let privileges = [(CLUSTER.to_owned(), BACKUP_ACTIONS.map(str::to_owned).into())].into();
        let role_itself = MongoRole { privileges, ..MongoRole::new(cluster, self.mark(subject.clone())) };
        self.add(address, role_itself);
        self.mongo_user(cluster, proof, &subject, [role].into(), None);
    }

    /// Declares a role; answers with how it is granted.
    fn mongo_role(&mut self, cluster: &str, subject: &Subject, roles: BTreeSet<Grant>) -> Grant {
        let role = MongoRole { roles, ..MongoRole::new(cluster, self.mark(subject.clone())) };
        let grant = Grant::new(&role.name, ADMIN);
        self.add(MongoRole::address(cluster, subject), role);
        grant
    }

    fn mongo_user(
        &mut self,
        cluster: &str,
        proof: &Proof<'_>,
        subject: &Subject,
        roles: BTreeSet<Grant>,
        database: Option<&str>,
    ) {
        let address = MongoUser::address(cluster, subject);
        let mark = self.mark(subject.clone());
        let user = match proof {
            Proof::Unsaid => return,
            Proof::Certificate(pattern) => MongoUser::by_certificate(cluster, mark, roles, pattern),
            Proof::Password(password) => {
                let secret = self.mongo_secret(cluster, password, subject, database);
                MongoUser::by_password(cluster, mark, roles, secret)
            }
        };
        self.add(address, user);
    }

    /// Declares the secret of a user; answers with its name.
    fn mongo_secret(
        &mut self,
        cluster: &str,
        password: &Password<'_>,
        subject: &Subject,
        database: Option<&str>,
    ) -> String {
        let address = MongoSecret::address(cluster, subject);
        let user = mongo::name(subject);
        let name = format!("{}/{user}", password.prefix);
        let mut content = Content::from([
            ("auth_mechanism".to_owned(), "SCRAM-SHA-256".to_owned()),
            ("auth_source".to_owned(), ADMIN.to_owned()),
            ("username".to_owned(), user),
        ]);
        content.extend(database.map(|database| ("database".to_owned(), database.to_owned())));
        let secret = MongoSecret {
            name: name.clone(),
            kms_key: password.kms_key.cloned(),
            scheduled_for_deletion: false,
            tags: self.tags(&address),
            content: Facts(content),
        };
        self.add(address, secret);
        name
    }

    /// The secrets of a service or a person, with the keys they are encrypted with.
    pub(super) fn secrets_of(&self, subject: &Subject) -> Vec<(Address, Option<String>)> {
        let clusters = self.environment.mongo_clusters.keys();
        let addresses = clusters.map(|cluster| MongoSecret::address(cluster, subject));
        let secret = |address: Address| {
            let secret = self.desired.resources.get(&address)?.clone();
            Some((address, MongoSecret::try_from(secret).ok()?.kms_key))
        };
        addresses.filter_map(secret).collect()
    }
}
