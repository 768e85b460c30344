//! One request of the machine as one of reqwest: codec on one side, library on the other.

use bytes::Bytes;
use dps_core::codec::http::{method, write_body, write_target};
use dps_core::{LinkError, Request, Text};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method, Url};
use zeroize::Zeroizing;

/// The request, ready to be sent.
pub(crate) fn build(
    client: &Client,
    request: &Request<'_>,
    api_version: &str,
) -> Result<reqwest::RequestBuilder, LinkError> {
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
    let body = written(|text| write_body(text, request))?;
    if !body.is_empty() {
        builder = builder.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body);
    }
    Ok(builder)
}

/// A header's value that is wiped with the last of the library's references to it. `None` when no header can hold it.
pub(crate) fn secret_header(text: Zeroizing<String>) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(text)).ok()?;
    // Keeps it out of the library's own debug output.
    value.set_sensitive(true);
    Some(value)
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
