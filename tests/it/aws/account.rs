//! A project whose environments lie in one emulated account, worked on by the real binary.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::support::{
    emulator::{ACCOUNT, Emulator, environment},
    sandbox::{Ran, binary, changes, run},
};

/// Milliseconds between two looks while something is waited for.
const POLL: &str = "20";

pub(super) struct Account {
    pub(super) emulator: Emulator,
    folder: tempfile::TempDir,
    /// Where `infra` finds AWS: the emulator, or something in front of it.
    pub(super) url: String,
    pub(super) environment: String,
    /// Given to every plan and apply.
    pub(super) targets: Vec<&'static str>,
    /// More of the environment of every command.
    pub(super) variables: Vec<(&'static str, String)>,
}

const LEFT: &str = "
rds, iam, scaling, secrets = of('rds'), of('iam'), of('application-autoscaling'), of('secretsmanager')
every = lambda client, call, key, **more: [one for page in client.get_paginator(call).paginate(**more) for one in page[key]]
answer = ['cluster ' + one['DBClusterIdentifier'] for one in every(rds, 'describe_db_clusters', 'DBClusters')]
answer += ['instance ' + one['DBInstanceIdentifier'] for one in every(rds, 'describe_db_instances', 'DBInstances')]
answer += ['subnet group ' + one['DBSubnetGroupName'] for one in every(rds, 'describe_db_subnet_groups', 'DBSubnetGroups')]
groups = [one['DBClusterParameterGroupName'] for one in every(rds, 'describe_db_cluster_parameter_groups', 'DBClusterParameterGroups')]
groups += [one['DBParameterGroupName'] for one in every(rds, 'describe_db_parameter_groups', 'DBParameterGroups')]
answer += ['parameter group ' + one for one in groups if not one.startswith('default.')]
answer += ['role ' + one['RoleName'] for one in every(iam, 'list_roles', 'Roles', PathPrefix='/infra/')]
answer += ['scaling ' + one['ResourceId'] for one in every(scaling, 'describe_scalable_targets', 'ScalableTargets', ServiceNamespace='rds')]
answer += ['secret ' + one['Name'] for one in every(secrets, 'list_secrets', 'SecretList')]
answer += ['snapshot ' + one['DBClusterSnapshotIdentifier'] for one in every(rds, 'describe_db_cluster_snapshots', 'DBClusterSnapshots')]
";

const PRINCIPALS: [&str; 3] = [
    "arn:aws:iam::111122223333:user/ana",
    "arn:aws:iam::111122223333:role/engineering/esi",
    "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef",
];

/// The head of an environment in the emulated account.
pub(super) const HEAD: &str = "platform: {aws: {account: \"111122223333\", region: eu-central-1}}\n\
    workload_identity: {irsa: {oidc_provider: oidc.eks.eu-central-1.amazonaws.com/id/ABC123}}\n";

impl Account {
    pub(super) fn new(emulator: Emulator) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = emulator.url();
        Self { emulator, folder, url, environment: "prod".into(), targets: Vec::new(), variables: Vec::new() }
    }

    /// One in which the people exist whom the tests and the environments of this repository name.
    pub(super) fn with_principals() -> Self {
        let principals = PRINCIPALS.join(",");
        Self::new(Emulator::start_with(ACCOUNT, &[("EMULATOR_PRINCIPALS", &principals)]))
    }

    /// One in which only what AWS has is of interest: no Postgres stands behind it.
    pub(super) fn without_postgres() -> Self {
        Self { targets: vec!["aurora_*"], ..Self::new(Emulator::start()) }
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Declares an environment: the head, and this.
    pub(super) fn write(&self, yaml: &str) {
        self.write_as(&self.environment, &format!("{HEAD}{yaml}"));
    }

    pub(super) fn write_as(&self, environment: &str, yaml: &str) {
        let folder = self.folder().join("environments").join(environment);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("environment.yaml"), yaml).unwrap();
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.plain(arguments);
        if ["plan", "apply"].contains(&arguments[0]) {
            command.args(self.targets.iter().map(|target| format!("--target={target}")));
        }
        command
    }

