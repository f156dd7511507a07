//! Every kind that is managed: one file each, one line in `kinds!` each.

mod adopt;
pub mod aurora;
mod facts;
pub mod iam_role;
mod live;
pub mod local_server;
mod lockout;
pub mod mongo;
pub mod pg_access;
pub mod pg_database;
pub mod pg_extension;
pub mod pg_role;
pub mod pg_schema;
mod sql;

use serde::{Deserialize, Serialize};

pub use adopt::{NotAdoptable, adoptable, as_adopted};
pub use facts::Facts;
pub use iam_role::quotas;
pub use live::{Live, Scope, Seen, effects};
pub use lockout::lockout;
pub use mongo::with_notes;
pub use sql::{Dialect, Grants, Ours, search_path};

use crate::{
    engine::{Action, Error, Found, Known, Late, Outputs, Removal, Resource, Verdict, World},
    model::Address,
    providers::{
        ReadWrite,
        aws::{Estate, Interest},
        mongo as mongo_client,
        postgres::{Catalog, Script},
    },
};
use mongo::Enlist;
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

macro_rules! kinds {
    (servers { $($server:ident($server_type:ty) => $client:ident),* $(,)? }
     aws { $($aws:ident($aws_type:ty) => $by:ident),* $(,)? }
     mongo { $($mongo:ident($mongo_type:ty)),* $(,)? }
     kept { $($kept:ident($kept_type:ty)),* $(,)? }
     sql { $($sql:ident($sql_type:ty)),* $(,)? }) => {
        /// Any managed resource. Written by `kinds!`; nobody matches on it by hand. Of what AWS has there is little, and
        /// each is large.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum Any { $($server($server_type),)* $($aws(Box<$aws_type>),)* $($mongo($mongo_type),)* $($kept($kept_type),)* $($sql($sql_type)),* }

        $(impl From<$server_type> for Any { fn from(resource: $server_type) -> Self { Self::$server(resource) } })*
        $(impl From<$aws_type> for Any { fn from(resource: $aws_type) -> Self { Self::$aws(Box::new(resource)) } })*
        $(impl From<$mongo_type> for Any { fn from(resource: $mongo_type) -> Self { Self::$mongo(resource) } })*
        $(impl From<$kept_type> for Any { fn from(resource: $kept_type) -> Self { Self::$kept(resource) } })*
        $(impl From<$sql_type> for Any { fn from(resource: $sql_type) -> Self { Self::$sql(resource) } })*

        impl Resource for Any {
            fn depends_on(&self) -> Vec<Address> {
                match self { $(Self::$server(r) => r.depends_on(),)* $(Self::$aws(r) => r.depends_on(),)* $(Self::$mongo(r) => r.depends_on(),)* $(Self::$kept(r) => r.depends_on(),)* $(Self::$sql(r) => r.depends_on()),* }
            }
            fn bind(&mut self, known: &Known) {
                match self { $(Self::$server(r) => r.bind(known),)* $(Self::$aws(r) => r.bind(known),)* $(Self::$mongo(r) => r.bind(known),)* $(Self::$kept(r) => r.bind(known),)* $(Self::$sql(r) => r.bind(known)),* }
            }
            fn unbound(&self) -> Vec<&Late> {
                match self { $(Self::$server(r) => r.unbound(),)* $(Self::$aws(r) => r.unbound(),)* $(Self::$mongo(r) => r.unbound(),)* $(Self::$kept(r) => r.unbound(),)* $(Self::$sql(r) => r.unbound()),* }
            }
            fn adopt(&mut self, found: &Self) {
                match (self, found) {
                    $((Self::$server(new), Self::$server(old)) => new.adopt(old),)*
                    $((Self::$aws(new), Self::$aws(old)) => new.adopt(old),)*
                    $((Self::$mongo(new), Self::$mongo(old)) => new.adopt(old),)*
                    $((Self::$kept(new), Self::$kept(old)) => new.adopt(old),)*
                    $((Self::$sql(new), Self::$sql(old)) => new.adopt(old),)*
                    _ => {}
                }
            }
            fn costs(&self, before: &Self) -> Vec<String> {
                match (self, before) {
                    $((Self::$server(new), Self::$server(old)) => new.costs(old),)*
                    $((Self::$aws(new), Self::$aws(old)) => new.costs(old),)*
                    $((Self::$mongo(new), Self::$mongo(old)) => new.costs(old),)*
                    $((Self::$kept(new), Self::$kept(old)) => new.costs(old),)*
                    $((Self::$sql(new), Self::$sql(old)) => new.costs(old),)*
                    _ => Vec::new(),
                }
            }
            fn notes(&self) -> Vec<String> {
                match self { $(Self::$server(r) => r.notes(),)* $(Self::$aws(r) => r.notes(),)* $(Self::$mongo(r) => r.notes(),)* $(Self::$kept(r) => r.notes(),)* $(Self::$sql(r) => r.notes()),* }
            }
            fn verdict(&self, before: &Self) -> Verdict {
                match (self, before) {
                    $((Self::$server(new), Self::$server(old)) => new.verdict(old),)*
                    $((Self::$aws(new), Self::$aws(old)) => new.verdict(old),)*
                    $((Self::$mongo(new), Self::$mongo(old)) => new.verdict(old),)*
                    $((Self::$kept(new), Self::$kept(old)) => new.verdict(old),)*
                    $((Self::$sql(new), Self::$sql(old)) => new.verdict(old),)*
                    _ => Verdict::Refuse("an address never changes its kind".into()),
                }
            }
            fn removal(&self) -> Removal {
                match self { $(Self::$server(r) => r.removal(),)* $(Self::$aws(r) => r.removal(),)* $(Self::$mongo(r) => r.removal(),)* $(Self::$kept(r) => r.removal(),)* $(Self::$sql(r) => r.removal()),* }
            }
            fn environment(&self) -> Option<&str> {
                match self { $(Self::$server(r) => r.environment(),)* $(Self::$aws(r) => r.environment(),)* $(Self::$mongo(r) => r.environment(),)* $(Self::$kept(r) => r.environment(),)* $(Self::$sql(r) => r.environment()),* }
            }
            fn reason(&self) -> Option<String> {
                match self { $(Self::$kept(r) => r.reason(),)* _ => None }
            }
            fn time_driven(&self) -> bool {
                match self { $(Self::$kept(r) => r.time_driven(),)* _ => false }
            }
            fn unit(&self) -> Option<String> {
                match self { $(Self::$server(r) => r.unit(),)* $(Self::$aws(r) => r.unit(),)* $(Self::$mongo(r) => r.unit(),)* $(Self::$kept(r) => r.unit(),)* $(Self::$sql(r) => r.unit()),* }
            }
        }

        impl Any {
            /// The cluster inside of which it lives; `None` for what lives in none.
            fn cluster(&self) -> Option<&str> {
                match self { $(Self::$server(_) => None,)* $(Self::$aws(_) => None,)* $(Self::$mongo(_) => None,)* $(Self::$kept(_) => None,)* $(Self::$sql(r) => Some(r.cluster())),* }
            }

            /// Whether it lives in a replica set.
            fn is_in_mongo(&self) -> bool {
                match self { $(Self::$mongo(_) => true,)* _ => false }
            }

            fn opens(&self) -> Option<&str> {
                match self { $(Self::$server(_) => None,)* $(Self::$aws(_) => None,)* $(Self::$mongo(_) => None,)* $(Self::$kept(_) => None,)* $(Self::$sql(r) => r.opens()),* }
            }

            fn script(action: &Action<Self>, dialect: Dialect) -> Option<Script> {
                match action.wanted().or(action.existing())? {
                    $(Self::$server(_) => None,)*
                    $(Self::$aws(_) => None,)*
                    $(Self::$mongo(_) => None,)* $(Self::$kept(_) => None,)*
                    $(Self::$sql(_) => Some(<$sql_type as Sql>::script(&typed::<$sql_type>(action)?, dialect)),)*
                }
            }

            fn effects(action: &Action<Self>) -> Vec<String> {
                match action.wanted().or(action.existing()) {
                    $(Some(Self::$server(_)) => typed::<$server_type>(action)
                        .map(|action| <$server_type as Effects>::effects(&action)).unwrap_or_default(),)*
                    $(Some(Self::$aws(_)) => typed::<$aws_type>(action)
                        .map(|action| <$aws_type as Effects>::effects(&action)).unwrap_or_default(),)*
                    $(Some(Self::$mongo(_)) => typed::<$mongo_type>(action)
                        .map(|action| <$mongo_type as Effects>::effects(&action)).unwrap_or_default(),)*
                    $(Some(Self::$kept(_)) => typed::<$kept_type>(action)
                        .map(|action| <$kept_type as Effects>::effects(&action)).unwrap_or_default(),)*
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
        $(impl TryFrom<Any> for $mongo_type {
            type Error = ();
            fn try_from(any: Any) -> Result<Self, ()> { if let Any::$mongo(r) = any { Ok(r) } else { Err(()) } }
        })*
        $(impl TryFrom<Any> for $kept_type {
            type Error = ();
            fn try_from(any: Any) -> Result<Self, ()> { if let Any::$kept(r) = any { Ok(r) } else { Err(()) } }
        })*
        $(impl TryFrom<Any> for $sql_type {
            type Error = ();
            fn try_from(any: Any) -> Result<Self, ()> { if let Any::$sql(r) = any { Ok(r) } else { Err(()) } }
        })*

        impl<M> Live<M> {
            pub(super) async fn servers(&self) -> Result<World<Any>, Error> {
                let mut world = World::default();
                $(for (address, found) in List::<$server_type>::list(&self.$client).await? {
                    world.found.insert(address, found.map(Any::from));
                })*
                $(<$server_type>::unreadable(&mut world);)*
                Ok(world)
            }
        }

        impl Live<ReadWrite> {
            pub(super) async fn handle(&self, action: &Action<Any>, progress: &dyn Fn(&str)) -> Result<Outputs, Error> {
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
                    $(Action::Create { new: Any::$mongo(new) } => Handle::<$mongo_type>::create(self, new, progress).await,
                    Action::Update { old: Any::$mongo(old), new: Any::$mongo(new) } => {
                        Handle::<$mongo_type>::update(self, old, new, progress).await
                    }
                    Action::Replace { old: Any::$mongo(old), new: Any::$mongo(new), .. } => {
                        Handle::<$mongo_type>::delete(self, old, progress).await?;
                        Handle::<$mongo_type>::create(self, new, progress).await
                    }
                    Action::Delete { old: Any::$mongo(old) } => {
                        Handle::<$mongo_type>::delete(self, old, progress).await?;
                        Ok(Outputs::new())
                    })*
                    $(Action::Create { new: Any::$kept(new) } => Handle::<$kept_type>::create(self, new, progress).await,
                    Action::Update { old: Any::$kept(old), new: Any::$kept(new) } => {
                        Handle::<$kept_type>::update(self, old, new, progress).await
                    }
                    Action::Replace { old: Any::$kept(old), new: Any::$kept(new), .. } => {
                        Handle::<$kept_type>::delete(self, old, progress).await?;
                        Handle::<$kept_type>::create(self, new, progress).await
                    }
                    Action::Delete { old: Any::$kept(old) } => {
                        Handle::<$kept_type>::delete(self, old, progress).await?;
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

        fn enlisted(catalog: &mongo_client::Catalog, naming: mongo::Naming<'_>) -> Vec<(Address, Found<Any>)> {
            let mut all = Vec::new();
            $(all.extend(
                <$mongo_type>::enlist(catalog, naming).into_iter().map(|(a, found)| (a, found.map(Any::from))),
            );)*
            all
        }

        fn inside(catalog: &Catalog, ours: sql::Ours<'_>) -> Vec<(Address, Found<Any>)> {
            let mut all = Vec::new();
            $(all.extend(
                <$sql_type>::project(catalog, ours).into_iter().map(|(a, found)| (a, found.map(Any::from))),
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
        MongoSecret(mongo::secret::MongoSecret) => aws,
    }
    mongo {
        MongoRole(mongo::role::MongoRole),
        MongoUser(mongo::user::MongoUser),
    }
    kept {
        MongoSnapshot(mongo::snapshot::MongoSnapshot),
    }
    sql {
        PgRole(pg_role::PgRole),
        PgDatabase(pg_database::PgDatabase),
        PgSchema(pg_schema::PgSchema),
        PgExtension(pg_extension::PgExtension),
        PgAccess(pg_access::PgAccess),
    }
}
