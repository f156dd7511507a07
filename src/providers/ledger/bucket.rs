//! A bucket of S3, by the credentials and the HTTP client that the other services of AWS are called with.

use std::{fmt, sync::Arc, time::Duration};

use aws_smithy_runtime_api::{
    client::http::{HttpConnector as _, SharedHttpConnector},
    http::Request,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use futures::future::BoxFuture;
use object_store::{
    ClientOptions, CredentialProvider, RetryConfig,
    aws::{AmazonS3Builder, AwsCredential},
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};

use super::{LedgerError, Place};
use crate::providers::aws::{Cloud, token::Signer};

/// Tries of one call, and how long they may take together; the ledger's own limit is somewhat longer.
const TRIES: usize = 4;
const TRYING: Duration = Duration::from_secs(45);

/// `url`: `s3://bucket/prefix`.
pub(super) fn open(url: &str, cloud: &Cloud) -> Result<Place, LedgerError> {
    let bad = |why: String| LedgerError::Place { url: url.into(), why };
    let rest = url.strip_prefix("s3://").ok_or_else(|| bad("it does not begin with s3://".into()))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&cloud.region)
        .with_credentials(Arc::new(Credentials(cloud.signer.clone())))
        .with_http_connector(Smithy(cloud.connector.clone()))
        .with_client_options(ClientOptions::new())
        .with_retry(RetryConfig { max_retries: TRIES, retry_timeout: TRYING, ..RetryConfig::default() });
    if let Some(endpoint) = &cloud.endpoint_url {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    let store = builder.build().map_err(|error| bad(error.to_string()))?;
    Ok(Place::Bucket { store: Arc::new(store), prefix: prefix.trim_matches('/').into(), url: url.into() })
}

/// What the chain of the AWS SDK finds: profiles, SSO, roles and machines included.
#[derive(Debug)]
struct Credentials(Arc<Signer>);

impl CredentialProvider for Credentials {
    type Credential = AwsCredential;

    // What the attribute `async_trait` would write.
    fn get_credential<'a, 'b>(&'a self) -> BoxFuture<'b, object_store::Result<Arc<AwsCredential>>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let found = self.0.credentials().await.map_err(|error| object_store::Error::Unauthenticated {
                path: String::new(),
                source: Box::new(error),
            })?;
            Ok(Arc::new(AwsCredential {
                key_id: found.access_key_id().into(),
                secret_key: found.secret_access_key().into(),
                token: found.session_token().map(str::to_owned),
            }))
        })
    }
}

/// The HTTP client of the AWS SDK.
#[derive(Clone)]
struct Smithy(SharedHttpConnector);

impl fmt::Debug for Smithy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Smithy")
    }
}

impl HttpConnector for Smithy {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Smithy {
    fn call<'a, 'b>(&'a self, request: HttpRequest) -> BoxFuture<'b, Result<HttpResponse, HttpError>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            let request = Request::try_from(request.map(SdkBody::from_body_1_x))
                .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
            let response = self.0.call(request).await.map_err(|error| {
                // A conditional write that is sent twice finds itself, so that sending it again does no harm.
                let kind = match () {
                    () if error.is_timeout() => HttpErrorKind::Timeout,
                    () if error.is_io() => HttpErrorKind::Request,
                    () => HttpErrorKind::Unknown,
                };
                HttpError::new(kind, error)
            })?;
            let response =
                response.try_into_http1x().map_err(|error| HttpError::new(HttpErrorKind::Decode, error))?;
            let (parts, body) = response.into_parts();
            let bytes = ByteStream::new(body).collect().await;
            let bytes =
                bytes.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error))?.into_bytes();
            Ok(HttpResponse::from_parts(parts, bytes.into()))
        })
    }
}
