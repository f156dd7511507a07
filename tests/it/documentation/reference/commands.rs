//! Every command and flag, as clap knows them.

use std::fmt::Write as _;

use clap::{Arg, Command};

use super::cell;

/// Every flag that is shown to anybody.
pub(super) fn flags(command: &Command, found: &mut Vec<String>) {
    if !command.is_hide_set() {
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        found.extend(shown.filter_map(|arg| arg.get_long()).map(|long| format!("`--{long}")));
        command
            .get_subcommands()
            .filter(|child| child.get_name() != "help")
            .for_each(|child| flags(child, found));
    }
}

fn argument(argument: &Arg) -> String {
    let value = argument.get_value_names().and_then(|names| names.first()).map(|name| format!(" {name}"));
    let value = value.filter(|_| argument.get_action().takes_values()).unwrap_or_default();
    let name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("`-{short}`, `--{long}{value}`"),
        (None, Some(long)) => format!("`--{long}{value}`"),
        (Some(short), None) => format!("`-{short}{value}`"),
        (None, None) => format!("`{}`", argument.get_value_names().map_or("", |names| names[0].as_str())),
    };
    let help = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string);
    let mut said = vec![cell(&help.unwrap_or_default())];
    let values = argument.get_possible_values();
    let values: Vec<String> =
        values.iter().filter(|value| !value.is_hide_set()).map(|v| format!("`{}`", v.get_name())).collect();
    if argument.get_action().takes_values() && !values.is_empty() {
        said.push(values.join(", "));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        said.push(format!("default `{}`", defaults.join(" ")));
    }
    said.retain(|text| !text.is_empty());
    format!("| {} | {} |\n", cell(&name), said.join("; "))
}

fn command(command: &Command, path: &str, out: &mut String) {
    if command.is_hide_set() {
        return;
    }
    let shown: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| {
            !arg.is_hide_set()
                && !arg.is_global_set()
                && !["help", "version"].contains(&arg.get_id().as_str())
        })
        .collect();
    let children: Vec<&Command> =
        command.get_subcommands().filter(|child| child.get_name() != "help").collect();
    if children.is_empty() || !shown.is_empty() {
        writeln!(out, "\n### {path}\n{}.", command.get_about().map(ToString::to_string).unwrap_or_default())
            .unwrap();
        if !shown.is_empty() {
            out.push_str("\n| | |\n|---|---|\n");
            for arg in shown {
                out.push_str(&argument(arg));
            }
        }
    }
    for child in children {
        self::command(child, &format!("{path} {}", child.get_name()), out);
    }
}

pub(super) fn commands(root: &Command) -> String {
    let mut out = String::from("## Commands\nOf every command:\n\n| | |\n|---|---|\n");
    for arg in root.get_arguments().filter(|arg| arg.is_global_set() && !arg.is_hide_set()) {
        out.push_str(&argument(arg));
    }
    for child in root.get_subcommands() {
        command(child, &format!("infra {}", child.get_name()), &mut out);
    }
    out
}
