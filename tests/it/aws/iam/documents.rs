//! The documents that `infra` makes, as an independent linter sees them.

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use infra::{
    compose, config,
    engine::{Known, Output, Outputs, Resource as _},
    model::Address,
    resources::iam_role::IamRole,
};
use serde_json::{Value, json};

use crate::support::emulator::python;

/// What parliament finds in documents, each with its name.
pub(super) fn findings(documents: &[Value]) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/aws/iam/judge.py");
    let mut judge = Command::new(python())
        .args(["-W", "ignore"])
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    judge.stdin.take().unwrap().write_all(json!(documents).to_string().as_bytes()).unwrap();
    let output = judge.wait_with_output().unwrap();
    assert!(output.status.success(), "parliament could not judge");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What the ARNs of secrets begin with.
const SECRET: &str = "arn:aws:secretsmanager:eu-central-1:111122223333:secret";

/// The roles of one of this repository's own environments, with the ids of their clusters and the ARNs of their secrets.
fn roles(environment: &str) -> BTreeMap<Address, IamRole> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("environments");
    let loaded = config::load(&folder, environment).unwrap_or_else(|_| panic!("{environment} is unsound"));
    let id = |cluster: &String| {
        let outputs = Outputs::from([(Output::ResourceId, "cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ".to_owned())]);
        (Address::new("aurora_cluster", cluster), outputs)
    };
    let desired = compose::compose(environment, &loaded.environment);
    let secret = |address: &Address| {
        let arn = format!("{SECRET}:{}-AbCdEf", address.path());
        (address.clone(), Outputs::from([(Output::Arn, arn)]))
    };
    let secrets = desired.resources.keys().filter(|address| address.kind() == "mongo_secret").map(secret);
    let known: Known = loaded.environment.clusters.keys().map(id).chain(secrets).collect();
    let roles = desired.resources.into_iter().filter_map(|(address, resource)| {
        let mut role = IamRole::try_from(resource).ok()?;
        role.bind(&known);
        Some((address, role))
    });
    roles.collect()
}

fn documents(roles: &BTreeMap<Address, IamRole>) -> Vec<Value> {
    let of = |address: &Address, kind: &str, role: &IamRole, document: String| {
        let document: Value = serde_json::from_str(&document).unwrap();
        let arn = format!("arn:aws:iam::111122223333:role{}{}", role.path, role.name);
        json!({ "name": format!("{address} {kind}"), "kind": kind, "role": arn, "document": document })
    };
    let mut documents = Vec::new();
    for (address, role) in roles {
        documents.push(of(address, "trust", role, role.trust.minified()));
        documents.extend(role.policies.values().map(|policy| of(address, "inline", role, policy.minified())));
    }
    documents
}

#[test]
fn nothing_is_found_in_what_we_make() {
    for environment in ["prod", "test"] {
        let roles = roles(environment);
        assert_eq!(roles.len(), 13, "eight services and five people");
        let documents = documents(&roles);
        assert_eq!(documents.len(), 26);
        assert_eq!(findings(&documents), Vec::<String>::new(), "{environment}");
    }
}

/// Made wrong one way at a time, each of our documents is complained of.
#[test]
fn what_is_wrong_is_found() {
    let changes: [(&str, &str, &str, &str); 9] = [
        ("iam_role.service/orders inline", "rds-db:connect", "rds-db:conect", "UNKNOWN_ACTION"),
        ("iam_role.service/orders inline", "arn:aws:rds-db:", "arn:aws:rds:", "RESOURCE_MISMATCH"),
        (
            "iam_role.service/billing inline",
            "secretsmanager:GetSecretValue",
            "secretsmanager:GetSecret",
            "UNKNOWN_ACTION",
        ),
        (
            "iam_role.service/billing inline",
            "arn:aws:secretsmanager:",
            "arn:aws:secrets:",
            "RESOURCE_MISMATCH",
        ),
        ("iam_role.service/orders trust", ":sub", ":subject", "UNKNOWN_CONDITION_FOR_ACTION"),
        ("iam_role.service/orders trust", "StringEquals", "StringEqual", "UNKNOWN_OPERATOR"),
        ("iam_role.service/orders trust", ":oidc-provider/", ":oidc-providers/", "UNKNOWN_FEDERATION_SOURCE"),
        ("iam_role.person/ana trust", "arn:aws:iam::111122223333:user/ana", "ana", "UNKNOWN_PRINCIPAL"),
        ("iam_role.person/boris trust", "aws:userid", "aws:username_", "UNKNOWN_CONDITION_FOR_ACTION"),
    ];
    let documents = documents(&roles("prod"));
    for (name, sound, broken, finding) in changes {
        let document = documents.iter().find(|document| document["name"] == name).unwrap();
        let text = document["document"].to_string();
        assert!(text.contains(sound), "{text}");
        let mut document = document.clone();
        document["document"] = serde_json::from_str(&text.replace(sound, broken)).unwrap();
        let found = findings(&[document]);
        assert!(found.iter().any(|found| found.contains(finding)), "{name} with {broken}: {found:?}");
    }
}

/// Three logins of one service, on the one cluster it lives on; one login of a person on each; and one's own password.
#[test]
fn nobody_may_log_in_as_another() {
    for (environment, account) in [("prod", "111122223333"), ("test", "444455556666")] {
        for (address, role) in roles(environment) {
            let name = address.path().split_once('/').unwrap().1;
            let before =
                format!("arn:aws:rds-db:eu-central-1:{account}:dbuser:cluster-ABCDEFGHIJKLMNOPQRSTUVWXYZ/");
            let expected: Vec<String> = if address.path().starts_with("person/") {
                vec![format!("{before}dev_{name}")]
            } else {
                ["app", "migrator", "reader"].map(|login| format!("{before}svc_{name}_{login}")).into()
            };
            // Who has something in MongoDB may read just its own password.
            let path = address.path().strip_prefix("service/").unwrap_or(address.path());
            let secret = format!("{SECRET}:events/{path}-AbCdEf");
            let in_mongo =
                ["service/billing", "person/ana", "person/boris", "person/chiara", "person/dmitri"];
            let secret = in_mongo.contains(&address.path()).then_some(secret);
            let policy = role.policies["infra"].document().unwrap();
            let allowed: Vec<&str> = policy.resources().map(|one| one.known().unwrap()).collect();
            let expected: Vec<String> = expected.into_iter().chain(secret.clone()).collect();
            assert_eq!(allowed, expected, "{address}");
            let actions: Vec<String> = (policy.statements().iter())
                .map(|statement| serde_json::to_value(statement).unwrap()["Action"].to_string())
                .collect();
            let read = r#"["secretsmanager:GetSecretValue"]"#;
            let both = [r#"["rds-db:connect"]"#, read];
            assert_eq!(actions, both[..=usize::from(secret.is_some())], "{address}");
        }
    }
}
