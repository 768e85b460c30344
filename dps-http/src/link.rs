//! The link: one HTTP/1.1 connection for a whole registration.
//!
//! The client is taken out while a request is under way and put back only with a whole reply in hand, so that a
//! dropped future, or a failure, has closed the connection.

use std::sync::Arc;
use std::time::Instant;

use dps_core::codec::http::{DEFAULT_PORT, Head, parse_date, read_reply};
use dps_core::{ByteStr, Call, Endpoint, Link, LinkError, Reply, Request, UnixSeconds};
use dps_net::{CurrentPhase, NetError, Phase, Proxy, open_tunnel};
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response, redirect, retry};
use rustls::ClientConfig;
use tracing::debug;

use crate::error::{from_reqwest, is_hidden_refusal, never_answered, through_proxy};
use crate::options::{HttpOptions, OptionError};
use crate::phases::{ConnectorPhase, PlatformResolver, resumption};
use crate::request;

/// Registers over HTTPS. Needs a tokio runtime with I/O and time.
pub struct HttpLink {
    tls: Arc<ClientConfig>,
    options: HttpOptions,
    client: Option<Client>,
    /// Whether this server has answered a request.
    answered: bool,
    last_error: Option<NetError>,
    phase: CurrentPhase,
    /// What a proxy's refusal was found to be whose status the HTTP library hides.
    learned: Option<NetError>,
}

impl HttpLink {
    /// A link without a connection yet.
    ///
    /// # Errors
    /// [`OptionError`] when an option cannot work.
    pub fn new(tls: Arc<ClientConfig>, options: HttpOptions) -> Result<Self, OptionError> {
        options.check()?;
        let phase = CurrentPhase::default();
        let client = make_client(&tls, &options, &phase).map_err(|error| OptionError::Client(error.to_string()))?;
        Ok(Self { tls, options, client: Some(client), answered: false, last_error: None, phase, learned: None })
    }

    /// What was behind the last [`LinkError`], or where an exchange stalled whose future was dropped, in words for a
    /// person; holds no secret and no URL.
    #[must_use]
    pub fn last_error_detail(&self) -> Option<&str> {
        match self.stalled_in() {
            Some(phase) => Some(phase.stalled()),
            None => self.last_error().map(NetError::detail),
        }
    }

    /// The last [`LinkError`] with what was behind it; none after a reply.
    #[must_use]
    pub fn last_error(&self) -> Option<&NetError> {
        self.last_error.as_ref()
    }

    /// The phase in which the last exchange was when its future was dropped; none when it ended.
    #[must_use]
    pub fn stalled_in(&self) -> Option<Phase> {
        self.phase.get()
    }

    /// Asks for the service's time: one request for `/`, without a credential and without a body, over the TLS, the proxy
    /// and the addresses of this link. Any answer will do, since only its `Date` is read. Sets no time limit.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::InvalidReply`] when the answer has no date.
    pub async fn service_time(&mut self, endpoint: Endpoint<'_>) -> Result<UnixSeconds, LinkError> {
        let asked = self.ask_time(endpoint).await;
        self.phase.end();
        self.last_error = None;
        asked.map_err(|found| self.last_error.insert(found).kind())
    }

    async fn ask_time(&mut self, endpoint: Endpoint<'_>) -> Result<UnixSeconds, NetError> {
        let client = make_client(&self.tls, &self.options, &self.phase).map_err(from_reqwest)?;
        let response = match client.get(format!("https://{endpoint}/")).send().await {
            Ok(response) => response,
            Err(error) => return Err(self.send_failed(error, endpoint).await),
        };
        let dated = text(response.headers(), &DATE).and_then(parse_date);
        dated.ok_or_else(|| NetError::new(LinkError::InvalidReply, "an answer without a date"))
    }

    /// With a proxy on the way, what cannot be connected to is the proxy.
    async fn send_failed(&mut self, error: reqwest::Error, endpoint: Endpoint<'_>) -> NetError {
        let to_connect = error.is_connect();
        let found = from_reqwest(error);
        match self.options.proxy.clone() {
            Some(proxy) if to_connect => {
                let found = through_proxy(&proxy, found);
                if is_hidden_refusal(&proxy, &found) {
                    self.learn_refusal(&proxy, endpoint, found).await
                } else {
                    found
                }
            }
            _ if self.answered || to_connect => found,
            _ => never_answered(found),
        }
    }

