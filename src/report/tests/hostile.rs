//! Names made to do harm, and plans made to be long.

use std::{collections::BTreeSet, time::Instant};

use proptest::prelude::*;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{
    super::{About, difference, json, markdown, text, text::Style},
    Thing, about, create, hold, mixed_plan, plain, plan, update, view_of,
};
use crate::{
    engine::{Action, Finding, Hold, Step},
    model::Address,
};

/// Markdown without its code spans: a run of backticks up to the next run of the same length.
pub(super) fn without_code(markdown: &str) -> String {
    let ticks = Regex::new("`+").unwrap();
    let (mut prose, mut rest) = (String::new(), markdown);
    while let Some(at) = rest.find('`') {
        prose.push_str(&rest[..at]);
        let run = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let behind = &rest[at + run..];
        match ticks.find_iter(behind).find(|found| found.len() == run) {
            Some(end) => rest = &behind[end.end()..],
            None => rest = behind,
        }
    }
    prose + rest
}

#[test]
fn hostile_names_do_nothing() {
    let hostile = "x`|\n\r\x1b[31m::error::<b>@all #1 ````\u{202e}</details>\u{9b}2J";
    let mut plan = plan(Vec::new());
    for (number, action) in [
        create(json!({hostile: hostile, "list": [hostile], "lines": format!("::error::a\n{hostile}\n  ##[group]\n```````\n")})),
        update(json!({"a": hostile, "b": "one\ntwo\n"}), json!({"a": "", "b": format!("one\n{hostile}\n::warning::\n")})),
        Action::Delete { old: Thing(json!({hostile: {hostile: [hostile]}})) },
        hold(Hold::Refused { why: hostile.into() }),
    ]
    .into_iter()
    .enumerate()
    {
        let address = Address::new("toy", &format!("{hostile}{number}"));
        plan.steps.push(Step { address, action, after: BTreeSet::new(), protected: false });
    }
    plan.unmanaged.insert(Address::new("toy", hostile));
    let finding = Finding::new("g", hostile.into(), hostile, Vec::new());
    let view = view_of(&plan, About { findings: vec![finding], environment: hostile.into(), ..about() });

    let text = text::render(&view, Style { verbose: true, ..Style::default() });
    let marked = markdown::render(&view);
    let other = difference(&view, &view_of(&mixed_plan(), about()));
    for output in [&text, &marked, &other] {
        assert!(!output.chars().any(|c| c.is_control() && c != '\n'), "{output:?}");
        assert!(!output.contains('\u{202e}'), "{output:?}");
        for line in output.lines() {
            // GitHub's runner trims before it looks for a command.
            assert!(!line.trim_start().starts_with("::") && !line.trim_start().starts_with("##["), "{line}");
        }
    }
    for line in marked.lines().filter(|line| line.starts_with("| ")) {
        assert_eq!(line.replace("\\|", "").matches('|').count(), 5, "{line}");
    }
    let (head, rest) = marked.split_once("`diff\n").unwrap();
    let fence = format!("{}`", &head[head.trim_end_matches('`').len()..]);
    let (inside, behind) = rest.split_once(&format!("\n{fence}\n")).unwrap();
    assert!(!inside.contains(&fence) && behind.starts_with("\n</details>"), "{fence} {marked}");
    let prose = without_code(head);
    assert!(!prose.contains("<b>") && !prose.contains("@all") && !prose.contains("#1"), "{prose}");
}

#[test]
fn large_plans() {
    let names: Vec<String> = (0..2_000).map(|number| format!("pg_role.main/r{number:04}")).collect();
    let steps = |share: usize| {
        let action = |number: usize| match number % share {
            0 => Action::Delete { old: Thing(json!({"login": true, "member_of": ["a", "b"]})) },
            _ => create(json!({"login": true, "member_of": ["a", "b"], "text": "a\nb\n"})),
        };
        plan(
            names.iter().enumerate().map(|(number, name)| (name.as_str(), action(number), &[][..])).collect(),
        )
    };
    let started = Instant::now();
    let view = view_of(&steps(100), about());
    let (text, comment) = (plain(&view), markdown::render(&view));
    let saved = json::render(&view).unwrap();
    assert_eq!(json::parse(&saved).unwrap(), view);
    assert!(started.elapsed().as_secs() < 20, "not linear: {:?}", started.elapsed());
    assert!(text.contains("Plan: 1980 to add, 0 to change, 20 to destroy."));
    assert!(comment.chars().count() <= 65_536);
    for change in view.resource_changes.iter().filter(|change| change.change.actions == ["delete"]) {
        assert!(comment.contains(change.address.as_str()), "{} was dropped", change.address);
    }
    let many = markdown::render(&view_of(&steps(1), about()));
    assert!(many.contains("2000 objects will be destroyed") && many.chars().count() <= 65_536);
}

fn any_value() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "a",
        "a\n",
        "a\nb",
        "a\nc\nd\n",
        "{\"x\": [1, 2]}",
        "{\"x\":[1,2]}",
        "[\"\u{1b}\"]",
        "(sensitive value)",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..3_u8).prop_map(Value::from),
        prop::sample::select(texts.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let key = prop::sample::select(vec!["id", "name", "x", "y", "a b"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_string(), value)).collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever differs is seen to differ, and what is shown of it is as well formed as its brackets.
    #[test]
    fn no_difference_goes_unseen(old in any_value(), new in any_value()) {
        let object = |value: &Value| -> Value {
            let mut map = Map::from_iter([("same".to_string(), json!([1]))]);
            if *value != Value::Null {
                map.insert("value".into(), value.clone());
            }
            map.into()
        };
        let name = Address::new("toy", "a");
        let step = |action| Step { address: name.clone(), action, after: BTreeSet::new(), protected: false };
        let mut plan = plan(Vec::new());
        plan.steps.push(step(update(object(&old), object(&new))));
        let text = plain(&view_of(&plan, about()));
        let signed = |line: &&str| ["      + ", "      ~ ", "      - "].iter().any(|sign| line.starts_with(sign));
        prop_assert_eq!(text.lines().any(|line| signed(&line)), old != new, "{}", text);
        for (open, close) in [("{", "}"), ("[", "]"), ("(", ")")] {
            let ends = |what: &str| {
                let strip = |line: &str| line.trim_end_matches(" -> null").trim_end_matches(',').to_string();
                text.lines().filter(|line| strip(line).ends_with(what)).count()
            };
            let closed = text
                .lines()
                .filter(|line| line.trim().trim_end_matches(" -> null").trim_end_matches(',') == close)
                .count();
            let opened = ends(open);
            prop_assert_eq!(opened, closed, "{} in {}", open, text);
        }
        prop_assert!(!text.contains('\x1b'));
    }
}
