//! The systems that an environment lives in: read into one world, and changed step by step.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;

use super::{
    Any, Dialect,
    aurora::{
        before_drop,
        cluster::AuroraCluster,
        instance::{self, AuroraInstance},
        logins::PgLogins,
    },
    enlisted,
    iam_role::IamRole,
    inside,
    mongo::{self, Naming, Replicas, secret::MongoSecret, snapshot::MongoSnapshot},
    pg_database, recognised, sql, typed,
};
use crate::{
    engine::{Action, Context, Desired, Error, Found, Known, Output, Outputs, World, Write, Written},
    model::{Address, names::Names},
    providers::{
        ReadWrite,
        aws::{Aws, Estate, Interest},
        local::Local,
        mongo::Mongo,
        postgres::{Catalog, Ending, Endpoint, Postgres, Task},
    },
    snapshot::backups::Backups,
};

/// One client for each system. `Live<ReadOnly>` has no way to write; the compiler sees to it.
#[derive(Debug)]
pub struct Live<M> {
    pub environment: String,
    pub names: Names,
    pub local: Local<M>,
    /// Only for environments on AWS.
    pub aws: Option<Aws<M>>,
    pub postgres: Postgres<M>,
    /// By their names in the YAML.
    pub mongo: BTreeMap<String, Replicas<M>>,
    /// Only for environments with a replica set that has a backup policy.
    pub backups: Option<Backups<M>>,
}

/// What to look at: which clusters there may be, and which of their databases are to be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub databases: BTreeMap<String, BTreeSet<String>>,
    pub aws: Interest,
    /// Replica sets whose snapshots are looked at.
    pub backups: BTreeSet<String>,
}

impl Scope {
    /// All that is declared; what is not, is only looked at from outside.
    pub fn of(desired: &Desired<Any>, aws: Interest) -> Self {
        let mut databases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut backups = BTreeSet::new();
        for resource in desired.resources.values() {
            if let Any::MongoSnapshot(snapshot) = resource {
                backups.insert(snapshot.cluster.clone());
            }
            if let Some(cluster) = resource.cluster() {
                let opened = databases.entry(cluster.to_owned()).or_default();
                opened.extend(resource.opens().map(str::to_owned));
            }
        }
        Self { databases, aws, backups }
    }
}

/// A world, and what it was made of.
#[derive(Debug)]
pub struct Seen {
    pub world: World<Any>,
    pub catalogs: Vec<Catalog>,
    /// Only on AWS.
    pub estate: Option<Estate>,
}

impl<M> Live<M> {
    /// Reads the world: servers first, then what is inside of those that run.
    pub async fn read(&self, scope: &Scope) -> Result<World<Any>, Error> {
        Ok(self.look(scope).await?.world)
    }

    /// Reads the world, and keeps what it was made of.
    pub async fn look(&self, scope: &Scope) -> Result<Seen, Error> {
        let (mut world, mut catalogs, mut estate) = (self.servers().await?, Vec::new(), None);
        if let Some(aws) = &self.aws {
            let read = estate.insert(aws.read(&scope.aws).await?);
            survey(read, &scope.aws, &mut world);
        }
        let known = world.known();
        let read = scope.databases.iter().filter_map(|(cluster, databases)| {
            let server = server(&known, cluster)?;
            Some(async move {
                let catalog = self.postgres.read(cluster, &server.endpoint, databases).await;
                (server.address, catalog)
            })
        });
        let (read, enlisted) = futures::join!(join_all(read), Box::pin(self.replica_sets()));
        for (address, found) in enlisted {
            match found {
                Ok(found) => world.found.extend(found),
                Err(why) => drop(world.unreadable.insert(address, why)),
            }
        }
        if let Some(backups) = &self.backups {
            Box::pin(MongoSnapshot::read(backups, &scope.backups, &mut world)).await;
        }
        for (address, catalog) in read {
            match catalog {
                Ok(catalog) => {
                    self.project(&catalog, &mut world);
                    catalogs.push(catalog);
                }
                Err(error) => {
                    world.unreadable.insert(address, crate::model::causes(&error));
                }
            }
        }
        Ok(Seen { world, catalogs, estate })
    }

