//! SAS tokens: what is signed, and the token's text.
//!
//! Encoded once for the service, a hub and the service's admin API: upper-case hex, the unreserved set of RFC 3986,
//! letter case kept, fields in the order `sr`, `sig`, `se`, `skn` (Azure IoT DPS documentation, "Control access";
//! Azure IoT Hub documentation, "Control access with shared access signatures").
//!
//! A token is laid out once: the bytes to sign, and what follows the signature, where it is after the longest one. Whoever
//! has the signature finishes the token in its buffer.

use crate::ids::{IdScope, RegistrationId};
use crate::secret::Signature;
use crate::text::{ByteStr, Text, TooSmall};
use crate::time::UnixSeconds;

const PREFIX: &[u8] = b"SharedAccessSignature sr=";
/// The key name of a device's token at the provisioning service.
const REGISTRATION_KEY_NAME: &str = "registration";
/// `&sig=`, a signature whose every base64 digit needs an escape, and `&se=`.
const SIGNATURE_FIELD_MAX: usize = 5 + 44 * 3 + 4;

/// What a token grants access to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    authority: ByteStr<'a>,
    path: &'static str,
    device: ByteStr<'a>,
    /// Empty for none.
    key_name: ByteStr<'a>,
}

impl<'a> Resource<'a> {
    /// A device's own registration, `{id_scope}/registrations/{registration_id}`.
    #[must_use]
    pub fn registration(id_scope: IdScope<'a>, registration_id: RegistrationId<'a>) -> Self {
        Self {
            authority: ByteStr::new(id_scope.as_bytes()),
            path: "/registrations/",
            device: ByteStr::new(registration_id.as_bytes()),
            key_name: REGISTRATION_KEY_NAME.into(),
        }
    }

    /// A device at its hub, `{hub}/devices/{device_id}`: the hub's host name, and the device id, which is case-sensitive.
    #[must_use]
    pub fn hub_device(hub: impl Into<ByteStr<'a>>, device_id: impl Into<ByteStr<'a>>) -> Self {
        let (authority, device) = (hub.into(), device_id.into());
        Self { authority, path: "/devices/", device, key_name: ByteStr::default() }
    }

    /// The service's admin API at `host`, under a policy such as `provisioningserviceowner`.
    #[must_use]
    pub fn service(host: impl Into<ByteStr<'a>>, policy: impl Into<ByteStr<'a>>) -> Self {
        Self { authority: host.into(), path: "", device: ByteStr::default(), key_name: policy.into() }
    }

    /// A size in bytes that holds any token for this resource.
    #[must_use]
    pub fn token_max(&self) -> usize {
        // The size that the token with the longest expiry needs, as an empty buffer is too small for it.
        let prepared = SasToken::prepare(self, UnixSeconds::new(u64::MAX), &mut []);
        prepared.map_or_else(|short| short.needed, |_| 0)
    }
}

/// A token that waits for its signature, in the buffer where it will be. Nothing of it is kept elsewhere.
///
/// ```
/// use dps_core::credentials::{Resource, SasToken};
/// use dps_core::{Key, UnixSeconds};
///
/// let key = Key::from_bytes(b"0123456789abcdef")?;
/// let resource = Resource::hub_device("hub-a.test", "dev-01");
/// let mut buffer = [0; 256];
/// let token = SasToken::prepare(&resource, UnixSeconds::new(1_767_225_600), &mut buffer)?;
/// let signature = key.sign(token.to_sign());
/// let token = token.finish(&signature);
/// assert!(token.as_str().starts_with("SharedAccessSignature sr=hub-a.test%2Fdevices%2Fdev-01&sig="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SasToken<'b> {
    buffer: &'b mut [u8],
    /// Where the line feed is, at the end of the resource.
    line_feed: usize,
}

