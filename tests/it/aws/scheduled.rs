//! What waits for the maintenance window, what comes along when something is done at once, upgrades and restarts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{account::Account, attributes::environment};

const CLUSTER: &str = "aurora_cluster.main";
const WINDOW: &str = "sun:05:00-sun:05:30";
const INSTANCES: [&str; 3] = ["prod-main-1", "prod-main-2", "prod-main-3"];

/// A cluster as these lines say, made.
fn made(lines: &str) -> Account {
    let account = Account::without_postgres();
    account.emulator.settings(&json!({"polls": 1}));
    account.write(&environment(lines));
    account.apply();
    account.settled();
    account
}

impl Account {
    /// There is nothing to do; answers with the notes of the plan.
    #[track_caller]
    fn notes(&self) -> Vec<String> {
        let shown = self.infra(&["plan", "--detailed-exitcode"]).expect(0).stdout;
        let notes = shown.lines().skip_while(|line| *line != "Notes:").skip(1);
        notes.take_while(|line| !line.is_empty()).map(|line| line.trim().to_owned()).collect()
    }

    #[track_caller]
    fn note(&self, note: &str) {
        let notes = self.notes();
        assert!(notes.iter().any(|one| one.contains(note)), "{notes:?}");
    }

    /// What the plan says that a change costs.
    #[track_caller]
    fn costs(&self, address: &str) -> String {
        let plan = self.plan();
        let changes = plan["resource_changes"].as_array().unwrap();
        let change = changes.iter().find(|change| change["address"] == address);
        let change = change.unwrap_or_else(|| panic!("{address} is not changed: {plan:#}"));
        let costs = change["costs"].as_array().into_iter().flatten();
        let costs = costs.map(|cost| cost.as_str().unwrap());
        costs.collect::<Vec<_>>().join("\n")
    }

    /// Something of the cluster or of an instance, as AWS tells it.
    fn told(&self, expression: &str) -> Value {
        let script = "rds = of('rds')
cluster = rds.describe_db_clusters()['DBClusters'][0]
instances = {one['DBInstanceIdentifier']: one for one in rds.describe_db_instances()['DBInstances']}
answer = ";
        self.script(&format!("{script}{expression}"), &Value::Null)
    }

    fn changed_by_another(&self, call: &str) {
        let look = "for _ in range(4):\n    rds.describe_db_clusters()\n    rds.describe_db_instances()";
        self.script(&format!("rds = of('rds')\nrds.{call}\n{look}"), &Value::Null);
    }
}

#[test]
fn a_class_waits_for_the_window() {
    let account = made("apply: maintenance_window");
    account.write(&environment("apply: maintenance_window\ninstance_class: db.r6g.xlarge"));
    let costs = account.costs("aurora_instance.main/1");
    assert_eq!(costs, format!("waits for the maintenance window {WINDOW}, and restarts the instance then"));
    account.apply();
    assert_eq!(account.told("instances['prod-main-1']['DBInstanceClass']"), "db.r6g.large");
    let note = format!("class db.r6g.xlarge is scheduled for the window {WINDOW}");
    account.note(&format!("aurora_instance.main/1: {note}"));
    account.note(&format!("aurora_instance.main/2: {note}"));
    // Another change brings nothing along.
    account.write(&environment(
        "apply: maintenance_window\ninstance_class: db.r6g.xlarge\nauto_minor_version_upgrade: false",
    ));
    account.apply();
    account.note(&note);
    assert_eq!(account.told("instances['prod-main-1']['DBInstanceClass']"), "db.r6g.large");
    // Taken back before it happened.
    account.write(&environment("apply: maintenance_window\nauto_minor_version_upgrade: false"));
    account.differs(&[("aurora_instance.main/1", &["class"]), ("aurora_instance.main/2", &["class"])]);
    account.apply();
    assert_eq!(account.notes(), Vec::<String>::new());
    account.write(&environment("apply: maintenance_window\ninstance_class: db.r6g.xlarge"));
    account.apply();
    for instance in &INSTANCES[..2] {
        account.emulator.post("window", &json!({"instance": instance}));
    }
    assert_eq!(account.notes(), Vec::<String>::new());
    assert_eq!(account.told("instances['prod-main-1']['DBInstanceClass']"), "db.r6g.xlarge");
}

