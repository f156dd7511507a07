//! What others have made is taken over as it is: import, paste, adopt, and the plan is empty; no privilege has changed.

mod estate;

use std::{fs, net::TcpListener, process::Output};

use crate::{
    documentation::{PORT, shell, shell_path, shows_what_happens},
    support::{
        postgres,
        sandbox::{Sandbox, sql},
    },
};
use estate::{Group, Service, by_admin, people, privileges};

/// A server with nothing of ours but the two logins, and the way from there to an empty plan.
async fn taken_over(services: &[Service], groups: &[Group], databases: &[&str], sandbox: &Sandbox) -> String {
    for service in services {
        service.make(sandbox).await;
    }
    people(sandbox, groups).await;
    round_trip(databases, sandbox).await
}

/// Import, paste, adopt, plan. Answers with what import has printed.
async fn round_trip(databases: &[&str], sandbox: &Sandbox) -> String {
    let before = privileges(sandbox, databases).await;
    let printed = sandbox.infra(&["import"]).expect(0).stdout;
    assert_eq!(sandbox.infra(&["import"]).expect(0).stdout, printed, "the same estate, the same text");
    let file = sandbox.folder().join("environments/local/imported.yaml");
    sandbox.infra(&["import", "--out", file.to_str().unwrap()]).expect(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), printed);
    let refused = sandbox.infra(&["import", "-o", file.to_str().unwrap()]).expect(1);
    assert!(refused.stderr.contains("is not overwritten"), "{}", refused.stderr);
    sandbox.infra(&["validate"]).expect(0);
    assert!(!printed.contains("would show"), "{printed}");
    assert!(!printed.contains("Not in here"), "{printed}");

    let held = sandbox.plan()["held"].as_array().unwrap().len();
    assert!(held > 6, "{printed}");
    assert_eq!(sandbox.changes(), [], "{printed}");
    sandbox.infra(&["import", "--adopt", "all"]).expect(0);
    sandbox.settled();
    assert_eq!(sandbox.plan()["held"].as_array().unwrap().len(), 0);
    assert_eq!(privileges(sandbox, databases).await, before, "only comments were written");
    // Nothing is left to be imported or adopted.
    let again = sandbox.infra(&["import"]).expect(0).stdout;
    assert!(again.starts_with("# Nothing that environment local could declare exists beside"), "{again}");
    let again = sandbox.infra(&["import", "--adopt", "all"]).expect(0).stdout;
    assert!(again.starts_with("Nothing to adopt"), "{again}");
    printed
}

async fn comment_on(sandbox: &Sandbox, database: &str, of: &str) -> String {
    let rows = sandbox.sql("infra_admin", database, &format!("SELECT {of}")).await.unwrap();
    rows[0][0].clone().unwrap_or_default()
}

const BY_HAND: [Service; 2] = [
    Service {
        database: "orders",
        schema: "app",
        owner: "orders_owner",
        writers: "orders_rw",
        readers: "orders_ro",
        migrator: "orders_migrator",
        app: "orders_app",
        reader: "orders_reader",
        limit: -1,
    },
    Service {
        database: "billing",
        schema: "public",
        owner: "billing_owner",
        writers: "billing_rw",
        readers: "billing_ro",
        migrator: "billing_migrator",
        app: "billing_app",
        reader: "billing_reader",
        limit: -1,
    },
];

