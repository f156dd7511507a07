//! One environment, opened: its declaration, its clients, and a plan between the two.

use std::{collections::BTreeMap, env, path::PathBuf, time::Duration};

use crate::{
    cli::{Global, Shape},
    compose,
    config::{self, Invalid},
    engine::{self, Desired, Digest, Limits, Plan, Selection, UnknownTarget, World},
    model::{environment::Environment, names::Names},
    providers::{
        ReadOnly, ReadWrite, TryOnly,
        aws::{Aws, AwsError, DENIED, Interest, Settings},
        local::Local,
        mongo::{self, Mongo},
        postgres::{ADMIN, Access, Login, PLANNER, Postgres, Routes},
    },
    report::{About, PlanView, docs},
    resources::{
        self, Any, Live, Scope,
        mongo::{Replicas, certificates},
    },
    ui::Failure,
};

use super::{Exit, Stop, platform};

/// A read that takes longer is ended by the server.
pub(super) const READ: Duration = Duration::from_mins(1);
/// Longest single statement of an apply: a REASSIGN OWNED over very many tables, say.
const WRITE: Duration = Duration::from_mins(10);

#[derive(Debug)]
pub(super) struct Session {
    pub(super) name: String,
    pub(super) environment: Environment,
    /// The folder that holds `environments/`.
    pub(super) project: PathBuf,
}

/// A plan with all that is said about it.
pub(super) struct Planned {
    pub(super) plan: Plan<Any>,
    pub(super) view: PlanView,
}

/// What to plan.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) selection: Selection,
    pub(super) destroy: bool,
    pub(super) allow_destroy: Vec<String>,
}

impl Wanted {
    pub(super) fn new(shape: &Shape, destroy: bool, allow_destroy: &[String]) -> Self {
        let selection = Selection { targets: shape.target.clone(), excludes: shape.exclude.clone() };
        Self { selection, destroy, allow_destroy: allow_destroy.to_vec() }
    }
}

/// The folder that holds `environments/`.
pub(super) fn project(global: &Global) -> Result<PathBuf, Stop> {
    Ok(match &global.chdir {
        Some(folder) if folder.is_dir() => folder.clone(),
        Some(folder) => return Err(Failure::new(format!("{} is not a folder", folder.display())).into()),
        None => env::current_dir()?,
    })
}

/// The name of the environment that was asked for.
pub(super) fn name(global: &Global, project: &std::path::Path) -> Result<String, Stop> {
    global.env.clone().ok_or_else(|| {
        let there = config::list(&project.join("environments"));
        let there = if there.is_empty() {
            format!(
                "there is none: {} holds no folder with an environment.yaml",
                project.join("environments").display()
            )
        } else {
            format!("pass -e NAME or set INFRA_ENV; there are: {}", there.join(", "))
        };
        Failure::new("no environment was named").hint(there).into()
    })
}

/// All problems of a configuration, each with its place.
pub(super) fn invalid(invalid: &Invalid) -> Stop {
    let one = |problem: &config::Problem| {
        let text = problem.to_string();
        Failure::new(text.strip_prefix("error: ").unwrap_or(&text).trim_end())
    };
    let mut failures: Vec<Failure> = invalid.problems.iter().map(one).collect();
    if invalid.more > 0 {
        failures.push(Failure::new(format!("and {} more problems", invalid.more)));
    }
    Stop { exit: Exit::Failed, failures }
}

impl Session {
    pub(super) fn open(global: &Global) -> Result<Self, Stop> {
        let project = project(global)?;
        let name = name(global, &project)?;
        let loaded = config::load(&project.join("environments"), &name).map_err(|error| invalid(&error))?;
        Ok(Self { name, environment: loaded.environment, project })
    }

    /// What only looks; it has no way to change anything.
    pub(super) async fn reader(&self, command: &str) -> Result<Live<ReadOnly>, Stop> {
        let aws = match self.settings()? {
            Some(settings) => {
                Some(Aws::<ReadOnly>::connect(&settings).await.map_err(|error| of_aws(&error))?)
            }
            None => None,
        };
        let backups = self.backups_to_read(command, aws.as_ref()).await?;
        Ok(Live { backups, ..self.onlooker(command, aws)? })
    }

