//! Local servers, end to end: real PostgreSQL of four major versions.

mod trouble;

use std::{fs, net::TcpListener, os::unix::fs::MetadataExt as _, time::Instant};

use infra::providers::{
    ReadOnly,
    local::{Local, LocalError, Server, Spec},
};

use crate::support::local::{Project, connect, parameters, postmaster, quiet, run, show, spec};

async fn lifecycle(major: &str) {
    let project = Project::new(&[major]);
    let local = project.writer();
    assert_eq!(project.servers().await, []);

    let wanted = Spec {
        version: Some(major.into()),
        parameters: parameters(&[("log_min_duration_statement", "500")]),
        ..spec("main")
    };
    let clock = Instant::now();
    let main = local.create(&wanted, &quiet).await.unwrap();
    eprintln!("{}: created in {:.2?}", main.version, clock.elapsed());
    assert_eq!(main.version, local.newest_version(Some(major)).unwrap());
    assert_eq!(main.version_num / 10_000, major.parse::<u32>().unwrap());
    assert_eq!((main.name.as_str(), main.environment.as_str(), main.running), ("main", "local", true));
    assert_eq!(main.folder.metadata().unwrap().mode() & 0o777, 0o700);
    assert_ne!(main.folder.metadata().unwrap().uid(), 0, "PostgreSQL does not run as root");
    assert_eq!(show(&main, "SHOW log_min_duration_statement").await, "500ms");
    assert_eq!(show(&main, "SHOW server_version_num").await, main.version_num.to_string());
    assert_eq!(show(&main, "SHOW data_checksums").await, "on");
    assert_eq!(show(&main, "SHOW listen_addresses").await, "127.0.0.1");
    let again = local.create(&wanted, &quiet).await.unwrap_err();
    assert!(matches!(again, LocalError::Exists { .. }), "{again}");
    like_aurora(&main).await;

    let events = local.create(&spec("events"), &quiet).await.unwrap();
    assert_ne!(events.port, main.port);
    assert_eq!(project.servers().await, [events.clone(), main.clone()]);

    // A reload is enough for the first; the second needs a restart; what is left out goes back to its default.
    let pid = postmaster(&main);
    let odd = r#"it's \ "odd" # and ${HOME}"#;
    let first = parameters(&[("infra.note", odd), ("work_mem", "8MB")]);
    let main = local.configure("main", &first, None, &quiet).await.unwrap();
    assert_eq!((postmaster(&main), &main.parameters), (pid, &first));
    assert_eq!(show(&main, "SHOW infra.note").await, odd);
    assert_eq!(show(&main, "SHOW work_mem").await, "8MB");
    assert_eq!(show(&main, "SHOW log_min_duration_statement").await, "-1");
    let main =
        local.configure("main", &parameters(&[("max_connections", "50")]), None, &quiet).await.unwrap();
    assert_ne!(postmaster(&main), pid);
    assert_eq!(show(&main, "SHOW max_connections").await, "50");
    assert_eq!(show(&main, "SHOW work_mem").await, "4MB");

    // What PostgreSQL refuses changes nothing, whether it says so before or only when it starts.
    for bad in [("no_such_thing", "1"), ("work_mem", "many"), ("shared_preload_libraries", "no_such_library")]
    {
        let error = local.configure("main", &parameters(&[bad]), None, &quiet).await.unwrap_err();
        assert!(error.to_string().contains(bad.0) || error.to_string().contains(bad.1), "{error}");
        assert_eq!(project.servers().await, [events.clone(), main.clone()]);
        assert_eq!(show(&main, "SHOW max_connections").await, "50");
    }

    local.stop("main", &quiet).await.unwrap();
    local.stop("main", &quiet).await.unwrap();
    assert!(connect(&main, "infra_admin", "postgres").await.is_err());
    assert_eq!(
        project.servers().await.iter().map(|server| server.running).collect::<Vec<_>>(),
        [true, false]
    );
    let clock = Instant::now();
    assert_eq!(local.start("main", &quiet).await.unwrap(), main);
    eprintln!("{}: started in {:.2?}", main.version, clock.elapsed());
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let moved = local.configure("main", &main.parameters, Some(free), &quiet).await.unwrap();
    assert_eq!(moved, Server { port: free, ..main });
    assert_eq!(show(&moved, "SHOW port").await, free.to_string());

    // A change by hand is seen.
    let conf = moved.folder.join("data/infra.conf");
    let text = fs::read_to_string(&conf).unwrap();
    fs::write(&conf, text + "work_mem = 9MB # by hand\n").unwrap();
    assert_eq!(
        project.servers().await[1].parameters,
        parameters(&[("max_connections", "50"), ("work_mem", "9MB")])
    );

    let clock = Instant::now();
    local.destroy("main", &quiet).await.unwrap();
    eprintln!("{}: destroyed in {:.2?}", moved.version, clock.elapsed());
    assert_eq!(project.servers().await, [events]);
    local.destroy("events", &quiet).await.unwrap();
    project.assert_clean();
    let error = local.destroy("events", &quiet).await.unwrap_err();
    assert!(matches!(error, LocalError::Missing { .. }), "{error}");
}

