//! `infra doctor` against an account in which something is wrong.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{account::Account, served::Served};
use crate::support::fault_proxy::{Fault, FaultProxy, When};

/// The checks: `status topic subject`, by what they are about.
fn checks(account: &Account, code: i32) -> Vec<Value> {
    let told: Value =
        serde_json::from_str(&account.infra(&["doctor", "--json"]).expect(code).stdout).unwrap();
    assert_eq!(told["healthy"], code == 0, "{told:#}");
    told["checks"].as_array().unwrap().clone()
}

/// The one check of a topic that is not well; all else is.
#[track_caller]
fn only(checks: &[Value], status: &str, topic: &str, said: &str) {
    let bad: Vec<&Value> = checks.iter().filter(|check| check["status"] != "ok").collect();
    let one = bad.iter().find(|check| check["check"] == topic && check["status"] == status);
    let one = one.unwrap_or_else(|| panic!("no {status} {topic}: {bad:#?}"));
    assert!(one["summary"].as_str().unwrap().contains(said), "{one:#}");
    assert!(one["see"].as_str().unwrap().starts_with(&format!("docs/trouble.md#{topic}")), "{one:#}");
    assert!(one["mend"].as_str().is_some_and(|mend| !mend.is_empty()), "{one:#}");
}

fn well(checks: &[Value], topic: &str) -> bool {
    let of: Vec<&Value> = checks.iter().filter(|check| check["check"] == topic).collect();
    !of.is_empty() && of.iter().all(|check| check["status"] == "ok")
}

#[test]
fn each_fault_is_told_by_itself() {
    let mut account = Account::with_principals();
    let served = Served::start(&account, "prod-main");
    let yaml = |connection: &str| {
        format!(
            "clusters:\n  main: {{engine_version: \"{}\", instance_class: db.r6g.large, subnets: [subnet-1, subnet-2], \
             security_groups: [sg-1], connection: {connection}}}\nservices: {{orders: {{service_account: shop/orders}}}}\n",
            served.version()
        )
    };
    account.write(&yaml(&served.connection()));
    // Nothing is there yet, and nothing is wrong with that.
    let found = checks(&account, 0);
    for topic in ["credentials", "account", "endpoint", "clock", "rights", "quotas", "ledger", "server"] {
        assert!(well(&found, topic), "{topic}: {found:#?}");
    }
    let _ = account.apply();
    account.emulator.reset_calls();
    let found = checks(&account, 0);
    for topic in ["connection", "login", "server", "clock"] {
        assert!(well(&found, topic), "{topic}: {found:#?}");
    }
    let logins: Vec<&str> = found
        .iter()
        .filter(|check| check["check"] == "login")
        .map(|c| c["subject"].as_str().unwrap())
        .collect();
    assert_eq!(logins, ["main as infra_planner", "main as infra_admin"]);
    let writes = account.writes();
    assert!(
        writes.iter().all(|call| call == "iam:SimulatePrincipalPolicy"),
        "a doctor changes nothing: {writes:?}"
    );

    // A clock that is off, which AWS tells by the date of its answers.
    account.emulator.settings(&json!({"clock_ahead": 600}));
    only(&checks(&account, 1), "fail", "clock", "s behind it");
    account.emulator.settings(&json!({"clock_ahead": -60}));
    only(&checks(&account, 0), "warn", "clock", "s ahead of it");
    account.emulator.settings(&json!({"clock_ahead": 0}));

    // Rights: those of a plan are tried, those of an apply are asked for.
    account.emulator.settings(&json!({"denied": ["rds:DescribeEvents", "iam:CreateRole"]}));
    let found = checks(&account, 1);
    only(&found, "fail", "rights", "rds:DescribeEvents was refused");
    only(&found, "warn", "rights", "may not: iam:CreateRole");
    assert!(well(&found, "login") && well(&found, "ledger"), "{found:#?}");
    account.emulator.settings(&json!({"denied": ["iam:SimulatePrincipalPolicy"]}));
    only(&checks(&account, 0), "warn", "rights", "cannot be told");
    account.emulator.settings(&json!({"denied": []}));

    // Credentials that have ended; and what does not need them is looked at nevertheless.
    let ended =
        json!({"code": "ExpiredToken", "message": "The security token included in the request is expired"});
    account.emulator.settings(&json!({"refusals": {"GetCallerIdentity": ended}}));
    let found = checks(&account, 1);
    only(&found, "fail", "credentials", "ExpiredToken");
    assert!(well(&found, "endpoint") && well(&found, "ledger"), "{found:#?}");
    account.emulator.settings(&json!({"refusals": {}}));

    // A login that the server does not let in, and one that only applies need.
    served.server.superuser("postgres", "REVOKE rds_iam FROM infra_admin");
    only(&checks(&account, 0), "warn", "login", "infra_admin");
    served.server.superuser("postgres", "GRANT rds_iam TO infra_admin; REVOKE rds_iam FROM infra_planner");
    only(&checks(&account, 1), "fail", "login", "infra_planner");
    served.server.superuser("postgres", "GRANT rds_iam TO infra_planner");

    // TLS: another server answers, or one that nobody here trusts.
    let other = Served::start(&account, "prod-other");
    account.write(&yaml(&other.connection()));
    only(&checks(&account, 1), "fail", "connection", "the server's certificate is for");
    account.write(&yaml(&format!("{{host: 127.0.0.1, port: {}}}", served.server.port())));
    only(&checks(&account, 1), "fail", "connection", "signed by an authority unknown here");
    account.write(&yaml("{host: 127.0.0.1, port: 9}"));
    let found = checks(&account, 1);
    only(&found, "fail", "connection", "refused");
    assert!(well(&found, "rights"), "{found:#?}");
    account.write(&yaml(&served.connection()));

    // One call that hangs: the rest is told, and in time.
    let proxy = FaultProxy::start(account.emulator.port());
    proxy.inject(When::Every("DescribeEvents"), Fault::Slow(Duration::from_mins(1)));
    account.url = proxy.url();
    let start = Instant::now();
    let told = account.infra(&["doctor", "--json", "--timeout", "4s"]).expect(1).stdout;
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let told: Value = serde_json::from_str(&told).unwrap();
    let found = told["checks"].as_array().unwrap();
    only(found, "fail", "rights", "no answer within 4000 ms");
    assert!(well(found, "login") && well(found, "credentials"), "{found:#?}");

    // Nobody there at all.
    account.url = "http://127.0.0.1:9".into();
    let found = checks(&account, 1);
    only(&found, "fail", "endpoint", "refused");
    only(&found, "fail", "credentials", "no answer");
    assert!(well(&found, "ledger"), "{found:#?}");
    account.url = account.emulator.url();
    let text = account.infra(&["doctor"]).expect(0).stdout;
    assert!(text.ends_with(" ok, 0 warnings, 0 failed.\n") || text.contains("warn  programs psql"), "{text}");

    // Somebody else's account.
    let yaml = yaml(&served.connection());
    account.write_as("prod", &format!("platform: {{aws: {{account: \"444455556666\", region: eu-central-1}}}}\nworkload_identity: {{irsa: {{oidc_provider: oidc.eks.eu-central-1.amazonaws.com/id/ABC123}}}}\n{yaml}"));
    account.emulator.reset_calls();
    let found = checks(&account, 1);
    only(&found, "fail", "account", "these credentials are of account 111122223333");
    let calls: Vec<String> = account.calls().into_iter().filter(|call| !call.contains("GET /")).collect();
    assert_eq!(calls, ["sts:GetCallerIdentity"], "nothing of another account is read");
}
