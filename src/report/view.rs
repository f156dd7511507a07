//! What is shown of a plan, as data. The field names are Terraform's where it has one, so that the jq and OPA rules
//! that people have written for `terraform show -json` work.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    engine::{Action, Digest, Finding, Hold, Plan, Resource, Selection, Step},
    model::Address,
};

/// Changes when a reader of the older form would misunderstand the newer one.
pub(super) const FORMAT_VERSION: &str = "1.0";

/// What a plan does not know of itself.
#[derive(Clone, Debug)]
pub struct About {
    pub environment: String,
    pub digest: Digest,
    /// The environment says `protect: true`.
    pub protect: bool,
    /// What the guards refuse.
    pub findings: Vec<Finding>,
    /// Changes not included by `--target` and `--exclude`.
    pub left_out: usize,
    pub selection: Selection,
    /// It is a plan to destroy the environment.
    pub destroy: bool,
}

/// A plan as it is saved and shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    pub format_version: String,
    pub infra_version: String,
    pub environment: String,
    pub digest: Digest,
    pub protect: bool,
    /// There is something to do, and no guard refuses it.
    pub applyable: bool,
    /// After apply the environment is as declared: all was read, nothing is left out.
    pub complete: bool,
    pub errored: bool,
    /// Sorted by address; see `order` for the order of execution.
    pub resource_changes: Vec<ResourceChange>,
    pub held: Vec<Held>,
    /// What is to be known of things that exist, whether or not anything changes on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
    pub unmanaged: Vec<Address>,
    /// How many of them there are of each kind.
    #[serde(default)]
    pub unmanaged_counts: BTreeMap<String, usize>,
    pub guards: Vec<Finding>,
    pub counts: Counts,
    pub left_out: usize,
    pub order: Vec<Address>,
    pub options: Options,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceChange {
    pub address: Address,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: String,
    pub change: Change,
    /// Terraform's word for why it is replaced or destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_reason: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it costs those who use the object: an outage, a restart, a wait for a window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub costs: Vec<String>,
    /// The SQL or API calls it will make.
    pub effects: Vec<String>,
    /// Changes of this plan that come first.
    pub after: Vec<Address>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// `["create"]`, `["update"]`, `["delete"]` or `["delete", "create"]`.
    pub actions: Vec<String>,
    pub before: Value,
    /// What is not yet known is null here, and true in `after_unknown`.
    pub after: Value,
    pub after_unknown: Value,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace_paths: Vec<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    pub address: Address,
    pub reason: String,
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    pub address: Address,
    pub message: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    pub create: usize,
    pub update: usize,
    pub replace: usize,
    pub delete: usize,
    pub hold: usize,
    pub keep: usize,
}

impl Counts {
    pub fn changes(&self) -> usize {
        self.create + self.update + self.replace + self.delete
    }

    /// Terraform's arithmetic: a replacement is added and destroyed.
    pub fn added(&self) -> usize {
        self.create + self.replace
    }

    pub fn destroyed(&self) -> usize {
        self.delete + self.replace
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Options {
    pub targets: Vec<String>,
    pub excludes: Vec<String>,
    pub destroy: bool,
}

/// What becomes of an object, in the order in which people should read of it: the dangerous first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Delete,
    Replace,
    Update,
    Create,
}

impl Verdict {
    fn actions(self) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Delete => &["delete"],
            Self::Replace => &["delete", "create"],
            Self::Update => &["update"],
            Self::Create => &["create"],
        };
        words.iter().map(ToString::to_string).collect()
    }
}

impl ResourceChange {
    pub fn verdict(&self) -> Verdict {
        verdict(&self.change.actions)
    }
}

/// Read from a file, `actions` may be anything; what is not understood must not look harmless.
pub(super) fn verdict(actions: &[String]) -> Verdict {
    match actions.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["create"] => Verdict::Create,
        ["update"] => Verdict::Update,
        ["delete", "create"] | ["create", "delete"] => Verdict::Replace,
        _ => Verdict::Delete,
    }
}

/// The JSON Schema of a saved plan and of `plan --json`.
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(PlanView);
    schema.insert("title".into(), "A plan of infra".into());
    schema.to_value()
}