/// The things infra relies on, as the reference for Aurora has them.
async fn like_aurora(server: &Server) {
    let refused = connect(server, "rdsadmin", "postgres").await.unwrap_err();
    assert!(refused.to_string().contains("pg_hba.conf rejects"), "{refused}");
    let superusers = "SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolsuper";
    assert_eq!(show(server, superusers).await, "rdsadmin");
    assert!(connect(server, "infra_planner", "template1").await.is_err());
    // Makes a service as apply does: roles, rds_iam, a database.
    run(
        server,
        "infra_admin",
        "CREATE ROLE svc_o_owner NOLOGIN; CREATE ROLE svc_o_app LOGIN; GRANT rds_iam TO svc_o_app",
    )
    .await;
    if server.version_num >= 160_000 {
        run(server, "infra_admin", "GRANT svc_o_owner TO CURRENT_USER WITH INHERIT TRUE, SET TRUE").await;
    } else {
        run(server, "infra_admin", "GRANT svc_o_owner TO CURRENT_USER").await;
    }
    run(server, "infra_admin", "CREATE DATABASE o OWNER svc_o_owner TEMPLATE template0").await;
    assert!(connect(server, "svc_o_app", "o").await.is_ok());
    let refused = connect(server, "svc_o_app", "postgres").await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    let refused = sqlx::raw_sql("CREATE ROLE x")
        .execute(&mut connect(server, "infra_planner", "postgres").await.unwrap())
        .await;
    assert!(refused.unwrap_err().to_string().contains("permission denied"));
    run(server, "infra_admin", "DROP DATABASE o").await;
    run(server, "infra_admin", "DROP ROLE svc_o_owner, svc_o_app").await;
}

#[tokio::test]
async fn lifecycle_15() {
    lifecycle("15").await;
}

#[tokio::test]
async fn lifecycle_16() {
    lifecycle("16").await;
}

#[tokio::test]
async fn lifecycle_17() {
    lifecycle("17").await;
}

#[tokio::test]
async fn lifecycle_18() {
    lifecycle("18").await;
}

#[tokio::test]
async fn the_newest_that_satisfies_is_taken() {
    let project = Project::new(&["16", "18", "15", "17"]);
    let local = project.writer();
    for (prefix, expected) in [(None, "18."), (Some("16"), "16."), (Some("15"), "15.")] {
        let version = local.newest_version(prefix).unwrap();
        assert!(version.starts_with(expected), "{prefix:?} {version}");
    }
    let usual = Local::<ReadOnly>::new(&project.folder, "local").newest_version(None);
    usual.expect("no PostgreSQL in the usual places: run sh tests/run.sh");
    let error = local.newest_version(Some("16.1")).unwrap_err();
    assert!(matches!(&error, LocalError::NoVersion { found, .. } if found.len() == 4), "{error}");
    assert!(error.hint().unwrap().contains("apt-get install postgresql-16"));
}
