//! Clusters and replica sets, and the services on them.

use std::collections::BTreeMap;

use super::{Alike, Drawing, NAMED, of_service};
use crate::{
    compose::identifier,
    model::{
        Address,
        environment::{
            AuroraBackup, BackupPolicy, Cluster, Isolation, Keep, MachineValue, MongoBackup, RemovedData,
            Service,
        },
        mark::Subject,
        mongo_uri::{MongoUri, Seeds},
        picture::{End, Kind, Way},
    },
    resources::{
        aurora::{cluster::AuroraCluster, instance::AuroraInstance, logins::PgLogins},
        iam_role::Holder,
        local_server::LocalServer,
        mongo::{role::MongoRole, secret::MongoSecret, snapshot::MongoSnapshot, user::MongoUser},
        pg_access::PgAccess,
        pg_database::PgDatabase,
        pg_extension::PgExtension,
        pg_role::PgRole,
        pg_schema::PgSchema,
    },
};

impl<'a> Drawing<'a> {
    /// What a service's data is, on a cluster.
    pub(super) fn of_data(&self, cluster: &str, name: &str, service: &Service) -> Vec<Address> {
        let names = &self.composition.names;
        let (database, schema) = (names.database(name), names.schema(name));
        match self.composition.environment.isolation {
            Isolation::Database => {
                let extensions = service.extensions.iter();
                let mut objects: Vec<Address> =
                    extensions.map(|extension| PgExtension::address(cluster, &database, extension)).collect();
                objects.extend([
                    PgDatabase::address(cluster, &database),
                    PgAccess::address(cluster, &database, None),
                    PgSchema::address(cluster, &database, &schema),
                ]);
                objects
            }
            Isolation::Schema => {
                vec![
                    PgSchema::address(cluster, &database, &schema),
                    PgAccess::address(cluster, &database, Some(&schema)),
                ]
            }
        }
    }