    /// What only looks, by a client of AWS that is there already, and at no backups.
    pub(super) fn onlooker(&self, command: &str, aws: Option<Aws<ReadOnly>>) -> Result<Live<ReadOnly>, Stop> {
        Ok(Live { mongo: self.replica_sets(command, Mongo::<ReadOnly>::new), ..self.finder(command, aws)? })
    }

    /// What finds out where clusters are, and nothing else.
    pub(super) fn finder(&self, command: &str, aws: Option<Aws<ReadOnly>>) -> Result<Live<ReadOnly>, Stop> {
        Ok(Live {
            environment: self.name.clone(),
            names: Names::of(&self.environment),
            local: Local::<ReadOnly>::new(&self.project, &self.name),
            postgres: Postgres::new(self.login(PLANNER, command, READ, aws.as_ref())?),
            aws,
            mongo: BTreeMap::new(),
            backups: None,
        })
    }

    /// What can change things; made for `apply` and `destroy` alone.
    pub(super) async fn writer(&self, command: &str) -> Result<Live<ReadWrite>, Stop> {
        let aws = match self.settings()? {
            Some(settings) => {
                Some(Aws::<ReadWrite>::connect(&settings).await.map_err(|error| of_aws(&error))?)
            }
            None => None,
        };
        let backups = self.backups_to_take(command, aws.as_ref()).await?;
        Ok(Live {
            environment: self.name.clone(),
            names: Names::of(&self.environment),
            local: Local::<ReadWrite>::new(&self.project, &self.name),
            postgres: Postgres::new(self.login(ADMIN, command, WRITE, aws.as_ref())?),
            aws,
            mongo: self.replica_sets(command, Mongo::<ReadWrite>::new),
            backups,
        })
    }

    /// What can try anything and change nothing. It works as the admin, who alone can become every login.
    pub(super) fn prover<M>(&self, command: &str, live: &Live<M>) -> Result<Postgres<TryOnly>, Stop> {
        let login = self.login(ADMIN, command, READ, live.aws.as_ref())?;
        Ok(Postgres::new(Login { read_only: false, ..login }))
    }

    /// How sessions prove who they are, and get there: on AWS by token, on this machine by being on it.
    pub(super) fn login<M>(
        &self,
        user: &str,
        command: &str,
        statement_timeout: Duration,
        aws: Option<&Aws<M>>,
    ) -> Result<Login, Stop> {
        let (access, routes) = match aws {
            Some(aws) => (Access::iam(aws.signer()), platform::routes(&self.environment, &self.folder())?),
            None => (Access::Trust, Routes::default()),
        };
        Ok(Login {
            user: user.into(),
            application: self.application(command),
            statement_timeout,
            read_only: user == PLANNER,
            access,
            routes,
        })
    }

    /// A client for each replica set. One whose connection string cannot be had is held, and keeps nothing else from being
    /// planned.
    fn replica_sets<M>(
        &self,
        command: &str,
        client: impl Fn(&str, mongo::Access) -> Mongo<M>,
    ) -> BTreeMap<String, Replicas<M>> {
        let application = self.application(command);
        let sets = self.environment.mongo_clusters.iter().map(|(name, declared)| {
            let access = platform::mongo_access(name, declared, &self.folder(), &application);
            let replicas = Replicas {
                client: access.map(|access| client(name, access)),
                subject: certificates(declared).map(str::to_owned),
            };
            (name.clone(), replicas)
        });
        sets.collect()
    }

    pub(super) fn settings(&self) -> Result<Option<Settings>, Stop> {
        platform::settings(&self.environment, &self.folder())
    }

    /// The environment's own folder, from which paths in its YAML start.
    pub(super) fn folder(&self) -> PathBuf {
        self.project.join("environments").join(&self.name)
    }

    /// What of an AWS account is to be looked at.
    pub(super) fn interest(&self) -> Interest {
        compose::interest(&self.name, &self.environment)
    }

