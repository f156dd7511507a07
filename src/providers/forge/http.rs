//! JSON over HTTPS, with limits in time and patience with limits of rate. By the HTTP client that the AWS SDK brings.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_smithy_runtime_api::{
    client::http::{HttpConnector as _, SharedHttpConnector},
    http::{Headers, Request},
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use serde_json::Value;

use super::ForgeError;
use crate::{model::secret::Secret, providers::http::connector};

const CONNECT: Duration = Duration::from_secs(5);
/// One attempt, from the first byte sent to the last received.
const ATTEMPT: Duration = Duration::from_secs(20);
const ATTEMPTS: u32 = 4;
/// Longest wait that a server may ask for; nobody holds up a job for longer because of a comment.
const PATIENCE: Duration = Duration::from_mins(1);
/// Pages of a hundred. More comments than this no pull request has.
const PAGES: usize = 500;

/// One server's API, and who we are there.
#[derive(Clone, Debug)]
pub(super) struct Http {
    /// Without a slash at its end.
    base: String,
    header: (&'static str, Secret<String>),
    connector: SharedHttpConnector,
}

/// Whether saying it twice does what saying it once does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Harmless,
    Harmful,
}

pub(super) struct Answer {
    pub(super) body: Value,
    /// Another page follows.
    more: bool,
}

impl Http {
    pub(super) fn new(base: &str, header: &'static str, token: Secret<String>) -> Result<Self, ForgeError> {
        let base = base.trim_end_matches('/');
        let host = base.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
        let own = host.is_some_and(|host| host == "localhost" || host == "127.0.0.1");
        if !base.starts_with("https://") && !own {
            return Err(ForgeError::Clear { url: base.into() });
        }
        Ok(Self { base: base.into(), header: (header, token), connector: connector(CONNECT, ATTEMPT) })
    }

    pub(super) async fn get(&self, what: &str, path: &str) -> Result<Value, ForgeError> {
        Ok(self.call(what, "GET", path, None, Repeat::Harmless).await?.body)
    }

    /// All pages of a list.
    pub(super) async fn all(&self, what: &str, path: &str) -> Result<Vec<Value>, ForgeError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        for page in 1..=PAGES {
            let path = format!("{path}{separator}per_page=100&page={page}");
            let answer = self.call(what, "GET", &path, None, Repeat::Harmless).await?;
            let Value::Array(some) = answer.body else { return Err(self.unexpected(what)) };
            items.extend(some);
            if !answer.more {
                break;
            }
        }
        Ok(items)
    }

    /// `path`: behind the base, or a whole URL of the same server.
    pub(super) async fn call(
        &self,
        what: &str,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<Answer, ForgeError> {
        let mut attempt = 1;
        loop {
            let ended = match tokio::time::timeout(ATTEMPT, self.once(what, method, path, body)).await {
                Ok(ended) => ended,
                Err(_) => Err((ForgeError::Late { place: self.place(), after: ATTEMPT }, None)),
            };
            let (error, wait) = match ended {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            // What was turned away because of the rate has not been done; anything else may have been.
            let again = match wait {
                Some(_) => true,
                None => repeat == Repeat::Harmless && error.is_doubtful(),
            };
            let wait = wait.unwrap_or(Duration::from_millis(500) * 2_u32.pow(attempt - 1));
            if !again || attempt == ATTEMPTS {
                return Err(error);
            }
            if wait > PATIENCE {
                return Err(ForgeError::Limited { place: self.place(), wait });
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// With an error, how long the server wants to be left alone.
    async fn once(
        &self,
        what: &str,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, (ForgeError, Option<Duration>)> {
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| {
            (ForgeError::Unreachable { place: self.place(), source }, None)
        };
        let mut request =
            Request::new(body.map_or_else(SdkBody::empty, |body| SdkBody::from(body.to_string())));
        request.set_method(method).map_err(|error| unreachable(error.into()))?;
        request.set_uri(format!("{}{path}", self.base)).map_err(|error| unreachable(error.into()))?;
        let headers = request.headers_mut();
        let (header, token) = &self.header;
        // What a token holds is shown in no error.
        let sendable = token.reveal().bytes().all(|b| (32..127).contains(&b));
        if !sendable || headers.try_insert(*header, token.reveal().clone()).is_err() {
            return Err(unreachable("the token has characters that no token has".into()));
        }
        headers.insert("user-agent", concat!("infra/", env!("CARGO_PKG_VERSION")));
        headers.insert("accept", "application/json");
        headers.insert("content-type", "application/json");
        let answer = self.connector.call(request).await.map_err(|error| unreachable(error.into()))?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = ByteStream::new(answer.into_body()).collect().await;
        let bytes = bytes.map_err(|error| unreachable(error.into()))?.into_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if (200..300).contains(&status) {
            let more = headers.get("link").is_some_and(|link| link.contains("rel=\"next\""));
            return Ok(Answer { body, more });
        }
        let message = body["message"].as_str().or(body["error"].as_str()).unwrap_or_default();
        let message: String = message.chars().take(300).collect();
        let wait = limited(status, &headers, &message);
        Err((ForgeError::Refused { place: self.place(), what: what.into(), status, message }, wait))
    }

    pub(super) fn unexpected(&self, what: &str) -> ForgeError {
        ForgeError::Answer { place: self.place(), what: what.into() }
    }

    /// The host, for messages.
    fn place(&self) -> String {
        let rest = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    }
}

/// How long to wait if an answer means "too many calls". GitHub says that with 403 too, and tells one from the other by headers
/// or, of its secondary limit, by words alone.
fn limited(status: u16, headers: &Headers, message: &str) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.trim().parse::<u64>().ok();
    let spent = number("x-ratelimit-remaining") == Some(0);
    let secondary = message.contains("secondary rate limit") || message.contains("abuse detection");
    let unavailable = status == 503 && number("retry-after").is_some();
    if !unavailable && !matches!(status, 403 | 429) {
        return None;
    }
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    if status == 403 && !spent && !secondary {
        return None;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let reset = number("x-ratelimit-reset").filter(|_| spent).or(number("ratelimit-reset"));
    Some(Duration::from_secs(reset.map_or(5, |reset| reset.saturating_sub(now).max(1))))
}