    pub(super) fn cluster(&mut self, cluster: &'a str, services: &[Alike<'a>]) {
        let environment = self.composition.environment;
        let declared = &environment.clusters[cluster];
        let workloads =
            self.picture_frame_if(services.iter().any(|alike| self.has_workload(alike)), "Kubernetes");
        let applications = self.picture_frame_if(!services.is_empty(), "Services");

        let version =
            declared.engine_version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let engine = if self.is_aws() { "Aurora PostgreSQL" } else { "PostgreSQL" };
        let frame = self.picture.frame(&format!("{cluster} · {engine}{version}"), None);
        let scope = |address: &Address| address.path().split('/').next() == Some(cluster);
        let of_cluster = |address: &&Address| {
            let own =
                [AuroraCluster::address(cluster), PgLogins::address(cluster), LocalServer::address(cluster)];
            let aurora = address.kind().starts_with("aurora_") && address.kind() != "aurora_instance";
            own.contains(address) || (aurora && scope(address))
        };
        self.picture.frames[frame].objects = self.declared.iter().filter(of_cluster).cloned().collect();

        let retired: Vec<&str> = (environment.removed.services.iter())
            .filter(|(_, removed)| removed.data == RemovedData::Keep)
            .filter(|(_, removed)| self.composition.cluster_of(removed.cluster.as_deref()) == cluster)
            .map(|(name, _)| name.as_str())
            .collect();
        let databases = (!services.is_empty() || !retired.is_empty()).then(|| self.databases(cluster, frame));
        for alike in services {
            self.service(cluster, alike, workloads, applications, databases);
        }
        for name in retired {
            let mut objects = self.of_data(cluster, name, &Service::default());
            objects.extend(of_service(&self.composition.names, cluster, name));
            self.node(Kind::Database, name, vec!["retired, data kept".into()], databases, objects);
        }
        let from = databases.map_or(End::Frame(frame), End::Frame);
        if self.is_aws() {
            self.aurora(cluster, declared, frame, from);
        } else {
            let port = declared.connection.port.map(|port| format!(":{port}")).unwrap_or_default();
            let title = format!("127.0.0.1{port}");
            let node = self.node(Kind::Endpoint, &title, vec!["server".into()], Some(frame), []);
            self.picture.edge(from, End::Node(node), Way::Writes);
        }
    }

    fn picture_frame_if(&mut self, wanted: bool, title: &str) -> Option<usize> {
        wanted.then(|| self.picture.frame(title, None))
    }

    fn has_workload(&self, alike: &Alike<'_>) -> bool {
        alike.names.iter().any(|name| self.declared.contains(&Holder::Service(name).address()))
    }

    /// The frame of a cluster's databases, or of its shared one.
    fn databases(&mut self, cluster: &str, parent: usize) -> usize {
        match self.composition.environment.isolation {
            Isolation::Database => self.picture.frame("Databases", Some(parent)),
            Isolation::Schema => {
                let names = &self.composition.names;
                let (database, owner) = (names.shared_database(), names.shared_owner());
                let frame = self.picture.frame(&format!("Database {database}"), Some(parent));
                let inside = format!("{cluster}/{database}/");
                let extensions = self.declared.iter().filter(|address| {
                    address.kind() == "pg_extension" && address.path().starts_with(&inside)
                });
                let own = [
                    PgDatabase::address(cluster, &database),
                    PgAccess::address(cluster, &database, None),
                    PgRole::address(cluster, &owner),
                ];
                let objects = self.objects(extensions.cloned().chain(own).collect::<Vec<_>>());
                self.picture.frames[frame].objects = objects;
                frame
            }
        }
    }

    fn service(
        &mut self,
        cluster: &str,
        alike: &Alike<'a>,
        workloads: Option<usize>,
        applications: Option<usize>,
        databases: Option<usize>,
    ) {
        let (title, mut lines) = named(&alike.names);
        let of = alike
            .names
            .iter()
            .flat_map(|name| of_service(&self.composition.names, cluster, name))
            .collect::<Vec<_>>();
        let node = self.node(Kind::Service, &title, lines.clone(), applications, of);
        if self.has_workload(alike) {
            let roles: Vec<String> =
                alike.names.iter().map(|name| Holder::Service(name).role(self.composition.name)).collect();
            let (account, iam) = match (&alike.names[..], &alike.service.service_account) {
                ([_], Some(account)) => (account.clone(), vec![format!("IAM {}", roles[0])]),
                _ => (format!("{} service accounts", roles.len()), vec!["an IAM role each".into()]),
            };
            let objects: Vec<Address> =
                alike.names.iter().map(|name| Holder::Service(name).address()).collect();
            let workload = self.node(Kind::Workload, &account, iam, workloads, objects);
            self.picture.edge(End::Node(workload), End::Node(node), Way::Plain);
        }
        if let ([_], extensions @ [_, ..]) = (&alike.names[..], &alike.service.extensions[..]) {
            lines = vec![extensions.join(", ")];
        }
        let of: Vec<Address> =
            alike.names.iter().flat_map(|name| self.of_data(cluster, name, alike.service)).collect();
        let database = self.node(Kind::Database, &title, lines, databases, of);
        self.picture.edge(End::Node(node), End::Node(database), Way::Writes);
        for name in &alike.names {
            self.reached.entry(name).or_default().insert(database);
        }
        self.services.extend(alike.names.iter().map(|name| (*name, node)));
    }

    fn aurora(&mut self, name: &str, declared: &Cluster, frame: usize, databases: End) {
        let identifier = identifier(self.composition.name, name, declared);
        let writer = self.node(Kind::Endpoint, "writer endpoint", Vec::new(), Some(frame), []);
        let reader = self.node(Kind::Endpoint, "reader endpoint", Vec::new(), Some(frame), []);
        self.picture.edge(databases, End::Node(writer), Way::Writes);
        self.picture.edge(databases, End::Node(reader), Way::Reads);
        let class = match (&declared.instance_class, declared.serverless) {
            (Some(class), _) => class.clone(),
            (None, Some(capacity)) => format!("{} to {} ACU", capacity.min, capacity.max),
            (None, None) => "serverless".into(),
        };
        let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
        for number in 1..=usize::from(declared.readers) + 1 {
            let zone =
                (!declared.zones.is_empty()).then(|| &declared.zones[(number - 1) % declared.zones.len()]);
            let within = zone.map_or(frame, |zone| {
                *zones.entry(zone).or_insert_with(|| self.picture.frame(&format!("AZ {zone}"), Some(frame)))
            });
            let mut lines = vec![format!("{}, {class}", if number == 1 { "writer" } else { "reader" })];
            if zone.is_none() {
                lines.push(match declared.subnets.len() {
                    0 | 1 => "AZ chosen by AWS".into(),
                    many => format!("an AZ of {many} subnets"),
                });
            }
            let objects = [AuroraInstance::address(name, &number.to_string())];
            let title = format!("{identifier}-{number}");
            let instance = self.node(Kind::Instance, &title, lines, Some(within), objects);
            if number == 1 {
                self.picture.edge(End::Node(writer), End::Node(instance), Way::Writes);
            }
            // Without readers the endpoint leads to the writer.
            if number > 1 || declared.readers == 0 {
                self.picture.edge(End::Node(reader), End::Node(instance), Way::Reads);
            }
        }
        if let Some(scaling) = &declared.autoscaling {
            let by = match (scaling.cpu, scaling.connections) {
                (Some(cpu), _) => format!("for {cpu} % CPU"),
                (_, Some(connections)) => format!("for {connections} connections"),
                _ => String::new(),
            };
            let title = format!("{} to {} readers", scaling.min, scaling.max);
            let node = self.node(Kind::Instance, &title, vec!["autoscaling".into(), by], Some(frame), []);
            self.picture.edge(End::Node(reader), End::Node(node), Way::Reads);
        }
        let policy = declared.backup_policy.as_ref();
        let declared = policy
            .and_then(|policy| Some((policy, self.composition.environment.backup_policies.get(policy)?)));
        if let Some((policy, BackupPolicy::Aurora(backup))) = declared {
            let node = self.picture.node(Kind::Backup, policy, aurora_backup(backup), None);
            self.picture.edge(End::Frame(frame), End::Node(node), Way::Plain);
        }
    }

    pub(super) fn replica_set(&mut self, cluster: &'a str) {
        let environment = self.composition.environment;
        let declared = &environment.mongo_clusters[cluster];
        let frame = self.picture.frame(&format!("{cluster} · MongoDB replica set"), None);
        let mut drawn: BTreeMap<usize, Vec<&'a str>> = BTreeMap::new();
        for (name, _) in environment.services.iter().filter(|(_, of)| of.mongo.as_deref() == Some(cluster)) {
            if let Some(node) = self.services.get(name.as_str()).copied() {
                drawn.entry(node).or_default().push(name);
            }
        }
        let mut first = None;
        for (service, names) in drawn {
            let (title, lines) = named(&names);
            let objects: Vec<Address> = (names.iter())
                .flat_map(|name| user(cluster, &Subject::Service((*name).to_owned())))
                .collect();
            let database = self.node(Kind::Database, &title, lines, Some(frame), objects);
            self.picture.edge(End::Node(service), End::Node(database), Way::Writes);
            for name in names {
                self.reached.entry(name).or_default().insert(database);
            }
            first.get_or_insert(database);
        }
        let (title, lines) = members(&declared.uri);
        let members = self.node(Kind::Endpoint, &title, lines, Some(frame), []);
        if let Some(database) = first {
            self.picture.edge(End::Node(database), End::Node(members), Way::Writes);
        }
        let policy = declared.backup_policy.as_ref();
        if let Some((policy, BackupPolicy::Mongo(backup))) =
            policy.and_then(|policy| Some((policy, environment.backup_policies.get(policy)?)))
        {
            let mut objects = vec![MongoSnapshot::address(cluster)];
            objects.extend(user(cluster, &Subject::Infra(super::super::mongo::BACKUP.into())));
            let node = self.node(Kind::Backup, policy, mongo_backup(backup), None, objects);
            self.picture.edge(End::Frame(frame), End::Node(node), Way::Plain);
        }
    }
}

