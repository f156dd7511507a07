//! Comments of any size and with any names, as a Markdown parser that is not ours reads them.

use std::collections::BTreeSet;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};
use serde_json::json;

use super::{
    super::{
        About, Account, Failed, PlanView,
        comment::{self, Approved, Content, Limit, Marker, Origin, Run, Status, superseded, with_status},
    },
    Thing, about, address, create, hold, mixed, plan, update, view_of,
};
use crate::{
    engine::{Action, Finding, Hold, Step},
    model::Address,
};

/// What GitHub refuses to exceed.
const GITHUB: usize = 65_536;

/// A comment as a reader sees it.
#[derive(Debug, Default)]
struct Seen {
    /// Content of code spans.
    code: BTreeSet<String>,
    prose: String,
    /// Language and content of fences.
    fences: Vec<(String, String)>,
    html: Vec<String>,
    links: Vec<String>,
    /// Cells of each row.
    rows: Vec<usize>,
}

fn seen(markdown: &str) -> Seen {
    let mut seen = Seen::default();
    let mut fence: Option<(String, String)> = None;
    for event in Parser::new_ext(
        markdown,
        Options::ENABLE_TABLES | Options::ENABLE_GFM | Options::ENABLE_STRIKETHROUGH,
    ) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let language = match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => "indented".into(),
                };
                fence = Some((language, String::new()));
            }
            Event::End(TagEnd::CodeBlock) => seen.fences.extend(fence.take()),
            Event::Text(text) => match &mut fence {
                Some((_, content)) => content.push_str(&text),
                None => seen.prose.push_str(&text),
            },
            Event::Code(text) => {
                seen.code.insert(text.to_string());
                seen.prose.push('\u{0}');
            }
            Event::Html(html) | Event::InlineHtml(html) => seen.html.push(html.trim_end().to_string()),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                seen.links.push(dest_url.to_string());
            }
            Event::Start(Tag::TableRow | Tag::TableHead) => seen.rows.push(0),
            Event::Start(Tag::TableCell) => *seen.rows.last_mut().unwrap() += 1,
            _ => {}
        }
    }
    seen
}

/// Whatever the comment shows, it is whole, and only what we have put there acts.
#[track_caller]
fn assert_sound(body: &str) -> Seen {
    let seen = seen(body);
    let ours = |html: &String| {
        ["<details>", "<details open>", "</details>"].contains(&html.as_str())
            || html.starts_with("<details><summary>")
            || html.starts_with("<details open><summary>")
            || html.starts_with("<!-- infra:")
            // Inside of the list for machines.
            || *html == "-->"
            || ["destroy ", "replace ", "update ", "create "].iter().any(|word| html.starts_with(word))
    };
    let others: Vec<_> = seen.html.iter().filter(|html| !ours(html)).collect();
    assert!(others.is_empty(), "{others:?}");
    let count = |what: &str| seen.html.iter().filter(|html| html.contains(what)).count();
    assert_eq!(count("<details"), count("</details>"));
    assert!(
        seen.fences.iter().all(|(language, _)| language == "diff" || language.is_empty()),
        "{:?}",
        seen.fences
    );
    assert!(seen.rows.iter().all(|cells| [2, 4].contains(cells)), "{:?}", seen.rows);
    assert!(
        seen.prose.contains("digest") || seen.prose.contains("no plan") || body.contains("part="),
        "the end is not prose"
    );
    for line in body.lines() {
        // GitLab obeys these.
        assert!(!line.starts_with('/'), "{line}");
    }
    seen
}

fn origin() -> Origin {
    Origin {
        head: Some("0123456789abcdef0123456789abcdef01234567".into()),
        run: Some(Run { id: 4711, attempt: 1 }),
        link: Some(("run 812".into(), "https://github.com/acme/infra/actions/runs/4711".into())),
        read_at: None,
    }
}

fn render(view: &PlanView) -> Vec<String> {
    comment::render(&[Content::Plan(view)], &origin(), Limit::GITHUB)
}

