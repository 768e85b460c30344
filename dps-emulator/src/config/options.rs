//! The members of a configuration that are options of the emulator.

use std::net::IpAddr;

use super::files::Files;
use super::node::{Mistake, Node, Section};
use crate::clock::SCALE_MAX;
use crate::fault::RetryAfter;
use crate::issuance::IssuanceCodes;
use crate::options::{CERTIFICATE_DAYS, EVENTS_MAX, ServiceOptions, UnchangedSubstatus, check_host, check_id_scope};
use crate::server::{EmulatorOptions, TlsVersion, WebhookClient, WebhookOptions, can_be_announced};
use crate::throttle::Limits;

/// Ten years, in milliseconds.
const LIFE_MAX: u64 = 10 * 365 * 86_400_000;
/// Ten years, in seconds, so that the date of a hint keeps its four-digit year.
const DATE_OFFSET_MAX: i64 = 10 * 365 * 86_400;
/// A hundred years, in milliseconds.
const OFFSET_MAX: i64 = 100 * 365 * 86_400_000;

/// Every member that [`read`] knows, in the order of the documentation.
pub(super) const NAMES: &[&str] = &[
    "idScope",
    "listen",
    "hostNames",
    "httpsPort",
    "mqttPort",
    "wssPort",
    "fixedPorts",
    "announce",
    "uiPort",
    "uiListen",
    "uiHosts",
    "uiPlainHttp",
    "tlsVersion",
    "tlsCaFile",
    "tlsCaKeyFile",
    "stateDir",
    "policyKeyFile",
    "seed",
    "clockOffsetMs",
    "clockScale",
    "retryAfter",
    "assigningMs",
    "conflictWindowMs",
    "operationLifeMs",
    "challengeLifeMs",
    "clockSkewMs",
    "assignAtOnce",
    "echoPayload",
    "deriveAsSent",
    "strictAtConnect",
    "certificatesAtRegister",
    "certificateInfo",
    "certificateDays",
    "p384Only",
    "issuanceCodes",
    "checkExpiryOnPoll",
    "unchangedSubstatus",
    "limits",
    "eventsKept",
    "webhooks",
];

/// Applies the options of the file.
pub(super) fn read(file: &Section<'_>, files: &Files, options: EmulatorOptions) -> Result<EmulatorOptions, Mistake> {
    let mut members = file.iter().filter(|member| NAMES.contains(&member.name));
    let options = members.try_fold(options, |options, member| apply(&member, files, options))?;
    let fixed = file.get("fixedPorts").map(|fixed| fixed.flag()).transpose()?.unwrap_or_default();
    let port = ["httpsPort", "mqttPort", "wssPort"].iter().find_map(|name| file.get(name));
    match port {
        Some(port) if fixed => Err(port.mistake("cannot be set beside 'fixedPorts'")),
        _ if fixed => authority(file, files, options.fixed_ports()),
        _ => authority(file, files, options),
    }
}