    /// What is inside of each replica set, or why that cannot be seen.
    async fn replica_sets(&self) -> Vec<(Address, Result<Vec<(Address, Found<Any>)>, String>)> {
        let read = self.mongo.iter().map(async |(name, replicas)| {
            let naming = Naming { environment: &self.environment, subject: replicas.subject.as_deref() };
            let found = match &replicas.client {
                Ok(client) => client.read(|user| mongo::concerns(user, naming)).await,
                Err(why) => return (mongo::cluster(name), Err(why.clone())),
            };
            let found = found.map(|catalog| enlisted(&catalog, naming));
            (mongo::cluster(name), found.map_err(|error| mongo::unreadable(&error)))
        });
        join_all(read).await
    }

    pub(super) fn replicas(&self, cluster: &str) -> Result<&Mongo<M>, Error> {
        let replicas = self.mongo.get(cluster).map(|replicas| replicas.client.as_ref());
        match replicas {
            Some(Ok(client)) => Ok(client),
            Some(Err(why)) => Err(Box::new(NoReplicas(cluster.to_owned(), why.clone()))),
            None => Err(Box::new(NoReplicas(cluster.to_owned(), "the YAML does not declare it".into()))),
        }
    }

    /// Clusters whose servers run, and where.
    pub async fn running(&self, interest: &Interest) -> Result<Vec<(String, Endpoint)>, Error> {
        let mut world = self.servers().await?;
        if let Some(aws) = &self.aws {
            survey(&aws.fleet().await?, interest, &mut world);
        }
        let known = world.known();
        // Several kinds tell of one cluster, which can be locked only once.
        let clusters: BTreeSet<&str> = known.keys().map(Address::path).collect();
        let running = clusters.into_iter().filter_map(|name| Some((name, server(&known, name)?.endpoint)));
        Ok(running.map(|(name, endpoint)| (name.to_owned(), endpoint)).collect())
    }

    /// Where each cluster is, its writer before its readers. Of Postgres nobody is asked.
    pub async fn endpoints(
        &self,
        interest: &Interest,
    ) -> Result<BTreeMap<String, (Endpoint, Endpoint)>, Error> {
        let mut world = self.servers().await?;
        if let Some(aws) = &self.aws {
            survey(&aws.fleet().await?, interest, &mut world);
        }
        let known = world.known();
        let clusters: BTreeSet<&str> = known.keys().map(Address::path).collect();
        let both = |name: &&str| {
            sql::servers(name).into_iter().find_map(|address| {
                let outputs = known.get(&address)?;
                let at = |output| Endpoint::parse(name, outputs.get(&output)?).ok();
                let writer = at(Output::Endpoint)?;
                Some((writer.clone(), at(Output::ReaderEndpoint).unwrap_or(writer)))
            })
        };
        Ok(clusters.into_iter().filter_map(|name| Some((name.to_owned(), both(&name)?))).collect())
    }

    pub(super) fn aws(&self) -> Result<&Aws<M>, Error> {
        self.aws.as_ref().ok_or_else(|| Box::new(NoAws) as Error)
    }

    /// Kinds that take more than one system to be made.
    #[expect(clippy::unnecessary_wraps, reason = "stands beside `aws`, which may fail")]
    pub(super) fn everything(&self) -> Result<&Self, Error> {
        Ok(self)
    }

    fn project(&self, catalog: &Catalog, world: &mut World<Any>) {
        let ours = sql::Ours { environment: &self.environment, names: &self.names };
        world.found.extend(inside(catalog, ours));
        for (database, content) in &catalog.databases {
            if let Err(why) = content {
                let address = pg_database::PgDatabase::address(&catalog.cluster, database);
                world.unreadable.insert(address, why.clone());
            }
        }
        for address in pg_database::PgDatabase::closed(catalog, ours) {
            world.unreadable.insert(address, "it takes no connections".into());
        }
    }
}

/// Where a cluster is, once somebody has told.
pub(super) struct Server {
    pub(super) address: Address,
    pub(super) endpoint: Endpoint,
    pub(super) dialect: Dialect,
}

pub(super) fn server(known: &Known, cluster: &str) -> Option<Server> {
    sql::servers(cluster).into_iter().find_map(|address| {
        let outputs = known.get(&address)?;
        let endpoint = Endpoint::parse(cluster, outputs.get(&Output::Endpoint)?).ok()?;
        let major = outputs.get(&Output::Version)?.split('.').next()?.parse().ok()?;
        Some(Server { address, endpoint, dialect: Dialect { major } })
    })
}

