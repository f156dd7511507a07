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
    iam_role::IamRole,
    inside, pg_database, recognised, sql, typed,
};
use crate::{
    engine::{Action, Context, Desired, Error, Known, Output, Outputs, World, Write, Written},
    model::Address,
    providers::{
        ReadWrite,
        aws::{Aws, Estate, Interest},
        local::Local,
        postgres::{Catalog, Ending, Endpoint, Postgres, Task},
    },
};

/// One client for each system. `Live<ReadOnly>` has no way to write; the compiler sees to it.
#[derive(Debug)]
pub struct Live<M> {
    pub environment: String,
    pub local: Local<M>,
    /// Only for environments on AWS.
    pub aws: Option<Aws<M>>,
    pub postgres: Postgres<M>,
}

/// What to look at: which clusters there may be, and which of their databases are to be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub databases: BTreeMap<String, BTreeSet<String>>,
    pub aws: Interest,
}

impl Scope {
    /// All that is declared; what is not, is only looked at from outside.
    pub fn of(desired: &Desired<Any>, aws: Interest) -> Self {
        let mut databases: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for resource in desired.resources.values() {
            if let Some(cluster) = resource.cluster() {
                let opened = databases.entry(cluster.to_owned()).or_default();
                opened.extend(resource.opens().map(str::to_owned));
            }
        }
        Self { databases, aws }
    }
}

impl<M> Live<M> {
    /// Reads the world: servers first, then what is inside of those that run.
    pub async fn read(&self, scope: &Scope) -> Result<World<Any>, Error> {
        let mut world = self.servers().await?;
        if let Some(aws) = &self.aws {
            survey(&aws.read(&scope.aws).await?, &scope.aws, &mut world);
        }
        let known = world.known();
        let read = scope.databases.iter().filter_map(|(cluster, databases)| {
            let server = server(&known, cluster)?;
            Some(async move {
                let catalog = self.postgres.read(cluster, &server.endpoint, databases).await;
                (server.address, catalog)
            })
        });
        for (address, catalog) in join_all(read).await {
            match catalog {
                Ok(catalog) => self.project(&catalog, &mut world),
                Err(error) => {
                    world.unreadable.insert(address, crate::model::causes(&error));
                }
            }
        }
        Ok(world)
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

    pub(super) fn aws(&self) -> Result<&Aws<M>, Error> {
        self.aws.as_ref().ok_or_else(|| Box::new(NoAws) as Error)
    }

    /// Kinds that take more than one system to be made.
    #[expect(clippy::unnecessary_wraps, reason = "stands beside `aws`, which may fail")]
    pub(super) fn everything(&self) -> Result<&Self, Error> {
        Ok(self)
    }

    fn project(&self, catalog: &Catalog, world: &mut World<Any>) {
        world.found.extend(inside(catalog, &self.environment));
        for (database, content) in &catalog.databases {
            if let Err(why) = content {
                let address = pg_database::PgDatabase::address(&catalog.cluster, database);
                world.unreadable.insert(address, why.clone());
            }
        }
        for address in pg_database::PgDatabase::closed(catalog, &self.environment) {
            world.unreadable.insert(address, "it takes no connections".into());
        }
    }
}

/// Where a cluster is, once somebody has told.
struct Server {
    address: Address,
    endpoint: Endpoint,
    dialect: Dialect,
}

fn server(known: &Known, cluster: &str) -> Option<Server> {
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
            let mut written = Vec::with_capacity(steps.len());
            for (address, action) in steps {
                let progress = |message: &str| context.progress(address, message);
                written.push(match self.handle(action, &progress).await {
                    Ok(outputs) => Written::Done(outputs),
                    Err(error) => Written::Failed(error),
                });
            }
            return written;
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

#[derive(Debug, thiserror::Error)]
#[error("this is a fault in infra: the environment has nothing on AWS")]
struct NoAws;

/// What of an account is ours, or in our way.
fn survey(estate: &Estate, interest: &Interest, world: &mut World<Any>) {
    world.found.extend(recognised(estate, interest));
    PgLogins::unreadable(estate, interest, world);
    IamRole::survey(estate, interest, world);
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