fn apply(member: &Node<'_>, files: &Files, options: EmulatorOptions) -> Result<EmulatorOptions, Mistake> {
    Ok(match member.name {
        "listen" => options.listen(address(member)?),
        "hostNames" => host_names(member)?.into_iter().fold(options, |options, name| options.host_name(name)),
        "announce" => member.items()?.iter().try_fold(options, |options, item| match item.text()? {
            text if can_be_announced(text) => Ok(options.announce(text)),
            _ => Err(item.must_be("HOST, HOST:PORT or FRONT=HOST:PORT, where FRONT is https, mqtt, wss or ui")),
        })?,
        "uiPort" => match member.whole_or_off(0..=u16::MAX)? {
            Some(port) => options.ui_port(port),
            None => options.no_ui(),
        },
        "uiListen" => options.ui_listen(address(member)?),
        "uiHosts" => host_names(member)?.into_iter().fold(options, |options, name| options.ui_host(name)),
        "uiPlainHttp" => options.ui_plain_http(member.flag()?),
        "httpsPort" => options.https_port(member.whole(0..=u16::MAX)?),
        "mqttPort" => EmulatorOptions { mqtt_port: member.whole_or_off(0..=u16::MAX)?, ..options },
        "wssPort" => EmulatorOptions { wss_port: member.whole_or_off(0..=u16::MAX)?, ..options },
        "tlsVersion" => match member.text()? {
            "1.2" => options.tls_version(TlsVersion::Tls12),
            "1.3" => options.tls_version(TlsVersion::Tls13),
            _ => return Err(member.must_be("\"1.2\" or \"1.3\"")),
        },
        "stateDir" => options.state_dir(files.path(member.text()?)),
        "clockOffsetMs" => options.clock_offset_ms(member.whole(-OFFSET_MAX..=OFFSET_MAX)?),
        "clockScale" => options.clock_scale(member.whole(1..=SCALE_MAX)?),
        "webhooks" => webhooks(&member.section()?, files, options)?,
        // Read together with others.
        "fixedPorts" | "tlsCaFile" | "tlsCaKeyFile" => options,
        _ => {
            let service = service(member, files, options.service.clone())?;
            EmulatorOptions { service, ..options }
        }
    })
}

fn address(member: &Node<'_>) -> Result<IpAddr, Mistake> {
    member.text()?.parse().map_err(|_| member.must_be("an IP address"))
}

fn host_names(member: &Node<'_>) -> Result<Vec<String>, Mistake> {
    let name = |name: &Node<'_>| {
        check_host(name.text()?).map_err(|error| name.mistake(format!("is not valid: {error}")))?;
        Ok(name.text()?.to_owned())
    };
    member.items()?.iter().map(name).collect()
}

fn authority(file: &Section<'_>, files: &Files, options: EmulatorOptions) -> Result<EmulatorOptions, Mistake> {
    let (certificate, key) = (file.get("tlsCaFile"), file.get("tlsCaKeyFile"));
    let Some(certificate) = certificate else {
        return match key {
            Some(key) => Err(key.mistake("needs 'tlsCaFile', the certificate that the key belongs to")),
            None => Ok(options),
        };
    };
    let key = files.pem(&key.unwrap_or(certificate))?;
    let options = options.authority(files.pem(&certificate)?.as_str(), key.as_str());
    options.check_authority().map_err(|error| certificate.mistake(format!("names a file that is invalid: {error}")))?;
    Ok(options)
}

/// Which allocation webhooks may be called, how they are trusted, and how long they may take.
fn webhooks(section: &Section<'_>, files: &Files, options: EmulatorOptions) -> Result<EmulatorOptions, Mistake> {
    section.check_names(&["hosts", "ca", "caFile", "limitMs"])?;
    let mut webhooks = WebhookOptions::new();
    for host in section.get("hosts").map_or(Ok(Vec::new()), |hosts| hosts.items())? {
        webhooks = webhooks.host(host.text()?);
    }
    let (ca, file) = (section.get("ca"), section.get("caFile"));
    if let (Some(_), Some(file)) = (&ca, &file) {
        return Err(file.mistake("cannot be set beside 'ca'"));
    }
    if let Some(ca) = &ca {
        webhooks = webhooks.roots_pem(ca.text()?);
    }
    if let Some(file) = &file {
        webhooks = webhooks.roots_pem(files.pem(file)?.as_str());
    }
    if let Some(source) = ca.or(file) {
        WebhookClient::new(webhooks.clone()).map_err(|error| source.mistake(format!("is invalid: {error}")))?;
    }
    let limit = section.get("limitMs").map(|limit| limit.whole(1..=LIFE_MAX)).transpose()?;
    let options = options.webhooks(webhooks);
    Ok(match limit {
        Some(ms) => options.service(|service| service.webhook_limit_ms(ms)),
        None => options,
    })
}

