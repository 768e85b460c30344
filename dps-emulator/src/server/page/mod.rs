//! The page in a browser: a listener of its own for the page's files, its sessions, and the calls that a session may make.
//!
//! `/api/X` is the owner's call `/X` of the service. The policy key never reaches the page: a session stands for it, and no call
//! of a session returns keys but the one that exists for it (`attestationmechanism`).

mod files;
mod guard;
mod options;
mod overview;
mod sessions;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::addresses::{Addresses, in_authority};
use super::follow::ReplyBody;
use super::http1::{self, Answers, Cut, into_response};
use super::https::{ask_service, reply_or_follow};
use super::limits::PermitHandle;
use super::listener::{HANDSHAKE_TIMEOUT, run_with};
use super::options::EmulatorOptions;
use super::public;
use super::shared::{Shared, machine_unix_ms};
use crate::auth::ConnectionAuth;
use crate::control_devices::PageLinks;
use crate::http::{HttpReply, HttpRequest};
use crate::service::Service;
use crate::time::http_date;
use crate::wire::{BODY_MAX, parse_object, to_json};
use guard::{Guard, Refused};
pub(crate) use options::UiOptions;
use overview::Facts;
pub(super) use overview::sha256_of;
use sessions::{SESSION_LIFE, Sessions};

const JSON: &str = "application/json; charset=utf-8";
const SCHEME: &str = "Bearer ";

/// The page of an emulator.
pub(super) struct Page {
    /// `http://host:port`.
    base: String,
    guard: Guard,
    sessions: Sessions,
    facts: Facts,
}

/// A link that opens the emulator's page. Its code works once, within ten minutes: whoever has it can do what the owner can,
/// except read the policy key. Wiped when dropped, shown only by [`expose`](Self::expose).
#[derive(Clone)]
pub struct PageLink(Zeroizing<String>);

impl PageLink {
    /// The link, `http://127.0.0.1:PORT/#CODE`.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PageLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageLink(..)")
    }
}

impl Page {
    /// Returns `None` if the operating system returns no random bytes.
    pub(super) fn new(
        options: &EmulatorOptions,
        listener: SocketAddr,
        addresses: &Addresses,
        ca_pem: &str,
    ) -> Option<Self> {
        let scheme = options.ui.scheme();
        let host = addresses.ui.clone().unwrap_or_else(|| format!("{}:{}", host_of(&options.ui), listener.port()));
        let announced =
            addresses.ui.iter().filter_map(|address| address.rsplit_once(':')).map(|(host, _)| host.to_owned());
        Some(Self {
            base: format!("{scheme}://{host}"),
            guard: Guard::new(scheme, options.ui.names().into_iter().chain(announced)),
            sessions: Sessions::default(),
            facts: Facts::new(options, addresses, ca_pem)?,
        })
    }

    /// Makes another link; `None` if the operating system returns no random bytes.
    pub(super) fn link(&self) -> Option<PageLink> {
        let code = self.sessions.new_code()?;
        let mut link = Zeroizing::new(String::with_capacity(self.base.len() + code.len() + 2));
        link.push_str(&self.base);
        link.push_str("/#");
        link.push_str(&code);
        Some(PageLink(link))
    }
}

/// Makes links for the call that an owner makes for one.
pub(super) fn links(page: &Arc<Page>) -> PageLinks {
    let page = Arc::clone(page);
    Box::new(move || page.link().map(|link| link.0))
}

/// The host of the link.
fn host_of(ui: &UiOptions) -> String {
    match ui.listen {
        address if address.is_unspecified() => match ui.hosts.first() {
            Some(name) => in_authority(name),
            None => "127.0.0.1".to_owned(),
        },
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// Serves the page until the emulator stops; over TLS if there is an acceptor.
pub(super) async fn run(
    listener: TcpListener,
    page: Arc<Page>,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let stopped = stop.clone();
    let serve = |tcp, handle| serve(tcp, tls.clone(), Arc::clone(&page), Arc::clone(&shared), handle, stopped.clone());
    run_with(listener, serve, stop).await;
}

async fn serve(
    tcp: TcpStream,
    tls: Option<TlsAcceptor>,
    page: Arc<Page>,
    shared: Arc<Shared>,
    handle: PermitHandle,
    mut stop: watch::Receiver<bool>,
) {
    let Some(tls) = tls else { return serve_http(tcp, &page, &shared, &handle, stop).await };
    let accepted = tokio::select! {
        _ = stop.wait_for(|stop| *stop) => return,
        accepted = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(tcp)) => accepted,
    };
    if let Ok(Ok(stream)) = accepted {
        serve_http(stream, &page, &shared, &handle, stop).await;
    }
}

async fn serve_http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    page: &Page,
    shared: &Arc<Shared>,
    handle: &PermitHandle,
    stop: watch::Receiver<bool>,
) {
    let requests = Requests { page, shared, stop: &stop };
    http1::serve(stream, &requests, handle, stop.clone()).await;
}

