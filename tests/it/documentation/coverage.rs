//! Nothing on any page is only said: commands are run, links lead somewhere, YAML is what the schema allows.
//!
//! New pages are found by themselves; the message of the test that fails says what they lack.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use super::{
    ROOT,
    markdown::{Block, Page, pages},
    not_run::NOT_RUN,
};

/// Languages whose blocks are for looking at.
const SHOWN: [&str; 9] = ["text", "js", "sql", "diff", "mermaid", "html", "csv", "toml", "rust"];

/// The pages of which a test runs the commands: `shows_what_happens("docs/aws.md", ...)`.
fn pages_that_run() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(ROOT).join("tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("coverage.rs")
            {
                let text = fs::read_to_string(path).unwrap();
                let calls = text.split("shows_what_happens(").skip(1);
                let named =
                    |call: &str| Some(call.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned());
                found.extend(calls.filter_map(named));
            }
        }
    }
    found
}

/// Whether the block stands in the list of those that are not run.
pub(crate) fn is_not_run(page: &str, block: &str) -> bool {
    let first = first_command(block);
    NOT_RUN.iter().any(|(of, begins, _)| *of == page && first.starts_with(begins))
}

fn first_command(block: &str) -> &str {
    block.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default()
}

/// What is wrong with the blocks of one page.
fn problems(page: &Page, runs: &BTreeSet<String>) -> Vec<String> {
    let runner = format!(
        "write a test like those in tests/it/documentation.rs, which calls shows_what_happens(\"{}\", ...)",
        page.path
    );
    let mut found = Vec::new();
    for block in &page.blocks {
        let mut say = |what: String| found.push(format!("{}:{}: {what}", page.path, block.line));
        match &*block.language {
            "console" | "sh" if block.indented => {
                say("put this block at the beginning of its lines: here nobody runs it".into());
            }
            "console" if !runs.contains(&page.path) => {
                say(format!("nobody runs this `console` block: {runner}"));
            }
            "sh" if is_not_run(&page.path, &block.text) => {
                for line in block.text.lines().filter(|line| !understood(line)) {
                    say(format!("`infra` does not understand: {line}"));
                }
            }
            "sh" if !runs.contains(&page.path) => say(format!(
                "nobody runs this `sh` block: {runner}; or name it in tests/it/documentation/not_run.rs with the reason"
            )),
            "console" | "yaml" | "sh" => {}
            "json" if parses_as_json(&block.text) => {}
            "json" => say("this is no JSON".into()),
            "" => say("say what the block is, after its fence: sh, console, yaml, json, text".into()),
            shown if SHOWN.contains(&shown) => {}
            other => say(format!("`{other}` blocks are not known here: tests/it/documentation/coverage.rs")),
        }
    }
    found
}

/// A whole document, or a member of one.
fn parses_as_json(text: &str) -> bool {
    let parses = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    parses(text) || parses(&format!("{{{text}}}"))
}

/// Whether a line is nothing for `infra`, or something that it can parse.
fn understood(line: &str) -> bool {
    let Some(line) = line.trim().strip_prefix("infra ") else { return true };
    let typed = line.split(" #").next().unwrap().split('|').next().unwrap();
    let words = typed.split_whitespace().map(|word| OsString::from(word.trim_matches(['"', '\''])));
    infra::cli::parse(std::iter::once("infra".into()).chain(words)).is_ok()
}

