//! The link: one HTTP/1.1 connection for a whole registration.
//!
//! The client is taken out while a request is under way and put back only with a whole reply in hand, so that a
//! dropped future, or a failure, has closed the connection.

use std::sync::Arc;
use std::time::Instant;

use dps_core::codec::http::{Head, date, read_reply};
use dps_core::message::Call;
use dps_core::{Endpoint, Link, LinkError, Reply, Request, UnixSeconds};
use dps_net::{Classified, Proxy};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, redirect, retry};
use rustls::ClientConfig;
use tracing::debug;

use crate::error::{of_reqwest, through_proxy};
use crate::options::{HttpOptions, OptionError};
use crate::request;

/// Registers over HTTPS. Needs a tokio runtime with I/O and time.
pub struct HttpLink {
    tls: Arc<ClientConfig>,
    options: HttpOptions,
    client: Option<Client>,
    last_error: Option<Classified>,
}

impl HttpLink {
    /// A link without a connection yet.
    ///
    /// # Errors
    /// [`OptionError`] when an option cannot work.
    pub fn new(tls: Arc<ClientConfig>, options: HttpOptions) -> Result<Self, OptionError> {
        options.check()?;
        let client = make_client(&tls, &options).map_err(|error| OptionError::Client(error.to_string()))?;
        Ok(Self { tls, options, client: Some(client), last_error: None })
    }

    /// What was behind the last [`LinkError`], in words for a person; holds no secret and no URL.
    #[must_use]
    pub fn last_error_detail(&self) -> Option<&str> {
        self.last_error.as_ref().map(|found| found.detail.as_str())
    }

    /// Asks for the service's time: one request for `/`, without a credential and without a body, over the TLS, the proxy
    /// and the addresses of this link. Any answer will do, since only its `Date` is read. Sets no time limit.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::InvalidReply`] when the answer has no date.
    pub async fn service_time(&mut self, endpoint: Endpoint<'_>) -> Result<UnixSeconds, LinkError> {
        self.last_error = None;
        self.ask_time(endpoint).await.map_err(|found| self.last_error.insert(found).error)
    }

    async fn ask_time(&mut self, endpoint: Endpoint<'_>) -> Result<UnixSeconds, Classified> {
        let client = make_client(&self.tls, &self.options).map_err(of_reqwest)?;
        let response = client.get(format!("https://{endpoint}/")).send().await.map_err(|error| self.of_send(error))?;
        let dated = text(response.headers(), &DATE).and_then(date::parse);
        let undated = || Classified { error: LinkError::InvalidReply, detail: "an answer without a date".to_owned() };
        dated.ok_or_else(undated)
    }

    /// With a proxy on the way, what cannot be connected to is the proxy.
    fn of_send(&self, error: reqwest::Error) -> Classified {
        let to_connect = error.is_connect();
        let found = of_reqwest(error);
        match &self.options.proxy {
            Some(proxy) if to_connect => through_proxy(proxy, found),
            _ => found,
        }
    }

    async fn ask<'b>(
        &mut self,
        request: &Request<'_>,
        buffer: &'b mut [u8],
    ) -> Result<(Client, Reply<'b>), Classified> {
        let client = match self.client.take() {
            Some(client) => client,
            None => make_client(&self.tls, &self.options).map_err(of_reqwest)?,
        };
        let ready = request::build(&client, request, &self.options.api_version).map_err(unexplained)?;
        let response = ready.send().await.map_err(|error| self.of_send(error))?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let length = read_body(response, buffer).await?;
        let head = Head { status, retry_after: text(&headers, &RETRY_AFTER), date: text(&headers, &DATE) };
        let body = buffer.get_mut(..length).unwrap_or_default();
        let reply = read_reply(head, body).map_err(|error| Classified { error, detail: no_reply(status, &headers) })?;
        Ok((client, reply))
    }
}

impl Link for HttpLink {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let start = Instant::now();
        let call = call_name(&request.call);
        self.last_error = None;
        match self.ask(request, buffer).await {
            Ok((client, reply)) => {
                self.client = Some(client);
                let retry_after_ms = reply.retry_after.map(dps_core::Millis::get);
                let tracking_id = reply.body.tracking_id;
                debug!(call, status = reply.status, retry_after_ms, tracking_id, elapsed = ?start.elapsed(), "reply");
                Ok(reply)
            }
            Err(found) => {
                debug!(call, error = %found.error, detail = %found.detail, elapsed = ?start.elapsed(), "no reply");
                let error = found.error;
                self.last_error = Some(found);
                Err(error)
            }
        }
    }

    async fn close(&mut self) {
        self.client = None;
    }
}

impl std::fmt::Debug for HttpLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpLink")
            .field("options", &self.options)
            .field("last_error", &self.last_error)
            .finish_non_exhaustive()
    }
}

fn make_client(tls: &ClientConfig, options: &HttpOptions) -> Result<Client, reqwest::Error> {
    let builder = ClientBuilder::new().tls_backend_preconfigured(tls.clone()).no_proxy();
    let builder = match &options.proxy {
        Some(proxy) => builder.proxy(library_proxy(proxy)?),
        None => builder,
    };
    let builder = match &options.addresses {
        Some((host, addresses)) => builder.resolve_to_addrs(host, addresses),
        None => builder,
    };
    builder
        .http1_only()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .user_agent(&options.user_agent)
        .dns_resolver(PlatformResolver)
        .pool_max_idle_per_host(1)
        // Waits between polls are the service's to choose; the connection is kept over all of them.
        .pool_idle_timeout(None)
        .build()
}

fn library_proxy(proxy: &Proxy) -> Result<reqwest::Proxy, reqwest::Error> {
    let library = reqwest::Proxy::all(format!("http://{proxy}"))?;
    Ok(match proxy.credentials() {
        Some((user, password)) => library.basic_auth(user, password),
        None => library,
    })
}

/// Reads the body into the caller's buffer and gives its length.
async fn read_body(mut response: Response, buffer: &mut [u8]) -> Result<usize, Classified> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let too_large = unexplained(LinkError::ReplyTooLarge { needed: announced });
    if announced.is_some_and(|length| length > buffer.len()) {
        return Err(too_large);
    }
    let mut filled = 0;
    while let Some(chunk) = response.chunk().await.map_err(of_reqwest)? {
        let Some(space) = buffer.get_mut(filled..filled + chunk.len()) else { return Err(too_large) };
        space.copy_from_slice(&chunk);
        filled += chunk.len();
    }
    Ok(filled)
}

fn unexplained(error: LinkError) -> Classified {
    Classified { error, detail: error.to_string() }
}

/// What is wrong with an answer that is not the service's.
fn no_reply(status: u16, headers: &HeaderMap) -> String {
    if !(200..300).contains(&status) {
        return format!("status {status}, which the service does not use: a proxy or a portal may have answered");
    }
    match text(headers, &CONTENT_TYPE) {
        Some(kind) => format!("status {status} with a body that is not a JSON object, of type {kind:.100}"),
        None => format!("status {status} with a body that is not a JSON object"),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn call_name(call: &Call<'_>) -> &'static str {
    match call {
        Call::Register { .. } => "register",
        Call::Status { .. } => "status",
        Call::Lookup => "lookup",
        _ => "other",
    }
}

/// Asks the platform, and fails with an error that can be told from others.
struct PlatformResolver;

impl Resolve for PlatformResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = dps_net::resolve(name.as_str()).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
