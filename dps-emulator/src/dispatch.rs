//! One HTTP request from start to end: routing, protocol checks, the call, the headers of the reply.

use crate::admin::AdminReply;
use crate::auth::{Caller, Owner};
use crate::device::Reply;
use crate::encoding::{is_api_version, percent_decode, query_member};
use crate::events::RefusalReason;
use crate::http::{ControlCall, DeviceCall, HttpReply, HttpRequest, Route, route};
use crate::options::check_host;
use crate::service::Service;
use crate::time::{Now, http_date};
use crate::wire::{BODY_MAX, MEDIA_TYPE, NO_ROUTE, Problem, Protocol, TOO_LARGE};
use crate::x509::ClientCertificates;

impl Service {
    /// Handles one HTTP request of a client without a certificate.
    pub fn handle(&mut self, now: Now, request: &HttpRequest<'_>) -> HttpReply {
        self.handle_with_certificates(now, request, &ClientCertificates::none())
    }

    /// Handles one HTTP request of a client that presented these certificates. They take precedence over a token in a
    /// device's calls, and are ignored in an owner's.
    pub fn handle_with_certificates(
        &mut self,
        now: Now,
        request: &HttpRequest<'_>,
        certificates: &ClientCertificates,
    ) -> HttpReply {
        self.dispatch(now, request, certificates, Owner::ByToken)
    }

    /// Handles a request of a session of the page: an owner's call without a token. Others do not exist there.
    #[cfg(feature = "server")]
    pub(crate) fn handle_for_session(&mut self, now: Now, request: &HttpRequest<'_>) -> HttpReply {
        self.dispatch(now, request, &ClientCertificates::none(), Owner::BySession)
    }

    fn dispatch(
        &mut self,
        now: Now,
        request: &HttpRequest<'_>,
        certificates: &ClientCertificates,
        owner: Owner,
    ) -> HttpReply {
        self.advance(now);
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((request.path_and_query, ""));
        let mut device = None;
        // The page reads often, and would fill the list of events that it shows.
        let mut is_event = true;
        let answered = match route(request.method, path) {
            Ok(route) if !owner.may_call(&route) => {
                Err((Problem::new(NO_ROUTE, "The page has no such resource."), None))
            }
            Ok(Route::Device { id_scope, registration_id, call }) => match check_protocol(request, query) {
                Ok(api_version) => {
                    let caller = Caller {
                        id_scope: &id_scope,
                        registration_id: &registration_id,
                        token: request.header("Authorization"),
                        certificates: Some(certificates),
                        api_version: &api_version,
                        user_agent: request.header("User-Agent"),
                        protocol: Protocol::Http,
                    };
                    // Recorded there, whatever the protocol.
                    return self.device_call_over_http(now, path, &caller, &call, request);
                }
                Err(problem) => {
                    device = Some((call, registration_id));
                    Err((problem, None))
                }
            },
            Ok(Route::Admin(call)) => {
                let decoded = percent_decode(path).unwrap_or_default();
                let answered =
                    check_protocol(request, query).and_then(|_| self.admin(now, &decoded, &call, request, owner));
                is_event = answered.is_err() || owner == Owner::ByToken || !call.only_reads();
                answered.map_err(|problem| (problem, None))
            }
            Ok(Route::Control(call)) => return self.control_call(now, path, query, &call, request, owner),
            Err(refused) => Err(refused),
        };
        let (reply, refused) = match answered {
            Ok(reply) => (self.admin_reply(now, reply), None),
            Err((problem, allow)) => {
                let mut reply = self.refuse(now, &problem);
                reply.headers.extend(allow.map(|methods| ("Allow", methods)));
                (reply, Some((problem.reason, problem.event_message())))
            }
        };
        if is_event {
            let device = device.as_ref().map(|(call, id)| (call, id.as_str()));
            self.record_request(now, request, &reply, device, refused);
        }
        reply
    }

    /// Refuses a request that was answered already, since its change could not be saved.
    #[cfg(feature = "server")]
    pub(crate) fn refuse_unsaved(&mut self, now: Now, request: &HttpRequest<'_>, problem: &Problem) -> HttpReply {
        let reply = self.refuse(now, problem);
        self.record_request(now, request, &reply, None, Some((problem.reason, problem.message.clone())));
        reply
    }

    fn device_call_over_http(
        &mut self,
        now: Now,
        path: &str,
        caller: &Caller<'_>,
        call: &DeviceCall,
        request: &HttpRequest<'_>,
    ) -> HttpReply {
        let reply = match call {
            DeviceCall::Register => self.register(now, caller, request.body),
            DeviceCall::Status { operation_id } => self.operation_status(now, caller, operation_id),
            DeviceCall::Lookup => self.lookup(now, caller, request.body),
        };
        self.device_reply(now, path, request.header("Host"), reply)
    }