    pub(super) fn application(&self, command: &str) -> String {
        format!("infra {command} -e {} by {}", self.name, who())
    }

    pub(super) fn desired(&self, wanted: &Wanted) -> Desired<Any> {
        if wanted.destroy {
            compose::destroy(&self.environment)
        } else {
            compose::compose(&self.name, &self.environment)
        }
    }

    pub(super) async fn read<M>(&self, live: &Live<M>, desired: &Desired<Any>) -> Result<World<Any>, Stop> {
        let scope = Scope::of(desired, self.interest());
        let world = Box::pin(live.read(&scope)).await;
        world.map_err(|error| Failure::of(error.as_ref()).into())
    }

    /// Compares, selects and guards. Pure.
    pub(super) fn plan(
        &self,
        desired: &Desired<Any>,
        world: &World<Any>,
        wanted: &Wanted,
    ) -> Result<Planned, Stop> {
        let all_of_mongo = wanted.destroy.then(|| resources::mongo::all_removed(desired, world));
        let desired = all_of_mongo.as_ref().unwrap_or(desired);
        let whole = engine::plan(desired, world).map_err(|error| Failure::of(&error))?;
        let (plan, left_out) =
            engine::select(&whole, &wanted.selection).map_err(|error| unknown_target(&error))?;
        let plan = resources::with_notes(plan);
        let limits = Limits {
            protect: self.environment.protect,
            allow_destroy: wanted.allow_destroy.iter().cloned().collect(),
        };
        let mut findings = engine::guard(&plan, &limits);
        findings.extend(resources::lockout(&plan, world));
        findings.extend(resources::mongo::lockout(&plan));
        findings.extend(resources::quotas(&plan));
        let digest: Digest = engine::digest(&self.name, &plan)?;
        let about = About {
            environment: self.name.clone(),
            digest,
            protect: self.environment.protect,
            findings,
            left_out,
            selection: wanted.selection.clone(),
            destroy: wanted.destroy,
        };
        let known = &plan.known;
        let view = PlanView::of(&plan, about, |action| resources::effects(action, known))?;
        Ok(Planned { plan, view })
    }
}

pub(super) fn of_aws(error: &AwsError) -> Stop {
    let exit = if matches!(error, AwsError::WrongAccount { .. }) { Exit::Refused } else { Exit::Failed };
    let failure = Failure::of(error);
    Stop::new(
        exit,
        match error {
            AwsError::WrongAccount { .. } => failure.see(docs::ACCOUNT),
            AwsError::NoCredentials | AwsError::Credentials { .. } => failure.see(docs::CREDENTIALS),
            AwsError::NoAnswer { .. } => failure.see(docs::ENDPOINT),
            _ if error.is(&DENIED) => failure.see(docs::RIGHTS),
            _ => failure,
        },
    )
}

fn unknown_target(error: &UnknownTarget) -> Stop {
    let near: Vec<&str> = error.near.iter().map(crate::model::Address::as_str).collect();
    let failure = Failure::of(error);
    if near.is_empty() { failure.into() } else { failure.hint(format!("near: {}", near.join(", "))).into() }
}

/// Who runs this, for whoever finds it running: the CI's run, or the login name.
pub(super) fn who() -> String {
    run_url().unwrap_or_else(user)
}

/// Who runs this: whoever started the CI's run, or the login name.
pub(super) fn user() -> String {
    let actor = variable("GITHUB_ACTOR").or_else(|| variable("GITLAB_USER_LOGIN"));
    actor.or_else(login).unwrap_or_else(|| "somebody".into())
}

/// Who is logged in at this machine.
pub(super) fn login() -> Option<String> {
    nix::unistd::User::from_uid(nix::unistd::Uid::current()).ok().flatten().map(|user| user.name)
}

/// Where the log of this run can be read, if it is one of a CI.
pub(super) fn run_url() -> Option<String> {
    let github = || {
        let (server, repository) = (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", variable("GITHUB_RUN_ID")?))
    };
    github().or_else(|| variable("CI_JOB_URL"))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
