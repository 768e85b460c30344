//! Timeouts and cancellation while the platform's resolver does not answer: a call does not wait for it.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "a child tells its result, and the task that shows the figures prints them")]

use std::process::Command;
use std::time::{Duration, Instant};

use dps_client::{
    CallRuntime, DpsError, ProvisioningClient, ProvisioningClientBuilder, Proxy, ProxyChoice, Roots, SymmetricKey,
    Transport,
};

/// The child's line of results begins with this.
const RESULT: &str = "result: ";
const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

/// Runs [`child`] in a process of its own under the resolver, and gives how long its call took and what it said.
fn run(call: &str) -> (Duration, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "stalled_resolver::child", "--ignored", "--nocapture"]);
    let output = command.env("LD_PRELOAD", crate::stalled::resolver()).env("DPS_TEST_CALL", call).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let result = stdout.lines().find_map(|line| line.split_once(RESULT)).unwrap_or_else(|| panic!("{stdout}")).1;
    let (took_ms, said) = result.split_once(' ').unwrap();
    (Duration::from_millis(took_ms.parse().unwrap()), said.to_owned())
}

#[test]
fn timeout_ends_blocking_call_during_name_resolution() {
    for transport in ["https", "mqtt", "mqtt-websocket"] {
        for kind in ["register", "register-by-proxy"] {
            let call = format!("{transport} {kind}");
            let (took, said) = run(&call);
            assert!(said.starts_with("timeout check-dns "), "{call}: {said}");
            assert!(said.contains("stalled during name resolution"), "{call}: {said}");
            crate::stalled::check(&format!("Rust, {call}"), Duration::from_secs(2), took);
        }
    }
}

#[test]
fn probe_names_the_phase_that_stalled() {
    let (took, said) = run("https probe");
    assert!(said.contains("stalled during name resolution"), "{said}");
    crate::stalled::check("Rust, https probe", Duration::from_secs(2), took);
}

#[test]
fn dropped_call_does_not_wait_for_the_resolver() {
    for transport in ["https", "mqtt", "mqtt-websocket"] {
        let (took, said) = run(&format!("{transport} drop"));
        assert_eq!(said, "dropped");
        crate::stalled::check(&format!("Rust, {transport} dropped"), Duration::from_millis(500), took);
    }
}

#[test]
#[ignore = "needs a resolver that stalls: the other tests run it"]
fn child() {
    let call = std::env::var("DPS_TEST_CALL").unwrap();
    let (transport, kind) = call.split_once(' ').unwrap();
    let client = client(transport, kind == "register-by-proxy");
    let start = Instant::now();
    let said = match kind {
        "drop" => {
            let runtime = CallRuntime::new().unwrap();
            let ended =
                runtime.block_on(async { tokio::time::timeout(Duration::from_millis(500), client.register()).await });
            assert!(ended.is_err());
            drop(runtime);
            "dropped".to_owned()
        }
        "probe" => {
            let runtime = CallRuntime::new().unwrap();
            let probed = runtime.block_on(client.probe());
            drop(runtime);
            format!("{probed:?}")
        }
        _ => told(&client.blocking().register().unwrap_err()),
    };
    println!("\n{RESULT}{} {said}", start.elapsed().as_millis());
}

fn client(transport: &str, by_proxy: bool) -> ProvisioningClient {
    let (transport, port) = match transport {
        "https" => (Transport::Https, 443),
        "mqtt" => (Transport::Mqtt, 8883),
        _ => (Transport::MqttWebSocket, 443),
    };
    let pem = rcgen::generate_simple_self_signed(vec!["dps.test".into()]).unwrap().cert.pem();
    let (endpoint, proxy) = if by_proxy {
        let proxy = Proxy::parse(&format!("http://proxy.{}:3128", crate::stalled::NAME)).unwrap();
        (format!("127.0.0.1:{port}"), ProxyChoice::Fixed(proxy))
    } else {
        (crate::stalled::NAME.to_owned(), ProxyChoice::Direct)
    };
    let builder: ProvisioningClientBuilder = ProvisioningClient::builder()
        .id_scope("0ne00A1B2C3")
        .registration_id("dev-01")
        .endpoint(endpoint)
        .symmetric_key(SymmetricKey::from_base64(KEY).unwrap())
        .roots(Roots::replace_pem(pem.as_bytes()).unwrap())
        .proxy(proxy)
        .transport(transport)
        .timeout(Duration::from_secs(2))
        .request_timeout(Duration::from_secs(2));
    builder.build().unwrap()
}

fn told(error: &DpsError) -> String {
    let hint = error.hints().first().map_or("none", |hint| hint.name());
    format!("{} {hint} {}", error.name(), error.message())
}
