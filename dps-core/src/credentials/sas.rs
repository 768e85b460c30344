//! SAS tokens: what is signed, and the token's text.
//!
//! Encoded once for the service, a hub and the service's admin API: upper-case hex, the unreserved set of RFC 3986,
//! letter case kept, fields in the order `sr`, `sig`, `se`, `skn` (Azure IoT DPS documentation, "Control access";
//! Azure IoT Hub documentation, "Control access with shared access signatures").

use crate::ids::Identity;
use crate::secret::Signature;
use crate::text::{Text, TooSmall, percent_len};
use crate::time::UnixSeconds;

const PREFIX: &str = "SharedAccessSignature sr=";
/// The key name of a device's token at the provisioning service.
pub const REGISTRATION_KEY_NAME: &str = "registration";
/// `&sig=` and a signature whose every base64 digit needed an escape, `&se=` and 20 digits, `&skn=`.
const FIELDS_MAX: usize = 5 + 44 * 3 + 4 + 20 + 5;

/// What a token gives access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resource<'a> {
    /// A device's own registration, `{idScope}/registrations/{registrationId}`.
    Registration(Identity<'a>),
    /// A device at its hub, `{hub}/devices/{deviceId}`.
    HubDevice {
        /// The hub's host name.
        hub: &'a str,
        /// The device id, case-sensitive.
        device_id: &'a str,
    },
    /// The service's admin API under a policy.
    Service {
        /// The service's host name.
        host: &'a str,
        /// The policy's name, such as `provisioningserviceowner`.
        policy: &'a str,
    },
}

impl Resource<'_> {
    fn write(&self, text: &mut Text<'_>) {
        for part in self.parts() {
            text.push_percent(part);
        }
    }

    fn parts(&self) -> [&[u8]; 3] {
        match *self {
            Self::Registration(identity) => {
                [identity.id_scope.as_bytes(), b"/registrations/", identity.registration_id.as_bytes()]
            }
            Self::HubDevice { hub, device_id } => [hub.as_bytes(), b"/devices/", device_id.as_bytes()],
            Self::Service { host, .. } => [host.as_bytes(), b"", b""],
        }
    }

    fn key_name(&self) -> Option<&str> {
        match *self {
            Self::Registration(_) => Some(REGISTRATION_KEY_NAME),
            Self::HubDevice { .. } => None,
            Self::Service { policy, .. } => Some(policy),
        }
    }

    /// A size in bytes that holds any token for this resource.
    #[must_use]
    pub fn token_max(&self) -> usize {
        let resource = self.parts().into_iter().map(percent_len).fold(0, usize::saturating_add);
        let name = self.key_name().map_or(0, percent_len);
        PREFIX.len().saturating_add(resource).saturating_add(FIELDS_MAX).saturating_add(name)
    }
}

/// A token that waits for its signature, in the buffer where it will stand.
///
/// ```
/// use dps_core::credentials::{Resource, SasToken};
/// use dps_core::{Key, UnixSeconds};
///
/// let key = Key::from_bytes(b"0123456789abcdef")?;
/// let resource = Resource::HubDevice { hub: "hub-a.test", device_id: "dev-01" };
/// let mut buffer = [0; 256];
/// let token = SasToken::prepare(resource, UnixSeconds::new(1_767_225_600), &mut buffer)?;
/// let signature = key.sign(token.to_sign());
/// assert!(token.finish(&signature)?.starts_with("SharedAccessSignature sr=hub-a.test%2Fdevices%2Fdev-01&sig="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SasToken<'a, 'b> {
    resource: Resource<'a>,
    expiry: UnixSeconds,
    buffer: &'b mut [u8],
    resource_end: usize,
    end: usize,
}

impl<'a, 'b> SasToken<'a, 'b> {
    /// Lays out what is to be signed; `expiry` is when the token ends.
    ///
    /// # Errors
    /// [`TooSmall`] when `buffer` is shorter than [`Resource::token_max`].
    pub fn prepare(resource: Resource<'a>, expiry: UnixSeconds, buffer: &'b mut [u8]) -> Result<Self, TooSmall> {
        let needed = resource.token_max();
        if buffer.len() < needed {
            return Err(TooSmall { needed });
        }
        let mut text = Text::new(buffer);
        text.push(PREFIX);
        resource.write(&mut text);
        let resource_end = text.len();
        text.push_byte(b'\n');
        text.push_decimal(expiry.get());
        let end = text.finish_len()?;
        Ok(Self { resource, expiry, buffer, resource_end, end })
    }

    /// The bytes to sign: the encoded resource, a line feed, and the expiry in decimal.
    #[must_use]
    pub fn to_sign(&self) -> &[u8] {
        self.buffer.get(PREFIX.len()..self.end).unwrap_or(&[])
    }

    /// How far the buffer is written.
    pub(crate) fn end(&self) -> usize {
        self.end
    }

    /// The bytes to sign in what [`SasToken::prepare`] wrote, up to [`SasToken::end`].
    pub(crate) fn to_sign_in(written: &[u8]) -> &[u8] {
        written.get(PREFIX.len()..).unwrap_or(&[])
    }

    /// The bytes to sign, for as long as the buffer lives.
    #[must_use]
    pub fn into_to_sign(self) -> &'b [u8] {
        let written: &'b [u8] = self.buffer;
        written.get(PREFIX.len()..self.end).unwrap_or(&[])
    }

    /// Completes the token.
    ///
    /// # Errors
    /// [`TooSmall`] never, since [`SasToken::prepare`] saw to it; the type says so to spare a panic.
    pub fn finish(self, signature: &Signature) -> Result<&'b str, TooSmall> {
        let mut text = Text::after(self.buffer, self.resource_end);
        write_fields(&mut text, &self.resource, self.expiry, signature);
        text.finish()
    }
}

impl core::fmt::Debug for SasToken<'_, '_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SasToken")
            .field("resource", &self.resource)
            .field("expiry", &self.expiry)
            .finish_non_exhaustive()
    }
}

fn write_fields(text: &mut Text<'_>, resource: &Resource<'_>, expiry: UnixSeconds, signature: &Signature) {
    text.push("&sig=");
    text.push_base64_percent(signature.expose());
    text.push("&se=");
    text.push_decimal(expiry.get());
    if let Some(name) = resource.key_name() {
        text.push("&skn=");
        text.push_percent(name);
    }
}