#[test]
fn a_minor_version_waits_for_the_window() {
    let account = made("engine_version: \"16.4\"\napply: maintenance_window");
    account.write(&environment("engine_version: \"16.6\"\napply: maintenance_window"));
    let costs = account.costs(CLUSTER);
    assert_eq!(
        costs,
        format!("engine_version waits for the maintenance window {WINDOW}, and is an outage then")
    );
    account.apply();
    account.note(&format!("{CLUSTER}: engine_version 16.6 is scheduled for the window {WINDOW}"));
    assert_eq!(account.told("cluster['EngineVersion']"), "16.4");
    account.emulator.post("window", &json!({"cluster": "prod-main"}));
    assert_eq!(account.notes(), Vec::<String>::new());
    assert_eq!(account.told("cluster['EngineVersion']"), "16.6");
}

/// Whatever waits happens with the next change that is made at once; the plan says so, and without `immediately` it is
/// not so.
#[test]
fn what_would_come_along() {
    let account = made("engine_version: \"16.4\"");
    account.changed_by_another("modify_db_cluster(DBClusterIdentifier='prod-main', EngineVersion='16.6')");
    account.note("engine_version 16.6 is scheduled");

    let waits = "engine_version: \"16.4\"\napply: maintenance_window\nstorage: io_optimized";
    account.write(&environment(waits));
    assert_eq!(account.costs(CLUSTER), "");
    account.apply();
    account.note("engine_version 16.6 is scheduled");
    account.note("storage_type aurora-iopt1 is scheduled");
    assert_eq!(account.told("cluster['EngineVersion']"), "16.4");

    let at_once = "engine_version: \"16.4\"\nstorage: io_optimized\nbackup_policy: fortnight\n";
    account.write(&environment(at_once));
    let along =
        "at once with it comes what waits for the window: engine_version 16.6, storage_type aurora-iopt1";
    let costs = account.costs(CLUSTER);
    assert!(costs.contains(along), "{costs}");
    // What may never wait brings nothing along either.
    account.write(&environment("engine_version: \"16.4\"\nstorage: io_optimized\ndeletion_protection: true"));
    assert_eq!(account.costs(CLUSTER), "");
    account.apply();
    assert_eq!(account.told("cluster['EngineVersion']"), "16.4");
    account.write(&environment(at_once));
    account.apply();
    assert_eq!(account.notes(), Vec::<String>::new());
    assert_eq!(account.told("cluster['EngineVersion']"), "16.6");

    account.changed_by_another(
        "modify_db_instance(DBInstanceIdentifier='prod-main-2', DBInstanceClass='db.r6g.xlarge')",
    );
    // The class is not as declared: that it waits is no reason to let it happen.
    account.differs(&[("aurora_instance.main/2", &["class"])]);
    account.write(&environment(&format!(
        "{at_once}instance_class: db.r6g.xlarge\nca_certificate: rds-ca-ecc384-g1"
    )));
    let costs = account.costs("aurora_instance.main/2");
    assert!(
        costs.contains("at once with it comes what waits for the window: class db.r6g.xlarge"),
        "{costs}"
    );
    account.apply();
    assert_eq!(account.notes(), Vec::<String>::new());
}

#[test]
fn aws_upgrades_by_itself() {
    let account = made("engine_version: \"15.4\"");
    account.emulator.post("set", &json!({"cluster": "prod-main", "fields": {"EngineVersion": "15.6"}}));
    account.settled();
    account.write(&environment("engine_version: \"15\""));
    account.settled();
    account.write(&environment("engine_version: \"15.7\""));
    account.differs(&[(CLUSTER, &["engine_version"])]);
}

