//! What an error of the HTTP library means to the machine, and what of it a person may see.

use std::error::Error as _;

use dps_core::LinkError;
use dps_net::{NetError, Proxy, authentication_refused};

/// What the HTTP library says of a proxy that answered 407, and of one that answered anything else but 200.
const AUTHORIZATION_REQUIRED: &str = "proxy authorization required";
const UNSUCCESSFUL: &str = "unsuccessful";

/// Finds the cause. URLs hold the id scope and the registration id, and are left out.
pub(crate) fn from_reqwest(error: reqwest::Error) -> NetError {
    let error = error.without_url();
    let otherwise = kind(&error);
    NetError::from_error(error, otherwise)
}

/// What a failure means where this server has not answered in HTTP yet: it may not be an HTTPS server at all.
pub(crate) fn never_answered(found: NetError) -> NetError {
    let what = match found.kind() {
        LinkError::Cut => "the server closed the connection instead of answering",
        LinkError::InvalidReply => "the answer is not valid HTTP",
        _ => return found,
    };
    let detail = format!("{what} ({found}); the port may speak another protocol: HTTPS is on 443, MQTT is on 8883");
    found.with_detail(detail)
}

/// What a failure to connect means when there is a proxy on the way. The library keeps no status of a refusal but 407.
pub(crate) fn through_proxy(proxy: &Proxy, found: NetError) -> NetError {
    let kind = match found.kind() {
        LinkError::Dns | LinkError::Connect if found.detail().ends_with(AUTHORIZATION_REQUIRED) => {
            return authentication_refused(proxy, None);
        }
        LinkError::Dns | LinkError::Connect if found.detail().ends_with(UNSUCCESSFUL) => {
            LinkError::ProxyRefused { status: None }
        }
        LinkError::Dns | LinkError::Connect | LinkError::Cut => LinkError::ProxyUnreachable,
        other => other,
    };
    let detail = format!("proxy {proxy}: {found}");
    found.with_kind(kind).with_detail(detail)
}

/// Whether the proxy may be asked once more for what the library hides: the status of a refusal, or the schemes that it
/// accepts where no password was sent.
pub(crate) fn is_hidden_refusal(proxy: &Proxy, found: &NetError) -> bool {
    match found.kind() {
        LinkError::ProxyRefused { status: None } => true,
        LinkError::ProxyRefused { status: Some(407) } => proxy.credentials().is_none(),
        _ => false,
    }
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