impl PlanView {
    /// `effects` tells the SQL or API calls that an action will make.
    ///
    /// # Errors
    /// When a resource cannot be serialised.
    pub fn of<R: Resource>(
        plan: &Plan<R>,
        about: About,
        effects: impl Fn(&Action<R>) -> Vec<String>,
    ) -> Result<Self, serde_json::Error> {
        let changing: BTreeSet<&Address> = plan
            .steps
            .iter()
            .filter(|step| step.action.changes_anything())
            .map(|step| &step.address)
            .collect();
        let (mut counts, mut held) = (Counts::default(), Vec::new());
        let (mut changes, mut order) = (BTreeMap::new(), Vec::new());
        let mut later = false;
        for step in &plan.steps {
            let (verdict, counter) = match &step.action {
                Action::Keep => {
                    counts.keep += 1;
                    continue;
                }
                Action::Hold { why } => {
                    counts.hold += 1;
                    later |= matches!(why, Hold::Later { .. });
                    held.push(Held {
                        address: step.address.clone(),
                        reason: why.name().into(),
                        message: why.to_string(),
                    });
                    continue;
                }
                Action::Create { .. } => (Verdict::Create, &mut counts.create),
                Action::Update { .. } => (Verdict::Update, &mut counts.update),
                Action::Replace { .. } => (Verdict::Replace, &mut counts.replace),
                Action::Delete { .. } => (Verdict::Delete, &mut counts.delete),
            };
            *counter += 1;
            order.push(step.address.clone());
            let mut change = change(step, verdict, about.destroy, effects(&step.action))?;
            change.after = step.after.iter().filter(|parent| changing.contains(parent)).cloned().collect();
            changes.insert(&step.address, change);
        }
        held.sort_by(|a, b| a.address.cmp(&b.address));
        Ok(Self {
            format_version: FORMAT_VERSION.into(),
            infra_version: env!("CARGO_PKG_VERSION").into(),
            environment: about.environment,
            digest: about.digest,
            protect: about.protect,
            applyable: counts.changes() > 0 && about.findings.is_empty(),
            complete: plan.is_complete() && !later && about.left_out == 0,
            errored: false,
            resource_changes: changes.into_values().collect(),
            held,
            notes: (plan.notes.iter())
                .map(|(address, message)| Note { address: address.clone(), message: message.clone() })
                .collect(),
            unmanaged_counts: by_kind(&plan.unmanaged),
            unmanaged: plan.unmanaged.iter().cloned().collect(),
            guards: about.findings,
            counts,
            left_out: about.left_out,
            order,
            options: Options {
                targets: about.selection.targets,
                excludes: about.selection.excludes,
                destroy: about.destroy,
            },
        })
    }
}

fn by_kind(addresses: &BTreeSet<Address>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for address in addresses {
        *counts.entry(address.kind().to_owned()).or_default() += 1;
    }
    counts
}

fn change<R: Resource>(
    step: &Step<R>,
    verdict: Verdict,
    destroy: bool,
    effects: Vec<String>,
) -> Result<ResourceChange, serde_json::Error> {
    let side = |resource: Option<&R>| -> Result<(Value, Value), serde_json::Error> {
        let Some(resource) = resource else { return Ok((Value::Null, Value::Object(Map::new()))) };
        let mut value = serde_json::to_value(resource)?;
        if let Value::Object(map) = &mut value {
            // The tag of the enum that holds all kinds; the address says it already.
            map.remove("kind");
        }
        let unknown = take_unknown(&mut value).unwrap_or_else(|| Value::Object(Map::new()));
        Ok((value, unknown))
    };
    let (before, _) = side(step.action.existing())?;
    let (after, after_unknown) = side(step.action.wanted())?;
    let (action_reason, reason, replace_paths) = match &step.action {
        Action::Replace { why, .. } => {
            let paths = guilty(&before, &after, &after_unknown, why);
            (Some("replace_because_cannot_update"), Some(why.clone()), paths)
        }
        Action::Delete { old } if old.reason().is_some() => (None, old.reason(), Vec::new()),
        Action::Delete { .. } if !destroy => {
            let reason = "it is not declared in the environment's YAML";
            (Some("delete_because_no_resource_config"), Some(reason.into()), Vec::new())
        }
        Action::Create { new } => (None, new.reason(), Vec::new()),
        _ => (None, None, Vec::new()),
    };
    let costs = step.action.wanted().zip(step.action.existing()).map(|(new, old)| new.costs(old));
    Ok(ResourceChange {
        address: step.address.clone(),
        kind: step.address.kind().into(),
        name: step.address.path().into(),
        change: Change { actions: verdict.actions(), before, after, after_unknown, replace_paths },
        action_reason: action_reason.map(Into::into),
        reason,
        costs: costs.unwrap_or_default(),
        effects,
        after: Vec::new(),
    })
}

/// Takes late values out of a value. `None` when all of it is known; otherwise Terraform's `after_unknown`: `true`
/// where a value is unknown, lists in full length, maps without what is known.
fn take_unknown(value: &mut Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key("$after") => {
            *value = Value::Null;
            Some(Value::Bool(true))
        }
        Value::Object(map) => {
            let unknown: Map<String, Value> =
                map.iter_mut().filter_map(|(key, value)| Some((key.clone(), take_unknown(value)?))).collect();
            (!unknown.is_empty()).then_some(Value::Object(unknown))
        }
        Value::Array(items) => {
            let unknown: Vec<Option<Value>> = items.iter_mut().map(take_unknown).collect();
            unknown
                .iter()
                .any(Option::is_some)
                .then(|| unknown.into_iter().map(|unknown| unknown.unwrap_or(Value::Bool(false))).collect())
        }
        _ => None,
    }
}

/// Which attributes force a replacement: those that the reason names in backticks, or else the only one that differs.
fn guilty(before: &Value, after: &Value, unknown: &Value, why: &str) -> Vec<Vec<String>> {
    let empty = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differing: Vec<&String> = (keys.into_iter())
        .filter(|key| before.get(*key) != after.get(*key) || unknown.get(key.as_str()).is_some())
        .collect();
    let named: Vec<&String> =
        differing.iter().copied().filter(|key| why.contains(&format!("`{key}`"))).collect();
    let guilty = if named.is_empty() && differing.len() == 1 { differing } else { named };
    guilty.into_iter().map(|key| vec![key.clone()]).collect()
}
