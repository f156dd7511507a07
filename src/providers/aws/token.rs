//! Tokens to log in to Aurora with: a request, signed with the caller's credentials, that is never sent.
//!
//! A token names the endpoint and the user, so one for somebody else, or for another cluster, is worth nothing.

use std::{
    error::Error,
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use aws_config::{Region, SdkConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials as _};
use aws_sdk_rds::auth_token::{AuthTokenGenerator, Config};
use futures::future::BoxFuture;
use tokio::sync::Mutex;

use crate::{
    model::{percent, secret::Secret},
    providers::postgres::{Endpoint, Tokens},
};

/// Credentials that end sooner are fetched anew, so that they outlive the tokens they sign.
const MARGIN: Duration = Duration::from_mins(10);
/// Credentials of which nobody says when they end may have been replaced by then, as in a file.
const UNKNOWN: Duration = Duration::from_mins(5);

/// Signs with what the standard chain finds.
#[derive(Debug)]
pub struct Signer {
    config: SdkConfig,
    /// The environment's, for endpoints that do not name theirs.
    region: String,
    credentials: Mutex<Option<(SystemTime, Credentials)>>,
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("there are no AWS credentials")]
    NoCredentials,
    #[error("the AWS credentials could not be had: {0}")]
    Credentials(String),
    #[error("the AWS credentials ended {0}: log in to AWS again")]
    Ended(String),
    #[error("`{0}` is no host that a token could be signed for")]
    Host(String),
    #[error("nothing could be signed")]
    Signing(#[source] Box<dyn Error + Send + Sync>),
}

impl Signer {
    /// `region` is that of the environment; where an endpoint names its own, that counts.
    pub fn new(config: SdkConfig, region: impl Into<String>) -> Self {
        Self { config, region: region.into(), credentials: Mutex::default() }
    }

    async fn sign(&self, endpoint: &Endpoint, user: &str) -> Result<Secret<String>, TokenError> {
        if !is_host(&endpoint.host) {
            return Err(TokenError::Host(endpoint.host.clone()));
        }
        let region = region(&endpoint.host).unwrap_or(&self.region).to_owned();
        let config = Config::builder()
            .hostname(&endpoint.host)
            .port(u64::from(endpoint.port))
            // It is put into a URL as it is: a `&` in it would sign for another user.
            .username(percent::encode(user))
            .region(Region::new(region))
            .credentials(self.credentials().await?)
            .build()
            .map_err(TokenError::Signing)?;
        let token = AuthTokenGenerator::new(config).auth_token(&self.config).await;
        token.map(|token| Secret::new(signature_last(token.as_str()))).map_err(TokenError::Signing)
    }

    /// The same for some minutes: the chain keeps nothing, and may ask a service or a person each time.
    pub(in crate::providers) async fn credentials(&self) -> Result<Credentials, TokenError> {
        let now = self.config.time_source().map_or_else(SystemTime::now, |source| source.now());
        let mut kept = self.credentials.lock().await;
        if let Some((until, credentials)) = kept.as_ref()
            && now < *until
        {
            return Ok(credentials.clone());
        }
        let provider = self.config.credentials_provider().ok_or(TokenError::NoCredentials)?;
        let credentials = provider.provide_credentials().await;
        let credentials =
            credentials.map_err(|error| TokenError::Credentials(crate::model::causes(&error)))?;
        if let Some(expiry) = credentials.expiry().filter(|expiry| *expiry <= now) {
            let ended = jiff::Timestamp::try_from(expiry)
                .map(|at| at.strftime("at %Y-%m-%d %H:%M:%S UTC").to_string());
            return Err(TokenError::Ended(ended.unwrap_or_else(|_| "long ago".into())));
        }
        let until = credentials.expiry().map_or(now + UNKNOWN, |expiry| expiry - MARGIN);
        *kept = Some((until, credentials.clone()));
        Ok(credentials)
    }
}

impl Tokens for Signer {
    fn token<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Secret<String>, Box<dyn Error + Send + Sync>>> {
        Box::pin(async move { Ok(self.sign(endpoint, user).await?) })
    }
}

/// The region in a cluster's or an instance's name. The environment's may be another: clusters are adopted, too.
fn region(host: &str) -> Option<&str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let rest =
        host.strip_suffix(".rds.amazonaws.com").or_else(|| host.strip_suffix(".rds.amazonaws.com.cn"))?;
    rest.rsplit_once('.').map(|(_, region)| region)
}

