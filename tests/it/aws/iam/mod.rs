//! Roles of IAM: made, changed, mended, removed, and what their documents say.

mod documents;
mod least;
mod trouble;

use serde_json::{Value, json};

use super::account::Account;

const CLUSTER: &str = r#"
sso_role: "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Developer_0123456789abcdef"
tags: {owner: platform}
clusters:
  main: {engine_version: "16", instance_class: db.r6g.large, subnets: [subnet-1a2b3c4d, subnet-5e6f7a8b], security_groups: [sg-0fedcba9876543210]}
"#;
const SERVICES: &str = "services: {orders: {service_account: checkout/orders}}\n";
const PEOPLE: &str = "people:\n  ana: {principal: \"arn:aws:iam::111122223333:user/ana\"}\n  boris: {sso: boris@acme.example}\n";
const ROLES: &str = "iam_role.*";

impl Account {
    /// Applies the roles, and what they wait for; the cluster's inside is other tests' business.
    #[track_caller]
    fn apply_roles(&self) -> String {
        self.infra(&["apply", "--auto-approve", "--target", ROLES]).expect(0).stdout
    }

    /// The roles' changes of a plan.
    #[track_caller]
    fn role_changes(&self) -> Vec<(String, String)> {
        let plan = self.plan_of_roles();
        let changes = plan["resource_changes"].as_array().unwrap().iter();
        let of = |change: &Value| {
            let action = change["change"]["actions"][0].as_str().unwrap().to_owned();
            (change["address"].as_str().unwrap().to_owned(), action)
        };
        changes.map(of).filter(|(address, _)| address.starts_with("iam_role.")).collect()
    }

    #[track_caller]
    fn plan_of_roles(&self) -> Value {
        serde_json::from_str(&self.infra(&["plan", "--json"]).expect(0).stdout).unwrap()
    }

    /// Names of the account's roles under a path.
    fn roles(&self, path: &str) -> Vec<String> {
        let script = "answer = sorted(role['RoleName'] for page in of('iam').get_paginator('list_roles').paginate(PathPrefix=asked) for role in page['Roles'])";
        let names = self.script(script, &json!(path));
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }
}

fn pair(address: &str, action: &str) -> (String, String) {
    (address.to_owned(), action.to_owned())
}

#[test]
fn from_nothing_and_away_again() {
    let account = Account::with_principals();
    account.write(&format!("{CLUSTER}{SERVICES}{PEOPLE}"));
    let plan = account.infra(&["plan", "-v", "--target", ROLES]).expect(0).stdout;
    // Known but for the cluster's id.
    assert!(
        plan.contains("Resource = [(known after apply), (known after apply), (known after apply)]"),
        "{plan}"
    );
    assert!(plan.contains("iam:CreateRole infra-prod-svc-orders (path /infra/prod/)"), "{plan}");

    account.apply_roles();
    let all = ["infra-prod-dev-ana", "infra-prod-dev-boris", "infra-prod-svc-orders"];
    assert_eq!(account.roles("/infra/prod/"), all);
    assert_eq!(account.role_changes(), []);

    // The ids are the cluster's, and nothing is a pattern.
    let script = r"
iam, rds = of('iam'), of('rds')
policy = iam.get_role_policy(RoleName='infra-prod-svc-orders', PolicyName='infra')['PolicyDocument']
answer = [policy, rds.describe_db_clusters()['DBClusters'][0]['DbClusterResourceId'],
          {tag['Key']: tag['Value'] for tag in iam.list_role_tags(RoleName='infra-prod-svc-orders')['Tags']}]
";
    let answer = account.script(script, &Value::Null);
    let id = answer[1].as_str().unwrap();
    let login =
        |name: &str| format!("arn:aws:rds-db:eu-central-1:111122223333:dbuser:{id}/svc_orders_{name}");
    assert_eq!(
        answer[0]["Statement"],
        json!([{
            "Sid": "Connect",
            "Effect": "Allow",
            "Action": ["rds-db:connect"],
            "Resource": [login("app"), login("migrator"), login("reader")],
        }])
    );
    assert_eq!(
        answer[2],
        json!({ "owner": "platform", "infra:managed": "true", "infra:env": "prod", "infra:id": "iam_role.service/orders" })
    );

    // Whoever left has no role any more; what is another's in the same account stays.
    let script = r"
trust = json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]})
iam = of('iam')
iam.create_role(RoleName='infra-test-svc-orders', Path='/infra/test/', AssumeRolePolicyDocument=trust,
                Tags=[{'Key': 'infra:managed', 'Value': 'true'}, {'Key': 'infra:env', 'Value': 'test'}])
