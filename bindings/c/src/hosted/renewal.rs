//! Renewing an issued certificate at the device's hub.

use std::net::IpAddr;
use std::time::Duration;

use dps_client::{
    AddressOverrideError, ErrorCode, HubCredentials, HubRenewal, OnConflict, ProvisioningClient, Resolver, ResumeToken,
    Transport,
};

use crate::hosted::client::call;
use crate::hosted::config::dps_client_config;
use crate::hosted::error::dps_error;
use crate::hosted::hub::{credentials_at, word};
use crate::hosted::issued::{dps_certificate_chain, needed};
use crate::hosted::options::{Checked, given, option, refused};
use crate::input::{Input, input};
use crate::result::{Refused, done, dps_result};
use crate::span::dps_span;

/// A renewal at the device's hub. Initialize it with `dps_hub_renewal_default`; then set at least `hub`, `device_id` and
/// `certificate_request`. A member that is 0, false or empty has its default.
///
/// The library only reads the struct and what it points to, and only until the call returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_hub_renewal {
    /// The size of the struct, set by `dps_hub_renewal_default`.
    pub size: usize,
    /// The hub's host name, of the assignment.
    pub hub: dps_span,
    /// The device id at the hub, of the assignment.
    pub device_id: dps_span,
    /// What `dps_assignment_connection_profile_word` returned; empty if it was not reported. With a word other than `classic`, the
    /// renewal ends with `DPS_ERROR_UNSUPPORTED_PROFILE` before anything is sent.
    pub connection_profile: dps_span,
    /// A certificate request for a new key, as `dps_operational_key_write_request` writes it; 6 KiB at most.
    pub certificate_request: dps_span,
    /// The hub's IP address, instead of what its name resolves to; for tests and private networks.
    pub address: dps_span,
    /// The hub's port. Default: 8883, or 443 over WebSocket.
    pub port: u16,
    /// Whether to end with `DPS_ERROR_CONFLICT` if another certificate request of the device is active at its hub. Default: it is
    /// replaced, since its key may have been lost in a restart.
    pub keep_active: bool,
}

// SAFETY: numbers, a truth value and spans, for which zero is valid.
unsafe impl Input for dps_hub_renewal {}

/// Renews an issued certificate at the device's hub, over MQTT 3.1.1 (preview of the service: hub API version 2025-08-01-preview).
/// Blocks until the hub has issued the chain, which is not checked: see `dps_issued_identity_accept`.
///
/// `config` has the credential with which the device signs in to the hub: `issued_identity` while it is valid, or any other one of
/// the device; of several, the one of `credential_index`. Of its options, `transport` (MQTT over WebSocket, otherwise MQTT over
/// TLS), roots, proxy, clock, timeouts, `cancel` and `log` count. The wait after an error of the hub can be 5 minutes and more.
///
/// A connection that breaks is made again, and the request goes on. A hub lets a device have one connection: what the application
/// has open to the same hub is closed by this one. The new certificate is used from the next connection on; the old one stays valid
/// until it expires. Hubs with the profile `mqttV5` offer no renewal; register again there.
///
/// Returns `DPS_OK` and sets `*chain`, to be freed with `dps_certificate_chain_free`; otherwise the same as `dps_client_register`. A
/// refusal by the hub has its status and code in the error: `DPS_ERROR_BAD_REQUEST`, `DPS_ERROR_CONFLICT`, `DPS_ERROR_THROTTLED` and
/// others; `DPS_ERROR_UNAUTHORIZED` if it refuses the device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dps_client_renew_at_hub(
    config: *const dps_client_config,
    renewal: *const dps_hub_renewal,
    chain: *mut *mut dps_certificate_chain,
    error: *mut *mut dps_error,
) -> dps_result {
    // SAFETY: as the caller promises.
    let (Ok(options), Ok(renewal)) = (unsafe { (input(config), input(renewal)) }) else {
        return done(Err(Refused::ARGUMENT));
    };
    let issue = async |client: &ProvisioningClient, _: Option<&ResumeToken>| -> Checked<dps_certificate_chain> {
        // SAFETY: as the caller promises.
        let (request, renewal) = unsafe {
            let (hub, device_id) = (needed("hub", renewal.hub)?, needed("device_id", renewal.device_id)?);
            let profile = word(renewal.connection_profile)
                .map_err(|code| refused(code, "connection_profile is not a word of the service"))?;
            let credentials = credentials_at(client, hub, device_id, &profile, options.credential_index)?;
            (given("certificate_request", renewal.certificate_request)?, renewal.start(hub, credentials, &options)?)
        };
        Ok(renewal.issue(request).await?.into())
    };
    // SAFETY: as the caller promises.
    unsafe { call(config, chain, error, issue) }
}

impl dps_hub_renewal {
    /// # Safety
    /// The pointers in both are valid, as required of the caller.
    unsafe fn start(&self, hub: &str, credentials: HubCredentials, config: &dps_client_config) -> Checked<HubRenewal> {
        let transport = match config.transport()? {
            Transport::MqttWebSocket => Transport::MqttWebSocket,
            _ => Transport::Mqtt,
        };
        // SAFETY: promised on.
        let (roots, proxy, address) = unsafe { (config.roots()?, config.proxy()?, option("address", self.address)?) };
        let on_conflict = if self.keep_active { OnConflict::Fail } else { OnConflict::Replace };
        let mut renewal =
            HubRenewal::new(credentials).transport(transport).roots(roots).proxy(proxy).on_conflict(on_conflict);
        if self.port > 0 {
            renewal = renewal.port(self.port);
        }
        if let Some(address) = address {
            renewal = renewal.resolver(self.resolver(hub, transport, address)?);
        }
        let millis = |ms: u32| Duration::from_millis(ms.into());
        if config.timeout_ms > 0 {
            renewal = renewal.timeout(millis(config.timeout_ms));
        }
        if config.request_timeout_ms > 0 {
            renewal = renewal.request_timeout(millis(config.request_timeout_ms));
        }
        Ok(renewal)
    }

    /// Resolves the hub's name to this address.
    fn resolver(&self, hub: &str, transport: Transport, address: &str) -> Checked<Resolver> {
        let default = if transport == Transport::MqttWebSocket { 443 } else { 8883 };
        let port = if self.port > 0 { self.port } else { default };
        let unusable =
            |problem: &dyn std::fmt::Display| refused(ErrorCode::InvalidOption, format!("address: {problem}"));
        let address: IpAddr = address.parse().map_err(|_| unusable(&"it is not an IP address"))?;
        let fixed = format!("{hub}:{port}:{address}").parse();
        Ok(Resolver::new([fixed.map_err(|error: AddressOverrideError| unusable(&error))?]))
    }
}