    /// A call of the emulator's own. It is not one of the service, so that it is neither counted nor, unless it is refused,
    /// an event: those who read events would otherwise make some.
    fn control_call(
        &mut self,
        now: Now,
        path: &str,
        query: &str,
        call: &ControlCall,
        request: &HttpRequest<'_>,
        owner: Owner,
    ) -> HttpReply {
        match check_body(request).and_then(|()| self.control(now, path, query, call, request, owner)) {
            Ok(reply) => self.admin_reply(now, reply),
            Err(problem) => {
                let reply = self.problem_reply(now, &problem);
                let refused = Some((problem.reason, problem.event_message()));
                self.record_request(now, request, &reply, None, refused);
                reply
            }
        }
    }

    pub(crate) fn refuse(&mut self, now: Now, problem: &Problem) -> HttpReply {
        self.tally.refused(problem.status, None);
        self.problem_reply(now, problem)
    }

    fn problem_reply(&mut self, now: Now, problem: &Problem) -> HttpReply {
        let tracking_id = self.random.guid();
        http_reply(now, Reply::from_problem(&self.scaled(problem.clone()), now, tracking_id))
    }

    fn device_reply(&self, now: Now, path: &str, host: Option<&str>, reply: Reply) -> HttpReply {
        // The service sends the register path with polls too.
        let base = path.split_once("/operations/").map_or(path, |(base, _)| base).trim_end_matches("/register");
        // By the name and port that the device used, since ports may be mapped on its way.
        let host = host.and_then(host_and_port).unwrap_or(self.host_name());
        let location = (reply.status == 202).then(|| format!("https://{host}{base}/register"));
        let mut reply = http_reply(now, reply);
        reply.headers.extend(location.map(|location| ("Location", location)));
        reply
    }

    fn admin_reply(&mut self, now: Now, reply: AdminReply) -> HttpReply {
        let mut headers = common_headers(now, self.random.guid(), !reply.body.is_empty());
        headers.extend(reply.headers);
        HttpReply { status: reply.status, headers, body: reply.body, fault: None }
    }
}

/// The value of a `Host` header if it is a host and perhaps a port, which is left out if it is 443, as the service does.
fn host_and_port(host: &str) -> Option<&str> {
    let host = host.strip_suffix(":443").unwrap_or(host);
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at(end);
    let is_port = |port: &str| port.parse::<u16>().is_ok() && port.bytes().all(|digit| digit.is_ascii_digit());
    let is_valid = check_host(name).is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    is_valid.then_some(host)
}

fn common_headers(now: Now, tracking_id: String, has_body: bool) -> Vec<(&'static str, String)> {
    let mut headers = vec![("Date", http_date(now.unix_s())), ("x-ms-request-id", tracking_id)];
    if has_body {
        headers.push(("Content-Type", "application/json; charset=utf-8".into()));
    }
    headers
}

fn http_reply(now: Now, reply: Reply) -> HttpReply {
    let mut headers = common_headers(now, reply.tracking_id, !reply.body.is_empty());
    headers.extend(reply.error_code.map(|code| ("x-ms-error-code", code.to_string())));
    headers.extend(reply.retry_after.map(|hint| ("Retry-After", hint.header_value(now))));
    HttpReply { status: reply.status, headers, body: reply.body, fault: reply.fault }
}

/// What the service checks before any call; returns the api version.
fn check_protocol(request: &HttpRequest<'_>, query: &str) -> Result<String, Problem> {
    check_body(request)?;
    let api_version = query_member(query, "api-version").filter(|version| !version.is_empty());
    let invalid = |message: &str| Problem::bad_request(message).because(RefusalReason::ApiVersion);
    let api_version = api_version.ok_or_else(|| invalid("'api-version' is missing in the query."))?;
    if !is_api_version(&api_version) {
        return Err(invalid("'api-version' must be YYYY-MM-DD or YYYY-MM-DD-preview."));
    }
    Ok(api_version)
}

fn check_body(request: &HttpRequest<'_>) -> Result<(), Problem> {
    if request.body.len() > BODY_MAX {
        return Err(Problem::new(TOO_LARGE, format!("The body has more than {BODY_MAX} bytes.")));
    }
    let media_type = request.header("Content-Type").unwrap_or("application/json");
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !request.body.is_empty() && !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(MEDIA_TYPE, "The body must be application/json."));
    }
    Ok(())
}
