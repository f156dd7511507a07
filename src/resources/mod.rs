//! Every kind that is managed: one file each, one line in `kinds!` each.

mod adopt;
pub mod aurora;
mod facts;
pub mod iam_role;
pub mod local_server;
mod lockout;
pub mod pg_access;
pub mod pg_database;
pub mod pg_extension;
pub mod pg_role;
pub mod pg_schema;
mod sql;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use serde::{Deserialize, Serialize};

pub use adopt::{NotAdoptable, adoptable};
pub use facts::Facts;
pub use iam_role::quotas;
pub use lockout::lockout;
pub use sql::{Dialect, Grants, search_path};

use crate::{
    engine::{
        Action, Context, Desired, Error, Found, Known, Late, Output, Outputs, Removal, Resource, Verdict,
        World, Write, Written,
    },
    model::Address,
    providers::{
        ReadWrite,
        aws::{Aws, Estate, Interest},
        local::Local,
        postgres::{Catalog, Ending, Endpoint, Postgres, Script, Task},
    },
};
use aurora::{cluster::AuroraCluster, instance::AuroraInstance, logins::PgLogins};
use iam_role::IamRole;
use sql::{Project, Sql};

/// How a kind that is no SQL is found in the world. Read-only clients can.
pub trait List<R> {
    async fn list(&self) -> Result<Vec<(Address, Found<R>)>, Error>;
}

/// How a client carries out one kind's changes. Only read-write clients can.
pub trait Handle<R> {
    async fn create(&self, new: &R, progress: &dyn Fn(&str)) -> Result<Outputs, Error>;
    async fn update(&self, old: &R, new: &R, progress: &dyn Fn(&str)) -> Result<Outputs, Error>;
    async fn delete(&self, old: &R, progress: &dyn Fn(&str)) -> Result<(), Error>;
}

/// How a kind is found in an account of AWS. The one place where false differences of such kinds are cured.
pub trait Recognise: Sized {
    fn recognise(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Self>)>;
}

