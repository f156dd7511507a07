//! What the passwords open, and who may read them.

use mongodb::{
    bson::{Document, doc},
    options::AuthMechanism,
};
use serde_json::{Value, json};

use super::{BILLING, CLUSTERS, PEOPLE, SERVICES, Shop};
use crate::{
    aws::account::Account,
    mongo_kinds::project::{ask, pair},
    support::replica_set::within,
};

const SOON: std::time::Duration = std::time::Duration::from_secs(5);

fn insert(number: i32) -> Document {
    doc! {"insert": "item", "documents": [{"_id": number}]}
}

fn find() -> Document {
    doc! {"find": "item"}
}

#[track_caller]
fn denied(result: Result<Document, String>) {
    let error = result.expect_err("it was allowed");
    assert!(error.contains("not authorized"), "{error}");
}

#[test]
fn the_password_in_the_secret_opens_just_its_own_database() {
    let mut shop = Shop::new(&format!("{CLUSTERS}{SERVICES}{PEOPLE}"));
    let plan = shop.infra(&["plan", "-v"]).expect(0).stdout;
    for line in [
        "> secretsmanager:GetRandomPassword",
        "> secretsmanager:CreateSecret infra/prod/mongo/events/svc_billing",
        "> createUser svc_billing in admin (svc_billing on admin; password of version (known after apply) of the secret)",
        "+ secret_version = (known after apply)",
    ] {
        assert!(plan.contains(line), "{line}\n{plan}");
    }
    shop.account.calls();
    shop.apply();
    shop.settled();

    let secrets = shop.secrets();
    let names: Vec<&str> = secrets.keys().map(String::as_str).collect();
    let of = |user: &str| format!("infra/prod/mongo/events/{user}");
    assert_eq!(names, [of("dev_ana"), of("svc_billing"), of("svc_orders")]);
    let mut billing = secrets[BILLING].clone();
    let password = billing["password"].take().as_str().unwrap().to_owned();
    assert_eq!(
        billing,
        json!({"auth_mechanism": "SCRAM-SHA-256", "auth_source": "admin", "database": "billing", "password": null, "username": "svc_billing"})
    );
    assert!(password.len() == 40 && password.bytes().all(|byte| byte.is_ascii_alphanumeric()), "its form");
    let tags = "answer = {tag['Key']: tag['Value'] for tag in of('secretsmanager').describe_secret(SecretId=asked)['Tags']}";
    assert_eq!(
        shop.account.script(tags, &json!(BILLING)),
        json!({"infra:managed": "true", "infra:env": "prod", "infra:id": "mongo_secret.events/billing"})
    );

    let service = shop.session("svc_billing", &password);
    ask(&service, "billing", insert(1)).unwrap();
    ask(&service, "billing", find()).unwrap();
    for database in ["orders", "admin", "local", "config", "infra"] {
        denied(ask(&service, database, find()));
    }
    denied(ask(&service, "orders", insert(1)));
    denied(ask(&service, "billing", doc! {"createUser": "x", "pwd": "x", "roles": []}));
    // Not by the weaker mechanism, and not with another's password.
    let weak = shop.session_by("svc_billing", &password, AuthMechanism::ScramSha1, shop.set.await_primary());
    ask(&weak, "billing", find()).unwrap_err();
    ask(&shop.session("svc_orders", &password), "orders", find()).unwrap_err();
    // Developers are refused writes, for `developers: read-only` is the default.
    let ana = secrets[&of("dev_ana")]["password"].as_str().unwrap().to_owned();
    let ana = shop.session("dev_ana", &ana);
    ask(&ana, "billing", find()).unwrap();
    denied(ask(&ana, "billing", insert(2)));
    denied(ask(&ana, "orders", find()));

    // Who leaves loses it in open sessions of every member, and the secret goes with him.
    let password = shop.password(&of("dev_ana"));
    let sessions: Vec<_> = (0..3)
        .map(|member| shop.session_by("dev_ana", &password, AuthMechanism::ScramSha256, member))
        .collect();
    for session in &sessions {
        ask(session, "billing", find()).unwrap();
    }
    shop.account.write(&format!("{CLUSTERS}{SERVICES}"));
    assert_eq!(
        shop.changes(),
        [
            pair("mongo_role.events/group/backend", "delete"),
            pair("mongo_secret.events/person/ana", "delete"),
            pair("mongo_user.events/person/ana", "delete"),
        ]
    );
    shop.apply();
    for (member, session) in sessions.iter().enumerate() {
        within(SOON, &format!("the session on member {member} ends"), || {
            ask(session, "billing", find()).is_err()
        });
    }
    ask(&shop.session("dev_ana", &password), "billing", find()).unwrap_err();
    assert_eq!(shop.secrets()[&of("dev_ana")], "scheduled for deletion");
    shop.settled();

    // Who comes back has the secret again, and it opens.
    shop.account.write(&format!("{CLUSTERS}{SERVICES}{PEOPLE}"));
    let plan = shop.infra(&["plan", "-v"]).expect(0).stdout;
    assert!(plan.contains("> secretsmanager:RestoreSecret infra/prod/mongo/events/dev_ana"), "{plan}");
    shop.apply();
    shop.settled();
    let password = shop.password(&of("dev_ana"));
    ask(&shop.session("dev_ana", &password), "billing", find()).unwrap();

    // Everything of ours goes, and nothing else.
    shop.by_hand("admin", doc! {"createUser": "somebody", "pwd": "x", "roles": []});
    shop.account.script("answer = of('secretsmanager').create_secret(Name='infra/prod/mongo/events/theirs', SecretString='x')['ARN']", &Value::Null);
    shop.account.infra(&["destroy", "--auto-approve", "--allow-destroy=all"]).expect(0);
    let left = crate::mongo_kinds::project::users(&shop.set);
    assert_eq!(left.into_keys().collect::<Vec<_>>(), ["admin.somebody"]);
    let kept = "answer = [one['Name'] for one in of('secretsmanager').list_secrets()['SecretList']]";
    assert_eq!(shop.account.script(kept, &Value::Null), json!(["infra/prod/mongo/events/theirs"]));
}

