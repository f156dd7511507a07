//! A person at this machine: who the credentials say it is, and the role that he may become.

use std::{sync::Arc, time::SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};

use super::{AwsError, Clients, Settings, token::Signer};
use crate::model::secret::Secret;

/// Shown in CloudTrail beside the role, which names the person.
const SESSION: &str = "infra-connect";

/// Whose credentials these are, of whatever account.
#[derive(Clone, Debug)]
pub struct OwnIdentity {
    pub account: String,
    pub arn: String,
    clients: Clients,
    region: String,
}

/// A role of somebody's own: to log in to Postgres, and to read his own passwords.
#[derive(Debug)]
pub struct OwnRole {
    pub signer: Arc<Signer>,
    secrets: aws_sdk_secretsmanager::Client,
}

impl OwnIdentity {
    /// Of the credentials themselves: a role that is to be assumed before anything else is the platform's, no person's.
    pub async fn of(settings: &Settings) -> Result<Self, AwsError> {
        let settings = Settings { role_arn: None, ..settings.clone() };
        let clients = Clients::new(&settings).await;
        let answer = clients.sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| AwsError::of("sts:GetCallerIdentity", error))?;
        Ok(Self {
            account: answer.account().unwrap_or_default().into(),
            arn: answer.arn().unwrap_or_default().into(),
            clients,
            region: settings.region,
        })
    }

    /// The role that these credentials are of already.
    pub fn in_role(&self) -> OwnRole {
        OwnRole::new(self.clients.config.clone(), &self.region)
    }

    pub async fn assume(&self, role_arn: &str) -> Result<OwnRole, AwsError> {
        let call = self.clients.sts.assume_role().role_arn(role_arn).role_session_name(SESSION);
        let answer = call.send().await.map_err(|error| AwsError::of("sts:AssumeRole", error))?;
        let given = answer.credentials().ok_or_else(|| AwsError::Answer {
            action: "sts:AssumeRole",
            why: "there are no credentials in it".into(),
        })?;
        let until = SystemTime::try_from(*given.expiration()).ok();
        let token = Some(given.session_token().to_owned());
        let credentials =
            Credentials::new(given.access_key_id(), given.secret_access_key(), token, until, "AssumeRole");
        let builder = self.clients.config.clone().into_builder();
        let config = builder.credentials_provider(SharedCredentialsProvider::new(credentials)).build();
        Ok(OwnRole::new(config, &self.region))
    }
}

impl OwnRole {
    fn new(config: SdkConfig, region: &str) -> Self {
        let secrets = aws_sdk_secretsmanager::Client::new(&config);
        Self { signer: Arc::new(Signer::new(config, region)), secrets }
    }

    /// The password in a secret as it is now.
    pub async fn password(&self, name: &str) -> Result<Secret<String>, AwsError> {
        let answer = self.secrets.get_secret_value().secret_id(name).send().await;
        let answer = answer.map_err(|error| AwsError::of("secretsmanager:GetSecretValue", error))?;
        super::secrets::password_in(name, answer.secret_string())
    }
}
