//! Counts the copies of a key, a token and a proxy's password in the memory of a process that registers. Another
//! process reads that memory: during the wait between two requests, and after everything was dropped.
//! `cargo xtask memory` runs this test in a release build.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "the other process prints where it is; the figures are printed")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::common::{DEVICE_KEY, service};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dps_client::{CallRuntime, Progress, ProvisioningClient, Proxy, ProxyChoice, Roots, Transport};
use dps_emulator::test_servers::proxy_server::{Manner, proxy};

/// With the names that are passed to the other process.
const TRANSPORTS: [(&str, Transport); 3] =
    [("https", Transport::Https), ("mqtt", Transport::Mqtt), ("mqtt-ws", Transport::MqttWebSocket)];
const PASSWORD: &str = "correct-horse-battery-staple-9071";
/// me:PASSWORD
const BASIC: &str = "Basic bWU6Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZS05MDcx";

/// How often each secret was found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    key: usize,
    /// By the signature.
    token: usize,
    /// Of the proxy, as text and as base64.
    password: usize,
}

#[test]
fn registration_leaves_no_key_and_no_copy_of_a_token_that_can_be_wiped() {
    let runtime = CallRuntime::new().unwrap();
    for (name, transport) in TRANSPORTS {
        let [waiting, released] = runtime.block_on(registered(name, transport));
        println!("{name}: waiting {waiting:?}, released {released:?}");
        // In hyper's write buffer (`proto::h1::io::WriteBuf`), which is kept with the connection and not wiped.
        let beyond_reach = usize::from(transport == Transport::Https);
        assert_eq!((waiting.key, waiting.token), (1, 1 + beyond_reach), "{name}: while it waits");
        assert!(waiting.password > 0, "{name}: the search finds what is there");
        assert_eq!((released.key, released.password), (0, 0), "{name}: after the release");
        assert!(released.token <= beyond_reach, "{name}: after the release: {released:?}");
    }
}

/// What is found in a process that registers: while it waits, and after it dropped everything.
async fn registered(name: &str, transport: Transport) -> [Found; 2] {
    let emulator = service().await;
    let endpoint = match transport {
        Transport::Mqtt => emulator.mqtt_endpoint().unwrap(),
        Transport::MqttWebSocket => emulator.wss_endpoint().unwrap(),
        _ => emulator.endpoint(),
    };
    let folder = tempfile::tempdir().unwrap();
    let proxy = format!("http://me@127.0.0.1:{}", proxy(Manner::Wants(BASIC)).await);
    for (file, content) in [
        ("transport", name),
        ("endpoint", &endpoint),
        ("scope", emulator.id_scope()),
        ("ca", emulator.ca_pem()),
        ("proxy", &proxy),
        ("key", DEVICE_KEY),
        ("password", PASSWORD),
    ] {
        std::fs::write(folder.path().join(file), content).unwrap();
    }
    // The service answers on threads of this runtime while this thread waits for the other process.
    let path = folder.path().to_owned();
    tokio::task::spawn_blocking(move || {
        let mut process = Registering::start(&path);
        [process.search_at("waiting"), process.search_at("released")]
    })
    .await
    .unwrap()
}

/// The process that registers: this program once more.
struct Registering(Child, BufReader<ChildStdout>);

impl Registering {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "memory::register_in_another_process", "--ignored", "--nocapture"])
            .env(FOLDER, folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self(child, said)
    }

    /// Reads its memory when it has come to `point`, and lets it go on.
    fn search_at(&mut self, point: &str) -> Found {
        let mut line = String::new();
        while !line.ends_with(&format!("{point}\n")) {
            line.clear();
            assert!(self.1.read_line(&mut line).unwrap() > 0, "it ended before it was {point}");
        }
        let found = search(self.0.id());
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        found
    }
}

impl Drop for Registering {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Searches what a process can write to: heap, stacks and variables. What is in the program itself does not count.
fn search(process: u32) -> Found {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let key = STANDARD.decode(DEVICE_KEY).unwrap();
    let mut found = Found { key: 0, token: 0, password: 0 };
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // Guard pages and some pages of the kernel cannot be read.
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        // The first 16 bytes of what was freed are the allocator's: a secret is searched for by what follows them.
        found.key += positions(&bytes, &DEVICE_KEY.as_bytes()[16..]).count();
        // HMAC works with the key in these two forms.
        for mask in [0, 0x36, 0x5c] {
            let masked: Vec<u8> = key[16..].iter().map(|byte| byte ^ mask).collect();
            found.key += positions(&bytes, &masked).count();
        }
        found.token += positions(&bytes, b"&sig=").filter(|at| is_signature(&bytes[at + 5..])).count();
        found.password += positions(&bytes, &PASSWORD.as_bytes()[16..]).count();
        found.password += positions(&bytes, &BASIC.as_bytes()[26..]).count();
    }
    found
}

fn positions<'a>(bytes: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == wanted[0]).map(|(at, _)| at);
    begins.filter(|at| bytes[*at..].starts_with(wanted))
}

/// Whether this is the base64 of 32 bytes, percent-encoded.
fn is_signature(bytes: &[u8]) -> bool {
    bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'%').count() >= 43
}

/// Names the folder of the other process's settings.
const FOLDER: &str = "DPS_TEST_MEMORY";

/// Registers by the settings in a folder, and stops where its memory is read.
#[test]
#[ignore = "a part of the other test, which runs it in a process of its own"]
fn register_in_another_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let path = |name| Path::new(&folder).join(name);
    let text = |name| std::fs::read_to_string(path(name)).unwrap();
    let password = dps_files::read(path("password"), 100).unwrap();
    let proxy = Proxy::parse(&text("proxy")).unwrap().with_password(std::str::from_utf8(&password).unwrap()).unwrap();
    drop(password);
    let (_, transport) = TRANSPORTS.into_iter().find(|(name, _)| *name == text("transport")).unwrap();
    let mut waited = false;
    let client = ProvisioningClient::builder()
        .transport(transport)
        .endpoint(text("endpoint"))
        .id_scope(text("scope"))
        .registration_id("dev-01")
        .key_file(path("key"))
        .roots(Roots::replace_pem(text("ca").as_bytes()).unwrap())
        .proxy(ProxyChoice::Fixed(proxy))
        .minimum_spacing(Duration::from_millis(10))
        .on_progress(move |progress| {
            if matches!(progress, Progress::Waiting { .. }) && !std::mem::replace(&mut waited, true) {
                stop_at("waiting");
            }
        })
        .build()
        .unwrap();
    let assignment = client.blocking().register().unwrap();
    drop((assignment, client));
    stop_at("released");
}

fn stop_at(point: &str) {
    println!("{point}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}