#[test]
fn a_minor_upgrade() {
    let account = made("engine_version: \"15.4\"\nreaders: 1");
    account.write(&environment("engine_version: \"15.6\""));
    account.differs(&[(CLUSTER, &["engine_version"])]);
    let costs = account.costs(CLUSTER);
    let expected = "OUTAGE: engine_version restarts all instances at once (prod-main-1, prod-main-2); ";
    assert!(costs.starts_with(expected), "{costs}");
    // AWS takes the order, and finds out later that it cannot.
    let message = "Database cluster is in a state that cannot be upgraded: PreUpgrade checks failed";
    account.emulator.settings(&json!({"upgrade_refused": message}));
    let failed = account.infra(&["apply", "--auto-approve"]).expect(6);
    let said = format!("{}{}", failed.stdout, failed.stderr);
    let expected = format!(
        "AWS accepted the change of engine_version (still 15.4), but did not make it; AWS says: {message}"
    );
    assert!(said.contains(&expected), "{said}");
    account.differs(&[(CLUSTER, &["engine_version"])]);
    account.calls();
    account.apply();
    assert_eq!(account.writes(), ["rds:ModifyDBCluster"]);
    account.settled();
}

#[test]
fn a_major_upgrade() {
    let groups = "parameters: {work_mem: 8192}\ninstance_parameters: {log_temp_files: 1024}";
    let account = made(&format!("engine_version: \"15\"\n{groups}"));
    account.write(&environment(&format!("engine_version: \"16\"\n{groups}")));
    account.calls();
    let held = account.infra(&["plan"]).stdout;
    assert!(held.contains("say `allow_major_upgrade: true` if that is meant"), "{held}");
    account.infra(&["apply", "--auto-approve"]).expect(0);
    // The groups of the next version may be there before it is.
    let writes: BTreeSet<String> = account.writes().into_iter().collect();
    let expected: BTreeSet<String> = [
        "rds:CreateDBClusterParameterGroup",
        "rds:CreateDBParameterGroup",
        "rds:ModifyDBClusterParameterGroup",
        "rds:ModifyDBParameterGroup",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(writes, expected);
    account.settled();

    account.write(&environment(&format!("engine_version: \"16\"\nallow_major_upgrade: true\n{groups}")));
    let costs = account.costs(CLUSTER);
    assert!(costs.contains("MAJOR UPGRADE from 15.12 to 16.8: it cannot be undone"), "{costs}");
    account.emulator.reset_calls();
    account.apply();
    let calls = account.emulator.calls();
    let modified: Vec<_> = calls.iter().filter(|call| call.action == "ModifyDBCluster").collect();
    let asked = |name: &str| modified[0].asked.get(name).map(String::as_str);
    assert_eq!(modified.len(), 1);
    assert_eq!(asked("AllowMajorVersionUpgrade"), Some("true"));
    assert_eq!(asked("DBClusterParameterGroupName"), Some("prod-main-pg16"));
    assert_eq!(asked("DBInstanceParameterGroupName"), Some("prod-main-pg16-instances"));
    let at = |action: &str| calls.iter().position(|call| call.action == action);
    assert!(at("ModifyDBCluster") < at("DeleteDBClusterParameterGroup"), "{calls:?}");
    assert!(at("ModifyDBCluster") < at("DeleteDBParameterGroup"), "{calls:?}");
    account.settled();
    let mut left = account.left();
    left.retain(|one| one.starts_with("parameter group"));
    assert_eq!(left, ["parameter group prod-main-pg16", "parameter group prod-main-pg16-instances"]);
}

/// One that is to wait for the window is refused, and changes nothing of what is in use.
#[test]
fn no_major_upgrade_in_the_window() {
    let account = made(
        "engine_version: \"15\"\napply: maintenance_window\ninstance_parameters: {log_temp_files: 1024}",
    );
    account.write(&environment(
        "engine_version: \"16\"\nallow_major_upgrade: true\napply: maintenance_window\ninstance_parameters: {log_temp_files: 1024}",
    ));
    account.apply();
    let shown = account.infra(&["plan", "--detailed-exitcode"]).expect(0).stdout;
    assert!(shown.contains("say `apply: immediately` when it is to happen"), "{shown}");
    assert_eq!(account.told("cluster.get('PendingModifiedValues')"), Value::Null);
    assert_eq!(account.told("cluster['DBClusterParameterGroup']"), "prod-main-pg15");
    let group = account.told("instances['prod-main-1']['DBParameterGroups'][0]['DBParameterGroupName']");
    assert_eq!(group, "prod-main-pg15-instances");
}

/// The calls that disturb instances, in order, each with its instance.
fn disturbances(account: &Account) -> Vec<String> {
    let calls = account.emulator.calls();
    let disturbing = ["ModifyDBInstance", "RebootDBInstance", "FailoverDBCluster"];
    let calls = calls.iter().filter(|call| disturbing.contains(&call.action.as_str()));
    let of = |call: &crate::support::emulator::Call| {
        let instance = ["TargetDBInstanceIdentifier", "DBInstanceIdentifier"];
        let instance = instance.iter().find_map(|name| call.asked.get(*name));
        format!("{} {}", call.action, instance.map_or("", String::as_str))
    };
    calls.map(of).collect()
}

/// Between two disturbances there is time for the first to end.
fn one_by_one(account: &Account) {
    let mut looks = 99;
    for call in account.emulator.calls() {
        match call.action.as_str() {
            "DescribeDBInstances" => looks += 1,
            "ModifyDBInstance" | "RebootDBInstance" | "FailoverDBCluster" => {
                assert!(looks >= 7, "{} after {looks} looks", call.action);
                looks = 0;
            }
            _ => {}
        }
    }
}

#[test]
fn a_class_is_rolled() {
    let account = made("readers: 2");
    account.emulator.settings(&json!({"polls": 6}));
    account.write(&environment("readers: 2\ninstance_class: db.r6g.xlarge"));
    let writer = account.costs("aurora_instance.main/1");
    assert!(writer.starts_with("the readers go first, then another instance becomes the writer"), "{writer}");
    assert!(account.costs("aurora_instance.main/3").starts_with("this reader restarts"));
    account.emulator.reset_calls();
    account.apply();
    assert_eq!(
        disturbances(&account),
        [
            "ModifyDBInstance prod-main-2",
            "ModifyDBInstance prod-main-3",
            "FailoverDBCluster prod-main-2",
            "ModifyDBInstance prod-main-1"
        ]
    );
    one_by_one(&account);
    account.settled();
}

#[test]
fn static_parameters_wait_for_a_restart() {
    let account = made("readers: 2\napply: maintenance_window");
    account.emulator.settings(&json!({"polls": 6}));
    let parameters = "readers: 2\nparameters: {max_connections: 500}\n";
    account.write(&environment(&format!("{parameters}apply: maintenance_window")));
    let costs = account.costs("aurora_parameter_group.main/pg16");
    assert!(costs.starts_with("max_connections takes effect when an instance restarts"), "{costs}");
    account.apply();
    account.note("aurora_instance.main/1: its parameters wait for a restart");
    account.write(&environment(parameters));
    let names: &[&str] = &["waits_for_restart"];
    account.differs(&[
        ("aurora_instance.main/1", names),
        ("aurora_instance.main/2", names),
        ("aurora_instance.main/3", names),
    ]);
    account.emulator.reset_calls();
    account.apply();
    assert_eq!(
        disturbances(&account),
        [
            "RebootDBInstance prod-main-2",
            "RebootDBInstance prod-main-3",
            "FailoverDBCluster prod-main-2",
            "RebootDBInstance prod-main-1"
        ]
    );
    one_by_one(&account);
    assert_eq!(account.notes(), Vec::<String>::new());
}
