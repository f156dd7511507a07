//! The policies in `examples/aws-policies`: they allow all that `infra` asks of AWS, and planning changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;
use serde_json::{Value, json};

use super::{CLUSTER, PEOPLE, SERVICES, documents::findings};
use crate::aws::account::Account;

/// IAM allows so many characters in one managed policy, white space aside.
const MANAGED: usize = 6144;
/// Calls that read, and are only made when something is to be changed.
const READ_TO_WRITE: [&str; 3] =
    ["secretsmanager:getrandompassword", "secretsmanager:getsecretvalue", "iam:listinstanceprofilesforrole"];
/// What people do as themselves (`infra connect`): the trust policies of their roles allow it.
const OF_PEOPLE: &str = "sts:assumerole";
/// What AWS does in our name when it is asked for something else.
const IMPLIED: [&str; 13] = [
    "ec2:describeaccountattributes",
    "ec2:describeavailabilityzones",
    "ec2:describesecuritygroups",
    "ec2:describesubnets",
    "ec2:describevpcs",
    "iam:createservicelinkedrole",
    "iam:passrole",
    "kms:creategrant",
    "kms:decrypt",
    "kms:generatedatakey",
    "rds:createdbclustersnapshot",
    "secretsmanager:createsecret",
    "secretsmanager:tagresource",
];

fn policy(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/aws-policies").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// All that a policy allows, in small letters: that is how IAM compares them.
fn allowed(policy: &Value) -> BTreeSet<String> {
    let statements = policy["Statement"].as_array().unwrap().iter();
    let actions = statements.flat_map(|statement| match &statement["Action"] {
        Value::Array(actions) => actions.clone(),
        one => vec![one.clone()],
    });
    actions.map(|action| action.as_str().unwrap().to_lowercase()).collect()
}

fn reads(action: &str) -> bool {
    let verb = action.split_once(':').unwrap().1;
    ["describe", "list", "get", "simulate"].iter().any(|word| verb.starts_with(word))
        && !READ_TO_WRITE.contains(&action)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { sources(&entry, found) } else { found.push(entry) }
    }
}

/// Calls of the SDK's clients in a source, such as `rds:describedbclusters`.
fn calls(source: &str) -> BTreeSet<String> {
    let call =
        Regex::new(r"\b(rds|iam|sts|kms|secrets|scaling)\s*\.\s*([a-z]+(?:_[a-z]+)+)\s*\(\s*\)").unwrap();
    let service = |client: &str| match client {
        "secrets" => "secretsmanager".to_owned(),
        "scaling" => "application-autoscaling".to_owned(),
        client => client.to_owned(),
    };
    call.captures_iter(source)
        .map(|found| format!("{}:{}", service(&found[1]), found[2].replace('_', "")))
        .collect()
}

#[test]
fn every_call_is_allowed() {
    let mut files = Vec::new();
    for folder in ["src/providers/aws", "src/resources"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    let made: BTreeSet<String> =
        files.iter().flat_map(|file| calls(&fs::read_to_string(file).unwrap())).collect();
    assert!(made.len() > 50, "only {} calls were found", made.len());
    assert!(made.contains(OF_PEOPLE));
    let made = made.into_iter().filter(|call| call != OF_PEOPLE);

    let (mut planner, mut applier) = (allowed(&policy("planner.json")), allowed(&policy("applier.json")));
    assert!(planner.remove("rds-db:connect") && applier.remove("rds-db:connect"));
    let (reading, writing): (BTreeSet<String>, BTreeSet<String>) = made.partition(|call| reads(call));
    assert_eq!(planner, reading, "planner.json on the left, what src reads on the right");
    let implied = IMPLIED.map(str::to_owned);
    let writing: BTreeSet<String> = writing.into_iter().chain(implied).collect();
    assert_eq!(applier, writing, "applier.json on the left, what src writes on the right");
}

#[test]
fn calls_are_found_however_they_are_written() {
    let source = "self.clients.rds.describe_db_clusters().send(); let x = self\n.clients\n.scaling\n  .put_scaling_policy(\n);";
    let found: Vec<String> = calls(source).into_iter().collect();
    assert_eq!(found, ["application-autoscaling:putscalingpolicy", "rds:describedbclusters"]);
    assert!(reads("rds:describedbclusters") && !reads("application-autoscaling:putscalingpolicy"));
}

#[test]
fn each_logs_in_as_one() {
    for (name, user) in [("planner.json", "infra_planner"), ("applier.json", "infra_admin")] {
        let policy = policy(name);
        let statements = policy["Statement"].as_array().unwrap();
        let connect: Vec<&Value> =
            statements.iter().filter(|statement| statement["Action"] == "rds-db:connect").collect();
        assert_eq!(connect.len(), 1);
        let login = format!("arn:aws:rds-db:eu-central-1:111122223333:dbuser:*/{user}");
        assert_eq!(connect[0]["Resource"], json!(login));
    }
}

#[test]
fn the_linter_finds_nothing() {
    for name in ["planner.json", "applier.json"] {
        let document = policy(name);
        let size = document.to_string().chars().filter(|character| !character.is_whitespace()).count();
        assert!(size <= MANAGED, "{name} has {size} characters");
        let asked = |document: &Value| json!({ "name": name, "kind": "policy", "document": document });
        assert_eq!(findings(&[asked(&document)]), Vec::<String>::new());

        let mut everything = document.clone();
        everything["Statement"][1]["Resource"] = json!("arn:aws:s3:::bucket");
        assert!(findings(&[asked(&everything)]).iter().any(|found| found.contains("RESOURCE_MISMATCH")));
    }
}

/// What runs really ask for, as the emulator wrote it down.
#[test]
fn runs_stay_within() {
    let account = Account::with_principals();
    account.write(&format!("{CLUSTER}{SERVICES}{PEOPLE}"));
    let planner = allowed(&policy("planner.json"));
    let both: BTreeSet<String> = planner.union(&allowed(&policy("applier.json"))).cloned().collect();
    let asked = |account: &Account| -> BTreeSet<String> {
        account.calls().into_iter().map(|call| call.to_lowercase()).collect()
    };
    account.calls();
    let _ = account.plan_of_roles();
    let mut runs = BTreeMap::from([("plan from nothing", (asked(&account), &planner))]);
    account.apply_roles();
    runs.insert("apply", (asked(&account), &both));
    let _ = account.plan_of_roles();
    runs.insert("plan", (asked(&account), &planner));
    account.write(CLUSTER);
    account.apply_roles();
    runs.insert("apply what was removed", (asked(&account), &both));
    for (run, (asked, allowed)) in runs {
        assert!(asked.len() > 5, "{run}: {asked:?}");
        assert_eq!(asked.difference(allowed).collect::<Vec<_>>(), Vec::<&String>::new(), "{run}");
    }
}
