//! An allocation webhook: chooses the hub of a device by the model in its payload, and sends the device its line.
//!
//! With `--listen 127.0.0.1:7071` it serves until it is stopped; `dps webhook try` sends it a request. Without arguments it
//! starts a local service too, and registers three devices there.
//!
//! ```text
//! dev-01, a press: assigned to hub-a.test, with the payload {"line":1}
//! dev-02, a lathe: assigned to hub-b.test, with the payload {"line":2}
//! dev-03, a toaster: registration-failed, 400207
//! ```

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use clap::Parser;
use dps_client::{GroupKey, ProvisioningClient, ProxyChoice, Roots};
use dps_emulator::{Emulator, EmulatorOptions, EnrollmentGroup, WebhookUrl};
use dps_examples::AnyError;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The largest request that is read, in bytes: an enrollment and a payload.
const REQUEST_MAX: usize = 256 * 1024;

/// The webhook's decision: the hub and the line for each model.
fn allocate(request: &Value) -> Result<Value, &'static str> {
    let model = request.pointer("/deviceRuntimeContext/payload/model").and_then(Value::as_str);
    let (hub, line) = match model.ok_or("the payload has no model")? {
        "press" => ("hub-a.test", 1),
        "lathe" => ("hub-b.test", 2),
        _ => return Err("the model is unknown"),
    };
    // Only these can be chosen.
    let offered = request["linkedHubs"].as_array().ok_or("linkedHubs is missing")?;
    if !offered.iter().any(|offered| offered == hub) {
        return Err("the hub of this model is not linked");
    }
    Ok(json!({
        "iotHubHostName": hub,
        "initialTwin": { "tags": { "model": model }, "properties": { "desired": { "line": line } } },
        "payload": { "line": line },
    }))
}

/// Replies 200 with the decision, or 400: then the registration fails.
async fn reply(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = Limited::new(request.into_body(), REQUEST_MAX).collect().await;
    let parsed = body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
    let (status, body) = match parsed.as_ref().ok_or("the request is not JSON").and_then(allocate) {
        Ok(allocation) => (StatusCode::OK, allocation),
        Err(problem) => (StatusCode::BAD_REQUEST, json!({ "message": problem })),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn serve(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(reply)));
    }
}

#[derive(Parser)]
struct Arguments {
    /// Serve at this address until stopped
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    if let Some(address) = Arguments::parse().listen {
        return Ok(serve(TcpListener::bind(address).await?).await?);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/api/choose", listener.local_addr()?);
    let server = tokio::spawn(serve(listener));

    // A service whose enrollment group has the webhook. In Azure, its URL has the function key in its query.
    let emulator = Emulator::start(EmulatorOptions::new().hub("hub-a.test", 1).hub("hub-b.test", 1)).await?;
    let group = EnrollmentGroup::new("line").custom_allocation(WebhookUrl::parse(&url)?);
    let now = emulator.now();
    let group = emulator.with_service(|service| service.put_group(now, group))?;
    let key = group.settings.attestation.primary.ok_or("keys are generated")?;

    for (id, model) in [("dev-01", "press"), ("dev-02", "lathe"), ("dev-03", "toaster")] {
        let client = ProvisioningClient::builder()
            .id_scope(emulator.id_scope())
            .registration_id(id)
            .endpoint(emulator.endpoint())
            .roots(Roots::replace_pem(emulator.ca_pem().as_bytes())?)
            .proxy(ProxyChoice::Direct)
            .group_key(GroupKey::from_base64(key.expose())?)
            .payload(json!({ "model": model }).to_string().as_str())
            .build()?;
        match client.register().await {
            Ok(assignment) => {
                let payload = assignment.payload().unwrap_or("{}");
                println!("{id}, a {model}: assigned to {}, with the payload {payload}", assignment.hub());
            }
            Err(error) => {
                let code = error.error_code().unwrap_or_default();
                println!("{id}, a {model}: {}, {code}", error.code().name());
            }
        }
    }
    emulator.shutdown().await;
    server.abort();
    Ok(())
}
