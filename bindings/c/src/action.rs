//! What the machine asks for, as C reads it.

use core::mem::MaybeUninit;

use dps_core::message::{Call, Request};
use dps_core::{Action, Registration};

use crate::memory::dps_span;

/// What is to be done.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dps_action_kind {
    /// Sign `to_sign` by HMAC-SHA256 with the device's key; answer with `dps_registration_handle_signature` or
    /// `dps_registration_handle_sign_error`.
    DPS_ACTION_SIGN = 1,
    /// Send the request; answer with `dps_registration_handle_mqtt`, `dps_registration_handle_http` or
    /// `dps_registration_handle_link_error`.
    DPS_ACTION_SEND = 2,
    /// Nothing to do before `until_ms`, unless an answer comes; poll again then.
    DPS_ACTION_WAIT = 3,
    /// It is over: read `dps_registration_outcome`.
    DPS_ACTION_FINISHED = 4,
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
}

/// The next thing to do. `DPS_ACTION_SIGN` and `DPS_ACTION_SEND` are given once; until they are answered, polling gives
/// `DPS_ACTION_WAIT`. Spans hold until the next call on the registration that takes it as not const.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dps_action {
    /// Which of the others hold.
    pub kind: dps_action_kind,
    /// `SIGN`, `SEND`: goes back with the answer.
    pub id: u32,
    /// `SIGN`, `SEND`: after this it counts as unanswered. `WAIT`: when to poll again.
    pub until_ms: u64,
    /// `SIGN`: the bytes to sign.
    pub to_sign: dps_span,
    /// `SEND`: the SAS token, a secret: the password of MQTT, the Authorization of HTTP.
    pub token: dps_span,
    /// `SEND`: counts up with every new token. A connection made with an older one has to be made anew.
    pub token_generation: u32,
    /// `SEND`: what is asked.
    pub call: dps_call,
}

impl dps_action {
    /// Nothing; what an action does not have stays as it is here.
    const FINISHED: Self = Self {
        kind: dps_action_kind::DPS_ACTION_FINISHED,
        id: 0,
        until_ms: 0,
        to_sign: dps_span::EMPTY,
        token: dps_span::EMPTY,
        token_generation: 0,
        call: dps_call::DPS_CALL_NONE,
    };

    pub(crate) fn write(place: &mut MaybeUninit<Self>, machine: &Registration<'_>, action: Action) {
        let place = place.write(Self::FINISHED);
        match action {
            Action::Sign { id, respond_by } => {
                place.kind = dps_action_kind::DPS_ACTION_SIGN;
                place.id = id.get();
                place.until_ms = respond_by.as_millis();
                place.to_sign = dps_span::of_bytes(machine.to_sign());
            }
            Action::Send { .. } => {
                if let Some(request) = machine.request() {
                    place.send(&request);
                }
            }
            Action::Wait { until } => {
                place.kind = dps_action_kind::DPS_ACTION_WAIT;
                place.until_ms = until.as_millis();
            }
            Action::Finished => {}
        }
    }

    fn send(&mut self, request: &Request<'_>) {
        self.kind = dps_action_kind::DPS_ACTION_SEND;
        self.id = request.id.get();
        self.until_ms = request.respond_by.as_millis();
        if let Some(authorization) = request.authorization {
            self.token = dps_span::of(authorization.token);
            self.token_generation = authorization.generation;
        }
        self.call = match request.call {
            Call::Register { .. } => dps_call::DPS_CALL_REGISTER,
            Call::Status { .. } => dps_call::DPS_CALL_STATUS,
            _ => dps_call::DPS_CALL_LOOKUP,
        };
    }
}