    /// Asks the proxy once more, and only once, with code of our own that sees the answer. The proxy is not asked again
    /// after it refused a password, since accounts are locked after a few attempts.
    async fn learn_refusal(&mut self, proxy: &Proxy, endpoint: Endpoint<'_>, found: NetError) -> NetError {
        if let Some(learned) = &self.learned {
            return learned.clone();
        }
        self.phase.enter(Phase::Proxy);
        let learned = match open_tunnel(proxy, endpoint.host(), endpoint.port_or(DEFAULT_PORT)).await {
            Err(learned) => learned,
            // It opens a tunnel now: that is as good as a proxy that was away.
            Ok(_) => found.with_kind(LinkError::ProxyUnreachable),
        };
        self.learned.insert(learned).clone()
    }

    async fn ask<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<(Client, Reply<'b>), NetError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => make_client(&self.tls, &self.options, &self.phase).map_err(from_reqwest)?,
        };
        let ready = request::build(&client, request, &self.options.api_version).map_err(unexplained)?;
        self.phase.enter(Phase::Reply);
        let response = match ready.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.send_failed(error, request.identity.endpoint).await),
        };
        self.answered = true;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let length = read_body(response, buffer).await?;
        let value = |name| text(&headers, name).map(ByteStr::from);
        let head = Head { status, retry_after: value(&RETRY_AFTER), date: value(&DATE) };
        let body = buffer.get_mut(..length).unwrap_or_default();
        let reply = read_reply(head, body).map_err(|error| NetError::new(error, no_reply(status, &headers)))?;
        Ok((client, reply))
    }
}

impl Link for HttpLink {
    async fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let start = Instant::now();
        let call = call_name(&request.call);
        let answer = self.ask(request, buffer).await;
        self.phase.end();
        match answer {
            Ok((client, reply)) => {
                self.client = Some(client);
                self.last_error = None;
                let retry_after_ms = reply.retry_after.map(dps_core::Millis::get);
                let tracking_id = reply.body.tracking_id.map(ByteStr::as_str);
                debug!(call, status = reply.status, retry_after_ms, tracking_id, elapsed = ?start.elapsed(), "reply");
                Ok(reply)
            }
            Err(found) => {
                debug!(call, error = %found.kind(), detail = %found, elapsed = ?start.elapsed(), "no reply");
                let error = found.kind();
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

fn make_client(tls: &ClientConfig, options: &HttpOptions, phase: &CurrentPhase) -> Result<Client, reqwest::Error> {
    let first = if options.proxy.is_some() { Phase::Proxy } else { Phase::Connect };
    let mut tls = tls.clone();
    tls.resumption = resumption(phase.clone());
    let builder = ClientBuilder::new().tls_backend_preconfigured(tls).no_proxy();
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
        .dns_resolver(PlatformResolver { phase: phase.clone(), then: first })
        .connector_layer(ConnectorPhase { phase: phase.clone(), first, inner: () })
        .pool_max_idle_per_host(1)
        // Waits between polls are the service's to choose; the connection is kept over all of them.
        .pool_idle_timeout(None)
        .build()
}

fn library_proxy(proxy: &Proxy) -> Result<reqwest::Proxy, reqwest::Error> {
    let library = reqwest::Proxy::all(format!("http://{proxy}"))?;
    Ok(match proxy.authorization().and_then(request::secret_header) {
        Some(authorization) => library.custom_http_auth(authorization),
        None => library,
    })
}

/// Reads the body into the caller's buffer and gives its length.
async fn read_body(mut response: Response, buffer: &mut [u8]) -> Result<usize, NetError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let too_large = unexplained(LinkError::ReplyTooLarge { needed: announced });
    if announced.is_some_and(|length| length > buffer.len()) {
        return Err(too_large);
    }
    let mut filled = 0;
    while let Some(chunk) = response.chunk().await.map_err(from_reqwest)? {
        let Some(space) = buffer.get_mut(filled..filled + chunk.len()) else { return Err(too_large) };
        space.copy_from_slice(&chunk);
        filled += chunk.len();
    }
    Ok(filled)
}

fn unexplained(error: LinkError) -> NetError {
    NetError::new(error, error.to_string())
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
        Call::Time => "time",
        _ => "other",
    }
}
