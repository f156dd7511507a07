//! What IAM refuses, forgets, and does twice; and accounts with very many roles.

use serde_json::{Value, json};

use super::{CLUSTER, PEOPLE, ROLES, SERVICES, pair};
use crate::aws::account::Account;

/// Makes roles as a run of ours would have left them; `asked` are names of services.
const OURS: &str = r"
iam = of('iam')
trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})
for name in asked:
    iam.create_role(RoleName=f'infra-prod-svc-{name}', Path='/infra/prod/', AssumeRolePolicyDocument=trust, Tags=[
        {'Key': 'infra:managed', 'Value': 'true'}, {'Key': 'infra:env', 'Value': 'prod'},
        {'Key': 'infra:id', 'Value': f'iam_role.service/{name}'}])
";

fn refusal(action: &str, code: &str, message: &str, times: Option<u32>) -> Value {
    let mut told = json!({ "code": code, "message": message });
    if let Some(times) = times {
        told["times"] = times.into();
    }
    json!({ "refusals": { action: told } })
}

#[test]
fn fifteen_hundred_roles() {
    let account = Account::with_principals();
    account.emulator.settings(&json!({ "roles_quota": 5000 }));
    account.write(&format!("{CLUSTER}{SERVICES}"));
    let names: Vec<String> = (0..1499).map(|number| format!("old-{number:04}")).collect();
    account.script(OURS, &json!(names));
    account.script("of('iam').create_role(RoleName='other', AssumeRolePolicyDocument=asked)", &json!(
        r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}"#
    ));
    account.calls();
    let changes = account.role_changes();
    let iam: Vec<String> = account.calls().into_iter().filter(|call| call.starts_with("iam:")).collect();
    let count = |action: &str| iam.iter().filter(|call| *call == action).count();
    assert_eq!(
        (count("iam:GetAccountAuthorizationDetails"), count("iam:GetAccountSummary"), iam.len()),
        (2, 1, 3)
    );
    let deleted = changes.iter().filter(|(_, action)| action == "delete").count();
    assert_eq!((deleted, changes.len()), (1499, 1500), "each of every page, and the one to be made");
}

/// Whoever may not look at all of IAM looks at our folder; the plan is the same.
#[test]
fn one_by_one() {
    let account = Account::with_principals();
    account.write(&format!("{CLUSTER}{SERVICES}{PEOPLE}"));
    account.apply_roles();
    let names: Vec<String> = (0..120).map(|number| format!("old-{number}")).collect();
    account.script(OURS, &json!(names));
    let drift = "iam = of('iam')\niam.attach_role_policy(RoleName='infra-prod-svc-orders', PolicyArn='arn:aws:iam::aws:policy/ReadOnlyAccess')\niam.tag_role(RoleName='infra-prod-dev-ana', Tags=[{'Key': 'x', 'Value': 'y'}])";
    account.script(drift, &Value::Null);
    let at_once = account.plan_of_roles();
    let denied = "User: arn:aws:iam::111122223333:user/ci is not authorized to perform this";
    account.emulator.settings(&refusal("GetAccountAuthorizationDetails", "AccessDenied", denied, None));
    account.calls();
    let one_by_one = account.plan_of_roles();
    assert_eq!(one_by_one["resource_changes"], at_once["resource_changes"]);
    assert_eq!(account.calls().iter().filter(|call| *call == "iam:GetRole").count(), 123);

    // Neither way: what is not known to be absent is not made.
    let told = json!({ "code": "AccessDenied", "message": denied });
    account.emulator.settings(&json!({ "refusals": { "GetAccountAuthorizationDetails": told, "ListRoles": told, "GetAccountSummary": told } }));
    let plan: Value = serde_json::from_str(&account.infra(&["plan", "--json"]).expect(1).stdout).unwrap();
    assert_eq!(plan["complete"], json!(false));
    let held = plan["held"].as_array().unwrap().iter();
    let held: Vec<&Value> =
        held.filter(|held| held["address"].as_str().unwrap().starts_with("iam_role.")).collect();
    assert_eq!(held.len(), 3);
    let message = held[0]["message"].as_str().unwrap();
    assert!(
        message.starts_with("iam_path.infra/prod could not be read: iam:ListRoles was refused")
            && message.contains("examples/aws-policies/planner.json"),
        "{message}"
    );
    assert!(!plan["resource_changes"].to_string().contains("iam_role."));
}

/// A role that was made by a run which never heard of it is ours to go on with; another's is not.
#[test]
fn made_already() {
    let account = Account::with_principals();
    account.write(&format!("{CLUSTER}{SERVICES}"));
    // The listing does not know of it, but its name is taken.
    account.script(OURS, &json!(["orders"]));
    account.emulator.settings(&json!({ "unlisted": ["infra-prod-svc-orders"] }));
    assert_eq!(account.role_changes(), [pair("iam_role.service/orders", "create")]);
    account.apply_roles();
    assert_eq!(account.role_changes(), []);

    account.script(
        "of('iam').untag_role(RoleName='infra-prod-svc-orders', TagKeys=['infra:managed'])",
        &Value::Null,
    );
    let plan = account.infra(&["plan", "--target", ROLES]).expect(0).stdout;
    assert!(plan.contains("exists, but does not carry our mark"), "{plan}");
    account.emulator.settings(&json!({ "unlisted": ["infra-prod-svc-orders"] }));
    let ran = account.infra(&["apply", "--auto-approve", "--target", ROLES]).expect(6);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains(
            "IAM role infra-prod-svc-orders: a role of this name exists, and it does not carry our mark"
        ),
        "{said}"
    );
}

