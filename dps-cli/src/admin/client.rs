//! The service's admin API over HTTPS: one signed call at a time, within one deadline, with bounded replies.
//!
//! Paths and headers are here; what an enrollment is, is not.

use std::net::SocketAddr;
use std::time::Duration;

use dps_core::credentials::Resource;
use dps_core::internal::percent_len;
use dps_core::{Endpoint, ErrorCode, LinkError, Text};
use dps_net::{NetError, Proxy, ProxyChoice, Resolver, Roots, TlsOptions};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, Url};
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::connection_string::ConnectionString;
use super::refusal;
use crate::connection::unusable;
use crate::failure::{Failure, Result};
use crate::key::sas_token;

const API_VERSION: &str = "2021-10-01";
const HTTPS_PORT: u16 = 443;
const PAGE: &str = "100";
const CONTINUATION: &str = "x-ms-continuation";
/// The longest accepted reply, in bytes: a page of a hundred enrollments, each near its limit.
const REPLY_MAX: usize = 16 * 1024 * 1024;
/// How long a token is valid beyond the deadline of the calls.
const TOKEN_MARGIN: Duration = Duration::from_secs(300);

/// A connection to the admin API.
pub(crate) struct AdminClient {
    http: Client,
    host: String,
    port: u16,
    /// Absent for calls that anybody can make.
    owner: Option<ConnectionString>,
    timeout: Duration,
    deadline: Instant,
    /// How far the service's clock is ahead, for tests.
    ahead: Duration,
    api_version: &'static str,
}

/// The body of a call.
pub(crate) enum Body<'a> {
    Nothing,
    /// JSON that may hold keys.
    Json(&'a Zeroizing<Vec<u8>>),
}