/// The requests of one connection.
struct Requests<'a> {
    page: &'a Page,
    shared: &'a Arc<Shared>,
    stop: &'a watch::Receiver<bool>,
}

impl Answers for Requests<'_> {
    async fn answer(&self, request: Request<Incoming>, auth: &mut ConnectionAuth) -> Result<Response<ReplyBody>, Cut> {
        let (head, body) = http1::receive(request).await?;
        let mut response = match self.reply(&head, &body, auth).await {
            Ok(response) => response,
            Err(NoReply::Cut(cut)) => return Err(cut),
            Err(NoReply::Refused(refused)) => {
                // Files are sent to anybody, so that only refusals are recorded.
                auth.record_reply(refused.status);
                into_response(refused.into())?
            }
        };
        guard::protect(response.headers_mut());
        Ok(response)
    }
}

/// Why a request has no reply of its own.
enum NoReply {
    Refused(Refused),
    Cut(Cut),
}

impl From<Refused> for NoReply {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Cut> for NoReply {
    fn from(cut: Cut) -> Self {
        Self::Cut(cut)
    }
}

impl Requests<'_> {
    async fn reply(
        &self,
        head: &Parts,
        body: &[u8],
        auth: &mut ConnectionAuth,
    ) -> Result<Response<ReplyBody>, NoReply> {
        self.page.guard.check(head, body)?;
        let (method, path) = (head.method.as_str(), head.uri.path());
        if let Some(reply) = public::reply(self.shared, method, path) {
            return Ok(into_response(reply)?);
        }
        if path == "/session" {
            return Ok(into_response(self.begin_session(method, body)?)?);
        }
        if let Some(call) = http1::target(head).strip_prefix("/api/") {
            self.check_session(head)?;
            auth.mark_verified();
            return Ok(self.call(head, call, body).await?);
        }
        let known = head.headers.get("If-None-Match").and_then(|known| known.to_str().ok());
        match files::reply(path, known) {
            Some(reply) if matches!(method, "GET" | "HEAD") => Ok(into_response(dated(reply))?),
            Some(_) => Err(Refused::new(405, "This resource supports GET only.").into()),
            None => Err(Refused::new(404, "The page has no such resource.").into()),
        }
    }

    /// Exchanges the code of a link for a session.
    fn begin_session(&self, method: &str, body: &[u8]) -> Result<HttpReply, Refused> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Body {
            code: Zeroizing<String>,
        }
        if method != "POST" {
            return Err(Refused::new(405, "This resource supports POST only."));
        }
        if body.len() > BODY_MAX {
            return Err(Refused::new(413, format!("The body has more than {BODY_MAX} bytes.")));
        }
        let body: Body = parse_object(body).map_err(|problem| Refused::new(400, problem.message))?;
        let token = self.page.sessions.begin(&body.code).ok_or_else(|| {
            Refused::new(
                401,
                "This link was used already, is older than ten minutes, or belongs to an emulator that has ended: print another \
                 one with dps emulator ui.",
            )
        })?;
        let reply = to_json(&json!({ "token": *token, "expiresInSeconds": SESSION_LIFE.as_secs() }));
        Ok(json_reply(200, reply))
    }

    fn check_session(&self, head: &Parts) -> Result<(), Refused> {
        let header = head.headers.get("Authorization").and_then(|header| header.to_str().ok());
        let token = header.and_then(|header| {
            let (scheme, token) = header.split_at_checked(SCHEME.len())?;
            scheme.eq_ignore_ascii_case(SCHEME).then_some(token)
        });
        match token.is_some_and(|token| self.page.sessions.knows(token)) {
            true => Ok(()),
            false => Err(Refused::new(
                401,
                "This session has ended, since the emulator was started again or the session is too old: open the page with a new \
                 link, which dps emulator ui prints.",
            )),
        }
    }

    /// Makes the owner's call. `call` is path and query without `/api/`.
    async fn call(&self, head: &Parts, call: &str, body: &[u8]) -> Result<Response<ReplyBody>, Cut> {
        let path = call.split('?').next().unwrap_or_default();
        if path == "overview" && head.method == "GET" {
            let body = to_json(&self.page.facts.overview(self.shared));
            return into_response(json_reply(200, body));
        }
        let is_devices = path == "devices" || path.starts_with("devices/");
        let path_and_query = if is_devices { format!("/emulator/{call}") } else { format!("/{call}") };
        let headers = http1::headers(head);
        // The session's token is not one of the service.
        let headers = headers.iter().filter(|(name, _)| *name != "authorization");
        let headers: Vec<(&str, &str)> = headers.map(|(name, value)| (*name, value.as_ref())).collect();
        let request =
            HttpRequest { method: head.method.as_str(), path_and_query: &path_and_query, headers: &headers, body };
        let handle = |service: &mut Service, now| service.handle_for_session(now, &request);
        let reply = ask_service(self.shared, None, &request, handle).await;
        reply_or_follow(self.shared, &path_and_query, reply, self.stop)
    }
}