    fn plain(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.env_clear().envs(environment(&self.url)).env("PATH", "/usr/bin:/bin");
        command.env("HOME", self.folder()).env("INFRA_ENV", &self.environment);
        command.env("INFRA_POLL_MILLISECONDS", POLL).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())));
        command.current_dir(self.folder()).args(arguments);
        command
    }

    /// Runs a script as another client of the account: `of("rds")` is one of boto3's, `asked` is given to it, and what it
    /// leaves in `answer` is the answer.
    #[track_caller]
    pub(super) fn script(&self, script: &str, asked: &Value) -> Value {
        let head =
            format!("of, answer, asked = client, None, json.loads({})\n", Value::from(asked.to_string()));
        let whole = format!("{head}{script}\nprint(json.dumps(answer, default=str))\n");
        serde_json::from_str(&self.emulator.boto3(&whole)).unwrap()
    }

    /// The calls since the last time, as `service:Action`.
    pub(super) fn calls(&self) -> Vec<String> {
        let calls = self.emulator.calls();
        self.emulator.reset_calls();
        calls.into_iter().map(|call| format!("{}:{}", call.service, call.action)).collect()
    }

    /// The calls since the last time that may have changed something, but for the lease, which every apply takes.
    pub(super) fn writes(&self) -> Vec<String> {
        let reads = |call: &String| {
            ["Describe", "List", "Get", "GET "].iter().any(|word| call.contains(&format!(":{word}")))
        };
        self.calls().into_iter().filter(|call| !reads(call) && !call.contains("/leases/")).collect()
    }

    /// All that is left in the account, by kind and name; nothing of what every account has.
    pub(super) fn left(&self) -> Vec<String> {
        let left = self.script(LEFT, &Value::Null);
        left.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    pub(super) fn infra(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments))
    }

    #[track_caller]
    pub(super) fn apply(&self) -> Ran {
        self.infra(&["apply", "--auto-approve"]).expect(0)
    }

    /// Applies a saved plan, which knows its targets.
    pub(super) fn apply_file(&self, file: &str) -> Ran {
        run(self.plain(&["apply", file]))
    }

    #[track_caller]
    pub(super) fn plan(&self) -> Value {
        serde_json::from_str(&self.infra(&["plan", "--json"]).expect(0).stdout).unwrap()
    }

    /// The plan, of which some can be seen only later.
    #[track_caller]
    pub(super) fn plan_at_least(&self) -> Value {
        serde_json::from_str(&self.infra(&["plan", "--json"]).stdout).unwrap()
    }

    #[track_caller]
    pub(super) fn changes(&self) -> Vec<(String, String)> {
        changes(&self.plan())
    }

    /// Plans, and there is nothing to do.
    #[track_caller]
    pub(super) fn settled(&self) {
        let ran = self.infra(&["plan", "--detailed-exitcode"]).expect(0);
        assert!(ran.stdout.lines().any(|line| line.starts_with("No changes.")), "{}", ran.stdout);
    }

    /// The plan has these changes, each of these attributes and no others.
    #[track_caller]
    pub(super) fn differs(&self, expected: &[(&str, &[&str])]) -> Value {
        let plan = self.plan();
        let found = attributes(&plan);
        let expected: Vec<(String, Vec<String>)> = expected
            .iter()
            .map(|(address, names)| ((*address).into(), names.iter().map(|name| (*name).into()).collect()))
            .collect();
        assert_eq!(found, expected, "{plan:#}");
        plan
    }
}

/// The changed attributes of each changed object.
fn attributes(plan: &Value) -> Vec<(String, Vec<String>)> {
    let changes = plan["resource_changes"].as_array().unwrap().iter();
    let one = |change: &Value| {
        let (before, after) = (&change["change"]["before"], &change["change"]["after"]);
        let names = before.as_object().into_iter().chain(after.as_object()).flat_map(|map| map.keys());
        let mut names: Vec<String> = names.filter(|name| before[*name] != after[*name]).cloned().collect();
        names.sort();
        names.dedup();
        (change["address"].as_str().unwrap().to_owned(), names)
    };
    changes.map(one).collect()
}
