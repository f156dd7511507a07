//! What `infra output` prints: as Terraform does, or as what applications read.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value, json};

use super::escape::{key, quoted, visible};
use crate::model::service_output::ServiceOutput;

/// As `terraform output` writes objects.
pub fn text(outputs: &[ServiceOutput]) -> String {
    let mut page = String::new();
    for output in outputs {
        let _ = writeln!(page, "{} = {}", key(&output.service), hcl(&value(output), 0));
    }
    page
}

fn hcl(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let end = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            let line = |(name, value): (&String, &Value)| {
                format!("{indent}{} = {}\n", quoted(name), hcl(value, depth + 1))
            };
            format!("{{\n{}{end}}}", map.iter().map(line).collect::<Vec<_>>().concat())
        }
        Value::Array(list) => {
            let line = |value| format!("{indent}{},\n", hcl(value, depth + 1));
            format!("[\n{}{end}]", list.iter().map(line).collect::<Vec<_>>().concat())
        }
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn value(output: &ServiceOutput) -> Value {
    // Only strings, numbers and lists of them: nothing that could not be a value.
    serde_json::to_value(output).unwrap_or_default()
}

/// As `terraform output -json`: with a type beside each value.
pub fn all_as_json(outputs: &[ServiceOutput]) -> Value {
    let one = |output: &ServiceOutput| {
        let value = value(output);
        (output.service.clone(), json!({"sensitive": false, "type": type_of(&value), "value": value}))
    };
    Value::Object(outputs.iter().map(one).collect())
}

/// As `terraform output -json NAME`: the value alone.
pub fn one_as_json(output: &ServiceOutput) -> Value {
    value(output)
}

/// A type as Terraform writes it in JSON.
fn type_of(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let types: Map<String, Value> =
                map.iter().map(|(name, value)| (name.clone(), type_of(value))).collect();
            json!(["object", types])
        }
        Value::Array(_) => json!(["list", "string"]),
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        _ => json!("string"),
    }
}

/// By service. Texts stand in quotes, as JSON has them, so that none is taken for something else.
pub fn yaml(outputs: &[ServiceOutput]) -> String {
    let mut page = String::new();
    for output in outputs {
        let _ = write!(page, "{}:\n{}", scalar(&output.service), block(&value(output), 1));
    }
    page
}

fn block(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let Value::Object(map) = value else { return String::new() };
    let line = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => format!("{indent}{name}:\n{}", block(value, depth + 1)),
        // A list in JSON is one in YAML too.
        other => format!("{indent}{name}: {}\n", inline(other)),
    };
    map.iter().map(line).collect::<Vec<_>>().concat()
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Two names that are the same once they are part of a variable's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variables of {0} and {1} would have the same names")]
pub struct Clash(String, String);

/// For a shell to `eval` or to source. With `prefix` each name begins with the service's.
pub fn env(outputs: &[ServiceOutput], prefix: bool) -> Result<String, Clash> {
    let mut page = String::new();
    let mut prefixes: BTreeMap<String, &str> = BTreeMap::new();
    for output in outputs {
        let start = if prefix {
            let name: String = output
                .service
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
                .collect();
            format!("{name}_")
        } else {
            String::new()
        };
        if let Some(other) = prefixes.insert(start.clone(), &output.service) {
            return Err(Clash(other.into(), output.service.clone()));
        }
        for (name, value) in output.variables() {
            let _ = writeln!(page, "{start}{name}={}", shell(&value));
        }
    }
    Ok(page)
}

/// One word of a shell, whatever is in it.
fn shell(text: &str) -> String {
    format!("'{}'", visible(text).replace('\'', r"'\''"))
}

