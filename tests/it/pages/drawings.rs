//! `infra graph`: the pictures that the documentation shows, and how they look in a browser.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    HOSTILE, ROOT,
    browser::{Visit, browse},
    hostile, infra, keep,
};

/// The text with the Mermaid block behind each `<!-- infra graph -e NAME -->` as it is drawn now.
fn with_real_pictures(text: &str, draw: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("<!-- infra graph -e ") {
        let (before, marked) = rest.split_at(at);
        let name = marked["<!-- infra graph -e ".len()..].split(' ').next().unwrap();
        let start = marked.find("```mermaid\n").unwrap() + "```mermaid\n".len();
        let end = start + marked[start..].find("```").unwrap();
        out.push_str(before);
        out.push_str(&marked[..start]);
        out.push_str(&draw(name));
        rest = &marked[end..];
    }
    out + rest
}

/// `BLESS=1` draws them anew.
#[test]
fn the_documentation_shows_both_environments_as_they_are() {
    let root = Path::new(ROOT);
    let draw =
        |name: &str, format: &str| infra(root, &["graph", "-e", name, "--format", format]).expect(0).stdout;
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let real = with_real_pictures(&readme, |name| draw(name, "mermaid"));
    assert_eq!(real.matches("flowchart LR").count(), 2, "the README shows both environments");
    let mut files = vec![("README.md".to_owned(), readme, real)];
    for name in ["test", "prod"] {
        let file = format!("docs/pictures/{name}.svg");
        let old = fs::read_to_string(root.join(&file)).unwrap_or_default();
        files.push((file, old, draw(name, "svg")));
    }
    for (file, old, new) in files {
        if std::env::var_os("BLESS").is_some() {
            fs::write(root.join(&file), new).unwrap();
        } else {
            assert!(old == new, "{file} is stale: BLESS=1 sh tests/run.sh drawings\n{new}");
        }
    }
}

/// Many services, people and zones, and names that are as long as they can be.
fn large() -> String {
    let long = "a-name-that-is-as-long-as-it-may-be";
    let mut yaml = String::from(
        "platform: {aws: {account: \"111122223333\", region: eu-central-1}}\n\
         workload_identity: {irsa: {oidc_provider: oidc.eks.eu-central-1.amazonaws.com/id/ABC}}\n\
         clusters:\n  main: {engine_version: \"16\", instance_class: db.r6g.large, readers: 3, zones: [eu-central-1a, eu-central-1b], \
         subnets: [a, b], security_groups: [c], backup_policy: daily, autoscaling: {min: 3, max: 9, cpu: 60}}\n  \
         other: {engine_version: \"16\", serverless: {min: 0.5, max: 8}, subnets: [a, b], security_groups: [c]}\n\
         backup_policies: {daily: {aurora: {retention_days: 7}}}\n\
         mongo_clusters: {events: {uri: \"mongodb://one.example:27017,two.example:27017/?replicaSet=rs0\"}}\nservices:\n",
    );
    let mut lines = Vec::new();
    for number in 0..12 {
        let cluster = if number % 3 == 0 { "other" } else { "main" };
        let mongo = if number % 4 == 0 { ", mongo: events" } else { "" };
        let service = service(number);
        lines.push(format!(
            "  {service}: {{cluster: {cluster}, service_account: {long}/{long}-{number}{mongo}}}\n"
        ));
    }
    yaml += &lines.concat();
    yaml += "removed: {services: {gone: {cluster: main, data: keep}}}\n";
    yaml += "people: {ana: {principal: \"arn:aws:iam::111122223333:user/ana\"}, boris: {principal: \"arn:aws:iam::111122223333:user/boris\"}}\n";
    yaml + "developer_groups: {all: {members: [ana], services: all}, some: {members: [ana, boris], services: [s-0, s-1], access: read-write}}\n"
}

fn service(number: usize) -> String {
    format!("s-{number}")
}

