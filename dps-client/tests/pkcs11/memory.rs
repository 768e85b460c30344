//! Where the token is in another process, this one never has the key: what a core dump of it has is searched.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::common::{DEVICE_KEY, service};
use crate::process::{Part, setting, stop_at};
use crate::symmetric;
use crate::tls::{enroll, token, uri};
use crate::token::{PIN, Token};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dps_client::{CertificateChain, Pkcs11Key, Progress, ProvisioningClient, ProxyChoice, Roots, SecretString, X509};

/// The token in a process of its own, and the address of its socket.
struct Server(Child, String);

impl Server {
    fn start(token: &Token) -> Self {
        let mut command = Command::new("p11-kit");
        command.args(["server", "--foreground", "--sh", "--provider"]).arg(token.module());
        command.arg("--name").arg(token.folder().join("socket")).arg("pkcs11:token=dps");
        let mut server = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(server.stdout.take().unwrap());
        // It prints the settings of its clients once it listens.
        let address = loop {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "the server has ended");
            if let Some(address) = line.strip_prefix("P11_KIT_SERVER_ADDRESS=") {
                break address.trim_end().split(';').next().unwrap().to_owned();
            }
        };
        Self(server, address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// The private number of a key on P-256 (RFC 5915).
fn private_number(token: &Token) -> Vec<u8> {
    let pem = std::fs::read_to_string(token.folder().join("P-256.key")).unwrap();
    let base64: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(base64).unwrap();
    let before = [2, 1, 1, 4, 32];
    let at = der.windows(before.len()).position(|bytes| bytes == before).unwrap() + before.len();
    der[at..at + 32].to_vec()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs SoftHSM: cargo xtask pkcs11"]
async fn memory_holds_no_key_of_a_token_in_another_process() {
    let (emulator, (token, [chain, ..])) = (service().await, token());
    std::fs::write(token.folder().join("ca.pem"), emulator.ca_pem()).unwrap();
    let keys = [("symmetric", STANDARD.decode(DEVICE_KEY).unwrap()), ("certificate", private_number(&token))];
    let server = Server::start(&token);
    for (kind, key) in keys {
        if kind == "certificate" {
            enroll(&emulator, &chain);
        }
        // The same search finds a key that this process has.
        for held in ["token", "memory"] {
            let settings = [
                ("FOLDER", token.folder().to_str().unwrap()),
                ("ENDPOINT", &emulator.endpoint()),
                ("SCOPE", emulator.id_scope()),
                ("KIND", kind),
                ("HELD", held),
            ];
            let environment = [("P11_KIT_SERVER_ADDRESS", server.1.as_str())];
            let found = tokio::task::block_in_place(|| {
                let mut process = Part::start_with("memory::register_in_another_process", &settings, &environment);
                ["waiting", "released"].map(|point| {
                    process.wait_for(point);
                    let found = search(process.id(), &key);
                    process.go_on();
                    found
                })
            });
            match held {
                "token" => assert_eq!(found, [0, 0], "{kind}"),
                _ => assert!(found[0] > 0, "{kind}: the search finds what is there"),
            }
        }
    }
    assert!(token.count("logins") >= 2, "the tokens of this module have signed");
}

/// How often a key of 32 bytes is in what a process can write to: heap, stacks and variables.
fn search(process: u32, key: &[u8]) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    // The first 16 bytes of what was freed are the allocator's, at either end.
    let part = &key[16..];
    let mut forms = vec![STANDARD.encode(key).as_bytes()[20..].to_vec()];
    // HMAC works with the key in these forms, and numbers are stored in either order.
    forms.extend([0, 0x36, 0x5c].map(|mask| part.iter().map(|byte| byte ^ mask).collect::<Vec<u8>>()));
    forms.extend([&key[16..], &key[..16]].map(|part| part.iter().rev().copied().collect::<Vec<u8>>()));
    let mut found = 0;
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // Guard pages and some pages of the kernel cannot be read.
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            found += forms.iter().map(|form| count(&bytes, form)).sum::<usize>();
        }
    }
    found
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    let begins = bytes.iter().enumerate().filter(|(_, byte)| **byte == wanted[0]).map(|(at, _)| at);
    begins.filter(|at| bytes[*at..].starts_with(wanted)).count()
}

/// Registers by its settings, and stops where its memory is read.
#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn register_in_another_process() {
    let Some(folder) = setting("FOLDER").map(PathBuf::from) else { return };
    let file = |name: &str| Path::new(&folder).join(name);
    let key = |uri: &str| Pkcs11Key::from_uri(uri).unwrap().module(client_module()).pin(SecretString::from(PIN));
    let mut waited = false;
    let builder = ProvisioningClient::builder()
        .endpoint(setting("ENDPOINT").unwrap())
        .id_scope(setting("SCOPE").unwrap())
        .registration_id("dev-01")
        .roots(Roots::replace_pem(&std::fs::read(file("ca.pem")).unwrap()).unwrap())
        .proxy(ProxyChoice::Direct)
        .minimum_spacing(Duration::from_millis(10))
        .on_progress(move |progress| {
            if matches!(progress, Progress::Waiting { .. }) && !std::mem::replace(&mut waited, true) {
                stop_at("waiting");
            }
        });
    let builder = match (setting("KIND").as_deref(), setting("HELD").as_deref()) {
        (Some("symmetric"), Some("token")) => builder.pkcs11_key(key(symmetric::URI)),
        (Some("symmetric"), _) => builder.symmetric_key(crate::common::device_key()),
        (_, Some("token")) => {
            let chain = CertificateChain::from_file(file("P-256.pem")).unwrap();
            builder.x509(X509::from_pkcs11(chain, &key(&uri("P-256"))).unwrap())
        }
        _ => builder.x509(X509::from_files(file("P-256.pem"), file("P-256.key")).unwrap()),
    };
    let client = builder.build().unwrap();
    let assignment = client.blocking().register().unwrap();
    drop((assignment, client));
    stop_at("released");
}

/// p11-kit's module that forwards calls to its server: beside its other modules, where Debian and Fedora have them.
fn client_module() -> PathBuf {
    let architecture = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
    let folders = [architecture.as_str(), "/usr/lib64", "/usr/lib"];
    let candidates = folders.map(|folder| Path::new(folder).join("pkcs11/p11-kit-client.so"));
    candidates.into_iter().find(|module| module.exists()).expect("p11-kit-client.so is installed")
}
