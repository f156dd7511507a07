//! Each attribute of a cluster changed alone, there and back.

use super::account::Account;

/// A case: lines of the cluster before and after, and which attributes of which objects that changes.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static [&'static str])]);

const CLUSTER: &str = "aurora_cluster.main";
const FIRST: &str = "aurora_instance.main/1";
const SECOND: &str = "aurora_instance.main/2";
const BACKUPS: &str = "backup_policies:\n  week: {aurora: {retention_days: 7, window: \"02:00-03:00\"}}\n  \
     fortnight: {aurora: {retention_days: 14, window: \"02:00-03:00\"}}\n  \
     later: {aurora: {retention_days: 7, window: \"04:00-04:30\"}}\n";

/// What every cluster has unless a case says otherwise.
const USUAL: [&str; 7] = [
    "engine_version: \"16\"",
    "instance_class: db.r6g.large",
    "apply: immediately",
    "readers: 1",
    "subnets: [subnet-a, subnet-b]",
    "security_groups: [sg-1]",
    "maintenance_window: sun:05:00-sun:05:30",
];

/// An environment with one cluster. A line replaces the usual one of the same key.
pub(super) fn environment(lines: &str) -> String {
    let key = |line: &str| line.split(':').next().unwrap().to_owned();
    let own: Vec<&str> = lines.lines().collect();
    let serverless = own.iter().any(|line| key(line) == "serverless");
    let usual = USUAL.iter().filter(|line| {
        let replaced = own.iter().any(|own| key(own) == key(line));
        !replaced && (!serverless || key(line) != "instance_class")
    });
    let lines: Vec<String> = usual.chain(&own).map(|line| format!("    {line}\n")).collect();
    format!("{BACKUPS}clusters:\n  main:\n{}", lines.concat())
}

fn there_and_back(cases: &[Case]) {
    there_and_back_in(&Account::without_postgres(), cases);
}

fn there_and_back_in(account: &Account, cases: &[Case]) {
    for (before, after, expected) in cases {
        account.write(&environment(before));
        account.apply();
        account.settled();
        for lines in [after, before] {
            account.write(&environment(lines));
            account.differs(expected);
            account.apply();
            account.settled();
        }
    }
}

#[test]
fn of_the_cluster() {
    there_and_back(&[
        ("deletion_protection: false", "deletion_protection: true", &[(CLUSTER, &["deletion_protection"])]),
        ("data_api: false", "data_api: true", &[(CLUSTER, &["data_api"])]),
        ("storage: standard", "storage: io_optimized", &[(CLUSTER, &["storage_type"])]),
        ("log_exports: []", "log_exports: [iam-db-auth-error, postgresql]", &[(CLUSTER, &["log_exports"])]),
        ("security_groups: [sg-1]", "security_groups: [sg-2, sg-3]", &[(CLUSTER, &["security_groups"])]),
        ("port: 5432", "port: 5433", &[(CLUSTER, &["port"])]),
        ("backup_policy: week", "backup_policy: fortnight", &[(CLUSTER, &["backup_retention_days"])]),
        ("backup_policy: week", "backup_policy: later", &[(CLUSTER, &["backup_window"])]),
        (
            "performance_insights: null",
            "performance_insights: {retention_days: 93}",
            &[(CLUSTER, &["performance_insights"])],
        ),
        (
            "performance_insights: {retention_days: 465}",
            "performance_insights: {retention_days: 465}\ndatabase_insights: advanced",
            &[(CLUSTER, &["database_insights"])],
        ),
        ("master_auth: secret", "master_auth: iam", &[(CLUSTER, &["master_auth"])]),
    ]);
}