/// Applies an option of the service.
fn service(member: &Node<'_>, files: &Files, options: ServiceOptions) -> Result<ServiceOptions, Mistake> {
    let ms = || member.whole(0..=LIFE_MAX);
    Ok(match member.name {
        "idScope" => {
            check_id_scope(member.text()?).map_err(|error| member.mistake(format!("is not valid: {error}")))?;
            options.id_scope(member.text()?)
        }
        "policyKeyFile" => options.policy_key(files.key(member)?),
        "seed" => options.seed(member.whole(0..=i64::MAX)?.unsigned_abs()),
        "retryAfter" => options.hint(hint(member)?),
        "assigningMs" => options.assigning_ms(ms()?),
        "conflictWindowMs" => options.conflict_window_ms(ms()?),
        "operationLifeMs" => options.operation_life_ms(ms()?),
        "challengeLifeMs" => options.challenge_life_ms(ms()?),
        "clockSkewMs" => options.clock_skew_ms(ms()?),
        "assignAtOnce" => options.assign_at_once(member.flag()?),
        "echoPayload" => options.echo_payload(member.flag()?),
        "deriveAsSent" => options.derive_as_sent(member.flag()?),
        "strictAtConnect" => options.strict_at_connect(member.flag()?),
        "certificatesAtRegister" => options.certificates_at_register(member.flag()?),
        "certificateInfo" => options.certificate_info(member.flag()?),
        "certificateDays" => options.certificate_days(member.whole(CERTIFICATE_DAYS)?),
        "p384Only" => options.p384_only(member.flag()?),
        "issuanceCodes" => match member.text()? {
            "early" => options.issuance_codes(IssuanceCodes::Early),
            "current" => options.issuance_codes(IssuanceCodes::Current),
            _ => return Err(member.must_be("\"early\" or \"current\"")),
        },
        "checkExpiryOnPoll" => options.check_expiry_on_poll(member.flag()?),
        "unchangedSubstatus" => match member.text()? {
            "keep" => options.unchanged_substatus(UnchangedSubstatus::Keep),
            "reprovisioned" => options.unchanged_substatus(UnchangedSubstatus::Reprovisioned),
            _ => return Err(member.must_be("\"keep\" or \"reprovisioned\"")),
        },
        "eventsKept" => options.events_kept(member.whole(0..=EVENTS_MAX)?),
        "limits" => options.limits(limits(&member.section()?)?),
        _ => return Err(member.unknown(NAMES)),
    })
}

/// Seconds, a date as an offset from the service's clock, or no hint.
fn hint(member: &Node<'_>) -> Result<Option<RetryAfter>, Mistake> {
    let expected = || member.must_be("whole seconds, { dateOffset = SECONDS }, or false for no hint");
    if let Ok(date) = member.section() {
        date.check_names(&["dateOffset"])?;
        let offset = date.required("dateOffset")?.whole(-DATE_OFFSET_MAX..=DATE_OFFSET_MAX)?;
        return Ok(Some(RetryAfter::Date(offset)));
    }
    let seconds = member.whole_or_off(0..=u32::MAX).map_err(|_| expected())?;
    Ok(seconds.map(RetryAfter::Seconds))
}

fn limits(section: &Section<'_>) -> Result<Limits, Mistake> {
    const REGISTRATIONS: &str = "registrationsPerMinute";
    const POLLS: &str = "pollsPer10Seconds";
    const ADMIN: &str = "adminPerMinute";
    const RENEWALS: &str = "renewalsPerMinute";
    section.check_names(&[REGISTRATIONS, POLLS, ADMIN, RENEWALS])?;
    let limit = |name, default| match section.get(name) {
        Some(member) => member.whole_or_off(0..=u32::MAX),
        None => Ok(default),
    };
    let Limits { registrations_per_minute, polls_per_10_s, admin_per_minute, renewals_per_minute } = Limits::default();
    Ok(Limits {
        registrations_per_minute: limit(REGISTRATIONS, registrations_per_minute)?,
        polls_per_10_s: limit(POLLS, polls_per_10_s)?,
        admin_per_minute: limit(ADMIN, admin_per_minute)?,
        renewals_per_minute: limit(RENEWALS, renewals_per_minute)?,
    })
}