/// What the signer reads as a URL's host; on anything else it would panic.
fn is_host(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let plain = |label: &&str| {
        let letters = label.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
        letters && !label.is_empty() && !label.to_ascii_lowercase().starts_with("xn--")
    };
    // A last part that begins with a digit makes it an address, which then has to be one.
    let last = labels.last().is_some_and(|label| label.starts_with(|letter: char| letter.is_ascii_digit()));
    labels.iter().all(plain) && (!last || host.parse::<Ipv4Addr>().is_ok())
}

/// The signer puts the session token behind the signature, other clients before it. It is the same to AWS; but what is
/// equal byte by byte needs no second thought.
fn signature_last(token: &str) -> String {
    let (signature, others): (Vec<&str>, Vec<&str>) =
        token.split('&').partition(|part| part.starts_with("X-Amz-Signature="));
    others.into_iter().chain(signature).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_async::time::StaticTimeSource;

    use super::*;

    fn signer(expires_in: Option<i64>) -> Signer {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let expiry = expires_in.map(|seconds| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000_u64.saturating_add_signed(seconds))
        });
        let credentials =
            Credentials::new("AKIDEXAMPLE", "canary-secret", Some("canary-session".into()), expiry, "test");
        let config = SdkConfig::builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .time_source(StaticTimeSource::new(now))
            .build();
        Signer::new(config, "eu-north-1")
    }

    fn endpoint(host: &str) -> Endpoint {
        Endpoint { cluster: "main".into(), host: host.into(), port: 5432 }
    }

    #[test]
    fn the_region_is_the_endpoints() {
        assert_eq!(region("main.cluster-abc.eu-central-1.rds.amazonaws.com"), Some("eu-central-1"));
        assert_eq!(region("main.cluster-ro-abc.us-gov-west-1.rds.amazonaws.com."), Some("us-gov-west-1"));
        assert_eq!(region("main.cluster-abc.cn-north-1.rds.amazonaws.com.cn"), Some("cn-north-1"));
        assert_eq!(region("localhost"), None);
        assert_eq!(region("rds.amazonaws.com"), None);
    }

    #[tokio::test]
    async fn another_hosts_region_is_the_environments() {
        let signed =
            async |host: &str| signer(None).sign(&endpoint(host), "ana").await.unwrap().reveal().clone();
        let token = signed("database.example").await;
        assert!(token.contains("%2Feu-north-1%2Frds-db%2F"), "{token}");
        let token = signed("a.cluster-b.ap-southeast-1.rds.amazonaws.com").await;
        assert!(token.contains("%2Fap-southeast-1%2Frds-db%2F"), "{token}");
    }

    #[tokio::test]
    async fn no_host_makes_it_panic() {
        let long = "a".repeat(300);
        for host in
            ["", "a b", "a/b", "a@b", "[::1]", "xn--a", "1.2.3.999", "a..b", "é", "a.0x", &long, "a.b."]
        {
            let _ = signer(None).sign(&endpoint(host), "ana").await;
        }
        let error = signer(None).sign(&endpoint("a b"), "ana").await.unwrap_err();
        assert_eq!(error.to_string(), "`a b` is no host that a token could be signed for");
        assert!(signer(None).sign(&endpoint("127.0.0.1"), "ana").await.is_ok());
    }

    #[tokio::test]
    async fn credentials_that_ended_are_no_signature() {
        let error = signer(Some(-1)).sign(&endpoint("a.example"), "ana").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the AWS credentials ended at 2023-11-14 22:13:19 UTC: log in to AWS again"
        );
        assert!(signer(Some(60)).sign(&endpoint("a.example"), "ana").await.is_ok());
        let none = Signer::new(SdkConfig::builder().build(), "eu-north-1");
        assert!(matches!(none.sign(&endpoint("a"), "ana").await, Err(TokenError::NoCredentials)));
    }

    #[tokio::test]
    async fn nothing_shows_a_secret() {
        let signer = signer(Some(3600));
        let token = signer.token(&endpoint("a.example"), "ana").await.unwrap();
        let signature = token.reveal().rsplit_once("X-Amz-Signature=").unwrap().1.to_owned();
        let shown = format!("{signer:?} {token:?} {token}");
        assert!(!shown.contains("canary") && !shown.contains(&signature), "{shown}");
    }
}
