//! What browsers are held to: by which name the page is opened, which requests may change something, and the headers of every
//! reply. No other origin is ever allowed (CORS).

use hyper::HeaderMap;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;

use super::super::addresses::split_port;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// The headers of every reply.
const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (RESOURCE_POLICY, "same-origin"),
];

/// The names by which the page can be opened, and its scheme.
pub(super) struct Guard {
    scheme: &'static str,
    hosts: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl Guard {
    /// Hosts are in the form of a URL, so an IPv6 address is in brackets.
    pub(super) fn new(scheme: &'static str, hosts: impl IntoIterator<Item = String>) -> Self {
        let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        Self { scheme, hosts: loopback.into_iter().chain(hosts).collect() }
    }

    /// Checks a request before anything else is read from it.
    pub(super) fn check(&self, head: &Parts, body: &[u8]) -> Result<(), Refused> {
        let host = self.check_host(head)?;
        if matches!(head.method.as_str(), "GET" | "HEAD") {
            return Ok(());
        }
        self.check_origin(&head.headers, host)?;
        check_json(&head.headers, body)
    }

    /// A name that others control may be resolved to this machine (DNS rebinding), so only known names are answered.
    fn check_host<'a>(&self, head: &'a Parts) -> Result<&'a str, Refused> {
        let host = only(&head.headers, &HOST).and_then(|host| self.is_ours(host).then_some(host));
        let target = head.uri.authority().is_none_or(|authority| self.is_ours(authority.as_str()));
        host.filter(|_| target).ok_or_else(|| {
            Refused::new(
                421,
                "The page is not opened by this host name: open it by localhost, or start the emulator with --ui-host NAME.",
            )
        })
    }

    fn is_ours(&self, host: &str) -> bool {
        split_port(host).is_some_and(|(name, _)| self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// A change is accepted only from the page itself, or from a client that is not a browser.
    fn check_origin(&self, headers: &HeaderMap, host: &str) -> Result<(), Refused> {
        let own = format!("{}://{host}", self.scheme);
        let origin =
            !headers.contains_key(ORIGIN) || only(headers, &ORIGIN).is_some_and(|one| one.eq_ignore_ascii_case(&own));
        let site = !headers.contains_key(SEC_FETCH_SITE)
            || only(headers, &SEC_FETCH_SITE).is_some_and(|site| matches!(site, "same-origin" | "none"));
        match origin && site {
            true => Ok(()),
            false => Err(Refused::new(403, "Changes are accepted from the emulator's own page only.")),
        }
    }
}

/// A form of another page can send no JSON.
fn check_json(headers: &HeaderMap, body: &[u8]) -> Result<(), Refused> {
    let media_type = only(headers, &CONTENT_TYPE).and_then(|media_type| media_type.split(';').next());
    if !media_type.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Refused::new(415, "The body must be application/json."));
    }
    if body.is_empty() {
        return Err(Refused::new(400, "The body must be JSON, such as {}."));
    }
    Ok(())
}

/// The value of a header that occurs once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Adds the headers of every reply.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn checked(method: &str, headers: &[(&str, &str)], body: &str) -> Result<(), u16> {
        let mut request = Request::builder().method(method).uri("/session");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let guard = Guard::new("http", ["board.test".to_owned()]);
        guard.check(&head, body.as_bytes()).map_err(|refused| refused.status)
    }

    #[test]
    fn only_known_host_names_are_answered() {
        for known in ["localhost", "LOCALHOST:9080", "127.0.0.1:1", "[::1]:65535", "board.test", "[::1]"] {
            assert_eq!(checked("GET", &[("Host", known)], ""), Ok(()), "{known}");
        }
        for other in [
            "",
            "evil.test",
            "localhost.evil.test",
            "localhost.",
            "127.0.0.1.evil.test:9080",
            "localhost:9080:1",
            "::1",
            "user@localhost",
            "localhost:",
            "localhost:70000",
            "localhost:x",
            "[::1",
            "127.0.0.2",
            "localhost,evil.test",
        ] {
            // `localhost:` without a port is valid in a URL, but browsers never send it.
            let refused = checked("GET", &[("Host", other)], "");
            assert!(refused == Err(421) || other == "localhost:", "{other}: {refused:?}");
        }
        assert_eq!(checked("GET", &[], ""), Err(421));
        assert_eq!(checked("GET", &[("Host", "localhost"), ("Host", "localhost")], ""), Err(421));
    }

    #[test]
    fn absolute_target_must_have_a_known_host_too() {
        let (head, ()) = Request::get("http://evil.test/").header("Host", "localhost").body(()).unwrap().into_parts();
        assert_eq!(Guard::new("http", []).check(&head, b"").map_err(|refused| refused.status), Err(421));
    }

    #[test]
    fn change_needs_json_and_its_own_origin() {
        let json = ("Content-Type", "application/json; charset=utf-8");
        let host = ("Host", "localhost:9080");
        assert_eq!(checked("POST", &[host, json], "{}"), Ok(()));
        assert_eq!(checked("POST", &[host, json, ("Origin", "http://localhost:9080")], "{}"), Ok(()));
        for origin in
            ["http://localhost:9081", "https://localhost:9080", "http://127.0.0.1:9080", "null", "http://evil.test", ""]
        {
            assert_eq!(checked("POST", &[host, json, ("Origin", origin)], "{}"), Err(403), "{origin}");
        }
        for site in ["cross-site", "same-site", "x"] {
            assert_eq!(checked("DELETE", &[host, json, ("Sec-Fetch-Site", site)], "{}"), Err(403), "{site}");
        }
        for form in
            ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "application/jsonp"]
        {
            assert_eq!(checked("POST", &[host, ("Content-Type", form)], "{}"), Err(415), "{form}");
        }
        assert_eq!(checked("POST", &[host], "{}"), Err(415));
        assert_eq!(checked("PATCH", &[host, json], ""), Err(400));
        assert_eq!(checked("OPTIONS", &[host, ("Origin", "http://evil.test")], ""), Err(403));
    }
}
