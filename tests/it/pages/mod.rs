//! Pages and drawings in a real browser: what they show, what they let happen, and that a keyboard and a phone are enough.
//! `INFRA_TEST_SHOTS=DIR` keeps the pictures that were taken, for whoever wants to look.

mod browser;
mod drawings;
mod matrix;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use browser::{Visit, browse};
use serde_json::{Value, json};

use crate::support::sandbox::{Ran, binary, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Texts that would do something if any of them got out of its place.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</script></style></title></svg></details><script>alert(1)</script>",
    "a\u{202e}gnp.exe\u{200b}\u{2066}",
    "'\" onmouseover='alert(1)' x=\"",
    "`](javascript:alert(1)) --> %% #quot; &lt;b&gt; {{7*7}} ${x}",
    "line\none\r\n\u{1b}[31m\u{0}",
    "]]>\\N\\l\"; end\nclick n0 call alert(1)",
];

/// The binary in a folder, with nothing of this process's environment.
fn infra(folder: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(binary());
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder);
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    run(command)
}

fn change(address: &str, actions: &[&str], before: &Value, after: &Value) -> Value {
    let (kind, name) = address.split_once('.').unwrap();
    json!({
        "address": address, "type": kind, "name": name, "reason": format!("why `{name}`"), "costs": ["a restart"],
        "change": {"actions": actions, "before": before, "after": after, "after_unknown": {}, "replace_paths": []},
        "effects": [format!("SQL of {name}"), "two\nlines"], "after": ["aurora_cluster.main"],
    })
}

/// A saved plan in which all that can stand in one does, with hostile texts wherever a text can stand.
fn hostile(of: &str) -> Value {
    let mut plan: Value = serde_json::from_str(of).unwrap();
    let objects: serde_json::Map<String, Value> =
        HOSTILE.iter().map(|text| ((*text).to_owned(), json!([text, {"inner": text}]))).collect();
    let (old, new) = (Value::Object(objects.clone()), json!({"x": HOSTILE.join("\n"), "y": HOSTILE[0]}));
    let mut changes = vec![
        change("pg_role.main/dev_boris", &["delete"], &json!({"login": true}), &Value::Null),
        change(
            "aurora_cluster.main",
            &["update"],
            &json!({"readers": 1, "same": 1}),
            &json!({"readers": 2, "same": 1}),
        ),
    ];
    for (number, text) in HOSTILE.iter().enumerate() {
        let actions: &[&str] = [&["delete"][..], &["delete", "create"], &["update"], &["create"]][number % 4];
        let before = if actions == ["create"] { &Value::Null } else { &old };
        let after = if actions == ["delete"] { &Value::Null } else { &new };
        changes.push(change(&format!("toy.{number}{text}"), actions, before, after));
    }
    let addresses: Vec<&Value> = changes.iter().map(|change| &change["address"]).collect();
    let held: Vec<Value> = (HOSTILE.iter().enumerate())
        .map(|(number, text)| {
            let reason = if number % 2 == 0 { "unreadable" } else { text };
            json!({"address": format!("held.{text}"), "reason": reason, "message": text})
        })
        .collect();
    let guards: Vec<Value> = (HOSTILE.iter())
        .map(|text| json!({"guard": text, "message": text, "hint": text, "addresses": ["pg_role.main/dev_boris"]}))
        .collect();
    plan["notes"] =
        HOSTILE.iter().map(|text| json!({"address": format!("toy.{text}"), "message": text})).collect();
    plan["unmanaged"] = HOSTILE.iter().map(|text| json!(format!("toy.{text}"))).collect();
    plan["unmanaged_counts"] =
        HOSTILE.iter().map(|text| ((*text).to_owned(), json!(1))).collect::<serde_json::Map<_, _>>().into();
    plan["options"] = json!({"targets": HOSTILE, "excludes": HOSTILE, "destroy": false});
    plan["infra_version"] = json!(HOSTILE[2]);
    plan["order"] = json!(addresses);
    (plan["held"], plan["guards"], plan["protect"]) = (json!(held), json!(guards), json!(true));
    plan["resource_changes"] = json!(changes);
    plan
}

