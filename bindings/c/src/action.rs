//! What the machine asks for, as C reads it.

use dps_core::{Action, Instant};

/// What is to be done.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_action_kind {
    /// Never after `dps_registration_init_x509`: sign what `dps_registration_to_sign` returns by HMAC-SHA256 with the
    /// device's key; answer with `dps_registration_handle_signature` or `dps_registration_handle_sign_error`.
    DPS_ACTION_SIGN = 1,
    /// Only after `dps_registration_init_tpm`: activate what `dps_registration_challenge` returns; answer with
    /// `dps_registration_handle_activation` or `dps_registration_handle_activate_error`. Until then, the buffer of the last
    /// reply must not be changed.
    DPS_ACTION_ACTIVATE = 2,
    /// Send the request with the token that `dps_registration_token` returns, if there is one; answer with
    /// `dps_registration_handle_mqtt`, `dps_registration_handle_http` or `dps_registration_handle_link_error`.
    DPS_ACTION_SEND = 3,
    /// Nothing to do before `until_ms`, unless an answer comes; poll again then.
    DPS_ACTION_WAIT = 4,
    /// It is over: `dps_registration_result` returns how it ended.
    DPS_ACTION_FINISHED = 5,
}

/// What is asked of the service.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_call {
    /// Nothing.
    DPS_CALL_NONE = 0,
    /// To register the device.
    DPS_CALL_REGISTER = 1,
    /// How a registration is getting on.
    DPS_CALL_STATUS = 2,
    /// The device's record, without registering it.
    DPS_CALL_LOOKUP = 3,
    /// To register without a token, for the service's time (`dps_config.earliest_unix_s`). HTTPS only.
    DPS_CALL_TIME = 4,
}

/// The next thing to do. `DPS_ACTION_SIGN`, `DPS_ACTION_SEND` and `DPS_ACTION_ACTIVATE` are returned once; until they are answered, polling
/// returns `DPS_ACTION_WAIT`. Handle every kind: a new one would come with a new ABI.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_action {
    /// What is to be done.
    pub kind: dps_action_kind,
    /// `SIGN`, `SEND`, `ACTIVATE`: goes back with the answer.
    pub id: u32,
    /// `SIGN`, `SEND`, `ACTIVATE`: after this it counts as unanswered. `WAIT`: when to poll again.
    pub until_ms: u64,
}

impl From<Action> for dps_action {
    fn from(action: Action) -> Self {
        let (kind, id, until) = match action {
            Action::Sign { id, respond_by } => (dps_action_kind::DPS_ACTION_SIGN, id.get(), respond_by),
            Action::Activate { id, respond_by } => (dps_action_kind::DPS_ACTION_ACTIVATE, id.get(), respond_by),
            Action::Send { id, respond_by } => (dps_action_kind::DPS_ACTION_SEND, id.get(), respond_by),
            Action::Wait { until } => (dps_action_kind::DPS_ACTION_WAIT, 0, until),
            Action::Finished => (dps_action_kind::DPS_ACTION_FINISHED, 0, Instant::default()),
        };
        Self { kind, id, until_ms: until.as_millis() }
    }
}