#[test]
fn pictures_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let environment = |name: &str, yaml: &str| {
        fs::create_dir_all(path(&format!("environments/{name}"))).unwrap();
        fs::write(path(&format!("environments/{name}/environment.yaml")), yaml).unwrap();
    };
    environment("local", super::ENVIRONMENT);
    environment("large", &large());
    let many: Vec<String> = (0..200).map(|number| format!("  {}: {{}}", service(number))).collect();
    let many = many.join("\n");
    environment("many", &format!("platform: {{local: {{}}}}\nclusters: {{main: {{}}}}\nservices:\n{many}\n"));
    infra(folder.path(), &["plan", "-e", "local", "-o", "plan.json"]).expect(0);
    let saved = fs::read_to_string(path("plan.json")).unwrap();
    fs::write(path("hostile.json"), hostile(&saved).to_string()).unwrap();
    let draw = |arguments: &[&str], code: i32| {
        let line: Vec<&str> = ["graph", "--format", "svg"].iter().chain(arguments).copied().collect();
        infra(folder.path(), &line).expect(code)
    };
    draw(&["-e", "local", "--plan", "-o", "live.svg"], 0);
    // What could not be read makes it an error, but it is drawn.
    draw(&["-e", "local", "--plan=hostile.json", "-o", "hostile.svg"], 1);
    draw(&["-e", "large", "-o", "large.svg"], 0);
    draw(&["-e", "many", "-o", "many.svg"], 0);
    draw(&["-e", "many", "--each", "-o", "each.svg"], 0);
    let other = draw(&["-e", "large", "--plan=plan.json"], 1).stderr;
    assert!(other.contains("is a plan of local, not of large"), "{other}");
    let long = infra(folder.path(), &["graph", "-e", "many", "--each"]).expect(0);
    assert!(long.stdout.lines().count() > 600, "{}", long.stdout);
    // What is drawn of a plan that is read now is what is drawn of it when it was saved.
    draw(&["-e", "local", "--plan=plan.json", "-o", "saved.svg"], 0);
    assert_eq!(fs::read_to_string(path("live.svg")).unwrap(), fs::read_to_string(path("saved.svg")).unwrap());
    for name in ["test", "prod"] {
        fs::copy(Path::new(ROOT).join(format!("docs/pictures/{name}.svg")), path(&format!("{name}.svg")))
            .unwrap();
    }

    let names = ["test", "prod", "local-plan", "hostile", "large", "many", "each"];
    let visits: Vec<Visit> = (names.iter())
        .map(|name| {
            let file = if *name == "local-plan" { "live" } else { name };
            Visit::to(&path(&format!("{file}.svg")))
                .evaluate("document.documentElement.tagName")
                .ask("crowded()")
                .ask("injected()")
                .ask("scripts()")
                .ask("unseen()")
                .ask("nodes()")
                .ask("nodes('.create')")
                .ask("nodes('.delete')")
                .ask("nodes('.hold')")
                .shot("light.png")
                .scheme("dark")
                .shot("dark.png")
        })
        .collect();
    let reports = browse(&visits);
    let nodes = |name: &str| -> Vec<Value> {
        let place = names.iter().position(|other| *other == name).unwrap();
        reports[place].values[5..].to_vec()
    };
    for (name, report) in names.iter().zip(&reports) {
        report.quiet(name);
        assert_eq!(json!(report.values[..5]), json!(["svg", [], 0, 0, false]), "{name}");
        let file = if *name == "local-plan" { "live" } else { name };
        let [light, dark] =
            ["light", "dark"].map(|mode| fs::read(path(&format!("{file}.{mode}.png"))).unwrap());
        assert_ne!(light, dark, "{name}");
    }
    // People, groups, services with workload and database, the replica set's, two endpoints, writer and readers, backups.
    assert_eq!(nodes("prod")[0], 5 + 3 + 8 * 3 + 1 + 2 + 3 + 1 + 2);
    assert_eq!(nodes("test")[0], 5 + 3 + 8 * 3 + 1 + 2 + 1 + 1 + 1);
    assert_eq!(nodes("prod")[1..], [json!(0), json!(0), json!(0)]);
    let created = nodes("local-plan")[1].as_u64().unwrap();
    // A person, a group, two services and their databases, the cluster, and the sign in the legend.
    assert_eq!(created, 6 + 1 + 1);
    let destroyed = nodes("hostile")[2].as_u64().unwrap();
    assert!(destroyed >= 2 && nodes("hostile")[3].as_u64().unwrap() > 0, "{destroyed}");
    assert!(HOSTILE.len() > 4);
    assert_eq!(nodes("each")[0].as_u64().unwrap(), 401);
    assert!(nodes("many")[0].as_u64().unwrap() < 10);
    keep(folder.path());
}