/// How many of a plan have this verdict.
fn number(plan: &Value, actions: &[&str]) -> usize {
    let changes = plan["resource_changes"].as_array().unwrap();
    changes.iter().filter(|change| change["change"]["actions"] == json!(actions)).count()
}

const ENVIRONMENT: &str = "platform: {local: {}}\nclusters: {main: {}}\nservices: {orders: {extensions: [pgcrypto]}, billing: {}}\n\
                           people: {ana: {}}\ndeveloper_groups: {backend: {members: [ana], services: all}}\n";

#[test]
fn a_plan_as_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("environments/local")).unwrap();
    fs::write(path("environments/local/environment.yaml"), ENVIRONMENT).unwrap();
    infra(folder.path(), &["plan", "-e", "local", "-o", "plan.json", "--html", "plan.html"]).expect(0);
    let saved = fs::read_to_string(path("plan.json")).unwrap();
    let plan: Value = serde_json::from_str(&saved).unwrap();
    let planned = hostile(&saved);
    fs::write(path("hostile.json"), planned.to_string()).unwrap();
    infra(folder.path(), &["show", "hostile.json", "--html", "hostile.html"]).expect(0);
    let named = |name: &str| {
        let mut other = planned.clone();
        other["environment"] = json!(name);
        fs::write(path("named.json"), other.to_string()).unwrap();
        infra(folder.path(), &["show", "named.json", "--html", "named.html"]).expect(0);
    };
    named(HOSTILE[2]);
    // Whole or not at all, and nothing is left beside it; a pipe is written into.
    let leftover = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".new");
    assert!(!fs::read_dir(folder.path()).unwrap().map(Result::unwrap).any(|entry| leftover(&entry)));
    infra(folder.path(), &["show", "plan.json", "--html", "nowhere/plan.html"]).expect(1);
    infra(folder.path(), &["show", "plan.json", "--html", "/dev/null"]).expect(0);
    infra(folder.path(), &["show", "--html", "x.html"]).expect(1);
    let printed = infra(folder.path(), &["show", "plan.json", "--html", "-"]).expect(0).stdout;
    assert_eq!(printed, fs::read_to_string(path("plan.html")).unwrap());

    let whole = |visit: Visit| {
        visit
            .ask("injected()")
            .ask("scripts()")
            .ask("unseen()")
            .ask("unnamed()")
            .ask("dangling()")
            .ask("twice()")
    };
    let kinds = ["delete", "replace", "update", "create", "hold"];
    let shown = |visit: Visit| kinds.iter().fold(visit, |visit, kind| visit.ask(&format!("shown('{kind}')")));
    let visits = [
        whole(shown(Visit::to(&path("plan.html")))),
        whole(shown(Visit::to(&path("hostile.html"))))
            .ask("contrast()").ask("ground()").shot("light.png")
            .scheme("dark").ask("contrast()").ask("ground()").shot("dark.png"),
        whole(Visit::to(&path("named.html"))).evaluate("document.title"),
        // With a keyboard alone: to the search, over filters, buttons and links, to a change, and into it.
        Visit::to(&path("hostile.html"))
            .press("/", 1).ask("focus()").write("readers").ask("shown('update')").ask("shown('delete')").ask("shown('hold')")
            .evaluate("document.querySelector('#shown').textContent")
            .press("Tab", 5 + 2 + HOSTILE.len() + 1).ask("focus()").ask("outlined()").ask("open()")
            .press("Enter", 1).evaluate("document.activeElement.closest('details').open")
            .press("Escape", 1).ask("shown('delete')"),
        // With a pointer: filters, folding, the theme; and what a link does to what is hidden.
        Visit::to(&path("hostile.html"))
            .evaluate("document.querySelector('[data-filter=update]').click()").ask("shown('update')").ask("shown('delete')")
            .evaluate("location.hash = '#pg_role.main/dev_boris'; new Promise(done => setTimeout(() => done(document.getElementById('pg_role.main/dev_boris').checkVisibility()), 50))")
            .evaluate("document.querySelector('#unfold').click()").ask("open()")
            .evaluate("document.querySelector('#fold').click()").ask("open()")
            .evaluate("dispatchEvent(new Event('beforeprint'))").ask("open()")
            .evaluate("dispatchEvent(new Event('afterprint'))").ask("open()")
            .evaluate("document.querySelector('#theme').click()").ask("ground()"),
        Visit::to(&path("hostile.html")).size(375, 800).ask("wide()").evaluate("document.querySelector('#unfold').click()").ask("wide()").shot("phone.png"),
        Visit::to(&path("plan.html")).write("").press("/", 1).write("nothing is called so").evaluate("!document.querySelector('#nothing').hidden"),
    ];
    let reports = browse(&visits);
    for (number, report) in reports.iter().enumerate() {
        report.quiet(&format!("visit {number}"));
    }
    let sound = json!([0, 1, false, 0, [], 0]);
    let counts = |plan: &Value| {
        let of = |actions: &[&str]| number(plan, actions);
        json!([
            of(&["delete"]),
            of(&["delete", "create"]),
            of(&["update"]),
            of(&["create"]),
            plan["held"].as_array().unwrap().len()
        ])
    };
    let values = |number: usize| &reports[number].values[..];
    assert_eq!((json!(values(0)[..5]), json!(values(0)[5..])), (counts(&plan), sound.clone()));
    assert!(number(&plan, &["create"]) > 20);
    assert_eq!((json!(values(1)[..5]), json!(values(1)[5..11])), (counts(&planned), sound.clone()));
    assert_eq!(json!(values(2)[..6]), sound);
    assert!(
        values(2)[6].as_str().unwrap().starts_with("</script></style></title></svg>"),
        "{:?}",
        values(2)[6]
    );
    for contrast in [&values(1)[11], &values(1)[13]] {
        assert!(contrast[0].as_f64().unwrap() >= 4.5, "{contrast}");
    }
    assert_ne!(values(1)[12], values(1)[14], "the same ground in light and dark");
    assert_ne!(fs::read(path("hostile.light.png")).unwrap(), fs::read(path("hostile.dark.png")).unwrap());
    let deleted = number(&planned, &["delete"]);
    let total = planned["resource_changes"].as_array().unwrap().len();
    let held = planned["held"].as_array().unwrap().len();
    assert_eq!(values(3)[0], "search");
    let all = total + held;
    assert_eq!(json!(values(3)[1..5]), json!([1, 0, 0, format!("1 of {all} objects shown")]));
    assert_eq!(values(3)[6], true, "the focus cannot be seen");
    assert_eq!(values(3)[8], true, "Enter opens no change: {:?}", values(3));
    assert_eq!(values(3)[9], deleted);
    assert_eq!(values(3)[5], "aurora_cluster.main", "another has the focus");
    assert_eq!(json!(values(4)[..5]), json!([null, number(&planned, &["update"]), 0, true, null]));
    // All unfolded, all folded, all on paper, and as before.
    assert_eq!(
        json!([&values(4)[5], &values(4)[7], &values(4)[9], &values(4)[11]]),
        json!([total, 0, total, 0])
    );
    assert_eq!(values(4)[13], values(1)[14], "the theme is not dark");
    assert_eq!(json!(values(5)), json!([0, null, 0]), "a phone has to be scrolled sideways");
    assert_eq!(json!(values(6)), json!([true]));
    keep(folder.path());
}

/// Keeps the pictures, if somebody wants them.
fn keep(folder: &Path) {
    let Some(into) = std::env::var_os("INFRA_TEST_SHOTS") else { return };
    fs::create_dir_all(&into).unwrap();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().extension().is_some_and(|ending| ending == "png") {
            fs::copy(entry.path(), Path::new(&into).join(entry.file_name())).unwrap();
        }
    }
}