#[test]
fn every_block_is_run_or_says_why_not() {
    let (pages, runs) = (pages(Path::new(ROOT)), pages_that_run());
    let mut found: Vec<String> = pages.iter().flat_map(|page| problems(page, &runs)).collect();
    let there = |page: &str, begins: &str| {
        pages
            .iter()
            .filter(|there| there.path == page)
            .flat_map(|page| &page.blocks)
            .any(|block: &Block| block.language == "sh" && first_command(&block.text).starts_with(begins))
    };
    let stale = NOT_RUN.iter().filter(|(page, begins, _)| !there(page, begins));
    found.extend(
        stale.map(|(page, begins, _)| format!("not_run.rs: {page} has no block that begins with `{begins}`")),
    );
    for run in &runs {
        if !pages.iter().any(|page| page.path == *run) {
            found.push(format!("a test runs {run}, which is no page"));
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    assert!(pages.len() > 10 && runs.len() > 4, "{pages:?} {runs:?}");
}

#[test]
fn a_block_that_nobody_runs_would_be_seen() {
    let text = "```sh\ninfra plam\n```\n```console\n$ infra plan\n```\n```\nx\n```\n```bash\nx\n```\n```json\n{a}\n```\n";
    let page = Page::parse("docs/new.md", text);
    let found = problems(&page, &BTreeSet::new());
    for (number, expected) in [
        ("1", "nobody runs this `sh`"),
        ("4", "this `console`"),
        ("7", "say what"),
        ("10", "`bash`"),
        ("13", "no JSON"),
    ] {
        let line = found.iter().find(|line| line.starts_with(&format!("docs/new.md:{number}:"))).unwrap();
        assert!(line.contains(expected), "{line}");
    }
    assert_eq!(found.len(), 5);
    let listed = Page::parse("docs/new.md", "- a\n  ```sh\n  ls\n  ```\n");
    assert!(problems(&listed, &[listed.path.clone()].into())[0].contains("at the beginning"));
    assert!(problems(&page, &[page.path.clone()].into()).len() == 3);
    assert!(
        !understood("infra plam") && understood("infra plan -e prod --comment   # plans") && understood("ls")
    );
}

/// Where a link leads that does not lead anywhere.
fn dead(page: &Page, link: &str, all: &[Page]) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("http://") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() {
        PathBuf::from(&page.path)
    } else {
        let mut target = PathBuf::from(&page.path);
        target.pop();
        for part in Path::new(path).components() {
            match part {
                Component::ParentDir => _ = target.pop(),
                Component::Normal(name) => target.push(name),
                _ => return Some(format!("`{link}` is not relative to the page")),
            }
        }
        target
    };
    if !Path::new(ROOT).join(&target).exists() {
        return Some(format!("`{link}` leads to {}, which is not there", target.display()));
    }
    let anchor = anchor?;
    let there = all.iter().find(|page| Path::new(&page.path) == target).map(|page| &page.anchors);
    let anchors = there.into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
    (!anchors.contains(&anchor))
        .then(|| format!("`{link}`: no such heading; there are {}", anchors.join(", ")))
}

#[test]
fn every_link_leads_somewhere() {
    let all = pages(Path::new(ROOT));
    let of = |page: &Page| -> Vec<String> {
        let said = |(link, line): &(String, usize)| {
            Some(format!("{}:{line}: {}", page.path, dead(page, link, &all)?))
        };
        page.links.iter().filter_map(said).collect()
    };
    let found: Vec<String> = all.iter().flat_map(of).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
    let docs = all.iter().find(|page| page.path == "docs/aws.md").unwrap();
    assert!(dead(docs, "../README.md#commands", &all).is_none() && dead(docs, "#iam", &all).is_none());
    for broken in ["nowhere.md", "../README.md#comands", "#iamm", "/etc/passwd"] {
        assert!(dead(docs, broken, &all).is_some(), "{broken}");
    }
}

/// Who reads docs/README.md finds everything, in an order in which it can be read.
#[test]
fn every_page_is_in_the_index() {
    let all = pages(Path::new(ROOT));
    let index = all.iter().find(|page| page.path == "docs/README.md").expect("docs/README.md is the index");
    let missing: Vec<&str> = all
        .iter()
        .filter_map(|page| page.path.strip_prefix("docs/"))
        .filter(|name| *name != "README.md" && !index.links.iter().any(|(link, _)| link == name))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/README.md does not link {}: add a row at its place",
        missing.join(", ")
    );
}

/// What errors and checks name with "see" is there.
#[test]
fn every_heading_that_the_program_names_is_there() {
    let all = pages(Path::new(ROOT));
    let root = Page::parse("README.md", "");
    let named = infra::report::docs::ALL;
    let missing: Vec<String> = named.iter().filter_map(|docs| dead(&root, &docs.to_string(), &all)).collect();
    assert!(missing.is_empty() && named.len() > 10, "{missing:?}");
}

/// A part of an environment, unless its first line says that it is something else.
fn is_of_an_environment(block: &str) -> bool {
    let first = block.lines().next().unwrap_or_default();
    let kubernetes = block.lines().any(|line| line.starts_with("apiVersion:"));
    let of_a_forge = first.starts_with("# .github/") || first.starts_with("# .gitlab-ci.yml");
    !kubernetes && !of_a_forge
}

#[test]
fn every_yaml_block_fits_the_schema() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for page in pages(Path::new(ROOT)) {
        for block in page.blocks.iter().filter(|block| block.language == "yaml") {
            let parsed = serde_yaml::from_str::<serde_json::Value>(&block.text);
            assert!(parsed.is_ok(), "{}:{}: this is no YAML: {parsed:?}", page.path, block.line);
            if is_of_an_environment(&block.text) {
                let file = format!("{}-{}.yaml", page.path.replace('/', "-"), block.line);
                fs::write(folder.path().join(&file), &block.text).unwrap();
                files.push(file);
            }
        }
    }
    assert!(files.len() > 4, "{files:?}");
    let check = |files: &[String]| {
        let mut check = crate::examples::tool("check-jsonschema");
        check.arg("--schemafile").arg(Path::new(ROOT).join("schemas/environment.json"));
        output(check.args(files).current_dir(folder.path()))
    };
    let (good, said) = check(&files);
    assert!(good, "{said}");
    let broken = fs::read_to_string(folder.path().join(&files[0])).unwrap().replacen(':', "_:", 1);
    fs::write(folder.path().join("broken.yaml"), broken).unwrap();
    assert!(!check(&["broken.yaml".into()]).0, "what is not in the schema passed");
}

fn output(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}
