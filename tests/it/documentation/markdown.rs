//! A page as its readers see it: blocks, links, anchors. Read by a Markdown parser that is not ours.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A fenced block.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// First word of the info string: `sh`, `yaml`; empty if there is none.
    pub(crate) language: String,
    pub(crate) text: String,
    /// Of the opening fence, from 1.
    pub(crate) line: usize,
    /// In a list, say: what runs blocks does not look there.
    pub(crate) indented: bool,
}

#[derive(Debug)]
pub(crate) struct Page {
    /// Relative to the repository: `docs/aws.md`.
    pub(crate) path: String,
    pub(crate) blocks: Vec<Block>,
    /// Where each link and image leads, and the line it stands in.
    pub(crate) links: Vec<(String, usize)>,
    /// What `#` can be followed by, as GitHub makes it from the headings.
    pub(crate) anchors: Vec<String>,
}

impl Page {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let mut page = Self { path: path.into(), blocks: vec![], links: vec![], anchors: vec![] };
        let (mut block, mut heading) = (None::<Block>, None::<String>);
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].matches('\n').count() + 1;
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.to_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    let language = info.split_whitespace().next().unwrap_or_default().to_owned();
                    let indented = range.start > 0 && !text[..range.start].ends_with('\n');
                    block = Some(Block { language, text: String::new(), line, indented });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let slug = slug(&heading.take().unwrap_or_default());
                    let count = seen.entry(slug.clone()).and_modify(|count| *count += 1).or_insert(0);
                    page.anchors.push(if *count == 0 { slug } else { format!("{slug}-{count}") });
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((dest_url.to_string(), line));
                }
                Event::Text(text) | Event::Code(text) => {
                    if let Some(block) = &mut block {
                        block.text.push_str(&text);
                    } else if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                _ => {}
            }
        }
        page
    }
}

/// The anchor GitHub makes of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Every page of the repository, in order of their paths.
pub(crate) fn pages(root: &Path) -> Vec<Page> {
    let mut files = Vec::new();
    collect(root, &mut files);
    files.sort();
    let page = |file: &PathBuf| {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap();
        Page::parse(path, &fs::read_to_string(file).unwrap())
    };
    files.iter().map(page).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_str().unwrap();
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(&path, files);
            }
        } else if path.extension().is_some_and(|ending| ending == "md") {
            files.push(path);
        }
    }
}

#[test]
fn a_page_is_read_as_its_readers_see_it() {
    let text = "# One `two`, three: four\n\n[a](b.md#c) ![p](d.svg)\n\n# Same\n# Same\n\n- in a list\n  ```yaml\n  a: 1\n  ```\n\n````sh\n```\n````\n";
    let page = Page::parse("x.md", text);
    assert_eq!(page.anchors, ["one-two-three-four", "same", "same-1"]);
    assert_eq!(page.links, [("b.md#c".into(), 3), ("d.svg".into(), 3)]);
    let blocks: Vec<_> = page.blocks.iter().map(|b| (&*b.language, &*b.text, b.line)).collect();
    assert_eq!(blocks, [("yaml", "a: 1\n", 9), ("sh", "```\n", 13)]);
}
