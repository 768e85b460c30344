//! The link: one HTTP/1.1 connection for a whole registration.
//!
//! The client is taken out while a request is under way and put back only with a whole reply in hand, so that a
//! dropped future, or a failure, has closed the connection.

use std::time::{Duration, Instant};

use dps_core::codec::http::{
    DEFAULT_PORT, Head, method, parse_date, read_reply, write_body_with_members, write_target,
};
use dps_core::{ByteStr, Call, Endpoint, Link, LinkError, Reply, Request, Text, UnixSeconds};
use dps_net::{CertificateUse, CurrentPhase, Dialer, NetError, Phase};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Client, Method, Response, Url};
use tracing::debug;
use zeroize::Zeroizing;

use crate::client::{connect_to, secret_header};
use crate::error::{Unconnected, explain_unanswered, from_reqwest};
use crate::options::{HttpOptions, OptionError};

/// How long a proxy may take to repeat its refusal for its status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Registers over HTTPS. Needs a tokio runtime with I/O and time.
pub struct HttpLink {
    dialer: Dialer,
    options: HttpOptions,
    client: Option<Client>,
    /// Whether this server has answered a request.
    answered: bool,
    last_error: Option<NetError>,
    phase: CurrentPhase,
    certificate: CertificateUse,
    /// A proxy's refusal with its status, once the proxy was asked for it.
    learned: Option<NetError>,
}

impl HttpLink {
    /// Returns a link that connects at its first exchange.
    ///
    /// # Errors
    /// [`OptionError`] when an option is not valid.
    pub fn new(dialer: Dialer, options: HttpOptions) -> Result<Self, OptionError> {
        options.check()?;
        let (phase, certificate) = (CurrentPhase::default(), CertificateUse::default());
        let dialer = dialer.phase(phase.clone());
        Ok(Self { dialer, options, client: None, answered: false, last_error: None, phase, certificate, learned: None })
    }

    /// Returns the cause of the last [`LinkError`] in words, or the phase in which an exchange stalled whose future was
    /// dropped. Holds no secret and no URL.
    #[must_use]
    pub fn last_error_detail(&self) -> Option<&str> {
        match self.stalled_in() {
            Some(phase) => Some(phase.stalled()),
            None => self.last_error().map(NetError::detail),
        }
    }

    /// Returns the last failure with its cause, or `None` after a reply.
    #[must_use]
    pub fn last_error(&self) -> Option<&NetError> {
        self.last_error.as_ref()
    }

    /// Returns the phase in which the last exchange was when its future was dropped, or `None` when it ended.
    #[must_use]
    pub fn stalled_in(&self) -> Option<Phase> {
        self.phase.get()
    }

    /// Returns what became of the device's certificate on the last connection.
    #[must_use]
    pub fn certificate_use(&self) -> &CertificateUse {
        &self.certificate
    }

    /// Requests the service's time: one GET of `/`, without a credential and without a body, over this link's dialer. Any
    /// answer is accepted, since only its `Date` is read. Sets no time limit for the answer.
    ///
    /// # Errors
    /// [`LinkError`]; [`LinkError::InvalidReply`] when the answer has no date.
    pub async fn service_time(&mut self, endpoint: Endpoint<'_>) -> Result<UnixSeconds, LinkError> {
        let asked = self.ask_time(endpoint).await;
        self.phase.end();
        self.last_error = None;
        asked.map_err(|failure| self.last_error.insert(failure).kind())
    }

    async fn ask_time(&mut self, endpoint: Endpoint<'_>) -> Result<UnixSeconds, NetError> {
        let client = self.new_client(endpoint).await?;
        let response = match client.get(format!("https://{endpoint}/")).send().await {
            Ok(response) => response,
            Err(error) => return Err(self.send_failed(error, endpoint).await),
        };
        let dated = text(response.headers(), &DATE).and_then(parse_date);
        dated.ok_or_else(|| NetError::new(LinkError::InvalidReply, "the answer has no Date header"))
    }

    /// Resolves the endpoint's name, or that of the proxy, and returns a client that connects to its addresses.
    async fn new_client(&self, endpoint: Endpoint<'_>) -> Result<Client, NetError> {
        let addresses = self.dialer.resolve(endpoint.host(), endpoint.port_or(DEFAULT_PORT)).await?;
        connect_to(addresses, &self.dialer, &self.options, &self.phase, &self.certificate).map_err(from_reqwest)
    }