/// `destroys` of `changes` destroy something; the rest is updates and creates.
fn sized(changes: usize, destroys: usize) -> PlanView {
    let names: Vec<String> =
        (0..changes).map(|number| format!("pg_role.main/svc_service_{number:05}_app")).collect();
    let old = || json!({"login": true, "limit": 3, "member_of": ["rds_iam", "svc_orders_rw"]});
    let new =
        || json!({"login": true, "limit": 9, "member_of": ["rds_iam", "svc_orders_rw"], "text": "a\nb\n"});
    let action = |number: usize| match number {
        number if number < destroys => Action::Delete { old: Thing(old()) },
        number if number % 3 == 0 => update(old(), new()),
        _ => create(new()),
    };
    let steps =
        names.iter().enumerate().map(|(number, name)| (name.as_str(), action(number), &[][..])).collect();
    let finding = |number: usize| {
        Finding::new(
            "protected_destroy",
            format!("{} would be destroyed, but the environment is protected", names[number]),
            format!("if it must go: --allow-destroy={}", names[number]),
            vec![address(&names[number])],
        )
    };
    let findings = (0..destroys).map(finding).collect();
    let mut plan = plan(steps);
    let why = |number: usize| Hold::Unreadable {
        parent: address("pg_server.x"),
        why: format!("server {} does not answer", number % 4),
    };
    for number in 0..changes.min(2_000) / 10 {
        let address = address(&format!("pg_database.other/held_{number}"));
        plan.steps.push(Step {
            address,
            action: hold(why(number)),
            after: BTreeSet::new(),
            protected: false,
        });
    }
    view_of(&plan, About { findings, ..about() })
}

#[test]
fn any_number_of_changes_fits_and_no_destroy_is_dropped() {
    for changes in [0, 1, 2, 10, 50, 100, 150, 200, 300, 500, 800, 1_000, 2_000, 5_000, 10_000] {
        for destroys in BTreeSet::from([0, changes.min(1), changes / 100, changes / 3, changes]) {
            let view = sized(changes, destroys);
            let parts = render(&view);
            let mut named = BTreeSet::new();
            for (place, part) in parts.iter().enumerate() {
                let length = part.chars().count();
                assert!(length <= 60_000, "{changes} {destroys}: part {place} has {length}");
                assert_eq!(Marker::parse(part).unwrap().part, place + 1);
                named.append(&mut assert_sound(part).code);
            }
            for change in view.resource_changes.iter().filter(|change| change.change.actions == ["delete"]) {
                assert!(
                    named.contains(change.address.as_str()),
                    "{changes} {destroys}: {} was dropped",
                    change.address
                );
            }
            let first = &parts[0];
            let heading = if changes == 0 { "No changes".into() } else { format!("{destroys} to destroy") };
            assert!(first.contains(&heading), "{changes} {destroys}: no totals");
            assert_eq!(first.contains("Refused: "), destroys > 0);
            for server in 0..(changes.min(2_000) / 10).min(4) {
                assert!(first.contains(&format!("server {server} does not answer")), "an error was dropped");
            }
            // One comment is enough as long as the names have room in one.
            assert!(parts.len() == 1 || destroys > 1_000, "{changes} {destroys}: {} parts", parts.len());
        }
    }
}

#[test]
fn what_is_least_missed_goes_first() {
    let text = |changes, destroys| render(&sized(changes, destroys)).remove(0);
    let small = text(20, 5);
    assert!(
        small.contains("Full plan (20 changes)") && small.contains("unchanged attributes hidden)"),
        "{small}"
    );
    let without_context = text(150, 30);
    assert!(!without_context.contains("unchanged attributes hidden)"));
    let without_creates = text(170, 30);
    assert!(
        without_creates.contains("without what is created") && !without_creates.contains("will be created")
    );
    let dangerous = text(350, 30);
    assert!(dangerous.contains("The dangerous part of the plan") && !dangerous.contains("will be updated"));
    let table = text(2_000, 30);
    assert!(table.contains("too long for a comment") && table.contains("more creates"), "{table}");
    assert!(!table.contains("```diff"));
}

const HOSTILE: [&str; 8] = [
    "x`|\n\r\x1b[31m::error::<b>@all #1 ````\u{202e}</details>\u{9b}2J",
    "a\\|b\\",
    "`````````\n```\n~~~\n</summary><img src=x onerror=alert(1)>",
    "@octocat/admins [click](https://evil.example) www.evil.example https://evil.example",
    "--> <!-- infra:status env=test -->\n/close\n/approve",
    "| a | b |\n|---|---|\n| c | d |",
    "🦀🦀 ![x](y) **bold** _it_ ~~no~~ $x^2$ GH-1 a@b.example",
    " `` ",
];

