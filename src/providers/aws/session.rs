//! Credentials, limits in time, retries: what all clients of AWS have in common.

use std::{sync::Arc, time::Duration};

use aws_config::{
    AppName, BehaviorVersion, Region, SdkConfig, default_provider::credentials::DefaultCredentialsChain,
    meta::credentials::CredentialsProviderChain, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig, retry::RetryConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{SharedHttpClient, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};

use super::token::Signer;
use crate::providers::http::connector;

/// One attempt at one call, and all attempts at it together. The SDK alone would wait for an answer for ever.
const ATTEMPT: Duration = Duration::from_secs(20);
const CALL: Duration = Duration::from_secs(90);
const CONNECT: Duration = Duration::from_secs(5);
/// Attempts at a call of RDS and the like; between them the SDK waits up to 20 seconds.
const ATTEMPTS: u32 = 6;
/// Attempts at the first call of all: whoever is not there will hardly come.
const FIRST_ATTEMPTS: u32 = 3;
/// IAM has one small bucket of calls for the whole account, so whoever is throttled there waits longer.
const IAM_ATTEMPTS: u32 = 10;

/// Which account, where, and as whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Twelve digits; credentials of any other account are refused.
    pub account: String,
    pub region: String,
    /// Profile of the AWS configuration files; without it the standard chain decides.
    pub profile: Option<String>,
    /// Role to assume before anything else.
    pub role_arn: Option<String>,
    /// Another endpoint for every service.
    pub endpoint_url: Option<String>,
    /// How often AWS is asked while something is being waited for.
    pub poll: Duration,
}

/// One client for each service.
#[derive(Clone, Debug)]
pub struct Clients {
    pub(in crate::providers) sts: aws_sdk_sts::Client,
    pub(in crate::providers) rds: aws_sdk_rds::Client,
    pub(in crate::providers) iam: aws_sdk_iam::Client,
    pub(in crate::providers) kms: aws_sdk_kms::Client,
    pub(in crate::providers) secrets: aws_sdk_secretsmanager::Client,
    pub(in crate::providers) scaling: aws_sdk_applicationautoscaling::Client,
    /// What login tokens are signed with.
    pub(in crate::providers) config: SdkConfig,
}

impl Clients {
    pub(super) async fn new(settings: &Settings) -> Self {
        let config = config(settings).await;
        let patient = RetryConfig::adaptive().with_max_attempts(IAM_ATTEMPTS);
        let iam = aws_sdk_iam::config::Builder::from(&config).retry_config(patient).build();
        let first = RetryConfig::standard().with_max_attempts(FIRST_ATTEMPTS);
        let sts = aws_sdk_sts::config::Builder::from(&config).retry_config(first).build();
        Self {
            sts: aws_sdk_sts::Client::from_conf(sts),
            rds: aws_sdk_rds::Client::new(&config),
            iam: aws_sdk_iam::Client::from_conf(iam),
            kms: aws_sdk_kms::Client::new(&config),
            secrets: aws_sdk_secretsmanager::Client::new(&config),
            scaling: aws_sdk_applicationautoscaling::Client::new(&config),
            config,
        }
    }
}

/// The standard chain (environment, profile, SSO, web identity, container, machine), with our limits.
pub(super) async fn config(settings: &Settings) -> SdkConfig {
    let limits = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(ATTEMPT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(CALL)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http())
        .region(Region::new(settings.region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(limits);
    if let Ok(name) = AppName::new(concat!("infra-", env!("CARGO_PKG_VERSION"))) {
        loader = loader.app_name(name);
    }
    if let Some(profile) = &settings.profile {
        // The profile that the YAML names comes before what stands in the environment; where this machine has no such
        // profile, as in CI, the rest of the standard chain decides. The account is checked either way.
        let region = Some(Region::new(settings.region.clone()));
        let machine = ProviderConfig::default().with_http_client(http()).with_region(region);
        let named =
            ProfileFileCredentialsProvider::builder().configure(&machine).profile_name(profile).build();
        let others = DefaultCredentialsChain::builder().configure(machine).build().await;
        let chain = CredentialsProviderChain::first_try("Profile", named).or_else("Environment", others);
        loader = loader.credentials_provider(chain);
    }
    if let Some(url) = &settings.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let config = loader.load().await;
    let Some(role) = &settings.role_arn else { return config };
    let provider = AssumeRoleProvider::builder(role).session_name("infra").configure(&config).build().await;
    config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}

/// What reaches a service that the SDK has no client for.
#[derive(Clone, Debug)]
pub struct Cloud {
    pub region: String,
    pub endpoint_url: Option<String>,
    pub(in crate::providers) signer: Arc<Signer>,
    pub(in crate::providers) connector: SharedHttpConnector,
}

impl Cloud {
    pub fn new(config: &SdkConfig, region: &str) -> Self {
        Self {
            region: region.into(),
            endpoint_url: config.endpoint_url().map(str::to_owned),
            signer: Arc::new(Signer::new(config.clone(), region)),
            connector: connector(CONNECT, ATTEMPT),
        }
    }

    /// By what this machine says, for environments that are not on AWS. `None` if it says no region.
    pub async fn of_machine() -> Option<Self> {
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http()).load().await;
        let region = config.region()?.to_string();
        Some(Self::new(&config, &region))
    }
}

/// TLS by ring, which Postgres and MongoDB use too; proxies as `HTTPS_PROXY` and its like say.
fn http() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, runtime| {
        let mut connector = Connector::builder()
            .proxy_config(ProxyConfig::from_env())
            .tls_provider(Provider::Rustls(CryptoMode::Ring));
        if let Some(settings) = settings {
            connector = connector.connector_settings(settings.clone());
        }
        if let Some(sleep) = runtime.and_then(RuntimeComponents::sleep_impl) {
            connector = connector.sleep_impl(sleep);
        }
        connector.build()
    })
}
