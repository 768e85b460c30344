//! Tunnels through an HTTP proxy by CONNECT, and what the proxy's refusals mean.
//!
//! Errors show nothing of an answer but its status and the names of well-known authentication schemes.

use std::io;

use dps_core::{Hint, LinkError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use crate::error::NetError;
use crate::phase::Phase;
use crate::proxy::Proxy;

/// The longest answer to CONNECT that is read, in bytes.
const PROXY_HEAD_MAX: usize = 8 * 1024;
/// Authentication schemes of proxies other than Basic, as errors name them.
const OTHER_SCHEMES: [&str; 5] = ["NTLM", "Negotiate", "Kerberos", "Digest", "Bearer"];

/// Returns what a failure means when the connection was to the proxy: it is unreachable, or a timeout at the proxy.
#[must_use]
pub fn proxy_failed(proxy: &Proxy, failed: NetError) -> NetError {
    if failed.kind() == LinkError::Timeout {
        return NetError::timeout(Phase::Proxy);
    }
    let detail = format!("proxy {proxy}: {failed}");
    failed.with_kind(LinkError::ProxyUnreachable).with_detail(detail)
}

/// Asks the proxy at the other end of `stream` for a tunnel to `host` on `port` (RFC 9110, section 9.3.6).
pub(crate) async fn open(proxy: &Proxy, mut stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, NetError> {
    let cut = |error| proxy_failed(proxy, NetError::from_error(error, LinkError::Cut));
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"));
    if let Some(authorization) = proxy.authorization() {
        // Grown once: a string that grows by itself leaves copies of the password behind.
        request.reserve_exact(authorization.len() + 64);
        request.push_str("Proxy-Authorization: ");
        request.push_str(&authorization);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(cut)?;
    let head = read_head(&mut stream).await.map_err(cut)?;
    match head.as_deref().and_then(Answer::parse) {
        Some(Answer { status: 200..=299, .. }) => Ok(stream),
        Some(Answer { status: 407, schemes }) => Err(authentication_refused(proxy, Some(&schemes))),
        Some(Answer { status, .. }) => {
            let kind = LinkError::ProxyRefused { status: Some(status) };
            Err(NetError::new(kind, format!("proxy {proxy} answered {status}")))
        }
        None => {
            let kind = LinkError::ProxyRefused { status: None };
            Err(NetError::new(kind, format!("proxy {proxy} does not speak HTTP")))
        }
    }
}

/// Returns the failure of a proxy that answered 407. `schemes` are those that it accepts, where they are known.
#[must_use]
pub fn authentication_refused(proxy: &Proxy, schemes: Option<&[String]>) -> NetError {
    let accepts_basic = |schemes: &[String]| schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case("Basic"));
    let refused = |detail: String| {
        let error = LinkError::ProxyRefused { status: Some(407) };
        NetError::new(error, format!("proxy {proxy} answered 407: {detail}"))
    };
    if let Some(schemes) = schemes.filter(|schemes| !schemes.is_empty() && !accepts_basic(schemes)) {
        let accepts = format!("it accepts only {}, which this library does not support", names(schemes));
        return refused(accepts).with_hint(Hint::ProxyScheme);
    }
    let source = proxy.source();
    match (proxy.credentials(), schemes) {
        (None, Some(_)) => refused(format!("it requires a user name and a password, and {source} has none")),
        (None, None) => refused(format!(
            "it requires a user name and a password, and {source} has none; which schemes it accepts is unknown"
        )),
        (Some(_), Some(_)) => refused(format!("it refuses the user name or the password of {source}")),
        (Some(_), None) => refused(format!(
            "it refuses the user name or the password of {source}, or does not accept Basic authentication"
        )),
    }
}

/// The schemes that are well known, by their usual names.
fn names(schemes: &[String]) -> String {
    let is_offered = |known: &&str| schemes.iter().any(|scheme| scheme.eq_ignore_ascii_case(known));
    let known: Vec<&str> = OTHER_SCHEMES.into_iter().filter(is_offered).collect();
    if known.is_empty() { "other schemes than Basic".to_owned() } else { known.join(" and ") }
}

/// The parts of a proxy's answer that are used.
struct Answer {
    status: u16,
    /// The authentication schemes of `Proxy-Authenticate`.
    schemes: Vec<String>,
}

impl Answer {
    /// Returns `None` when it is not HTTP.
    fn parse(head: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        response.parse(head).ok()?;
        let challenges =
            response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("Proxy-Authenticate"));
        let challenges = challenges.filter_map(|header| std::str::from_utf8(header.value).ok());
        // A header holds several challenges with commas between, as between the parameters of one (RFC 9110, 11.6.1).
        let first_words =
            challenges.flat_map(|value| value.split(',')).filter_map(|part| part.split_whitespace().next());
        let schemes = first_words.filter(|word| !word.contains('=')).map(str::to_owned).collect();
        Some(Self { status: response.code?, schemes })
    }
}

/// The head of the proxy's answer; `None` when it is too long. Reads to its end and no further, since what follows is the
/// tunnel's.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= PROXY_HEAD_MAX {
            return Ok(None);
        }
        head.push(stream.read_u8().await?);
    }
    Ok(Some(head))
}

/// Returns the status of a proxy's answer. Only in builds for fuzzing.
///
/// # Errors
/// What reading fails with.
#[cfg(fuzzing)]
pub async fn proxy_status(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<u16>> {
    Ok(read_head(stream).await?.as_deref().and_then(Answer::parse).map(|answer| answer.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentication_schemes_are_read_from_every_header() {
        let head = b"HTTP/1.1 407 x\r\nProxy-Authenticate: Negotiate\r\nproxy-authenticate: NTLM\r\n\
                     Proxy-Authenticate: Digest realm=\"a b\", nonce=\"x==\", Basic realm=\"c\"\r\n\r\n";
        let answer = Answer::parse(head).unwrap();
        assert_eq!(
            (answer.status, answer.schemes.as_slice()),
            (407, ["Negotiate", "NTLM", "Digest", "Basic"].map(String::from).as_slice())
        );
        assert!(Answer::parse(b"SSH-2.0-x\r\n\r\n").is_none());
    }

    #[test]
    fn refused_authentication_names_the_source_or_the_scheme() {
        let proxy = |url: &str| Proxy::parse(url).unwrap().named_by("HTTPS_PROXY");
        let detail = |url: &str, schemes: Option<&[&str]>| {
            let schemes = schemes.map(|schemes| schemes.iter().map(|scheme| (*scheme).to_owned()).collect::<Vec<_>>());
            authentication_refused(&proxy(url), schemes.as_deref())
        };
        let wrong = detail("http://me:pw@p.test:1", Some(&["Negotiate", "basic"]));
        assert!(wrong.detail().ends_with("refuses the user name or the password of HTTPS_PROXY"), "{wrong:?}");
        let missing = detail("http://p.test:1", Some(&[]));
        assert!(missing.detail().contains("requires a user name") && missing.hint().is_none(), "{missing:?}");
        for url in ["http://me:pw@p.test:1", "http://p.test:1"] {
            let unsupported = detail(url, Some(&["ntlm", "Negotiate"]));
            assert!(unsupported.detail().contains("accepts only NTLM and Negotiate"), "{unsupported:?}");
            assert_eq!(unsupported.hint(), Some(Hint::ProxyScheme));
        }
        let unknown = detail("http://p.test:1", Some(&["\u{1b}[31m"]));
        assert!(
            unknown.detail().contains("other schemes than Basic") && !unknown.detail().contains('\u{1b}'),
            "{unknown:?}"
        );
    }
}
