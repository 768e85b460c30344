//! No key and no signature in any log, error or debug text: a good session and failing ones, with everything of ours
//! at trace level, searched in every form a secret could take.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{DEVICE_KEY, GROUP_DEVICE, GROUP_KEY, builder, device_key, group_key, service};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use dps_client::{BlockingSigner, SymmetricKey};
use dps_core::Key;
use dps_emulator::{At, Fault, Scope};
use tracing_subscriber::fmt::MakeWriter;

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Bytes that must not be seen, in every form they could be written.
fn forms(secret: &[u8]) -> Vec<String> {
    let base64 = STANDARD.encode(secret);
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let percent = |lower: bool| {
        let escaped = base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        if lower { escaped.replace("%2B", "%2b").replace("%2F", "%2f").replace("%3D", "%3d") } else { escaped }
    };
    let mut forms = vec![
        hex.to_uppercase(),
        hex,
        percent(false),
        percent(true),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        format!("{secret:?}").trim_matches(['[', ']']).to_owned(),
        base64,
    ];
    forms.extend(std::str::from_utf8(secret).map(str::to_owned));
    forms
}

/// Every secret that shows in `text`.
fn seen(text: &str, secrets: &[Vec<u8>]) -> Vec<String> {
    let shows = |form: &String| text.contains(form.as_str());
    secrets.iter().flat_map(|secret| forms(secret)).filter(shows).collect()
}

#[test]
fn search_finds_a_planted_secret_in_every_encoding() {
    let secret = STANDARD.decode(DEVICE_KEY).unwrap();
    for form in forms(&secret) {
        assert!(!seen(&format!("<{form}>"), std::slice::from_ref(&secret)).is_empty(), "{form}");
    }
    assert!(seen("SharedAccessSignature(..)", &[secret]).is_empty());
}

/// A signer that notes every signature it makes, so that they can be searched for.
fn noting_signer(key: &str) -> (BlockingSigner, Arc<Mutex<Vec<Vec<u8>>>>) {
    let signatures = Arc::new(Mutex::new(Vec::new()));
    let (key, noted) = (Key::from_base64(key).unwrap(), Arc::clone(&signatures));
    let signer = BlockingSigner::new(move |to_sign: &[u8]| {
        let signature = key.sign(to_sign);
        noted.lock().unwrap().push(signature.expose().to_vec());
        Ok::<_, io::Error>(signature)
    });
    (signer.unwrap(), signatures)
}

#[tokio::test]
async fn sessions_and_failures_log_no_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    // Third-party targets are not ours to answer for; what they print is named in the documents.
    let ours = |metadata: &tracing::Metadata<'_>| metadata.target().starts_with("dps_");
    let filter = tracing_subscriber::filter::filter_fn(ours);
    let subscriber = tracing_subscriber::layer::SubscriberExt::with(subscriber, filter);
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut text = String::new();
    let mut secrets = vec![STANDARD.decode(DEVICE_KEY).unwrap(), STANDARD.decode(GROUP_KEY).unwrap(), vec![9; 32]];

    let emulator = service().await;
    let mut note = |shown: String| text.push_str(&shown);
    for (key, wrong) in [(DEVICE_KEY, false), (GROUP_KEY, true)] {
        let (signer, signatures) = noting_signer(key);
        let client = builder(&emulator).signer(signer).build().unwrap();
        match client.register().await {
            Ok(assignment) => {
                let mut credentials = assignment.hub_credentials().unwrap();
                let password = format!("{:?}", credentials.password().await.unwrap());
                note(format!("{assignment:?} {credentials:?} {password}"));
            }
            Err(error) => note(format!("{} {error:?} wrong: {wrong}", error.report())),
        }
        note(format!("{client:?} {:?}", client.probe().await));
        secrets.extend(signatures.lock().unwrap().iter().cloned());
    }
    assert_eq!(secrets.len(), 3 + 2 + 1 + 2, "two registrations, two probes and a hub password were signed");

    let of_group = builder(&emulator).registration_id(GROUP_DEVICE).group_key(group_key());
    note(format!("{of_group:?}"));
    let assignment = of_group.build().unwrap().register().await.unwrap();
    note(format!("{assignment:?} {:?}", assignment.connection_string()));
    note(format!("{:?} {:?} {:?}", device_key(), group_key(), device_key().to_base64()));
    let wrong = SymmetricKey::from_bytes(&[9; 32]).unwrap();
    let error = builder(&emulator).symmetric_key(wrong).build().unwrap().register().await.unwrap_err();
    note(format!("{} {error:?}", error.report()));
    for fault in [Fault::DropAfter, Fault::Garbage, Fault::Silent, Fault::Noise] {
        emulator.with_service(|service| service.inject(Scope::All, At::Any, fault, 100));
        let short = builder(&emulator).symmetric_key(device_key()).timeout(Duration::from_millis(300));
        let error = short.build().unwrap().register().await.unwrap_err();
        note(format!("{} {error:?}", error.report()));
        emulator.with_service(|service| service.clear_faults());
    }
    for text in [DEVICE_KEY, "PEM -----BEGIN", GROUP_KEY] {
        let error = SymmetricKey::from_base64(&format!("{text}{text}")).unwrap_err();
        note(format!("{error} {error:?}"));
    }

    text.push_str(&String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    assert!(
        text.contains("dps_client") && text.contains("dps_http") && text.contains("reply"),
        "the log was on: {text}"
    );
    assert_eq!(seen(&text, &secrets), Vec::<String>::new());
    assert!(!text.contains("SharedAccessSignature "), "no token at all");
}
