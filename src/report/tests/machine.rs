//! What programs read: the plan document, and the comment that GitHub renders.

use insta::assert_snapshot;
use serde_json::Value;

use super::{
    super::{json, markdown},
    about, everything_late, mixed, plan, view_of,
};

#[test]
fn json_round_trip() {
    for view in [mixed(), everything_late(), view_of(&plan(Vec::new()), about())] {
        let text = json::render(&view).unwrap();
        assert_eq!(json::parse(&text).unwrap(), view);
    }
    assert!(json::parse("{}").is_err() && json::parse("").is_err());
    let newer = json::render(&mixed()).unwrap().replace("\"1.0\"", "\"2.0\"");
    assert_eq!(
        json::parse(&newer).unwrap_err().to_string(),
        "the plan has format 2.0; this infra reads format 1.0"
    );
    // A newer minor format may add fields.
    let more =
        json::render(&mixed()).unwrap().replacen('{', "{\"new_field\": 1,", 1).replace("\"1.0\"", "\"1.7\"");
    assert!(json::parse(&more).is_ok());
}

#[test]
fn json_of_one_change() {
    let view: Value = serde_json::from_str(&json::render(&mixed()).unwrap()).unwrap();
    let top: Vec<&String> = view.as_object().unwrap().keys().collect();
    assert_snapshot!(format!("{top:?}"), @r#"["applyable", "complete", "counts", "digest", "environment", "errored", "format_version", "guards", "held", "infra_version", "left_out", "options", "order", "protect", "resource_changes", "unmanaged", "unmanaged_counts"]"#);
    assert_snapshot!(serde_json::to_string_pretty(&view["resource_changes"][1]).unwrap(), @r#"
    {
      "action_reason": "replace_because_cannot_update",
      "address": "iam_role.service/orders",
      "after": [
        "aurora_cluster.main"
      ],
      "change": {
        "actions": [
          "delete",
          "create"
        ],
        "after": {
          "path": "/infra/",
          "trust": "a"
        },
        "after_unknown": {},
        "before": {
          "path": "/",
          "trust": "a"
        },
        "replace_paths": [
          [
            "path"
          ]
        ]
      },
      "effects": [],
      "name": "service/orders",
      "reason": "`path` cannot be changed in place",
      "type": "iam_role"
    }
    "#);
    assert_snapshot!(format!("{} {}", view["counts"], view["order"]), @r#"{"create":1,"delete":1,"hold":2,"keep":1,"replace":1,"update":1} ["pg_role.main/billing_rw","aurora_cluster.main","iam_role.service/orders","pg_role.main/orders_ro"]"#);
    assert_snapshot!(view["held"][0].to_string(), @r#"{"address":"pg_database.main/billing","message":"it bears data; say `removed: {services: {billing: ...}}`","reason":"undeclared"}"#);
}

#[test]
fn markdown_of_a_mixed_plan() {
    assert_snapshot!(markdown::render(&mixed()), @r#"
    ### infra plan · test · `2 to add, 1 to change, 2 to destroy`

    > [!CAUTION]
    > **2 objects will be destroyed**: `pg_role.main/billing_rw`, `iam_role.service/orders`.
    >
    > Refused: pg\_role.main/billing\_rw would be destroyed, but its mark protects it (`if it must go: --allow-destroy=pg_role.main/billing_rw`)

    | | object | change | why |
    |---|---|---|---|
    | `-` | `pg_role.main/billing_rw` | destroy | it is not declared in the environment's YAML |
    | `-/+` | `iam_role.service/orders` | replace | &#96;path&#96; cannot be changed in place |
    | `~` | `aurora_cluster.main` | `azs` `["a", "b", "c", "d"]`→`["a", "b", "c", "d", "e"]`, `grants`, `init`, 5 more |  |
    | `+` | `pg_role.main/orders_ro` | create |  |

    <details><summary>Full plan (4 changes)</summary>

    ```diff
      # pg_role.main/billing_rw will be destroyed
      # (because it is not declared in the environment's YAML)
    -   pg_role "main/billing_rw" {
    -       login     = true -> null
    -       member_of = ["rds_iam"] -> null
    -   }

      # iam_role.service/orders must be replaced
      # (because `path` cannot be changed in place)
    -   iam_role "service/orders" {
    !       path = "/" -> "/infra/" # forces replacement
            # (1 unchanged attribute hidden)
    -   }

      # aurora_cluster.main will be updated in-place
    !   aurora_cluster "main" {
    !       azs        = [
                # (3 unchanged elements hidden)
                "d",
    +           "e",
            ]
    -       gone       = "x" -> null
    !       grants     = [
    -           { grantee = "dev_ana", object = "table app.t" },
                { grantee = "dev_boris", object = "table app.t" },
    +           { grantee = "dev_carl", object = "table app.t" },
            ]
    !       init       = <<-EOT
                CREATE ROLE a;
    -           GRANT x TO a;
    +           GRANT x, z TO a;
                GRANT y TO a;
            EOT
            name       = "prod-main"
    !       parameters = {
    +           "key with space" = 1
    !           log              = "500" -> "250"
    -           x                = "y"
                # (1 unchanged attribute hidden)
            }
    !       policy     = jsonencode(
    !           {
    !               Statement = [
    !                   {
    !                       Resource = [
                                "orders_ro",
    +                           "orders_rw",
                            ]
                            # (1 unchanged attribute hidden)
                        },
                    ]
                    # (1 unchanged attribute hidden)
                }
            )
    !       readers    = 2 -> 3
    +       window     = "02:00-03:00"
            # (3 unchanged attributes hidden)
    !   }

      # pg_role.main/orders_ro will be created
    +   pg_role "main/orders_ro" {
    +       database  = (known after apply)
    +       grants    = [
    +           { grantee = "dev_ana", object = "table app.t" },
    +       ]
    +       login     = true
    +       member_of = []
    +       password  = (sensitive value)
    +   }
    ```

    </details>

    **Held** (2):

    - `pg_database.main/billing`: it bears data; say &#96;removed: {services: {billing: ...}}&#96;
    - `pg_role.main/legacy`: exists, but does not carry our mark; it is left alone until it is adopted

    Unmanaged (reported, never touched): `pg_role.main/u00`, `pg_role.main/u01`, `pg_role.main/u02`, `pg_role.main/u03`, `pg_role.main/u04`, `pg_role.main/u05`, `pg_role.main/u06`, `pg_role.main/u07`, `pg_role.main/u08`, `pg_role.main/u09`, `pg_role.main/u10`, `pg_role.main/u11`

    digest `sha256:abababababababababababababababababababababababababababababababab`
    "#);
}