    /// What a request failed with. A connection that fails before TLS has begun fails at the proxy where there is one.
    async fn send_failed(&mut self, error: reqwest::Error, endpoint: Endpoint<'_>) -> NetError {
        if !error.is_connect() {
            let failure = self.certificate.explain(from_reqwest(error));
            let failure = self.certificate.suspect_renegotiation(failure);
            // With a certificate, a cut is explained by that.
            let explained = failure.kind() == LinkError::Cut && self.certificate.requested().is_some();
            return if self.answered || explained { failure } else { explain_unanswered(failure) };
        }
        let phase = self.phase.get().unwrap_or(Phase::Connect);
        let proxy = self.dialer.proxy().filter(|_| phase == Phase::Proxy);
        match Unconnected::new(error, phase, proxy) {
            Unconnected::Known(failure) => self.certificate.explain(failure),
            Unconnected::HiddenRefusal(failure) => self.learn_refusal(failure, endpoint).await,
        }
    }

    /// Asks the proxy for a tunnel once more, and only once, with the dialer, which sees the answer. It is not asked again
    /// after a 407, since accounts are locked after a few attempts.
    async fn learn_refusal(&mut self, failure: NetError, endpoint: Endpoint<'_>) -> NetError {
        if let Some(learned) = &self.learned {
            return learned.clone();
        }
        let dialer = self.dialer.clone().connect_timeout(self.dialer.timeout().min(STATUS_TIMEOUT));
        let learned = match dialer.connect(endpoint.host(), endpoint.port_or(DEFAULT_PORT)).await {
            Err(learned) if learned.kind() != LinkError::Timeout => learned,
            // The refusal has passed, or the proxy is busy: a failure that is retried, as of a proxy that was away.
            _ => failure,
        };
        self.learned.insert(learned).clone()
    }

    async fn ask<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<(Client, Reply<'b>), NetError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.new_client(request.identity.endpoint).await?,
        };
        let ready = build(&client, request, &self.options.api_version).map_err(from_kind)?;
        self.phase.enter(Phase::Reply);
        let response = match ready.send().await {
            Ok(response) => response,
            Err(error) => return Err(self.send_failed(error, request.identity.endpoint).await),
        };
        self.answered = true;
        self.certificate.answered();
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let length = read_body(response, buffer).await?;
        let value = |name| text(&headers, name).map(ByteStr::from);
        let head = Head { status, retry_after: value(&RETRY_AFTER), date: value(&DATE) };
        let body = buffer.get_mut(..length).unwrap_or_default();
        let reply = read_reply(head, body).map_err(|error| NetError::new(error, describe_answer(status, &headers)))?;
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
            Err(failure) => {
                debug!(call, error = %failure.kind(), detail = %failure, elapsed = ?start.elapsed(), "no reply");
                let error = failure.kind();
                self.last_error = Some(failure);
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

/// Builds the HTTP request.
fn build(client: &Client, request: &Request<'_>, api_version: &str) -> Result<reqwest::RequestBuilder, LinkError> {
    let target = written(|text| write_target(text, request, api_version))?;
    let host = written(|text| request.identity.endpoint.write(text))?;
    let url = Url::parse(&format!("https://{host}{target}")).map_err(|_| LinkError::Unsupported)?;
    let method = Method::from_bytes(method(&request.call).as_bytes()).map_err(|_| LinkError::Unsupported)?;
    let mut builder = client.request(method, url).header(ACCEPT, "application/json");
    if let Some(authorization) = request.authorization {
        let token = Zeroizing::new(authorization.token.as_str().to_owned());
        let token = secret_header(token).ok_or(LinkError::Unsupported)?;
        builder = builder.header(AUTHORIZATION, token);
    }
    let body = written(|text| write_body_with_members(text, request))?;
    if !body.is_empty() {
        builder = builder.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body);
    }
    Ok(builder)
}

/// Reads the body into the caller's buffer and returns its length.
async fn read_body(mut response: Response, buffer: &mut [u8]) -> Result<usize, NetError> {
    let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
    let too_large = from_kind(LinkError::ReplyTooLarge { needed: announced });
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

fn from_kind(error: LinkError) -> NetError {
    NetError::new(error, error.to_string())
}

/// Describes an answer that is not the service's.
fn describe_answer(status: u16, headers: &HeaderMap) -> String {
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
        Call::Lookup | Call::LookupWithMembers { .. } => "lookup",
        Call::Time => "time",
        _ => "other",
    }
}

/// Writes twice: once for the size, once for the text.
fn written(write: impl Fn(&mut Text<'_>)) -> Result<String, LinkError> {
    let mut measure = Text::new(&mut []);
    write(&mut measure);
    let mut bytes = vec![0; measure.len()];
    let mut text = Text::new(&mut bytes);
    write(&mut text);
    let text = text.finish().map_err(|short| LinkError::RequestTooLarge { needed: short.needed })?;
    Ok(text.to_owned())
}