/// What somebody has on a replica set.
fn user(cluster: &str, subject: &Subject) -> [Address; 3] {
    [
        MongoRole::address(cluster, subject),
        MongoUser::address(cluster, subject),
        MongoSecret::address(cluster, subject),
    ]
}

/// One name, or how many there are, with the first of them below.
fn named(names: &[&str]) -> (String, Vec<String>) {
    if let [name] = names {
        return ((*name).into(), Vec::new());
    }
    let mut lines: Vec<String> = names.iter().take(NAMED).map(|name| (*name).to_owned()).collect();
    if names.len() > NAMED {
        lines.push(format!("and {} more", names.len() - NAMED));
    }
    (format!("{} services", names.len()), lines)
}

/// The seeds of a connection string; of one that lies elsewhere, where.
fn members(uri: &MachineValue) -> (String, Vec<String>) {
    let elsewhere = |place: String| ("members".to_owned(), vec![place]);
    match uri {
        MachineValue::Env(of) => elsewhere(format!("from ${}", of.env)),
        MachineValue::File(of) => elsewhere(format!("from {}", of.file)),
        MachineValue::Plain(text) => match MongoUri::parse(text).map(|pasted| pasted.uri.seeds) {
            Ok(Seeds::Hosts(hosts)) => ("members".into(), hosts.iter().map(ToString::to_string).collect()),
            Ok(Seeds::Srv(name)) => elsewhere(name),
            Err(_) => ("members".into(), Vec::new()),
        },
    }
}

fn aurora_backup(backup: &AuroraBackup) -> Vec<String> {
    let days = if backup.retention_days == 1 {
        "the last day".into()
    } else {
        format!("the last {} days", backup.retention_days)
    };
    let mut lines = vec![format!("any moment of {days}")];
    lines.extend(backup.window.as_ref().map(|window| format!("daily {window} UTC")));
    lines
}

fn mongo_backup(backup: &MongoBackup) -> Vec<String> {
    let Keep { last, hourly, daily, weekly, monthly } = backup.keep;
    let kept: Vec<String> =
        [(last, "last"), (hourly, "hourly"), (daily, "daily"), (weekly, "weekly"), (monthly, "monthly")]
            .into_iter()
            .filter_map(|(number, word)| Some(format!("{} {word}", number?)))
            .collect();
    let mut lines = vec![format!("snapshot every {}", backup.every)];
    // Two on a line, so that it stays narrow.
    lines.extend(kept.chunks(2).map(|pair| format!("keeps {}", pair.join(", "))));
    lines
}