#[test]
fn of_groups() {
    there_and_back(&[
        (
            "parameters: {}",
            "parameters: {log_min_duration_statement: 500}",
            &[("aurora_parameter_group.main/pg16", &["parameters"])],
        ),
        (
            "parameters: {log_min_duration_statement: 500, work_mem: 8192}",
            "parameters: {log_min_duration_statement: 250}",
            &[("aurora_parameter_group.main/pg16", &["parameters"])],
        ),
        (
            "subnets: [subnet-a, subnet-b]",
            "subnets: [subnet-a, subnet-b, subnet-c]",
            &[("aurora_subnet_group.main", &["subnets"])],
        ),
        (
            "autoscaling: {min: 1, max: 4, cpu: 60}",
            "autoscaling: {min: 2, max: 4, cpu: 60}",
            &[("aurora_autoscaling.main", &["min"])],
        ),
        (
            "autoscaling: {min: 1, max: 4, cpu: 60}",
            "autoscaling: {min: 1, max: 4, connections: 500, scale_in_cooldown: 10m}",
            &[("aurora_autoscaling.main", &["policies"])],
        ),
    ]);
}

#[test]
fn of_the_instances() {
    there_and_back(&[
        (
            "instance_class: db.r6g.large",
            "instance_class: db.r6g.xlarge",
            &[(FIRST, &["class"]), (SECOND, &["class"])],
        ),
        (
            "maintenance_window: sun:05:00-sun:05:30",
            "maintenance_window: mon:23:30-tue:00:30",
            &[
                (CLUSTER, &["maintenance_window"]),
                (FIRST, &["maintenance_window"]),
                (SECOND, &["maintenance_window"]),
            ],
        ),
        (
            "auto_minor_version_upgrade: true",
            "auto_minor_version_upgrade: false",
            &[
                (CLUSTER, &["auto_minor_version_upgrade"]),
                (FIRST, &["auto_minor_version_upgrade"]),
                (SECOND, &["auto_minor_version_upgrade"]),
            ],
        ),
        (
            "ca_certificate: rds-ca-rsa2048-g1",
            "ca_certificate: rds-ca-ecc384-g1",
            &[(FIRST, &["ca_certificate"]), (SECOND, &["ca_certificate"])],
        ),
    ]);
}

#[test]
fn of_serverless_clusters() {
    there_and_back(&[
        ("serverless: {min: 0.5, max: 4}", "serverless: {min: 1, max: 8}", &[(CLUSTER, &["capacity"])]),
        (
            "serverless: {min: 0, max: 4}",
            "serverless: {min: 0, max: 4, pause_after: 10m}",
            &[(CLUSTER, &["capacity"])],
        ),
    ]);
}

/// Readers come and go; the writer stays.
#[test]
fn readers() {
    let account = Account::without_postgres();
    account.write(&environment("readers: 0\nsubnets: [subnet-a, subnet-b, subnet-c]"));
    account.apply();
    account.write(&environment("readers: 2\nsubnets: [subnet-a, subnet-b, subnet-c]\nzones: [eu-central-1a, eu-central-1b, eu-central-1c]"));
    let changes = account.changes();
    let expected = [("aurora_instance.main/2", "create"), ("aurora_instance.main/3", "create")];
    assert_eq!(changes, expected.map(|(address, action)| (address.to_owned(), action.to_owned())));
    account.apply();
    account.settled();
    account.write(&environment("readers: 0\nsubnets: [subnet-a, subnet-b, subnet-c]"));
    let expected = [("aurora_instance.main/2", "delete"), ("aurora_instance.main/3", "delete")];
    assert_eq!(account.changes(), expected.map(|(address, action)| (address.to_owned(), action.to_owned())));
    account.infra(&["apply", "--auto-approve", "--allow-destroy=all"]).expect(0);
    account.settled();
}

/// The role that writes the measurements has to be there.
#[test]
fn of_monitoring() {
    let mut account = Account::with_principals();
    account.targets = vec!["aurora_*"];
    there_and_back_in(
        &account,
        &[(
            "monitoring: null",
            "monitoring: {interval: 60, role_arn: \"arn:aws:iam::111122223333:role/engineering/esi\"}",
            &[
                (FIRST, &["monitoring_interval", "monitoring_role"]),
                (SECOND, &["monitoring_interval", "monitoring_role"]),
            ],
        )],
    );
}

/// In a group of the instances' own, from the start.
#[test]
fn of_instance_parameters() {
    there_and_back(&[(
        "instance_parameters: {log_min_duration_statement: 500}",
        "instance_parameters: {log_min_duration_statement: 250}",
        &[("aurora_parameter_group.main/pg16-instances", &["parameters"])],
    )]);
}
