//! Errors of the HTTP library, classified for the state machine and shortened for people.

use std::error::Error as _;

use dps_core::LinkError;
use dps_net::{NetError, Phase, Proxy, authentication_refused, proxy_failed};

/// Classifies an error by its cause. URLs contain the id scope and the registration id, and are left out.
pub(crate) fn from_reqwest(error: reqwest::Error) -> NetError {
    let error = error.without_url();
    let otherwise = kind(&error);
    NetError::from_error(error, otherwise)
}

/// Explains a failure at a server that has not answered in HTTP yet: it may not be an HTTPS server at all.
pub(crate) fn explain_unanswered(failure: NetError) -> NetError {
    let what = match failure.kind() {
        LinkError::Cut => "the server closed the connection instead of answering",
        LinkError::InvalidReply => "the answer is not valid HTTP",
        _ => return failure,
    };
    let detail = format!("{what} ({failure}); the port may speak another protocol: HTTPS is on 443, MQTT is on 8883");
    failure.with_detail(detail)
}

/// Why there is no connection.
pub(crate) enum Unconnected {
    /// The failure is complete.
    Known(NetError),
    /// The proxy refused the tunnel; the library hides the status. As long as it is unknown, the proxy counts as
    /// unreachable.
    HiddenRefusal(NetError),
}

impl Unconnected {
    /// A failure to connect in this phase. `proxy` is the one that was being connected to or asked.
    pub(crate) fn new(error: reqwest::Error, phase: Phase, proxy: Option<&Proxy>) -> Self {
        let refusal = refusal(&error);
        let failure = from_reqwest(error);
        Self::Known(match (proxy, refusal) {
            (Some(proxy), Some(Refusal::Authentication)) => authentication_refused(proxy, None),
            (Some(proxy), Some(Refusal::Hidden)) => return Self::HiddenRefusal(proxy_failed(proxy, failure)),
            (Some(proxy), None) => proxy_failed(proxy, failure),
            (None, _) if failure.kind() == LinkError::Timeout => NetError::timeout(phase),
            (None, _) => failure,
        })
    }
}

/// How a proxy refused a tunnel, as far as the HTTP library shows.
enum Refusal {
    /// With 407.
    Authentication,
    /// With another status, or with something else than HTTP.
    Hidden,
}

/// The refusal in the chain of causes. Its type is private to the library, so that it is recognized by its words.
fn refusal(error: &reqwest::Error) -> Option<Refusal> {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.find_map(|cause| match cause.to_string().strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some(Refusal::Authentication),
        "unsuccessful" | "proxy response headers too long" => Some(Refusal::Hidden),
        _ => None,
    })
}

fn kind(error: &reqwest::Error) -> LinkError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(http) = inner.downcast_ref::<hyper::Error>() {
            if http.is_incomplete_message() || http.is_closed() || http.is_canceled() {
                return LinkError::Cut;
            }
            if http.is_parse() {
                return LinkError::InvalidReply;
            }
        }
        cause = inner.source();
    }
    if error.is_timeout() {
        LinkError::Timeout
    } else if error.is_connect() {
        LinkError::Connect
    } else {
        LinkError::InvalidReply
    }
}
