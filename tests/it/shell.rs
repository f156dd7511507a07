//! Completion, asked by a real bash, and pages, read by a real groff.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::sandbox::binary;

const YAML: &str =
    "platform: {local: {}}\nclusters: {main: {}}\nservices: {orders: {}, billing: {}}\npeople: {ana: {}}\n";

/// What bash offers for a line whose last word is begun.
fn offered(folder: &Path, line: &str) -> Vec<String> {
    let script = "set -u
source <(infra completion bash)
read -ra COMP_WORDS <<< \"$LINE\"
[[ $LINE == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9 COMP_LINE=$LINE COMP_POINT=${#LINE}
complete -p infra | grep -q -- '-F _clap_complete_infra' || exit 9
_clap_complete_infra infra \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"
printf '%s\\n' ${COMPREPLY[@]+\"${COMPREPLY[@]}\"}";
    let path = format!("{}:/usr/bin:/bin", binary().parent().unwrap().display());
    let output = Command::new("bash")
        .args(["--norc", "-c", script])
        .env_clear()
        .envs([("PATH", path.as_str()), ("LINE", line)])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn a_shell_knows_environments_and_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, yaml: &str| {
        let environment = folder.path().join("environments").join(name);
        fs::create_dir_all(&environment).unwrap();
        fs::write(environment.join("environment.yaml"), yaml).unwrap();
    };
    write("test", YAML);
    // The only one there is need not be named.
    assert_eq!(offered(folder.path(), "infra plan --target pg_role.main/dev"), ["pg_role.main/dev_ana"]);
    write("prod", &YAML.replace("billing", "shipping"));
    write("broken", "services: [\n");
    assert_eq!(offered(folder.path(), "infra plan -e "), ["broken", "prod", "test"]);
    assert_eq!(offered(folder.path(), "infra plan -e pr"), ["prod"]);
    let of = |line: &str| offered(folder.path(), line);
    assert_eq!(
        of("infra plan -e test --target pg_database."),
        ["pg_database.main/billing", "pg_database.main/orders"]
    );
    assert_eq!(
        of("infra plan -e prod --exclude pg_database."),
        ["pg_database.main/orders", "pg_database.main/shipping"]
    );
    assert_eq!(of("infra apply -e prod --allow-destroy pg_database.main/s"), ["pg_database.main/shipping"]);
    assert_eq!(of("infra import -e prod --adopt pg_database.main/s"), ["pg_database.main/shipping"]);
    // Words of the command line itself.
    assert!(of("infra ").contains(&"plan".to_owned()) && !of("infra ").contains(&"__guard".to_owned()));
    assert!(of("infra plan --detailed").contains(&"--detailed-exitcode".to_owned()));
    // What is broken, or not there, completes to nothing, and says nothing.
    assert_eq!(of("infra plan -e broken --target pg_"), [""; 0]);
    assert_eq!(of("infra plan -e nowhere --target pg_"), [""; 0]);
    assert_eq!(of("infra plan --target pg_"), [""; 0]);
}

#[test]
fn scripts_are_there_for_all_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = Command::new(binary()).args(["completion", shell]).env_clear().output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("INFRA_COMPLETE"), "{shell}: {script}");
    }
}

/// Every command has a page with all its flags, and nothing in it that groff does not understand.
#[test]
fn pages_are_read_by_groff() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary());
    let output = command.args(["man", "--out"]).arg(folder.path()).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut pages: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    let names: Vec<&str> = pages.iter().map(|page| page.file_name().unwrap().to_str().unwrap()).collect();
    for expected in ["infra.1", "infra-plan.1", "infra-backup-run.1", "infra-history-show.1"] {
        assert!(names.contains(&expected), "{names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("__") || name.contains("help")), "{names:?}");
    let root = <infra::cli::Cli as clap::CommandFactory>::command();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let name = page.file_stem().unwrap().to_str().unwrap();
        let mut command = &root;
        for word in name.split('-').skip(1) {
            command = command.find_subcommand(word).unwrap();
        }
        let plain = text.replace("\\-", "-");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            if let Some(long) = argument.get_long() {
                assert!(plain.contains(&format!("--{long}")), "{name} has no --{long}");
            }
        }
        assert!(plain.contains(&name.replace('-', " ")) || plain.contains(name), "{name}: {plain}");
        let groff = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(page).output();
        // Where there is no groff, somebody else's machine has one.
        if let Ok(output) = groff {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{name}: {said}");
        }
    }
    let output = Command::new(binary()).arg("man").env_clear().output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains(".TH infra 1"));
}