/// One statement more in the role of IAM, for one's own secret alone; and one for the key, where it is a key of one's own.
#[test]
fn only_its_own_role_may_read_a_secret() {
    let account = Account::with_principals();
    let key = "kms = of('kms')\nkey = kms.create_key()['KeyMetadata']\nkms.create_alias(AliasName='alias/mongo', TargetKeyId=key['KeyId'])\nanswer = key['Arn']";
    let key = account.script(key, &Value::Null);
    let with_key = CLUSTERS.replace(
        "{uri: {env: EVENTS}}",
        "{uri: {env: EVENTS}, authentication: {scram: {kms_key: alias/mongo, secret_prefix: shop/mongo}}}",
    );
    let mut shop = Shop::on(account, &format!("{with_key}{SERVICES}{PEOPLE}"));
    shop.account.targets = vec!["mongo_*", "iam_role.*"];
    let plan = shop.infra(&["plan"]).expect(0).stdout;
    assert!(plan.contains("secretsmanager:GetSecretValue"), "{plan}");
    shop.apply();
    shop.settled();
    let script = "
iam, secrets, answer = of('iam'), of('secretsmanager'), {}
for role in ['infra-prod-svc-billing', 'infra-prod-svc-orders', 'infra-prod-dev-ana']:
    answer[role] = iam.get_role_policy(RoleName=role, PolicyName='infra')['PolicyDocument']['Statement']
answer['arns'] = {one['Name']: [one['ARN'], one['KmsKeyId']] for one in secrets.list_secrets()['SecretList'] if one['Name'].startswith('shop')}
";
    let answer = shop.account.script(script, &Value::Null);
    for (role, user) in [
        ("infra-prod-svc-billing", "svc_billing"),
        ("infra-prod-svc-orders", "svc_orders"),
        ("infra-prod-dev-ana", "dev_ana"),
    ] {
        let secret = &answer["arns"][format!("shop/mongo/{user}")];
        assert_eq!(secret[1], key);
        let statements = answer[role].as_array().unwrap();
        assert_eq!(statements.len(), 3, "{role}: {statements:?}");
        let of = |sid: &str| statements.iter().find(|statement| statement["Sid"] == sid).unwrap();
        assert_eq!(
            *of("ReadPassword"),
            json!({"Sid": "ReadPassword", "Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": [secret[0]]})
        );
        assert_eq!(
            *of("DecryptPassword"),
            json!({"Sid": "DecryptPassword", "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [key],
                "Condition": {"StringEquals": {"kms:ViaService": ["secretsmanager.eu-central-1.amazonaws.com"]}}})
        );
    }
}

