//! Every key of the YAML, as the schema of the types has them.

use std::fmt::Write as _;

use infra::model::environment::Environment;
use serde_json::Value;

use super::cell;

/// Every key that the schema has anywhere.
pub(super) fn names(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(object) => {
            if let Some(of) = object.get("properties").and_then(Value::as_object) {
                found.extend(of.keys().cloned());
            }
            object.values().for_each(|below| names(below, found));
        }
        Value::Array(items) => items.iter().for_each(|below| names(below, found)),
        _ => {}
    }
}

/// The types of the YAML, as JSON Schema writes them.
struct Schema(Value);

impl Schema {
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            Some(name) => self.resolve(&self.0["$defs"][name]),
            None => schema,
        }
    }

    /// Whether it is a type of its own, and no variant written out inside of one.
    fn is_named(&self, schema: &Value) -> bool {
        self.0["$defs"]
            .as_object()
            .is_some_and(|types| types.values().any(|named| std::ptr::eq(named, schema)))
    }

    /// The alternatives, without `null`, which merely removes.
    fn branches<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let schema = self.resolve(schema);
        match schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
            Some(branches) => {
                let branches = branches.iter().filter(|branch| branch["type"] != "null");
                branches.flat_map(|branch| self.branches(branch)).collect()
            }
            None => vec![schema],
        }
    }

    /// What may stand there, in a few words.
    fn kind(&self, schema: &Value) -> String {
        let mut kinds: Vec<String> = Vec::new();
        for branch in self.branches(schema) {
            let kind =
                if branch["$ref"] == "#/$defs/Duration" { "duration".into() } else { self.one(branch) };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.join(" or ")
    }

    fn one(&self, schema: &Value) -> String {
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<String> =
                words.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
            return words.join(" or ");
        }
        if let Some(word) = schema["const"].as_str() {
            return format!("`{word}`");
        }
        let types = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
            other => other.as_str(),
        };
        match types.unwrap_or_default() {
            "string" => "text".into(),
            "boolean" => "`true` or `false`".into(),
            "integer" | "number" => {
                let kind = if types == Some("integer") { "whole number" } else { "number" };
                match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
                    (Some(min), Some(max)) => format!("{kind} from {min} to {max}"),
                    (Some(min), None) if min > 0.0 => format!("{kind}, at least {min}"),
                    _ => kind.into(),
                }
            }
            "array" => format!("list of: {}", self.kind(&schema["items"])),
            _ if schema["additionalProperties"].is_object() => {
                format!("map by name of: {}", self.kind(&schema["additionalProperties"]))
            }
            // What has one key is told with it; what has more has a table of its own.
            _ => match schema["properties"].as_object() {
                Some(keys) if keys.len() == 1 => format!("`{{{}: ...}}`", keys.keys().next().unwrap()),
                Some(keys) if keys.is_empty() => "`{}`".into(),
                _ => "map".into(),
            },
        }
    }

    /// A table for every map with keys of its own at this path, and for those below.
    fn tables(&self, path: &str, schema: &Value, out: &mut String) {
        for branch in self.branches(schema) {
            if branch["type"] == "array" {
                self.tables(path, &branch["items"], out);
            } else if branch["additionalProperties"].is_object() {
                self.tables(&format!("{path}.NAME"), &branch["additionalProperties"], out);
            } else if let Some(keys) = branch["properties"].as_object().filter(|keys| !keys.is_empty()) {
                let required = branch["required"].as_array().cloned().unwrap_or_default();
                // A variant of an enum is told by its path; where a text comes from, below the headline.
                let variant = keys.len() == 1 && !self.is_named(branch);
                if keys.keys().all(|key| key == "env" || key == "file") {
                    continue;
                }
                if !variant {
                    let title = if path.is_empty() { "environment" } else { path };
                    writeln!(out, "\n### {title}").unwrap();
                    if let Some(text) = branch["description"].as_str() {
                        writeln!(out, "{}", cell(text)).unwrap();
                    }
                    out.push_str("\n| key | value | default | |\n|---|---|---|---|\n");
                    for (key, of) in keys {
                        let default = match (&of["default"], required.iter().any(|name| name == key)) {
                            (_, true) => "must be given".into(),
                            (Value::Null, _) => String::new(),
                            (default, _) => format!("`{default}`"),
                        };
                        let text =
                            of["description"].as_str().or_else(|| self.resolve(of)["description"].as_str());
                        writeln!(
                            out,
                            "| `{key}` | {} | {default} | {} |",
                            cell(&self.kind(of)),
                            cell(text.unwrap_or_default())
                        )
                        .unwrap();
                    }
                }
                for (key, of) in keys {
                    let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    self.tables(&below, of, out);
                }
            }
        }
    }
}

pub(super) fn keys() -> String {
    let schema = Schema(schemars::schema_for!(Environment).to_value());
    let mut out = String::from(
        "## Keys of the YAML\nAll `*.yaml` of a folder are one document; what `extends:` names lies under it: maps merge by key, all else\nreplaces, `null` removes. `NAME` stands for names of yours. Where a text may also be `{env: ...}` or `{file: ...}`, it is taken\nfrom that variable, or from that file beside the YAML.\n",
    );
    schema.tables("", &schema.0, &mut out);
    out
}
