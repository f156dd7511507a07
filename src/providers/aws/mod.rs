//! Amazon Web Services: one account and region, read into one value, changed by one call after the other.

mod checkup;
mod cluster;
mod error;
pub mod estate;
mod groups;
pub mod iam;
mod instance;
mod person;
pub mod secrets;
mod session;
mod text;
pub mod token;
mod watch;

pub use checkup::{Asked, Examined, Identity, Probe, Reached};
pub use cluster::{ClusterField, MajorUpgrade};
pub use error::{AwsError, DENIED};
pub use estate::{Declared, Estate, Interest};
pub use instance::InstanceField;
pub use person::{OwnIdentity, OwnRole};
pub use session::{Clients, Cloud, Settings};
pub use text::partition;
pub use watch::{LIMIT, UPGRADE_LIMIT};

use std::{marker::PhantomData, sync::Arc, time::Duration};

use super::{ReadOnly, ReadWrite};

/// How often AWS is asked while something is being waited for, unless `INFRA_POLL_MILLISECONDS` says otherwise.
pub const POLL: Duration = Duration::from_secs(10);

/// A client of one account. `Aws<ReadOnly>` has no method that writes.
#[derive(Debug)]
pub struct Aws<M> {
    pub(super) clients: Clients,
    pub account: String,
    pub region: String,
    /// `aws`, `aws-cn`, `aws-us-gov`: the second part of every ARN.
    pub partition: String,
    pub(super) poll: Duration,
    watch: watch::Watch,
    mode: PhantomData<M>,
}

impl Aws<ReadOnly> {
    /// # Errors
    /// When no credentials are found, or they are of another account than the one that was declared.
    pub async fn connect(settings: &Settings) -> Result<Self, AwsError> {
        Self::of(settings).await
    }
}

impl Aws<ReadWrite> {
    /// # Errors
    /// When no credentials are found, or they are of another account than the one that was declared.
    pub async fn connect(settings: &Settings) -> Result<Self, AwsError> {
        Self::of(settings).await
    }
}

impl<M> Aws<M> {
    /// Signs logins with the credentials of this client.
    pub fn signer(&self) -> Arc<token::Signer> {
        Arc::new(token::Signer::new(self.clients.config.clone(), self.region.clone()))
    }

    /// For services that the SDK has no client for.
    pub fn cloud(&self) -> Cloud {
        Cloud::new(&self.clients.config, &self.region)
    }

    /// The pause between two tries.
    pub fn pause(&self) -> Duration {
        self.poll
    }

    /// Asks who we are before anything else: a plan against the wrong account would be a plan to make everything anew.
    async fn of(settings: &Settings) -> Result<Self, AwsError> {
        let clients = Clients::new(settings).await;
        let (account, arn) = who(&clients).await?;
        Self::with(clients, settings, account, arn)
    }

    /// A client, unless these are credentials of another account.
    fn with(clients: Clients, settings: &Settings, account: String, arn: String) -> Result<Self, AwsError> {
        if account != settings.account {
            return Err(AwsError::WrongAccount { found: account, arn, declared: settings.account.clone() });
        }
        Ok(Self {
            clients,
            account,
            region: settings.region.clone(),
            partition: partition(&arn).to_owned(),
            poll: settings.poll,
            watch: watch::Watch::default(),
            mode: PhantomData,
        })
    }
}

/// Account and ARN of whose credentials these are.
async fn who(clients: &Clients) -> Result<(String, String), AwsError> {
    let identity = clients.sts.get_caller_identity().send().await;
    let identity = identity.map_err(|error| AwsError::of("sts:GetCallerIdentity", error))?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Ok((text(identity.account()), text(identity.arn())))
}