#[tokio::test]
async fn made_by_hand() {
    let sandbox = Sandbox::new("15", "developers: read-only\n");
    sandbox.apply();
    let groups: [Group; 2] = [
        ("developers", &["orders_rw", "billing_rw"], &["ana", "boris"]),
        ("support", &["orders_ro", "billing_ro"], &["carla", "boris"]),
    ];
    let printed = taken_over(&BY_HAND, &groups, &["orders", "billing"], &sandbox).await;
    for part in ["owner: \"{service}_owner\"", "person: \"{person}\"", "service: none", "access: read-write"]
    {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    // What somebody has written stays, behind the mark.
    let owner = "shobj_description('orders_owner'::regrole, 'pg_authid')";
    let kept = "infra:managed;env=local;service=orders\nask ana; before you drop it";
    assert_eq!(comment_on(&sandbox, "orders", owner).await, kept);
    let database = "shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'orders'";
    assert_eq!(
        comment_on(&sandbox, "orders", database).await,
        "infra:managed;env=local;service=orders\nthe shop's"
    );
    assert_eq!(
        comment_on(&sandbox, "orders", "obj_description('app'::regnamespace)").await,
        "infra:managed;env=local;service=orders\ntables"
    );
    // From now on it is ours: drift is seen, under their names.
    by_admin(&sandbox, "orders", "SET ROLE orders_owner; GRANT TRUNCATE ON app.item TO boris").await;
    by_admin(&sandbox, "postgres", "ALTER ROLE ana CREATEDB").await;
    let changed = [("pg_access.main/orders", "update"), ("pg_role.main/ana", "update")];
    assert_eq!(sandbox.changes(), changed.map(|(address, action)| (address.into(), action.into())));
    sandbox.apply();
    sandbox.settled();
    assert_eq!(comment_on(&sandbox, "orders", owner).await, kept);
    sandbox.infra(&["verify"]).expect(0);
}

/// As the provider cyrilgdn/postgresql is usually told: `postgresql_role`, `postgresql_database`, `postgresql_grant` and
/// `postgresql_default_privileges`, which make the same SQL, under names with a suffix for the stage.
#[tokio::test]
async fn made_by_terraform() {
    let sandbox = Sandbox::new("15", "developers: read-write\n");
    sandbox.apply();
    let service = |names: [&'static str; 8]| {
        let [database, schema, owner, writers, readers, migrator, app, reader] = names;
        Service { database, schema, owner, writers, readers, migrator, app, reader, limit: 20 }
    };
    let services = [
        service([
            "shop_local",
            "shop",
            "shop_owner_role",
            "shop_readwrite_role",
            "shop_readonly_role",
            "shop_migrations",
            "shop_application",
            "shop_reporting",
        ]),
        service([
            "stock_local",
            "stock",
            "stock_owner_role",
            "stock_readwrite_role",
            "stock_readonly_role",
            "stock_migrations",
            "stock_application",
            "stock_reporting",
        ]),
        // The one that is older than the module.
        service([
            "legacy",
            "app",
            "dbo",
            "legacy_writers",
            "legacy_readers",
            "flyway",
            "legacy-web",
            "metabase",
        ]),
    ];
    let groups: [Group; 2] = [
        ("team_backend", &["shop_readwrite_role", "stock_readwrite_role"], &["user_ana", "user_boris"]),
        ("team_data", &["legacy_readers", "shop_readonly_role"], &["user_carla", "user_ana"]),
    ];
    let databases = ["shop_local", "stock_local", "legacy"];
    let printed = taken_over(&services, &groups, &databases, &sandbox).await;
    for part in [
        "database: \"{service}_local\"",
        "schema: \"{service}\"",
        "read_write: \"{service}_readwrite_role\"",
        "owner: dbo",
        "migrator: flyway",
        "service: 20",
        "access: read-only",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

/// As pgroles names the roles that its profiles make, `{schema}-{profile}`: services that share a database.
#[tokio::test]
async fn made_by_pgroles() {
    let sandbox = Sandbox::new("15", "developers: none\n");
    sandbox.apply();
    let admin = async |database: &str, text: &str| by_admin(&sandbox, database, text).await;
    let create = "CREATE ROLE company_owner; GRANT company_owner TO infra_admin";
    admin("postgres", create).await;
    admin("postgres", "CREATE DATABASE company OWNER company_owner TEMPLATE template0").await;
    admin(
        "postgres",
        "REVOKE ALL ON DATABASE company FROM PUBLIC; GRANT CONNECT ON DATABASE company TO infra_planner",
    )
    .await;
    admin("company", "SET ROLE company_owner; REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
    for schema in ["inventory", "catalog"] {
        let name = |profile: &str| -> &'static str { format!("{schema}-{profile}").leak() };
        let service = Service {
            database: "company",
            schema: schema.to_owned().leak(),
            owner: name("owner"),
            writers: name("editor"),
            readers: name("viewer"),
            migrator: name("deployer"),
            app: name("api"),
            reader: name("reports"),
            limit: 50,
        };
        let Service { owner, writers, readers, migrator, app, reader, .. } = &service;
        admin("postgres", &service.roles()).await;
        admin(
            "postgres",
            &format!(
                "GRANT CONNECT, TEMPORARY ON DATABASE company TO \"{writers}\";
                 GRANT CONNECT ON DATABASE company TO \"{readers}\", \"{migrator}\";
                 ALTER ROLE \"{migrator}\" IN DATABASE company SET search_path = {schema};
                 ALTER ROLE \"{migrator}\" IN DATABASE company SET role = '{owner}';
                 ALTER ROLE \"{app}\" IN DATABASE company SET search_path = {schema};
                 ALTER ROLE \"{reader}\" IN DATABASE company SET search_path = {schema};
                 ALTER ROLE \"{reader}\" IN DATABASE company SET default_transaction_read_only = on"
            ),
        )
        .await;
        // Its owner may not make schemas, here as with us.
        admin("company", &format!("CREATE SCHEMA {schema} AUTHORIZATION \"{owner}\"")).await;
        let inside = service.inside();
        let inside = inside.replace("REVOKE ALL ON SCHEMA public FROM PUBLIC;", "");
        admin("company", &inside.replace(&format!("CREATE SCHEMA \"{schema}\";"), "")).await;
    }
    let groups: [Group; 2] = [
        ("warehouse", &["inventory-editor"], &["ana"]),
        ("marketing", &["catalog-viewer", "inventory-viewer"], &["boris"]),
    ];
    people(&sandbox, &groups).await;
    let printed = round_trip(&["company"], &sandbox).await;
    for part in
        ["isolation: schema", "read_write: \"{service}-editor\"", "shared_database: company", "catalog:"]
    {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

/// What is weaker than what we declare, or fits nowhere, is told beforehand; and what is told is what happens.
#[tokio::test]
async fn weaker_than_ours() {
    let sandbox = Sandbox::new("17", "");
    sandbox.apply();
    for text in [
        "CREATE ROLE shop_owner; CREATE ROLE shop_rw; GRANT shop_owner TO infra_admin;
         CREATE ROLE shop_app LOGIN PASSWORD 'x'; GRANT shop_rw TO shop_app;
         CREATE ROLE \"it's\nnot: {yours}\" LOGIN; CREATE ROLE two LOGIN; GRANT two TO infra_admin; CREATE ROLE datadog LOGIN IN ROLE pg_monitor",
        "CREATE DATABASE shop OWNER shop_owner",
        "CREATE DATABASE one OWNER two",
    ] {
        by_admin(&sandbox, "postgres", text).await;
    }
    by_admin(&sandbox, "shop", "SET ROLE shop_owner; CREATE SCHEMA app; CREATE TABLE app.t (id int)").await;
    let mut superuser = sandbox.superuser("postgres").await;
    for text in ["CREATE DATABASE closed OWNER shop_rw", "REVOKE ALL ON DATABASE closed FROM PUBLIC"] {
        sql(&mut superuser, text).await.unwrap();
    }
    let before = privileges(&sandbox, &["shop", "one", "closed"]).await;
    let printed = sandbox.infra(&["import"]).expect(0).stdout;
    let line = |text: &str| assert!(printed.lines().any(|line| line == text), "{text}\n{printed}");
    for told in [
        "#   pg_role.main/shop_app will be updated in-place",
        "  service: none",
        "#       member_of.rds_iam = null -> \"inherit\"",
        "#       member_of.shop_rw = \"inherit+set\" -> \"inherit\"",
        "#       from then on it logs in by IAM token, and no password lets it in any more",
        "#       grants.public = [\"CONNECT\",\"TEMPORARY\"] -> null",
        "#   pg_role.main/shop_ro will be created",
        "#   pg_role.main/datadog: it may log in, is a member of `pg_monitor`: no login of one service (migrator, app or reader), and no person who is in groups alone",
        "#   pg_database.main/one: its owner `two` may log in: a service is owned by a role that nobody logs in as, and that its migrator becomes",
        "#   pg_role.main/two: it may log in, owns `one`: no login of one service (migrator, app or reader), and no person who is in groups alone",
    ] {
        line(told);
    }
    // A name cannot end the comment that it stands in.
    assert!(printed.contains("#   pg_role.main/it's\\nnot: {yours}: it may log in"), "{printed}");
    assert!(printed.contains("#   pg_database.main/closed: it could not be read"), "{printed}");
    let told: Vec<String> = (printed.lines())
        .filter_map(|line| line.strip_prefix("#   pg_"))
        .filter(|line| line.contains(" will be "))
        .map(|line| format!("pg_{}", line.split(' ').next().unwrap()))
        .collect();
    let file = sandbox.folder().join("environments/local/imported.yaml");
    fs::write(&file, &printed).unwrap();
    sandbox.infra(&["validate"]).expect(0);
    assert_eq!(sandbox.infra(&["import"]).expect(0).stdout.matches("could declare exists beside").count(), 1);

    // All or nothing: one address that cannot be adopted, and none is.
    let refused = sandbox.infra(&[
        "import",
        "--adopt",
        "pg_role.main/shop_app",
        "pg_role.main/shop_ro",
        "pg_role.main/two",
    ]);
    let refused = refused.expect(1).stderr;
    assert!(refused.contains("pg_role.main/shop_ro does not exist; infra apply makes it"), "{refused}");
    assert!(refused.contains("pg_role.main/two is not declared in the environment's YAML"), "{refused}");
    let access = sandbox.infra(&["import", "--adopt", "pg_role.main/shop_rx*"]).expect(1).stderr;
    assert!(
        access.contains("nothing that is declared has an address like `pg_role.main/shop_rx*`"),
        "{access}"
    );
    let adopted = sandbox.infra(&["import", "--adopt", "pg_role.*"]).expect(0).stdout;
    assert_eq!(adopted.matches(": Adopted").count(), 3, "{adopted}");
    let again = sandbox.infra(&["import", "--adopt", "pg_role.main/shop_app"]).expect(1).stderr;
    assert!(again.contains("pg_role.main/shop_app carries the mark of this environment already"), "{again}");
    let adopted = sandbox.infra(&[
        "import",
        "-adopt",
        "pg_role.main/*",
        "-adopt",
        "pg_database.main/shop",
        "pg_schema.*",
    ]);
    assert_eq!(adopted.expect(0).stdout.matches(": Adopted").count(), 2);
    assert_eq!(privileges(&sandbox, &["shop", "one", "closed"]).await, before);
    let mut planned: Vec<String> = sandbox.changes().into_iter().map(|(address, _)| address).collect();
    planned.sort();
    assert_eq!(planned, told, "{printed}");
    sandbox.apply();
    sandbox.settled();
    sandbox.sql("shop_app", "shop", "SELECT FROM app.t").await.unwrap();
    // Leaving the YAML is no removal.
    fs::write(&file, "people: {zoe: {}}\n").unwrap();
    let held = sandbox.infra(&["plan"]).expect(0).stdout;
    assert!(held.contains("service shop is no longer declared, but its data is there"), "{held}");
    assert_eq!(sandbox.changes(), [("pg_role.main/dev_zoe".into(), "create".into())]);
}

/// The page's own estate: much as above, but everybody may connect, and somebody watches.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_on_adopting_shows_what_really_happens() {
    let sandbox = Sandbox::new("15", "");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    sandbox.write_raw(&format!(
        "platform: {{local: {{}}}}\ndevelopers: read-only\nclusters:\n  main: {{engine_version: \"15\", connection: {{port: {port}}}}}\n"
    ));
    sandbox.apply();
    BY_HAND[0].make(&sandbox).await;
    let text = "GRANT CONNECT ON DATABASE orders TO PUBLIC; CREATE ROLE grafana LOGIN IN ROLE pg_monitor";
    by_admin(&sandbox, "postgres", text).await;
    people(&sandbox, &[("developers", &["orders_ro"], &["ana", "boris"])]).await;
    shows_what_happens("docs/adopting.md", |command| {
        let mut shell = shell(sandbox.folder(), &command.replace(PORT, &port));
        let path = format!("{}:{}", shell_path(), postgres("15").display());
        let output = shell.env("PATH", path).output().unwrap();
        Output { stdout: String::from_utf8(output.stdout).unwrap().replace(&port, PORT).into(), ..output }
    });
}
