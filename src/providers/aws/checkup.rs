//! Whether an account can be worked with. Everything here only asks, and each answer stands by itself.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};
use aws_smithy_runtime_api::{client::http::HttpConnector as _, http::Request};
use aws_smithy_types::{
    body::SdkBody,
    date_time::{DateTime, Format},
};
use jiff::Timestamp;

use super::{
    Aws, AwsError, Cloud, Settings,
    estate::Cluster,
    session::{Clients, config},
    token::Signer,
    who,
};
use crate::providers::ReadOnly;

/// Whose credentials these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub account: String,
    pub arn: String,
    /// When the credentials end; nothing if they say no end.
    pub ends: Option<Timestamp>,
}

/// Who we are, and a client if we are whom the environment declares.
#[derive(Debug)]
pub struct Examined {
    pub identity: Result<Identity, AwsError>,
    pub aws: Option<Aws<ReadOnly>>,
}

/// An endpoint that was asked without saying who asks.
#[derive(Debug)]
pub struct Reached {
    pub url: String,
    /// By how many seconds this machine's clock is ahead of what answered, if that said the time; or why nobody answered.
    pub answer: Result<Option<i64>, String>,
}

/// What reading the account comes to.
#[derive(Debug)]
pub struct Probe {
    /// Calls that failed.
    pub refused: Vec<AwsError>,
    /// What could not be read though no call failed.
    pub unreadable: Vec<String>,
    pub clusters: Vec<Cluster>,
    /// By AWS's names; empty where they may not be seen.
    pub quotas: BTreeMap<String, i64>,
}

/// Actions on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub actions: Vec<&'static str>,
    /// An ARN.
    pub resource: String,
}

impl Aws<ReadOnly> {
    /// Asks who we are. Nothing of an account is read that is another than the declared one.
    pub async fn examine(settings: &Settings) -> Examined {
        let clients = Clients::new(settings).await;
        let signer = Signer::new(clients.config.clone(), settings.region.clone());
        let (account, arn) = match who(&clients).await {
            Ok(found) => found,
            Err(error) => return Examined { identity: Err(error), aws: None },
        };
        let ends = signer.credentials().await.ok().and_then(|credentials| credentials.expiry());
        let ends = ends.and_then(|at| Timestamp::try_from(at).ok());
        let identity = Identity { account: account.clone(), arn: arn.clone(), ends };
        Examined { identity: Ok(identity), aws: Self::with(clients, settings, account, arn).ok() }
    }

    /// Knocks at the endpoints of these services, side by side. Any answer will do: no credentials are sent.
    pub async fn reach(settings: &Settings, services: &[&str]) -> Vec<Reached> {
        let cloud = Cloud::new(&config(settings).await, &settings.region);
        let urls: BTreeSet<String> = match &cloud.endpoint_url {
            Some(url) => [url.clone()].into(),
            None => services.iter().map(|service| url_of(service, &settings.region)).collect(),
        };
        let reach = urls.into_iter().map(async |url| Reached { answer: knock(&cloud, &url).await, url });
        futures::future::join_all(reach).await
    }

    /// Which of these actions the caller may not do, by IAM's own simulation.
    ///
    /// # Errors
    /// When whoever asks may not ask that.
    pub async fn may_not(
        &self,
        identity: &Identity,
        asked: &[Asked],
        context: &[(&str, &str)],
    ) -> Result<BTreeSet<String>, AwsError> {
        // The simulator takes no root user, who may do everything.
        if identity.arn.ends_with(":root") {
            return Ok(BTreeSet::new());
        }
        let actor = self.actor(&identity.arn).await;
        let context: Vec<ContextEntry> = (context.iter())
            .map(|(key, value)| {
                let entry = ContextEntry::builder().context_key_name(*key).context_key_values(*value);
                entry.context_key_type(ContextKeyTypeEnum::String).build()
            })
            .collect();
        let simulate = asked.iter().map(async |one| {
            let call = self.clients.iam.simulate_principal_policy().policy_source_arn(&actor);
            let call = call.set_action_names(Some(one.actions.iter().map(ToString::to_string).collect()));
            let call = call.resource_arns(&one.resource).set_context_entries(Some(context.clone()));
            let answer = call.send().await;
            let answer = answer.map_err(|error| AwsError::of("iam:SimulatePrincipalPolicy", error))?;
            let denied = answer
                .evaluation_results()
                .iter()
                .filter(|result| *result.eval_decision() != PolicyEvaluationDecisionType::Allowed);
            Ok::<_, AwsError>(denied.map(|result| result.eval_action_name().to_owned()).collect::<Vec<_>>())
        });
        Ok(futures::future::try_join_all(simulate).await?.into_iter().flatten().collect())
    }

    /// The user or role behind an identity: a session's ARN lacks the path of its role.
    async fn actor(&self, arn: &str) -> String {
        let session = arn.split_once(":assumed-role/").and_then(|(_, rest)| rest.split('/').next());
        let Some(role) = session else { return arn.to_owned() };
        match self.role_itself(role).await {
            Ok(role) => role.arn().to_owned(),
            Err(_) => format!("arn:{}:iam::{}:role/{role}", self.partition, self.account),
        }
    }
}

async fn knock(cloud: &Cloud, url: &str) -> Result<Option<i64>, String> {
    let mut request = Request::new(SdkBody::empty());
    request.set_uri(url).map_err(|error| error.to_string())?;
    let answer = cloud.connector.call(request).await.map_err(|error| crate::model::causes(&error))?;
    let date = answer.headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    Ok(date.map(|date| Timestamp::now().as_second() - date.secs()))
}

/// Where a service is in a region; IAM has one place for all of a partition.
fn url_of(service: &str, region: &str) -> String {
    let end = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    match (service, region) {
        ("iam", region) if region.starts_with("cn-") => format!("https://iam.cn-north-1.{end}"),
        ("iam", region) if region.starts_with("us-gov-") => format!("https://iam.us-gov.{end}"),
        ("iam", _) => format!("https://iam.{end}"),
        _ => format!("https://{service}.{region}.{end}"),
    }
}

/// The ARN prefix of a service: `arn:aws:rds:eu-central-1:111122223333`.
impl<M> Aws<M> {
    pub fn arn(&self, service: &str, rest: &str) -> String {
        let region = if service == "iam" { "" } else { self.region.as_str() };
        format!("arn:{}:{service}:{region}:{}:{rest}", self.partition, self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_services_are() {
        assert_eq!(url_of("rds", "eu-central-1"), "https://rds.eu-central-1.amazonaws.com");
        assert_eq!(url_of("iam", "eu-central-1"), "https://iam.amazonaws.com");
        assert_eq!(url_of("iam", "cn-northwest-1"), "https://iam.cn-north-1.amazonaws.com.cn");
        assert_eq!(url_of("iam", "us-gov-west-1"), "https://iam.us-gov.amazonaws.com");
    }
}