/// What a change would run, in words: SQL, or what is done to a server. Clusters that nobody has told of yet are taken
/// for new ones, with what every Postgres from 16 on understands.
pub fn effects(action: &Action<Any>, known: &Known) -> Vec<String> {
    let resource = action.wanted().or(action.existing());
    let dialect = |cluster| server(known, cluster).map_or(Dialect { major: 16 }, |server| server.dialect);
    match resource.and_then(Any::cluster).map(dialect).and_then(|dialect| Any::script(action, dialect)) {
        Some(script) => {
            let first = before_drop::effect(action, known);
            first.into_iter().chain(script.statements().map(str::to_owned)).collect()
        }
        None => Any::effects(action),
    }
}

impl Write<Any> for Live<ReadWrite> {
    async fn write(&self, steps: &[(&Address, Action<Any>)], context: &Context<'_>) -> Vec<Written> {
        let Some((_, first)) = steps.first() else { return Vec::new() };
        let instances =
            steps.iter().map(|(address, action)| Some((*address, typed::<AuroraInstance>(action)?)));
        if let (Some(instances), Some(aws)) = (instances.collect::<Option<Vec<_>>>(), &self.aws) {
            return instance::instances(aws, &instances, context).await;
        }
        let Some(cluster) = first.wanted().or(first.existing()).and_then(Any::cluster) else {
            return self.one_by_one(steps, context).await;
        };
        let Some(server) = server(context.known, cluster) else {
            let missing = || Written::Failed(Box::new(NoServer(cluster.to_owned())));
            return steps.iter().map(|_| missing()).collect();
        };
        let saved = before_drop::snapshot(self.aws.as_ref(), &self.environment, cluster, steps, context);
        if let Err(error) = saved.await {
            // Only what drops is at fault; the others come again without it.
            let mut error = Some(error);
            let mut failed = |action| error.take_if(|_| before_drop::drops(action));
            let ending = |action| failed(action).map_or(Written::RolledBack, Written::Failed);
            return steps.iter().map(|(_, action)| action).map(ending).collect();
        }
        let tasks: Vec<Task> = (steps.iter())
            .map(|(_, action)| Task { script: Any::script(action, server.dialect).unwrap_or_default() })
            .collect();
        let endings = self.postgres.run(&server.endpoint, &tasks).await.into_iter();
        endings
            .map(|ending| match ending {
                Ending::Done => Written::Done(Outputs::new()),
                Ending::Failed(error) => Written::Failed(Box::new(error)),
                Ending::RolledBack => Written::RolledBack,
            })
            .collect()
    }
}

impl Live<ReadWrite> {
    async fn one_by_one(&self, steps: &[(&Address, Action<Any>)], context: &Context<'_>) -> Vec<Written> {
        let mut written = Vec::with_capacity(steps.len());
        let mut failed = false;
        for (address, action) in steps {
            // Steps inside of one replica set may rest on each other; what is left comes again, without what rests on
            // the one that failed.
            let in_mongo = action.wanted().or(action.existing()).is_some_and(Any::is_in_mongo);
            if failed && in_mongo {
                written.push(Written::RolledBack);
                continue;
            }
            let progress = |message: &str| context.progress(address, message);
            written.push(match self.handle(action, &progress).await {
                Ok(outputs) => Written::Done(outputs),
                Err(error) => {
                    failed = true;
                    Written::Failed(error)
                }
            });
        }
        written
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the replica set {0} cannot be used: {1}")]
struct NoReplicas(String, String);

#[derive(Debug, thiserror::Error)]
#[error("this is a fault in infra: the environment has nothing on AWS")]
struct NoAws;

/// What of an account is ours, or in our way.
fn survey(estate: &Estate, interest: &Interest, world: &mut World<Any>) {
    world.found.extend(recognised(estate, interest));
    PgLogins::unreadable(estate, interest, world);
    IamRole::survey(estate, interest, world);
    MongoSecret::survey(estate, interest, world);
    let fact = |output, value: &str| Outputs::from([(output, value.to_owned())]);
    for version in &estate.versions {
        // Every prefix of it leads to the newest that has it; versions come oldest first.
        for (end, _) in version.version.match_indices('.').chain([(version.version.len(), "")]) {
            let address = AuroraCluster::version_of(&version.version[..end]);
            world.facts.insert(address, fact(Output::Version, &version.version));
        }
    }
    for (declared, arn) in &estate.keys {
        world.facts.insert(AuroraCluster::key_of(declared), fact(Output::Arn, arn));
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nothing is known of where cluster {0} runs")]
struct NoServer(String);
