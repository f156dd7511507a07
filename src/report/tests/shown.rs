//! What is shown, to the letter.

use std::fmt;

use insta::assert_snapshot;
use regex::Regex;
use serde_json::json;

use super::{
    super::{About, Account, difference, text, text::Style},
    Thing, about, address, create, everything_late, hold, mixed, mixed_plan, plain, plan, update, view_of,
};
use crate::engine::{Action, Error, Hold, Outcome, Plan, Summary};

#[test]
fn text_of_a_mixed_plan() {
    assert_snapshot!(plain(&mixed()), @r#"
    Resource actions are indicated with the following symbols:
      + create
      ~ update in-place
      - destroy
    -/+ destroy and then create replacement

    infra will perform the following actions:

      # pg_role.main/billing_rw will be destroyed
      # (because it is not declared in the environment's YAML)
      - pg_role "main/billing_rw" {
          - login     = true -> null
          - member_of = ["rds_iam"] -> null
        }

      # iam_role.service/orders must be replaced
      # (because `path` cannot be changed in place)
    -/+ iam_role "service/orders" {
          ~ path = "/" -> "/infra/" # forces replacement
            # (1 unchanged attribute hidden)
        }

      # aurora_cluster.main will be updated in-place
      ~ aurora_cluster "main" {
          ~ azs        = [
                # (3 unchanged elements hidden)
                "d",
              + "e",
            ]
          - gone       = "x" -> null
          ~ grants     = [
              - { grantee = "dev_ana", object = "table app.t" },
                { grantee = "dev_boris", object = "table app.t" },
              + { grantee = "dev_carl", object = "table app.t" },
            ]
          ~ init       = <<-EOT
                CREATE ROLE a;
              - GRANT x TO a;
              + GRANT x, z TO a;
                GRANT y TO a;
            EOT
            name       = "prod-main"
          ~ parameters = {
              + "key with space" = 1
              ~ log              = "500" -> "250"
              - x                = "y"
                # (1 unchanged attribute hidden)
            }
          ~ policy     = jsonencode(
              ~ {
                  ~ Statement = [
                      ~ {
                          ~ Resource = [
                                "orders_ro",
                              + "orders_rw",
                            ]
                            # (1 unchanged attribute hidden)
                        },
                    ]
                    # (1 unchanged attribute hidden)
                }
            )
          ~ readers    = 2 -> 3
          + window     = "02:00-03:00"
            # (3 unchanged attributes hidden)
        }

      # pg_role.main/orders_ro will be created
      + pg_role "main/orders_ro" {
          + database  = (known after apply)
          + grants    = [
              + { grantee = "dev_ana", object = "table app.t" },
            ]
          + login     = true
          + member_of = []
          + password  = (sensitive value)
        }

    Held:
      pg_database.main/billing: it bears data; say `removed: {services: {billing: ...}}`
      pg_role.main/legacy: exists, but does not carry our mark; it is left alone until it is adopted

    Unmanaged (reported, never touched): 12 pg_role
      pg_role.main/u00, pg_role.main/u01, pg_role.main/u02, pg_role.main/u03, pg_role.main/u04, pg_role.main/u05, pg_role.main/u06, pg_role.main/u07, pg_role.main/u08, pg_role.main/u09, and 2 more

    Changes by action:
      - destroy  pg_role.main/billing_rw
    -/+ replace  iam_role.service/orders
      ~ update   aurora_cluster.main
      + create   pg_role.main/orders_ro

    Plan: 2 to add, 1 to change, 2 to destroy. (1 replacement is counted in add and destroy)
    Plan digest: sha256:abababababababababababababababababababababababababababababababab

    Refused to be applied as is:
      pg_role.main/billing_rw would be destroyed, but its mark protects it
        hint: if it must go: --allow-destroy=pg_role.main/billing_rw
    "#);
}

#[test]
fn text_of_a_plan_that_is_all_late() {
    assert_snapshot!(plain(&everything_late()), @r#"
    Resource actions are indicated with the following symbols:
      + create
      ~ update in-place

    infra will perform the following actions:

      # iam_role.person/boris will be updated in-place
      ~ iam_role "person/boris" {
          ~ host = "h:1" -> (known after apply)
          ~ list = [
              - "a",
              + (known after apply),
            ]
        }

      # aurora_cluster.main will be created
      + aurora_cluster "main" {
          + readers = 2
        }

      # iam_role.person/ana will be created
      + iam_role "person/ana" {
          + host = (known after apply)
          + list = ["a", (known after apply)]
          + map  = {
              + x = {
                  + y = (known after apply)
                  + z = 1
                }
            }
        }

    Plan: 2 to add, 1 to change, 0 to destroy.
    Plan digest: sha256:abababababababababababababababababababababababababababababababab
    "#);
    let change = &everything_late().resource_changes[1].change;
    assert_snapshot!(change.after.to_string(), @r#"{"host":null,"list":["a",null],"map":{"x":{"y":null,"z":1}}}"#);
    assert_snapshot!(change.after_unknown.to_string(), @r#"{"host":true,"list":[false,true],"map":{"x":{"y":true}}}"#);
}

#[test]
fn text_without_changes() {
    let none = plan(vec![("pg_role.main/a", Action::Keep, &[])]);
    let held = plan(vec![("pg_role.main/a", hold(Hold::Foreign), &[])]);
    let said = |plan: &Plan<Thing>, about: About| plain(&view_of(plan, about));
    assert_eq!(said(&none, about()), "No changes. Your infrastructure matches the configuration.\n");
    assert_eq!(
        said(&none, About { destroy: true, ..about() }),
        "No changes. No objects need to be destroyed.\n"
    );
    assert_snapshot!(said(&held, about()), @r"
    Held:
      pg_role.main/a: exists, but does not carry our mark; it is left alone until it is adopted

    No changes. What differs is held, as said above (1 object).
    ");
    assert_snapshot!(said(&none, About { left_out: 2, ..about() }), @"No changes. 2 changes are not included, because of --target or --exclude.");
    assert!(!view_of(&none, about()).applyable);
}

#[test]
fn summary_only_and_verbose() {
    let summary = text::render(&mixed(), Style { summary: true, ..Style::default() });
    assert_snapshot!(summary, @r"
    Held:
      pg_database.main/billing: it bears data; say `removed: {services: {billing: ...}}`
      pg_role.main/legacy: exists, but does not carry our mark; it is left alone until it is adopted

    Unmanaged (reported, never touched): 12 pg_role

    Changes by action:
      - destroy  pg_role.main/billing_rw
    -/+ replace  iam_role.service/orders
      ~ update   aurora_cluster.main
      + create   pg_role.main/orders_ro

    Plan: 2 to add, 1 to change, 2 to destroy. (1 replacement is counted in add and destroy)
    Plan digest: sha256:abababababababababababababababababababababababababababababababab

    Refused to be applied as is:
      pg_role.main/billing_rw would be destroyed, but its mark protects it
        hint: if it must go: --allow-destroy=pg_role.main/billing_rw
    ");
    let verbose = text::render(&mixed(), Style { verbose: true, ..Style::default() });
    assert!(verbose.contains("    > ALTER SOMETHING\n    > GRANT a\n    > TO b\n"), "{verbose}");
    assert!(verbose.contains("u11") && !plain(&mixed()).contains("u11"));
}

#[test]
fn colours_are_terraforms_and_only_where_wanted() {
    assert!(!plain(&mixed()).contains('\x1b'));
    let coloured = text::render(&mixed(), Style { colour: true, ..Style::default() });
    for expected in [
        "  \x1b[32m+\x1b[0m create\n",
        "\x1b[31m-\x1b[0m/\x1b[32m+\x1b[0m destroy and then create replacement\n",
        "\x1b[1m# pg_role.main/billing_rw\x1b[0m will be \x1b[1;31mdestroyed\x1b[0m\n",
        "      \x1b[33m~\x1b[0m readers    = 2 \x1b[33m->\x1b[0m 3\n",
        "\x1b[90m# (3 unchanged attributes hidden)\x1b[0m\n",
        "\x1b[31m# forces replacement\x1b[0m\n",
    ] {
        assert!(coloured.contains(expected), "{expected:?} is not in {coloured}");
    }
    let escapes = Regex::new("\x1b\\[[0-9;]*m").unwrap();
    assert_eq!(escapes.replace_all(&coloured, ""), plain(&mixed()));
}

/// The regular expressions with which tfcmt and Atlantis read a plan.
#[test]
fn other_tools_can_read_it() {
    let atlantis = Regex::new(
        r"Plan: (?:(\d+) to import, )?(\d+) to add, (\d+) to change, (\d+) to destroy(?:, (\d+) to forget)?\.",
    );
    let text = plain(&mixed());
    let found = atlantis.unwrap().captures(&text).unwrap();
    assert_eq!((&found[2], &found[3], &found[4]), ("2", "1", "2"));

    let summary = Regex::new(r"(?m)^(Plan: \d|No changes.)").unwrap();
    assert!(summary.is_match(&text));
    let empty = plain(&view_of(&plan(Vec::new()), about()));
    assert!(summary.is_match(&empty));
    let none = r"No changes. (?:Infrastructure is up-to-date|Your infrastructure matches the configuration).";
    assert!(Regex::new(none).unwrap().is_match(&empty));

    for (pattern, expected) in [
        (r"(?m)^ *# (.*) will be created$", "pg_role.main/orders_ro"),
        (r"(?m)^ *# (.*) will be updated in-place$", "aurora_cluster.main"),
        (r"(?m)^ *# (.*) will be destroyed$", "pg_role.main/billing_rw"),
        (r"(?m)^ *# (.*) must be replaced$", "iam_role.service/orders"),
    ] {
        assert_eq!(&Regex::new(pattern).unwrap().captures(&text).unwrap()[1], expected);
    }
    let done = Account { added: 2, ..Account::default() }.text(false);
    assert!(Regex::new("(?m)^(Apply complete!)").unwrap().is_match(&done));
}

#[test]
fn what_changed_since_the_review() {
    let reviewed = mixed();
    assert_eq!(difference(&reviewed, &reviewed), "");
    let mut now = mixed_plan();
    now.steps[0].action = hold(Hold::Refused { why: "its sessions are open".into() });
    now.steps[1].action = create(json!({"login": true}));
    now.steps[2].action = update(json!({"readers": 1}), json!({"readers": 3}));
    now.steps[3].action = create(json!({"path": "/infra/"}));
    assert_snapshot!(difference(&view_of(&plan_of_cluster(2), about()), &view_of(&plan_of_cluster(1), about())), @r"
    The plan is not the one that was reviewed:
      ~ aurora_cluster.main is still to be updated, but differently:
          readers is now 1, and was 2 when reviewed

    reviewed: sha256:abababababababababababababababababababababababababababababababab
    now:      sha256:abababababababababababababababababababababababababababababababab
    ");
    let lines = difference(&reviewed, &view_of(&now, about()));
    assert_snapshot!(lines.lines().filter(|line| !line.starts_with("      ")).collect::<Vec<_>>().join("\n"), @r"
    The plan is not the one that was reviewed:
      ~ aurora_cluster.main is still to be updated, but differently:
      ~ iam_role.service/orders was to be replaced, and is now to be created
      - pg_role.main/billing_rw was to be destroyed, and is now held: its sessions are open
      + pg_role.main/dev_ana is now to be created, and was not in the reviewed plan

    reviewed: sha256:abababababababababababababababababababababababababababababababab
    now:      sha256:abababababababababababababababababababababababababababababababab
    ");
}

fn plan_of_cluster(readers: u8) -> Plan<Thing> {
    plan(vec![("aurora_cluster.main", update(json!({"readers": readers}), json!({"readers": 3})), &[])])
}

#[derive(Debug)]
struct Wrapped(std::io::Error);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot modify the cluster")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn the_account_of_an_apply() {
    let plan = mixed_plan();
    let error: Error = Box::new(Wrapped(std::io::Error::other("connection\x1b[2J reset")));
    let mut summary = Summary::default();
    for (name, outcome) in [
        ("pg_role.main/billing_rw", Outcome::Done),
        ("aurora_cluster.main", Outcome::Failed(error)),
        ("iam_role.service/orders", Outcome::NotAttempted),
        ("pg_role.main/orders_ro", Outcome::Skipped { because: address("aurora_cluster.main") }),
    ] {
        summary.outcomes.insert(address(name), outcome);
    }
    let account = Account::of(&plan, &summary);
    assert_snapshot!(account.text(false), @r"
    Apply incomplete! Resources: 0 added, 0 changed, 1 destroyed. Failed: 1. Not attempted: 2.

    Failed:
      aurora_cluster.main: cannot modify the cluster
          caused by: connection\u001b[2J reset

    Not attempted:
      pg_role.main/orders_ro (because of aurora_cluster.main)
      iam_role.service/orders (interrupted)

    1 change done. Running apply again continues from here.
    ");
    assert_snapshot!(serde_json::to_string(&account).unwrap(), @r#"{"added":0,"changed":0,"destroyed":1,"applied":["pg_role.main/billing_rw"],"failed":[{"address":"aurora_cluster.main","error":["cannot modify the cluster","connection\u001b[2J reset"]}],"skipped":[{"address":"pg_role.main/orders_ro","because":"aurora_cluster.main"}],"not_attempted":["iam_role.service/orders"]}"#);

    for outcome in summary.outcomes.values_mut() {
        *outcome = Outcome::Done;
    }
    let account = Account::of(&plan, &summary);
    assert_eq!(account.text(false), "Apply complete! Resources: 2 added, 1 changed, 2 destroyed.\n");
}