/// A `ConfigMap` of Kubernetes for each service, in the namespace of its service account.
pub fn config_maps(outputs: &[ServiceOutput]) -> String {
    let one = |output: &ServiceOutput| {
        let name = output.service.replace('_', "-");
        let mut page = String::from("apiVersion: v1\nkind: ConfigMap\nmetadata:\n");
        let _ = writeln!(page, "  name: {}", scalar(&format!("{name}-infra")));
        if let Some(account) = &output.service_account {
            let _ = writeln!(page, "  namespace: {}", scalar(&account.namespace));
        }
        let _ = writeln!(page, "  labels:\n    app.kubernetes.io/managed-by: infra\ndata:");
        for (name, value) in output.variables() {
            let _ = writeln!(page, "  {name}: {}", scalar(&value));
        }
        page
    };
    outputs.iter().map(one).collect::<Vec<_>>().join("---\n")
}

/// A text of JSON is one of YAML.
fn scalar(text: &str) -> String {
    Value::from(visible(text)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service_output::{MongoOutput, PostgresOutput, Server, ServiceAccount, Users};

    fn output(service: &str) -> ServiceOutput {
        let server = |host: &str| Server { host: host.into(), port: 5432 };
        ServiceOutput {
            service: service.into(),
            iam_role_arn: Some("arn:aws:iam::111122223333:role/infra/prod/infra-prod-svc-orders".into()),
            mongodb: Some(MongoOutput {
                auth_mechanism: Some("SCRAM-SHA-256".into()),
                auth_source: Some("admin".into()),
                cluster: "events".into(),
                database: service.into(),
                hosts: vec!["mongo-1:27017".into(), "mongo-2:27017".into()],
                replica_set: Some("rs0".into()),
                secret: Some("infra/prod/mongo/events/svc_orders".into()),
                srv: false,
                tls: true,
                user: Some("svc_orders".into()),
            }),
            postgres: PostgresOutput {
                cluster: "main".into(),
                database: "shared".into(),
                reader: server("reader.example"),
                schema: Some(service.into()),
                ssl_root_cert_url: Some("https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"),
                sslmode: "verify-full",
                users: Users { app: "a'b $(x) \"c\"".into(), migrator: "m".into(), reader: "no: y".into() },
                writer: server("writer.example"),
            },
            region: Some("eu-central-1".into()),
            service_account: Some(ServiceAccount { name: "orders".into(), namespace: "checkout".into() }),
        }
    }

    #[test]
    fn each_format() {
        let all = [output("orders")];
        insta::assert_snapshot!(text(&all));
        insta::assert_snapshot!(yaml(&all));
        insta::assert_snapshot!(env(&all, false).unwrap());
        insta::assert_snapshot!(config_maps(&all));
        insta::assert_snapshot!(format!("{:#}", all_as_json(&all)));
    }

    #[test]
    fn several_services_do_not_mix() {
        let both = [output("orders"), output("or-ders_2")];
        let text = env(&both, true).unwrap();
        assert!(text.contains("\nOR_DERS_2_POSTGRES_APP_USER='a'\\''b $(x) \"c\"'\n"), "{text}");
        let same = env(&[output("a-b"), output("a_b")], true).unwrap_err();
        assert_eq!(same.to_string(), "the variables of a-b and a_b would have the same names");
    }

    /// Every value comes back as it was, from a parser of YAML and from a shell.
    #[test]
    fn values_come_back_as_they_were() {
        let output = output("orders");
        let parsed: serde_json::Value = serde_yaml::from_str(&yaml(std::slice::from_ref(&output))).unwrap();
        assert_eq!(parsed["orders"], value(&output));
        let maps: serde_json::Value =
            serde_yaml::from_str(&config_maps(std::slice::from_ref(&output))).unwrap();
        let script = format!("set -a\n{}env", env(std::slice::from_ref(&output), false).unwrap());
        let shell = std::process::Command::new("/bin/sh")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .args(["-c", &script])
            .output()
            .unwrap();
        let shell = String::from_utf8(shell.stdout).unwrap();
        for (name, value) in output.variables() {
            assert_eq!(maps["data"][name], value.as_str());
            assert!(shell.lines().any(|line| line == format!("{name}={value}")), "{name}: {shell}");
        }
    }
}