impl From<Refused> for HttpReply {
    fn from(refused: Refused) -> Self {
        let mut reply = json_reply(refused.status, to_json(&json!({ "message": refused.message })));
        if refused.status == 401 {
            reply.headers.push(("WWW-Authenticate", SCHEME.trim_end().to_owned()));
        }
        reply
    }
}

fn json_reply(status: u16, body: Vec<u8>) -> HttpReply {
    dated(HttpReply { status, headers: vec![("Content-Type", JSON.to_owned())], body, fault: None })
}

/// Adds the machine's date: these replies are not the service's.
fn dated(mut reply: HttpReply) -> HttpReply {
    reply.headers.push(("Date", http_date(machine_unix_ms() / 1000)));
    reply
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio_rustls::TlsConnector;

    use super::super::certificate::Authority;
    use super::super::limits::{ConnectionLimiter, VERIFY_WITHIN};
    use super::super::testing::shared;
    use super::super::tls::Handshakes;
    use super::*;

    fn page(options: &EmulatorOptions, ca_pem: &str) -> Arc<Page> {
        let listener = SocketAddr::from(([127, 0, 0, 1], 9080));
        Arc::new(Page::new(options, listener, &Addresses::default(), ca_pem).unwrap())
    }

    async fn connected(shared: &Arc<Shared>, page: &Arc<Page>) -> DuplexStream {
        let (client, server) = tokio::io::duplex(1024);
        let (shared, page) = (Arc::clone(shared), Arc::clone(page));
        let permit = Arc::new(ConnectionLimiter::default()).acquire().await;
        tokio::spawn(async move {
            let (_stop, stopped) = watch::channel(false);
            serve_http(server, &page, &shared, &permit.handle(), stopped).await;
        });
        client
    }

    /// Sends this once and then `more` every five seconds, and reads replies if `reads`, until the connection is closed.
    async fn lasts(head: &[u8], more: &[u8], reads: bool) -> Result<(), tokio::time::error::Elapsed> {
        let (shared, page) = (shared(), page(&EmulatorOptions::new().ui_port(0), ""));
        let mut client = connected(&shared, &page).await;
        let talk = async {
            client.write_all(head).await.unwrap();
            while client.write_all(more).await.is_ok() {
                if reads && client.read(&mut [0; 1024]).await.is_ok_and(|count| count == 0) {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        };
        tokio::time::timeout(2 * VERIFY_WITHIN, talk).await
    }

    #[tokio::test(start_paused = true)]
    async fn client_without_a_session_does_not_stay_connected() {
        let file = b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        lasts(b"", file, true).await.expect("it reads a file again and again");
        let head = b"POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n";
        lasts(head, b" ", false).await.expect("it sends slowly");
        // The replies do not fit into the buffers between the two.
        let requests = b"GET /api/x HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(9);
        lasts(&requests, b"\r\n", false).await.expect("it does not read");
    }

    #[tokio::test]
    async fn page_beyond_loopback_is_served_over_tls_without_a_client_certificate() {
        let shared = shared();
        let authority = Authority::generate(machine_unix_ms() / 1000, [0; 4]).unwrap();
        let ca = authority.pem().to_owned();
        let options = EmulatorOptions::new().ui_port(0).ui_listen([0, 0, 0, 0].into()).ui_host("board.test");
        let page = page(&options, &ca);
        assert!(page.link().unwrap().expose().starts_with("https://board.test:9080/#"));
        let names = super::super::addresses::certificate_names(&options);
        let tls = Handshakes::new(authority, names, &shared, None).unwrap().without_request();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_stop, stopped) = watch::channel(false);
        tokio::spawn(run(listener, page, Some(tls), shared, stopped));

        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(crate::x509::provider());
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(builder.with_no_client_auth()));
        let tcp = TcpStream::connect(address).await.unwrap();
        let mut stream = connector.connect(ServerName::try_from("board.test").unwrap(), tcp).await.unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nHost: board.test:9080\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut reply = String::new();
        let _ = stream.read_to_string(&mut reply).await;
        assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    }

    #[test]
    fn plain_http_beyond_loopback_is_a_choice() {
        let exposed = |options: EmulatorOptions| (options.ui.scheme(), options.ui_is_exposed());
        let everywhere = || EmulatorOptions::new().ui_port(0).ui_listen([0, 0, 0, 0].into());
        assert_eq!(exposed(EmulatorOptions::new().ui_port(0)), ("http", false));
        assert_eq!(exposed(EmulatorOptions::new().ui_port(0).ui_plain_http(true)), ("http", false));
        assert_eq!(exposed(everywhere()), ("https", false));
        assert_eq!(exposed(everywhere().ui_plain_http(true)), ("http", true));
    }
}
