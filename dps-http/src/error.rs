//! What an error of the HTTP library means to the machine, and what of it a person may see.

use std::error::Error as _;

use dps_core::LinkError;
use dps_net::{Classified, classify};

/// Finds the cause. URLs hold the id scope and the registration id, and are left out.
pub(crate) fn of_reqwest(error: reqwest::Error) -> Classified {
    let error = error.without_url();
    if let Some(found) = classify(&error) {
        return found;
    }
    Classified { error: kind(&error), detail: deepest(&error) }
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

fn deepest(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(inner) = deepest.source() {
        deepest = inner;
    }
    deepest.to_string().chars().take(300).collect()
}
