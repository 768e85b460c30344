//! HTTP requests and replies without sockets or an HTTP library, and which call a method and a path ask for. Words of a
//! path compare without letter case; every segment is percent-decoded.

use crate::encoding::percent_decode;
use crate::fault::{At, TransportFault};
use crate::wire::{METHOD, NO_ROUTE, Problem};

/// A parsed request. Nothing in it is decoded: the path as it was sent, the body as it arrived (`Content-Encoding` is
/// ignored, since clients send `utf-8` there).
#[derive(Debug, Clone, Copy)]
pub struct HttpRequest<'a> {
    /// `GET`, `PUT`, …
    pub method: &'a str,
    /// `/0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01`.
    pub path_and_query: &'a str,
    /// Names in any letter case.
    pub headers: &'a [(&'a str, &'a str)],
    /// The whole body.
    pub body: &'a [u8],
}

impl<'a> HttpRequest<'a> {
    /// A header's value; the first, if there are several.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpReply {
    /// The status; 0 when there is nothing to send (see `fault`).
    pub status: u16,
    /// The headers, `Date` among them; not `Content-Length`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What the listener has to do with this reply, or instead of sending it.
    pub fault: Option<TransportFault>,
}

impl HttpReply {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Device {
        id_scope: String,
        registration_id: String,
        call: DeviceCall,
    },
    Admin(AdminCall),
    /// A call of the emulator's own API.
    Control(ControlCall),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DeviceCall {
    Register,
    Status { operation_id: String },
    Lookup,
}

impl DeviceCall {
    pub(crate) fn at(&self) -> At {
        match self {
            Self::Register => At::Register,
            Self::Status { .. } => At::Poll,
            Self::Lookup => At::Lookup,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collection {
    Enrollments,
    Groups,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AdminCall {
    Get(Collection, String),
    Put(Collection, String),
    Delete(Collection, String),
    AttestationMechanism(Collection, String),
    Query(Collection),
    Bulk(Collection),
    GetRegistration(String),
    DeleteRegistration(String),
    QueryRegistrations { group: String },
}

impl AdminCall {
    /// Whether it changes nothing and returns no key.
    pub(crate) fn only_reads(&self) -> bool {
        match self {
            Self::Get(..) | Self::Query(_) | Self::GetRegistration(_) | Self::QueryRegistrations { .. } => true,
            Self::Put(..)
            | Self::Delete(..)
            | Self::AttestationMechanism(..)
            | Self::Bulk(_)
            | Self::DeleteRegistration(_) => false,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ControlCall {
    PlanFaults,
    ListFaults,
    ClearFaults,
    Counters,
    Refusals,
    Events,
    ListCertificates,
    ShowCertificate { name: String },
    PutCertificate { name: String },
    DeleteCertificate { name: String },
    ListDevices,
    ShowDevice { registration_id: String },
    ListHubs,
    ListHubDevices { hub: String },
    MakePageLink,
    ShowHubDevice { hub: String, device_id: String },
    ExportConfiguration,
    ShowClock,
    ChangeClock,
    ChangeHubDevice { hub: String, device_id: String },
    DeleteHubDevice { hub: String, device_id: String },
}

/// The methods that a path has, with the call of each.
type Calls = Vec<(&'static str, Route)>;

pub(crate) fn route(method: &str, path: &str) -> Result<Route, (Problem, Option<String>)> {
    let segments = path.strip_prefix('/').unwrap_or(path).split('/').map(percent_decode).collect::<Option<Vec<_>>>();
    let Some(mut segments) = segments else {
        return Err((Problem::bad_request("The path has an invalid percent escape."), None));
    };
    // Service clients send the bulk operation with a trailing slash.
    if let [list, last] = segments.as_slice()
        && last.is_empty()
        && collection(list).is_some()
    {
        segments.pop();
    }
    if segments.iter().any(String::is_empty) {
        return Err((Problem::new(NO_ROUTE, "The path has an empty segment."), None));
    }
    let calls = calls(&segments);
    if calls.is_empty() {
        return Err((Problem::new(NO_ROUTE, "There is no such resource."), None));
    }
    let allowed = calls.iter().map(|(method, _)| *method).collect::<Vec<_>>().join(", ");
    let wrong = || (Problem::new(METHOD, format!("This resource supports {allowed} only.")), Some(allowed.clone()));
    calls.into_iter().find(|(known, _)| *known == method).map(|(_, route)| route).ok_or_else(wrong)
}

fn calls(segments: &[String]) -> Calls {
    let words: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is = |word: &str, name: &str| word.eq_ignore_ascii_case(name);
    if let Some(collection) = words.first().and_then(|list| collection(list)) {
        return collection_calls(collection, &words[1..]);
    }
    match words.as_slice() {
        [list, id] if is(list, "registrations") => vec![
            ("GET", Route::Admin(AdminCall::GetRegistration((*id).into()))),
            ("DELETE", Route::Admin(AdminCall::DeleteRegistration((*id).into()))),
        ],
        [list, group, last] if is(list, "registrations") && is(last, "query") => {
            vec![("POST", Route::Admin(AdminCall::QueryRegistrations { group: (*group).into() }))]
        }
        [ours, last] if is(ours, "emulator") => control_calls(last),
        [ours, certificates, name] if is(ours, "emulator") && is(certificates, "certificates") => {
            certificate_calls(name)
        }
        [ours, devices, id] if is(ours, "emulator") && is(devices, "devices") => {
            vec![("GET", Route::Control(ControlCall::ShowDevice { registration_id: (*id).into() }))]
        }
        [ours, hubs, hub, devices] if is(ours, "emulator") && is(hubs, "hubs") && is(devices, "devices") => {
            vec![("GET", Route::Control(ControlCall::ListHubDevices { hub: (*hub).into() }))]
        }
        [ours, hubs, hub, devices, id] if is(ours, "emulator") && is(hubs, "hubs") && is(devices, "devices") => {
            hub_device_calls(hub, id)
        }
        [scope, list, id, rest @ ..] if is(list, "registrations") => device_calls(scope, id, rest),
        _ => Vec::new(),
    }
}

fn collection(list: &str) -> Option<Collection> {
    match list.to_ascii_lowercase().as_str() {
        "enrollments" => Some(Collection::Enrollments),
        "enrollmentgroups" => Some(Collection::Groups),
        _ => None,
    }
}

fn control_calls(what: &str) -> Calls {
    let control = Route::Control;
    match what.to_ascii_lowercase().as_str() {
        "faults" => vec![
            ("POST", control(ControlCall::PlanFaults)),
            ("GET", control(ControlCall::ListFaults)),
            ("DELETE", control(ControlCall::ClearFaults)),
        ],
        "refusals" => vec![("GET", control(ControlCall::Refusals))],
        "events" => vec![("GET", control(ControlCall::Events))],
        "counters" => vec![("GET", control(ControlCall::Counters))],
        "configuration" => vec![("GET", control(ControlCall::ExportConfiguration))],
        "clock" => vec![("GET", control(ControlCall::ShowClock)), ("PATCH", control(ControlCall::ChangeClock))],
        "certificates" => vec![("GET", control(ControlCall::ListCertificates))],
        "devices" => vec![("GET", control(ControlCall::ListDevices))],
        "hubs" => vec![("GET", control(ControlCall::ListHubs))],
        "page-links" => vec![("POST", control(ControlCall::MakePageLink))],
        _ => Vec::new(),
    }
}

fn certificate_calls(name: &str) -> Calls {
    let name = || name.to_owned();
    vec![
        ("GET", Route::Control(ControlCall::ShowCertificate { name: name() })),
        ("PUT", Route::Control(ControlCall::PutCertificate { name: name() })),
        ("DELETE", Route::Control(ControlCall::DeleteCertificate { name: name() })),
    ]
}

fn hub_device_calls(hub: &str, device_id: &str) -> Calls {
    let (hub, device_id) = (|| hub.to_owned(), || device_id.to_owned());
    vec![
        ("GET", Route::Control(ControlCall::ShowHubDevice { hub: hub(), device_id: device_id() })),
        ("PATCH", Route::Control(ControlCall::ChangeHubDevice { hub: hub(), device_id: device_id() })),
        ("DELETE", Route::Control(ControlCall::DeleteHubDevice { hub: hub(), device_id: device_id() })),
    ]
}

fn device_calls(id_scope: &str, registration_id: &str, rest: &[&str]) -> Calls {
    let device = |call| Route::Device { id_scope: id_scope.into(), registration_id: registration_id.into(), call };
    match rest {
        [] => vec![("POST", device(DeviceCall::Lookup))],
        [last] if last.eq_ignore_ascii_case("register") => vec![("PUT", device(DeviceCall::Register))],
        [list, id] if list.eq_ignore_ascii_case("operations") => {
            vec![("GET", device(DeviceCall::Status { operation_id: (*id).into() }))]
        }
        _ => Vec::new(),
    }
}

fn collection_calls(collection: Collection, rest: &[&str]) -> Calls {
    let admin = Route::Admin;
    match rest {
        [] => vec![("POST", admin(AdminCall::Bulk(collection)))],
        // An enrollment may be named "query": the method tells them apart.
        [id] => {
            let mut calls = vec![
                ("GET", admin(AdminCall::Get(collection, (*id).into()))),
                ("PUT", admin(AdminCall::Put(collection, (*id).into()))),
                ("DELETE", admin(AdminCall::Delete(collection, (*id).into()))),
            ];
            if id.eq_ignore_ascii_case("query") {
                calls.push(("POST", admin(AdminCall::Query(collection))));
            }
            calls
        }
        [id, last] if last.eq_ignore_ascii_case("attestationmechanism") => {
            vec![("POST", admin(AdminCall::AttestationMechanism(collection, (*id).into())))]
        }
        _ => Vec::new(),
    }
}