/// Who takes backups can lock a member and unlock it, and choose it; and nothing else.
#[test]
fn backups_are_taken_with_the_least_rights() {
    let clusters = CLUSTERS.replace("{uri: {env: EVENTS}}", "{uri: {env: EVENTS}, backup_policy: six}");
    let mut shop = Shop::new(&format!("{clusters}backup_policies: {{six: {{mongo: {{every: 6h}}}}}}\n"));
    shop.account.targets = vec!["mongo_role.*", "mongo_user.*"];
    shop.apply();
    let password = shop.password("infra/prod/mongo/events/infra_backup");
    let member = shop.set.secondaries()[0];
    let backup = shop.session_by("infra_backup", &password, AuthMechanism::ScramSha256, member);
    for command in [
        doc! {"replSetGetStatus": 1},
        doc! {"replSetGetConfig": 1},
        doc! {"currentOp": 1, "$all": true},
        doc! {"fsync": 1, "lock": true},
        doc! {"fsyncUnlock": 1},
    ] {
        ask(&backup, "admin", command).unwrap();
    }
    denied(ask(&backup, "billing", find()));
    denied(ask(&backup, "admin", doc! {"usersInfo": {"forAllDBs": true}}));
    denied(ask(&backup, "admin", doc! {"listDatabases": 1}).and_then(|answer| {
        // Without rights the list is empty.
        let none = answer.get_array("databases").unwrap().is_empty();
        if none { Err("not authorized".into()) } else { Ok(answer) }
    }));
    // As long as the policy needs it, a role or a user that was dropped comes back.
    shop.by_hand("admin", doc! {"dropUser": "infra_backup"});
    shop.by_hand("admin", doc! {"dropRole": "infra_backup"});
    let back =
        ["mongo_role.events/infra/backup", "mongo_user.events/infra/backup"].map(|one| pair(one, "create"));
    assert_eq!(shop.changes(), back);
    shop.apply();
    ask(&shop.session("infra_backup", &password), "admin", doc! {"replSetGetStatus": 1}).unwrap();
    shop.account.targets = vec!["mongo_*"];
    shop.account.write(&format!("{CLUSTERS}{SERVICES}"));
    shop.apply();
    shop.settled();
    let users = crate::mongo_kinds::project::users(&shop.set);
    assert_eq!(users.into_keys().collect::<Vec<_>>(), ["admin.svc_billing", "admin.svc_orders"]);
}

/// Whoever `infra` is logged in as, it does not change or drop: not by a plan, and not by a target.
#[test]
fn infra_does_not_lock_itself_out() {
    let mut shop = Shop::new(&format!("{CLUSTERS}{SERVICES}"));
    shop.apply();
    let password = shop.password(BILLING);
    shop.by_hand("admin", doc! {"grantRolesToUser": "svc_billing", "roles": ["root"]});
    let host = shop.set.members[shop.set.await_primary()].host.clone();
    shop.account.variables = vec![("EVENTS", format!("mongodb://svc_billing:{password}@{host}/admin"))];
    for arguments in [
        &["apply", "--auto-approve", "--allow-destroy=all"][..],
        &["destroy", "--auto-approve", "--allow-destroy=all"],
        &["destroy", "--auto-approve", "--allow-destroy=mongo_user.events/billing"],
    ] {
        let refused = shop.infra(arguments).expect(3).stderr;
        assert!(refused.contains("mongo_user.events/billing would be"), "{refused}");
        assert!(refused.contains("and infra is logged in by it"), "{refused}");
    }
    let refused =
        shop.infra(&["destroy", "--auto-approve", "--target=mongo_role.events/billing"]).expect(3).stderr;
    assert!(refused.contains("would be destroyed, and infra is logged in by it"), "{refused}");
    ask(&shop.session("svc_billing", &password), "orders", insert(1)).unwrap();
    shop.account.variables = vec![("EVENTS", shop.set.uri(crate::support::replica_set::ROOT))];
    shop.apply();
    shop.settled();
    denied(ask(&shop.session("svc_billing", &password), "orders", insert(2)));
}