/// A kind that is no SQL says here what its changes do.
pub trait Effects: Resource {
    fn effects(action: &Action<Self>) -> Vec<String>;
}

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
        let read = scope.databases.iter().filter_map(|(cluster, databases)| {
            let server = server(&world.known(), cluster)?;
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

    fn aws(&self) -> Result<&Aws<M>, Error> {
        self.aws.as_ref().ok_or_else(|| Box::new(NoAws) as Error)
    }

    /// Kinds that take more than one system to be made.
    #[expect(clippy::unnecessary_wraps, reason = "stands beside `aws`, which may fail")]
    fn everything(&self) -> Result<&Self, Error> {
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
            let first = aurora::before_drop::effect(action, known);
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
            return aurora::instance::instances(aws, &instances, context).await;
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
        let saved =
            aurora::before_drop::snapshot(self.aws.as_ref(), &self.environment, cluster, steps, context);
        if let Err(error) = saved.await {
            let mut error = Some(error);
            let ending = |_| error.take().map_or(Written::RolledBack, Written::Failed);
            return steps.iter().map(ending).collect();
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

macro_rules! kinds {
    (servers { $($server:ident($server_type:ty) => $client:ident),* $(,)? }
     aws { $($aws:ident($aws_type:ty) => $by:ident),* $(,)? }
     sql { $($sql:ident($sql_type:ty)),* $(,)? }) => {
        /// Any managed resource. Written by `kinds!`; nobody matches on it by hand. Of what AWS has there is little, and
        /// each is large.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum Any { $($server($server_type),)* $($aws(Box<$aws_type>),)* $($sql($sql_type)),* }

        $(impl From<$server_type> for Any { fn from(resource: $server_type) -> Self { Self::$server(resource) } })*
        $(impl From<$aws_type> for Any { fn from(resource: $aws_type) -> Self { Self::$aws(Box::new(resource)) } })*
        $(impl From<$sql_type> for Any { fn from(resource: $sql_type) -> Self { Self::$sql(resource) } })*

        impl Resource for Any {
            fn depends_on(&self) -> Vec<Address> {
                match self { $(Self::$server(r) => r.depends_on(),)* $(Self::$aws(r) => r.depends_on(),)* $(Self::$sql(r) => r.depends_on()),* }
            }
            fn bind(&mut self, known: &Known) {
                match self { $(Self::$server(r) => r.bind(known),)* $(Self::$aws(r) => r.bind(known),)* $(Self::$sql(r) => r.bind(known)),* }
            }
            fn unbound(&self) -> Vec<&Late> {
                match self { $(Self::$server(r) => r.unbound(),)* $(Self::$aws(r) => r.unbound(),)* $(Self::$sql(r) => r.unbound()),* }
            }
            fn adopt(&mut self, found: &Self) {
                match (self, found) {
                    $((Self::$server(new), Self::$server(old)) => new.adopt(old),)*
                    $((Self::$aws(new), Self::$aws(old)) => new.adopt(old),)*
                    $((Self::$sql(new), Self::$sql(old)) => new.adopt(old),)*
                    _ => {}
                }
            }
            fn costs(&self, before: &Self) -> Vec<String> {
                match (self, before) {
                    $((Self::$server(new), Self::$server(old)) => new.costs(old),)*
                    $((Self::$aws(new), Self::$aws(old)) => new.costs(old),)*
                    $((Self::$sql(new), Self::$sql(old)) => new.costs(old),)*
                    _ => Vec::new(),
                }
            }
            fn notes(&self) -> Vec<String> {
                match self { $(Self::$server(r) => r.notes(),)* $(Self::$aws(r) => r.notes(),)* $(Self::$sql(r) => r.notes()),* }
            }
            fn verdict(&self, before: &Self) -> Verdict {
                match (self, before) {
                    $((Self::$server(new), Self::$server(old)) => new.verdict(old),)*
                    $((Self::$aws(new), Self::$aws(old)) => new.verdict(old),)*
                    $((Self::$sql(new), Self::$sql(old)) => new.verdict(old),)*
                    _ => Verdict::Refuse("an address never changes its kind".into()),
                }
            }
            fn removal(&self) -> Removal {
                match self { $(Self::$server(r) => r.removal(),)* $(Self::$aws(r) => r.removal(),)* $(Self::$sql(r) => r.removal()),* }
            }
            fn environment(&self) -> Option<&str> {
                match self { $(Self::$server(r) => r.environment(),)* $(Self::$aws(r) => r.environment(),)* $(Self::$sql(r) => r.environment()),* }
            }
            fn unit(&self) -> Option<String> {
                match self { $(Self::$server(r) => r.unit(),)* $(Self::$aws(r) => r.unit(),)* $(Self::$sql(r) => r.unit()),* }
            }
        }

        impl Any {
            /// The cluster inside of which it lives; `None` for what lives in none.
            fn cluster(&self) -> Option<&str> {
                match self { $(Self::$server(_) => None,)* $(Self::$aws(_) => None,)* $(Self::$sql(r) => Some(r.cluster())),* }
            }

            fn opens(&self) -> Option<&str> {
                match self { $(Self::$server(_) => None,)* $(Self::$aws(_) => None,)* $(Self::$sql(r) => r.opens()),* }
            }

            fn script(action: &Action<Self>, dialect: Dialect) -> Option<Script> {
                match action.wanted().or(action.existing())? {
                    $(Self::$server(_) => None,)*
                    $(Self::$aws(_) => None,)*
                    $(Self::$sql(_) => Some(<$sql_type as Sql>::script(&typed::<$sql_type>(action)?, dialect)),)*
                }
            }

            fn effects(action: &Action<Self>) -> Vec<String> {
                match action.wanted().or(action.existing()) {
                    $(Some(Self::$server(_)) => typed::<$server_type>(action)
                        .map(|action| <$server_type as Effects>::effects(&action)).unwrap_or_default(),)*
                    $(Some(Self::$aws(_)) => typed::<$aws_type>(action)
                        .map(|action| <$aws_type as Effects>::effects(&action)).unwrap_or_default(),)*
                    _ => Vec::new(),
                }
            }
        }

        $(impl TryFrom<Any> for $server_type {
            type Error = ();
            fn try_from(any: Any) -> Result<Self, ()> { if let Any::$server(r) = any { Ok(r) } else { Err(()) } }
        })*
        $(impl TryFrom<Any> for $aws_type {
            type Error = ();
            fn try_from(any: Any) -> Result<Self, ()> { if let Any::$aws(r) = any { Ok(*r) } else { Err(()) } }
        })*
        $(impl TryFrom<Any> for $sql_type {
            type Error = ();
            fn try_from(any: Any) -> Result<Self, ()> { if let Any::$sql(r) = any { Ok(r) } else { Err(()) } }
        })*

        impl<M> Live<M> {
            async fn servers(&self) -> Result<World<Any>, Error> {
                let mut world = World::default();
                $(for (address, found) in List::<$server_type>::list(&self.$client).await? {
                    world.found.insert(address, found.map(Any::from));
                })*
                $(<$server_type>::unreadable(&mut world);)*
                Ok(world)
            }
        }

        impl Live<ReadWrite> {
            async fn handle(&self, action: &Action<Any>, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
                match action {
                    $(Action::Create { new: Any::$server(new) } => Handle::create(&self.$client, new, progress).await,
                    Action::Update { old: Any::$server(old), new: Any::$server(new) } => {
                        Handle::update(&self.$client, old, new, progress).await
                    }
                    Action::Replace { old: Any::$server(old), new: Any::$server(new), .. } => {
                        Handle::delete(&self.$client, old, progress).await?;
                        Handle::create(&self.$client, new, progress).await
                    }
                    Action::Delete { old: Any::$server(old) } => {
                        Handle::delete(&self.$client, old, progress).await?;
                        Ok(Outputs::new())
                    })*
                    $(Action::Create { new: Any::$aws(new) } => Handle::<$aws_type>::create(self.$by()?, new, progress).await,
                    Action::Update { old: Any::$aws(old), new: Any::$aws(new) } => {
                        Handle::<$aws_type>::update(self.$by()?, old, new, progress).await
                    }
                    Action::Replace { old: Any::$aws(old), new: Any::$aws(new), .. } => {
                        Handle::<$aws_type>::delete(self.$by()?, old, progress).await?;
                        Handle::<$aws_type>::create(self.$by()?, new, progress).await
                    }
                    Action::Delete { old: Any::$aws(old) } => {
                        Handle::<$aws_type>::delete(self.$by()?, old, progress).await?;
                        Ok(Outputs::new())
                    })*
                    _ => Ok(Outputs::new()),
                }
            }
        }

        fn recognised(estate: &Estate, interest: &Interest) -> Vec<(Address, Found<Any>)> {
            let mut all = Vec::new();
            $(all.extend(
                <$aws_type>::recognise(estate, interest).into_iter().map(|(a, found)| (a, found.map(Any::from))),
            );)*
            all
        }

        fn inside(catalog: &Catalog, environment: &str) -> Vec<(Address, Found<Any>)> {
            let mut all = Vec::new();
            $(all.extend(
                <$sql_type>::project(catalog, environment).into_iter().map(|(a, found)| (a, found.map(Any::from))),
            );)*
            all
        }
    };
}

/// The same action on one kind; `None` if it is on another.
fn typed<R: TryFrom<Any>>(action: &Action<Any>) -> Option<Action<R>> {
    let one = |any: &Any| R::try_from(any.clone()).ok();
    Some(match action {
        Action::Keep => Action::Keep,
        Action::Hold { why } => Action::Hold { why: why.clone() },
        Action::Create { new } => Action::Create { new: one(new)? },
        Action::Update { old, new } => Action::Update { old: one(old)?, new: one(new)? },
        Action::Replace { old, new, why } => {
            Action::Replace { old: one(old)?, new: one(new)?, why: why.clone() }
        }
        Action::Delete { old } => Action::Delete { old: one(old)? },
    })
}

kinds! {
    servers {
        LocalServer(local_server::LocalServer) => local,
    }
    aws {
        AuroraSubnetGroup(aurora::subnet_group::AuroraSubnetGroup) => aws,
        AuroraParameterGroup(aurora::parameter_group::AuroraParameterGroup) => aws,
        AuroraCluster(aurora::cluster::AuroraCluster) => aws,
        AuroraInstance(aurora::instance::AuroraInstance) => aws,
        AuroraAutoscaling(aurora::autoscaling::AuroraAutoscaling) => aws,
        PgLogins(aurora::logins::PgLogins) => everything,
        IamRole(iam_role::IamRole) => aws,
    }
    sql {
        PgRole(pg_role::PgRole),
        PgDatabase(pg_database::PgDatabase),
        PgSchema(pg_schema::PgSchema),
        PgExtension(pg_extension::PgExtension),
        PgAccess(pg_access::PgAccess),
    }
}