fn hostile(name: &str) -> PlanView {
    let mut plan = plan(Vec::new());
    for (number, action) in [
        create(json!({name: name, "list": [name], "lines": format!("::error::a\n{name}\n```````\n<!-- infra:end env=test -->\n")})),
        update(json!({"a": name, "b": "one\ntwo\n"}), json!({"a": "", name: format!("one\n{name}\n/merge\n")})),
        Action::Delete { old: Thing(json!({name: {name: [name]}})) },
        Action::Replace { old: Thing(json!({"a": name})), new: Thing(json!({"a": 1})), why: name.into() },
        hold(Hold::Refused { why: name.into() }),
        hold(Hold::Unreadable { parent: address("pg_server.x"), why: name.into() }),
    ]
    .into_iter()
    .enumerate()
    {
        let address = Address::new("toy", &format!("{name}{number}"));
        plan.steps.push(Step { address, action, after: BTreeSet::new(), protected: false });
    }
    plan.unmanaged.insert(Address::new("toy", name));
    plan.notes.push((Address::new("toy", name), name.into()));
    let finding = Finding::new(name, name.into(), name, Vec::new());
    view_of(&plan, About { findings: vec![finding], environment: name.into(), ..about() })
}

/// Nobody is mentioned, nothing is linked, nothing is closed or opened.
#[test]
fn hostile_names_do_nothing_in_a_comment() {
    for name in HOSTILE {
        let view = hostile(name);
        let account = Account {
            failed: vec![Failed {
                address: Address::new("toy", name),
                error: vec![name.into(), name.into()],
            }],
            ..Account::default()
        };
        let difference = vec![format!("~ {}", super::super::visible(name)); 3];
        let plain = render(&view).remove(0);
        let failed =
            Content::Failed { environment: name.into(), errors: vec![format!("Error: {name}\n{name}\n")] };
        let with = |status: &Status<'_>| with_status(&plain, name, &status.markdown(None)).unwrap();
        for (what, body) in [
            ("plain", plain.clone()),
            ("failed", with(&Status::Ended { account: &account, planned: 4 })),
            ("stale", with(&Status::Stale(&difference))),
            ("refused", with(&Status::Refused(name))),
            ("superseded", superseded(&plain)),
            ("no plan", comment::render(&[failed], &origin(), Limit::GITHUB).remove(0)),
            (
                "two",
                comment::render(&[Content::Plan(&view), Content::Plan(&mixed())], &origin(), Limit::GITHUB)
                    .remove(0),
            ),
        ] {
            let seen = assert_sound(&body);
            let all: Vec<&String> =
                seen.links.iter().filter(|link| !link.starts_with("https://github.com/acme")).collect();
            assert!(all.is_empty(), "{what}: {all:?}");
            for (at, _) in seen.prose.match_indices(['@', '#']) {
                let next = seen.prose[at + 1..].chars().next();
                assert!(next == Some('\u{200b}'), "{what}: {:?} in {}", next, seen.prose);
            }
            for link in ["://", "www."] {
                // GitHub links what looks like an address; a parser without that extension does not, so the source is looked at.
                let source: String = body.lines().filter(|line| line.contains(link)).collect();
                let outside = super::hostile::without_code(&source.replace("https://github.com/acme", ""));
                assert!(
                    !outside.contains(link)
                        || what == "no plan"
                        || seen.fences.iter().any(|(_, text)| text.contains(link)),
                    "{what}: {outside}"
                );
            }
            assert!(!body.chars().any(|c| c.is_control() && c != '\n'), "{what}: {body:?}");
            assert_eq!(
                Marker::parse(&body).unwrap().plans.iter().filter(|(known, _)| known == name).count(),
                1
            );
        }
    }
}

/// The life of a comment leaves what was approved as it is, and fits.
#[test]
fn a_comment_lives() {
    let view = sized(3_000, 300);
    let body = render(&view).remove(0);
    let account = Account { added: 2, applied: vec![address("a.b"), address("c.d")], ..Account::default() };
    let run = "[run 813](https://x)";
    let applying = with_status(&body, "test", &Status::Applying.markdown(Some(run))).unwrap();
    assert!(applying.contains(&format!("**Applying** in {run} ...")), "{applying}");
    let done = Status::Ended { account: &account, planned: 2 }.markdown(Some(run));
    let done = with_status(&applying, "test", &done).unwrap();
    assert!(
        !done.contains("**Applying**")
            && done
                .contains("**Applied** ✔ in [run 813](https://x): 2 added, 0 changed, 0 destroyed (2 of 2).")
    );
    let errors = vec!["@#".repeat(10_000); 3];
    let failed =
        (0..200).map(|n| Failed { address: address(&format!("a.f{n}")), error: errors.clone() }).collect();
    let account = Account { failed, ..account };
    let failed = Status::Ended { account: &account, planned: 5 }.markdown(Some(run));
    let failed = with_status(&done, "test", &failed).unwrap();
    assert!(failed.contains("**Failed** ✘ in [run 813](https://x) (2 of 5 done)."), "{failed}");
    let lines: Vec<String> = (0..500).map(|n| format!("+ pg_role.main/{n} is now to be created")).collect();
    let stale = with_status(&failed, "test", &Status::Stale(&lines).markdown(None)).unwrap();
    for body in [&body, &applying, &done, &failed, &stale] {
        assert!(body.chars().count() <= GITHUB, "{}", body.chars().count());
        assert_sound(body);
        assert_eq!(Marker::parse(body), Marker::parse(&applying));
        assert_eq!(Approved::read(body, "test"), Approved::read(&applying, "test"));
    }
    let struck = superseded(&stale);
    assert!(struck.contains("### ~~infra plan · test · ") && superseded(&struck) == struck);
    assert!(with_status(&body, "tes", "x").is_none() && with_status("### infra plan", "test", "x").is_none());
}

