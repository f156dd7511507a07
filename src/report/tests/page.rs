//! A plan as a page: what a browser is not needed for.

use std::borrow::Cow;

use regex::Regex;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    super::{PlanView, page},
    about, create, everything_late, mixed, plan, view_of,
};

fn rendered(view: &PlanView) -> String {
    page::plan(view).render(|text| Cow::Borrowed(text))
}

/// The policy names the very style and script that the page has, and nothing else may run or be loaded.
#[test]
fn the_policy_names_what_runs() {
    let page = rendered(&mixed());
    let policy = Regex::new("http-equiv=\"Content-Security-Policy\" content=\"([^\"]*)\"").unwrap();
    let policy = policy.captures(&page).unwrap()[1].to_owned();
    for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
        let (open, close) = (format!("<{element}>"), format!("</{element}>"));
        assert_eq!(page.matches(&open).count(), 1, "{element}");
        let content = page.split_once(&open).unwrap().1.split_once(&close).unwrap().0;
        let hash = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, Sha256::digest(content));
        assert!(policy.contains(&format!("{directive} 'sha256-{hash}';")), "{policy}");
    }
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
    // Attributes that a policy would block, and addresses that it would not let be loaded.
    assert!(
        !page.contains(" style=")
            && !page.contains("https://")
            && !Regex::new(" on[a-z]+=").unwrap().is_match(&page)
    );
}

#[test]
fn risk_comes_first_and_nothing_is_left_out() {
    let view = mixed();
    let page = rendered(&view);
    let order = [
        "Refused to be applied as is",
        "id=\"delete\"",
        "id=\"replace\"",
        "id=\"update\"",
        "id=\"create\"",
        "id=\"hold\"",
    ];
    let places: Vec<usize> =
        order.iter().map(|what| page.find(what).unwrap_or_else(|| panic!("no {what}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    // As on a terminal, to the letter.
    assert!(
        page.contains(
            "Plan: 2 to add, 1 to change, 2 to destroy. (1 replacement is counted in add and destroy)"
        ),
        "{page}"
    );
    assert!(page.contains(&format!("sha256:{}", view.digest)));
    assert_eq!(page.matches("<details class=\"change").count(), view.resource_changes.len());
    assert_eq!(page.matches("data-kind=\"hold\"").count(), view.held.len());
    for line in
        ["-&gt; null", "forces replacement", "(known after apply)", "(sensitive value)", "ALTER SOMETHING"]
    {
        assert!(page.contains(line), "{line}");
    }
    assert!(rendered(&everything_late()).contains("(known after apply)"));
    let nothing = rendered(&view_of(&plan(Vec::new()), about()));
    assert!(
        nothing.contains("No changes. Your infrastructure matches the configuration.")
            && !nothing.contains("<details class")
    );
}

/// What is masked is masked in the page, and the script that the policy names stays what it is.
#[test]
fn masks_see_names_and_not_the_script() {
    let secret = plan(vec![("pg_role.main/acme", create(json!({"text": "const one"})), &[])]);
    let page = page::plan(&view_of(&secret, about()))
        .render(|text| text.replace("acme", "***").replace("const", "***").into());
    assert!(!page.contains("acme") && page.contains("***") && page.contains("const one = (selector)"));
}