impl AdminClient {
    /// Prepares the connection to `endpoint`, or else to the host of the connection string.
    pub(crate) async fn connect(
        owner: Option<ConnectionString>,
        endpoint: Option<&str>,
        roots: &Roots,
        proxy: &ProxyChoice,
        resolver: &Resolver,
        timeout: Duration,
    ) -> Result<Self> {
        let deadline = Instant::now() + timeout;
        let endpoint = Endpoint::new(endpoint.or(owner.as_ref().map(|owner| owner.host.as_str())).unwrap_or_default())?;
        let (host, port) = (endpoint.host().to_owned(), endpoint.port_or(HTTPS_PORT));
        let proxy = proxy.for_host(&host).map_err(unusable)?;
        let tls = TlsOptions::new(roots.clone())
            .client_config()
            .map_err(|error| Failure::new(ErrorCode::InvalidCertificate, error.to_string()))?;
        let mut http = Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("dps/", env!("CARGO_PKG_VERSION")));
        http = match &proxy {
            Some(proxy) => http.proxy(library_proxy(proxy).map_err(|error| http_client_failure(&error))?),
            // Resolved here, so that a failure is reported as one of DNS; with a proxy, the proxy resolves the name.
            None => http.resolve_to_addrs(&host, &within_deadline(deadline, resolve(resolver, &host, port)).await?),
        };
        let http = http.build().map_err(|error| http_client_failure(&error))?;
        Ok(Self { http, host, port, owner, timeout, deadline, ahead: Duration::ZERO, api_version: API_VERSION })
    }

    /// Makes tokens for a service whose clock is ahead by this many seconds.
    pub(crate) fn with_clock_offset(self, seconds: i64) -> Self {
        // A service whose clock is behind accepts every token of this clock.
        Self { ahead: Duration::from_secs(seconds.try_into().unwrap_or_default()), ..self }
    }

    /// Calls by another API version than 2021-10-01, which lacks later members of enrollments.
    pub(crate) fn with_api_version(self, api_version: &'static str) -> Self {
        Self { api_version, ..self }
    }

    /// Sends one call and returns its reply: JSON, or null.
    pub(crate) async fn call(&self, method: Method, path: &[&str], body: Body<'_>) -> Result<Value> {
        self.call_about(method, path, None, body).await
    }

    /// Sends one call, about one registration where one is named.
    pub(super) async fn call_about(
        &self,
        method: Method,
        path: &[&str],
        registration_id: Option<&str>,
        body: Body<'_>,
    ) -> Result<Value> {
        self.call_with(method, path, registration_id.map(|id| ("registrationId", id)), body).await
    }

    /// Sends one call, with one parameter more in its query where there is one.
    pub(super) async fn call_with(
        &self,
        method: Method,
        path: &[&str],
        parameter: Option<(&str, &str)>,
        body: Body<'_>,
    ) -> Result<Value> {
        let mut url = self.url(path)?;
        if let Some((name, value)) = parameter {
            url.query_pairs_mut().append_pair(name, value);
        }
        self.exchange(method, url, body, None).await.map(|(value, _)| value)
    }

    /// Returns one page of a list and the continuation for the next.
    pub(crate) async fn page(
        &self,
        path: &[&str],
        body: Body<'_>,
        continuation: Option<&HeaderValue>,
    ) -> Result<(Vec<Value>, Option<HeaderValue>)> {
        let (value, next) = self.exchange(Method::POST, self.url(path)?, body, Some(continuation)).await?;
        match value {
            Value::Array(items) => Ok((items, next)),
            _ => Err(invalid_reply()),
        }
    }

    pub(super) async fn exchange(
        &self,
        method: Method,
        url: Url,
        body: Body<'_>,
        page: Option<Option<&HeaderValue>>,
    ) -> Result<(Value, Option<HeaderValue>)> {
        tracing::debug!(%method, path = url.path(), "asking the service");
        let mut request = self.request(method, url)?.header(ACCEPT, "application/json");
        if let Body::Json(json) = body {
            request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(json.to_vec());
        }
        if let Some(continuation) = page {
            request = request.header("x-ms-max-item-count", PAGE);
            if let Some(continuation) = continuation {
                request = request.header(CONTINUATION, continuation);
            }
        }
        within_deadline(self.deadline, async {
            let response = request.send().await.map_err(link_failure)?;
            let next = response.headers().get(CONTINUATION).filter(|next| !next.is_empty()).cloned();
            read_reply(response).await.map(|value| (value, next))
        })
        .await
    }

    /// Returns a reply whose body has no end. The deadline of the connection is that of its head.
    pub(super) async fn open(&self, url: Url) -> Result<Response> {
        let request = self.request(Method::GET, url)?.header(ACCEPT, "text/event-stream");
        within_deadline(self.deadline, async {
            let response = request.send().await.map_err(link_failure)?;
            match response.status().is_success() {
                true => Ok(response),
                false => Err(read_reply(response).await.err().unwrap_or_else(invalid_reply)),
            }
        })
        .await
    }

    /// Begins a request, with a token where the owner is known.
    fn request(&self, method: Method, url: Url) -> Result<RequestBuilder> {
        let request = self.http.request(method, url);
        Ok(match &self.owner {
            Some(owner) => request.header(AUTHORIZATION, self.authorization(owner)?),
            None => request,
        })
    }

    pub(super) fn url(&self, path: &[&str]) -> Result<Url> {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let path: Vec<String> = path.iter().map(|segment| percent(segment)).collect();
        let text = format!("https://{host}:{}/{}?api-version={}", self.port, path.join("/"), self.api_version);
        Url::parse(&text).map_err(|error| Failure::internal(format!("invalid URL: {error}")))
    }

    /// Returns a token for the whole service, valid until after the deadline.
    fn authorization(&self, owner: &ConnectionString) -> Result<HeaderValue> {
        let resource = Resource::service(owner.host.as_str(), owner.policy.as_str());
        let life = self.timeout.saturating_add(TOKEN_MARGIN).saturating_add(self.ahead);
        let token = sas_token(resource, |to_sign| Ok(owner.key.sign(to_sign)), life)?;
        let mut value =
            HeaderValue::from_str(&token.text).map_err(|_| Failure::internal("the token is not a valid header"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn library_proxy(proxy: &Proxy) -> std::result::Result<reqwest::Proxy, reqwest::Error> {
    let library = reqwest::Proxy::all(format!("http://{proxy}"))?;
    Ok(match proxy.credentials() {
        Some((user, password)) => library.basic_auth(user, password),
        None => library,
    })
}

fn http_client_failure(error: &reqwest::Error) -> Failure {
    Failure::internal(format!("the HTTP client cannot be created: {error}"))
}

async fn resolve(resolver: &Resolver, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let found = resolver.resolve(host, port).await;
    found.map_err(|error| refusal::from_link_error(LinkError::Dns, error.detail()))
}

async fn within_deadline<T>(deadline: Instant, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout_at(deadline, work).await.unwrap_or_else(|_| Err(refusal::from_link_error(LinkError::Timeout, "")))
}

async fn read_reply(mut response: Response) -> Result<Value> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(seconds);
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(link_failure)? {
        if body.len() + chunk.len() > REPLY_MAX {
            return Err(refusal::from_link_error(LinkError::InvalidReply, "the reply is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    match status {
        204 => Ok(Value::Null),
        200..=299 => serde_json::from_slice(&body).map_err(|_| invalid_reply()),
        _ => Err(refusal::from_reply(status, retry_after, &body)),
    }
}

fn seconds(header: &HeaderValue) -> Option<Duration> {
    header.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

pub(super) fn link_failure(error: reqwest::Error) -> Failure {
    match dps_net::classify(&error) {
        Some(kind) => refusal::from_link_error(kind, NetError::from_error(error, kind).detail()),
        None if error.is_connect() => refusal::from_link_error(LinkError::Connect, ""),
        None => invalid_reply(),
    }
}

pub(super) fn invalid_reply() -> Failure {
    refusal::from_link_error(LinkError::InvalidReply, "")
}

fn percent(segment: &str) -> String {
    let mut buffer = vec![0; percent_len(segment)];
    let mut text = Text::new(&mut buffer);
    text.push_percent(segment);
    text.finish().map(str::to_owned).unwrap_or_default()
}

/// Serializes a body, whose keys are wiped.
pub(super) fn to_json(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    serde_json::to_vec(value).map(Zeroizing::new).map_err(|error| Failure::internal(error.to_string()))
}