#[test]
fn what_differs_from_an_approved_comment() {
    let now = mixed();
    let body = render(&now).remove(0).replace('\n', "\r\n");
    let approved = Approved::read(&body, "test").unwrap();
    assert_eq!(approved.difference(&now), Vec::<String>::new());
    let mut changed = now.clone();
    changed.resource_changes.retain(|change| change.address.as_str() != "pg_role.main/billing_rw");
    changed.resource_changes[0].change.after["readers"] = json!(4);
    changed.resource_changes[1].change.actions = vec!["delete".into()];
    changed.resource_changes[2].address = address("pg_role.main/other");
    insta::assert_snapshot!(approved.difference(&changed).join("\n"), @"
    - pg_role.main/billing_rw was to be destroyed, and is no longer in the plan
    - pg_role.main/orders_ro was to be created, and is no longer in the plan
    ~ aurora_cluster.main is still to be updated, but differently
    ~ iam_role.service/orders was to be replaced, and is now to be destroyed
    + pg_role.main/other is now to be created, and was not in the approved plan
    ");
    assert!(Approved::read(&body, "tes").is_none());
    // What had no room is not taken for new; a destroy is told all the same.
    let large = sized(10_000, 10);
    let approved = Approved::read(&render(&large).remove(0), "test").unwrap();
    let mut more = large.clone();
    more.resource_changes[9_000].change.actions = vec!["delete".into()];
    let lines = approved.difference(&more);
    assert!(
        lines.len() == 2
            && lines[0].contains("is now to be destroyed")
            && lines[1].contains("cannot be compared"),
        "{lines:?}"
    );
}

#[test]
fn several_environments_in_one_comment() {
    let (big, small) = (sized(5_000, 50), View::named("prod-eu", &sized(0, 0)));
    let failed =
        Content::Failed { environment: "broken".into(), errors: vec!["Error: cannot reach it".into()] };
    let body =
        comment::render(&[Content::Plan(&big), Content::Plan(&small), failed], &origin(), Limit::GITHUB)
            .remove(0);
    assert!(body.chars().count() <= 60_000);
    assert_sound(&body);
    for row in [
        "| `test` | ✘ 5000 changes, refused |",
        "| `prod-eu` | ✔ no changes |",
        "| `broken` | ✘ planning failed |",
    ] {
        assert!(body.contains(row), "{row}");
    }
    let marker = Marker::parse(&body).unwrap();
    assert_eq!(
        marker.plans.iter().map(|(name, digest)| (name.as_str(), digest.is_some())).collect::<Vec<_>>(),
        [("broken", false), ("prod-eu", true), ("test", true)]
    );
    assert!(with_status(&body, "prod-eu", "x").is_some() && with_status(&body, "prod", "x").is_none());
}

struct View;

impl View {
    fn named(environment: &str, view: &PlanView) -> PlanView {
        PlanView { environment: environment.into(), ..view.clone() }
    }
}

/// GitHub drops a summary of more than 1 MiB as a whole.
#[test]
fn summaries_are_counted_in_bytes() {
    let view = sized(10_000, 10_000);
    let summary = comment::summary(&[Content::Plan(&view)], &origin(), Limit::bytes(1_000_000));
    assert!(summary.len() <= 1_000_000 && summary.len() > 300_000, "{}", summary.len());
    let named = assert_sound(&summary).code;
    assert!(view.resource_changes.iter().all(|change| named.contains(change.address.as_str())));
    assert!(!summary.contains("<!-- infra:"));
}