impl<'b> SasToken<'b> {
    /// Lays out a token without its signature; `expiry` is when it ends.
    ///
    /// # Errors
    /// [`TooSmall`] when the finished token might not fit; [`Resource::token_max`] bytes always do. `buffer` then holds parts
    /// of it.
    pub fn prepare(resource: &Resource<'_>, expiry: UnixSeconds, buffer: &'b mut [u8]) -> Result<Self, TooSmall> {
        let mut text = Text::new(&mut *buffer);
        text.push_bytes(PREFIX);
        text.push_percent(resource.authority);
        text.push_percent(resource.path);
        text.push_percent(resource.device);
        let line_feed = text.len();
        text.push_byte(b'\n');
        text.push_decimal(expiry.get());
        text.push_byte(0);
        let mut text = Text::after(&mut *buffer, rest(line_feed));
        text.push_decimal(expiry.get());
        if !resource.key_name.is_empty() {
            text.push("&skn=");
            text.push_percent(resource.key_name);
        }
        let needed = text.len();
        // Left out where the token ends with the buffer.
        text.push_byte(0);
        if needed > buffer.len() {
            return Err(TooSmall { needed });
        }
        Ok(Self { buffer, line_feed })
    }

    /// Goes on with the token that [`SasToken::prepare`] laid out in `buffer`; `None` when it is not as that left it.
    #[must_use]
    pub fn resume(buffer: &'b mut [u8]) -> Option<Self> {
        if !PREFIX.iter().zip(&*buffer).all(|(expected, byte)| expected == byte) {
            return None;
        }
        let resource = buffer.get(PREFIX.len()..)?;
        // A resource has none of these, and a token that is finished no line feed before its first field.
        let length = resource.iter().position(|byte| matches!(byte, b'\n' | b'&' | 0))?;
        let line_feed = length.wrapping_add(PREFIX.len());
        let prepared = resource.get(length) == Some(&b'\n') && rest(line_feed) < buffer.len();
        prepared.then_some(Self { buffer, line_feed })
    }

    /// As [`SasToken::resume`], in a buffer that nothing but this has written to.
    pub(crate) fn resume_own(buffer: &'b mut [u8]) -> Option<Self> {
        let line_feed = buffer.iter().position(|byte| *byte == b'\n')?;
        Some(Self { buffer, line_feed })
    }

    /// The bytes to sign: the encoded resource, a line feed, and the expiry in decimal.
    #[must_use]
    pub fn to_sign(&self) -> &[u8] {
        to_sign(self.buffer)
    }

    /// Where the bytes to sign end in the buffer.
    pub(crate) fn signed_end(&self) -> usize {
        self.to_sign().len().wrapping_add(PREFIX.len())
    }

    /// The bytes to sign in what [`SasToken::prepare`] laid out, up to [`SasToken::signed_end`].
    pub(crate) fn to_sign_in(laid_out: &[u8]) -> &[u8] {
        laid_out.get(PREFIX.len()..).unwrap_or_default()
    }

    /// The bytes to sign, for as long as the buffer lives.
    #[must_use]
    #[doc(hidden)]
    pub fn into_to_sign(self) -> &'b [u8] {
        to_sign(self.buffer)
    }

    /// Completes the token.
    #[must_use]
    pub fn finish(self, signature: &Signature) -> ByteStr<'b> {
        let Self { buffer, line_feed } = self;
        let mut text = Text::after(&mut *buffer, line_feed);
        text.push("&sig=");
        text.push_base64_percent(signature.expose());
        text.push("&se=");
        let mut len = text.len();
        let mut from = rest(line_feed);
        while let Some(byte) = buffer.get(from).copied().filter(|byte| *byte != 0) {
            if let Some(place) = buffer.get_mut(len) {
                *place = byte;
            }
            len = len.wrapping_add(1);
            from = from.wrapping_add(1);
        }
        ByteStr::new(buffer.get(..len).unwrap_or_default())
    }
}

/// Where what follows the signature is laid out: after the longest signature.
fn rest(line_feed: usize) -> usize {
    line_feed.wrapping_add(SIGNATURE_FIELD_MAX)
}

fn to_sign(buffer: &[u8]) -> &[u8] {
    let laid_out = buffer.get(PREFIX.len()..).unwrap_or_default();
    let length = laid_out.iter().position(|byte| *byte == 0).unwrap_or_default();
    laid_out.get(..length).unwrap_or_default()
}

impl core::fmt::Debug for SasToken<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SasToken").field("to_sign", &ByteStr::new(self.to_sign())).finish_non_exhaustive()
    }
}