iam.create_role(RoleName='by-hand', Path='/infra/prod/', AssumeRolePolicyDocument=trust)
iam.attach_role_policy(RoleName='infra-prod-dev-ana', PolicyArn='arn:aws:iam::aws:policy/ReadOnlyAccess')
iam.create_instance_profile(InstanceProfileName='x')
iam.add_role_to_instance_profile(InstanceProfileName='x', RoleName='infra-prod-dev-ana')
";
    account.script(script, &Value::Null);
    account.write(&format!("{CLUSTER}{SERVICES}people: {{boris: {{sso: boris@acme.example}}}}\n"));
    let plan = account.plan_of_roles();
    assert_eq!(plan["unmanaged"], json!(["iam_role.by-hand"]));
    assert_eq!(account.role_changes(), [pair("iam_role.person/ana", "delete")]);
    account.apply_roles();
    assert_eq!(account.roles("/infra/prod/"), ["by-hand", "infra-prod-dev-boris", "infra-prod-svc-orders"]);
    assert_eq!(account.roles("/infra/test/"), ["infra-test-svc-orders"]);
}

/// Changes that somebody made with another client: each is seen, shown, and undone by just the calls it takes.
#[test]
fn drift() {
    let account = Account::with_principals();
    account.write(&format!("{CLUSTER}{SERVICES}{PEOPLE}"));
    account.apply_roles();
    for (made, shown, calls) in [
        // The same in other words.
        (
            "name = 'infra-prod-svc-orders'\npolicy = iam.get_role_policy(RoleName=name, PolicyName='infra')['PolicyDocument']\nstatement = policy['Statement'][0]\nstatement['Action'] = 'RDS-DB:Connect'\nstatement['Resource'].reverse()\npolicy['Statement'] = statement\niam.put_role_policy(RoleName=name, PolicyName='infra', PolicyDocument=json.dumps(policy, indent=4))",
            None,
            &[][..],
        ),
        (
            "iam.put_role_policy(RoleName='infra-prod-svc-orders', PolicyName='extra', PolicyDocument=allow('s3:*'))",
            Some("- extra"),
            &["iam:DeleteRolePolicy"],
        ),
        (
            "policy = iam.get_role_policy(RoleName='infra-prod-svc-orders', PolicyName='infra')['PolicyDocument']\npolicy['Statement'] = [policy['Statement'], json.loads(allow('s3:GetObject'))['Statement'][0]]\niam.put_role_policy(RoleName='infra-prod-svc-orders', PolicyName='infra', PolicyDocument=json.dumps(policy))",
            Some("s3:GetObject"),
            &["iam:PutRolePolicy"],
        ),
        (
            "policy = iam.get_role_policy(RoleName='infra-prod-svc-orders', PolicyName='infra')['PolicyDocument']\npolicy['Statement'][0]['Resource'] = policy['Statement'][0]['Resource'][0].replace('_app', '_*')\niam.put_role_policy(RoleName='infra-prod-svc-orders', PolicyName='infra', PolicyDocument=json.dumps(policy))",
            Some("svc_orders_*"),
            &["iam:PutRolePolicy"],
        ),
        (
            "iam.attach_role_policy(RoleName='infra-prod-svc-orders', PolicyArn='arn:aws:iam::aws:policy/AdministratorAccess')",
            Some("AdministratorAccess"),
            &["iam:DetachRolePolicy"],
        ),
        (
            "trust = iam.get_role(RoleName='infra-prod-svc-orders')['Role']['AssumeRolePolicyDocument']\ndel trust['Statement'][0]['Condition']['StringEquals']['oidc.eks.eu-central-1.amazonaws.com/id/ABC123:sub']\niam.update_assume_role_policy(RoleName='infra-prod-svc-orders', PolicyDocument=json.dumps(trust))",
            Some("system:serviceaccount:checkout:orders"),
            &["iam:UpdateAssumeRolePolicy"],
        ),
        (
            "boundary = iam.create_policy(PolicyName='edge', PolicyDocument=allow('s3:*'))['Policy']['Arn']\niam.put_role_permissions_boundary(RoleName='infra-prod-svc-orders', PermissionsBoundary=boundary)",
            Some("permissions_boundary"),
            &["iam:DeleteRolePermissionsBoundary"],
        ),
        (
            "iam.tag_role(RoleName='infra-prod-svc-orders', Tags=[{'Key': 'owner', 'Value': 'me'}, {'Key': 'x', 'Value': 'y'}])",
            Some("owner"),
            &["iam:TagRole", "iam:UntagRole"],
        ),
        (
            "iam.delete_role_policy(RoleName='infra-prod-svc-orders', PolicyName='infra')",
            Some("Connect"),
            &["iam:PutRolePolicy"],
        ),
    ] {
        let allow = "iam = of('iam')\nallow = lambda action: json.dumps({'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': action, 'Resource': '*'}]})\n";
        account.script(&format!("{allow}{made}"), &Value::Null);
        let Some(shown) = shown else {
            assert_eq!(account.role_changes(), [], "{made}");
            continue;
        };
        assert_eq!(account.role_changes(), [pair("iam_role.service/orders", "update")], "{made}");
        let plan = account.infra(&["plan", "--target", ROLES]).expect(0).stdout;
        assert!(plan.contains(shown), "{made}\n{plan}");
        account.calls();
        account.apply_roles();
        let reading = ["iam:Get", "iam:List"];
        let writes: Vec<String> = (account.calls().into_iter())
            .filter(|call| call.starts_with("iam:") && !reading.iter().any(|word| call.starts_with(word)))
            .collect();
        assert_eq!(writes, calls, "{made}");
        assert_eq!(account.role_changes(), [], "{made}");
    }
}