#[test]
fn refusals_that_pass_and_those_that_do_not() {
    let account = Account::with_principals();
    account.write(&format!("{CLUSTER}{SERVICES}"));
    // The role is not known everywhere yet.
    account.emulator.settings(&refusal("PutRolePolicy", "NoSuchEntity", "The role cannot be found", Some(3)));
    account.calls();
    account.apply_roles();
    assert_eq!(account.calls().iter().filter(|call| *call == "iam:PutRolePolicy").count(), 4);
    assert_eq!(account.role_changes(), []);

    // Somebody else is at it.
    account.script(
        "of('iam').tag_role(RoleName='infra-prod-svc-orders', Tags=[{'Key': 'x', 'Value': 'y'}])",
        &Value::Null,
    );
    account.emulator.settings(&refusal("UntagRole", "ConcurrentModification", "try again", Some(2)));
    account.apply_roles();
    assert_eq!(account.role_changes(), []);

    // Removed by hand while it was to be removed by us.
    account.write(CLUSTER);
    account.emulator.settings(&refusal(
        "ListAttachedRolePolicies",
        "NoSuchEntity",
        "The role cannot be found",
        Some(1),
    ));
    account.script(
        "of('iam').delete_role_policy(RoleName='infra-prod-svc-orders', PolicyName='infra')",
        &Value::Null,
    );
    account.apply_roles();
    assert_eq!(account.role_changes(), []);

    // A principal that does not exist is named.
    account.emulator.settings(&json!({ "refusals": {} }));
    account
        .write(&format!("{CLUSTER}people: {{zoe: {{principal: \"arn:aws:iam::111122223333:user/zoe\"}}}}\n"));
    let ran = account.infra(&["apply", "--auto-approve", "--target", ROLES]).expect(6);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        said.contains("user/zoe")
            && said.contains("IAM knows no such principal: it is misspelt, or was deleted"),
        "{said}"
    );
}

#[test]
fn a_boundary_from_the_first_moment_on() {
    let account = Account::with_principals();
    let policy = "answer = of('iam').create_policy(PolicyName='edge', PolicyDocument=json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': 'rds-db:connect', 'Resource': '*'}]}))['Policy']['Arn']";
    let arn = account.script(policy, &Value::Null);
    let yaml = format!("permissions_boundary: {arn}\n{CLUSTER}{SERVICES}");
    account.write(&yaml);
    account.calls();
    account.apply_roles();
    let calls = account.calls();
    assert!(!calls.iter().any(|call| call == "iam:PutRolePermissionsBoundary"), "{calls:?}");
    let boundary = "answer = of('iam').get_role(RoleName='infra-prod-svc-orders')['Role']['PermissionsBoundary']['PermissionsBoundaryArn']";
    assert_eq!(account.script(boundary, &Value::Null), arn);
    assert_eq!(account.role_changes(), []);
}

#[test]
fn a_full_account_is_said_before_the_first_call() {
    let account = Account::with_principals();
    account.write(&format!("{CLUSTER}{SERVICES}{PEOPLE}"));
    account.emulator.settings(&json!({ "roles_quota": 2 }));
    account.calls();
    let ran = account.infra(&["apply", "--auto-approve"]).expect(3);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains("3 IAM roles would be created") && said.contains("room for 2"), "{said}");
    let writes = ["Create", "Put", "Add", "Modify"];
    let calls = account.calls();
    assert!(
        !calls.iter().any(|call| writes.iter().any(|word| call.contains(&format!(":{word}")))),
        "{calls:?}"
    );
}

/// Deleted and made anew, a role of the same name is another: what trusts it shows its old id.
#[test]
fn a_principal_that_was_made_anew() {
    let account = Account::with_principals();
    let make = "trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'AWS': '*'}, 'Action': 'sts:AssumeRole'}]})\nof('iam').create_role(RoleName='engineer', AssumeRolePolicyDocument=trust)";
    account.script(make, &Value::Null);
    account.write(&format!(
        "{CLUSTER}people: {{ana: {{principal: \"arn:aws:iam::111122223333:role/engineer\"}}}}\n"
    ));
    account.apply_roles();
    assert_eq!(account.role_changes(), []);
    account.script("of('iam').delete_role(RoleName='engineer')", &Value::Null);
    account.script(make, &Value::Null);
    let plan = account.infra(&["plan", "--target", ROLES]).expect(0).stdout;
    assert!(
        plan.contains("was deleted; who has that name now is another") && plan.contains("AROA"),
        "{plan}"
    );
    account.apply_roles();
    assert_eq!(account.role_changes(), []);
}
