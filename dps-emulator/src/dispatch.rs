//! One HTTP request from start to end: routing, protocol checks, the call, the headers of the reply.

use crate::activity::{Exchange, RefusalReason};
use crate::admin::AdminReply;
use crate::auth::Caller;
use crate::device::Reply;
use crate::encoding::{is_api_version, percent_decode, query_member};
use crate::http::{DeviceCall, HttpReply, HttpRequest, Route, route};
use crate::service::Service;
use crate::time::{Now, http_date};
use crate::wire::{BODY_MAX, MEDIA_TYPE, Problem, Protocol, TOO_LARGE};
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
        self.advance(now);
        let (refused, noted) = (self.refusals.count(), self.exchanges.count());
        let reply = self.dispatch(now, request, certificates);
        // Device calls are recorded by `device`, whatever protocol they use.
        if self.exchanges.count() == noted {
            let reason = self.refusals.reason_after(refused);
            self.exchanges.note(|| exchange(request, &reply, reason));
        }
        reply
    }

    fn dispatch(&mut self, now: Now, request: &HttpRequest<'_>, certificates: &ClientCertificates) -> HttpReply {
        let (path, query) = request.path_and_query.split_once('?').unwrap_or((request.path_and_query, ""));
        match route(request.method, path) {
            Ok(Route::Device { id_scope, registration_id, call }) => {
                let api_version = match check_protocol(request, query) {
                    Ok(api_version) => api_version,
                    Err(problem) => return self.refuse(now, &problem),
                };
                let caller = Caller {
                    id_scope: &id_scope,
                    registration_id: &registration_id,
                    token: request.header("Authorization"),
                    certificates: Some(certificates),
                    api_version: &api_version,
                    protocol: Protocol::Http,
                };
                let reply = match &call {
                    DeviceCall::Register => self.register(now, &caller, request.body),
                    DeviceCall::Status { operation_id } => self.operation_status(now, &caller, operation_id),
                    DeviceCall::Lookup => self.lookup(now, &caller, request.body),
                };
                self.device_reply(now, path, reply)
            }
            Ok(Route::Admin(call)) => {
                let decoded = percent_decode(path).unwrap_or_default();
                let answered = check_protocol(request, query).and_then(|_| self.admin(now, &decoded, &call, request));
                match answered {
                    Ok(reply) => self.admin_reply(now, reply),
                    Err(problem) => self.refuse(now, &problem),
                }
            }
            Ok(Route::Control(call)) => {
                let answered = check_body(request).and_then(|()| self.control(now, path, query, &call, request));
                match answered {
                    Ok(reply) => self.admin_reply(now, reply),
                    // Not a call of the service, so it is not counted.
                    Err(problem) => self.problem_reply(now, &problem),
                }
            }
            Err((problem, allow)) => {
                let mut reply = self.refuse(now, &problem);
                reply.headers.extend(allow.map(|methods| ("Allow", methods)));
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

    fn device_reply(&self, now: Now, path: &str, reply: Reply) -> HttpReply {
        // The service sends the register path with polls too.
        let base = path.split_once("/operations/").map_or(path, |(base, _)| base).trim_end_matches("/register");
        let location = (reply.status == 202).then(|| format!("https://{}{base}/register", self.host_name()));
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

fn exchange(request: &HttpRequest<'_>, reply: &HttpReply, reason: Option<RefusalReason>) -> Exchange {
    let path = request.path_and_query.split('?').next().unwrap_or_default();
    let code = reply.header("x-ms-error-code").and_then(|code| code.parse().ok());
    let message = || {
        let body: serde_json::Value = serde_json::from_slice(&reply.body).ok()?;
        body["message"].as_str().map(str::to_owned)
    };
    let reason = reason.map(|reason| reason.to_string()).or_else(|| code.and_then(|_: u32| message()));
    Exchange { code, reason, ..Exchange::new("", format!("{} {path}", request.method), reply.status) }
}

/// What the service checks before any call; returns the api version.
fn check_protocol(request: &HttpRequest<'_>, query: &str) -> Result<String, Problem> {
    check_body(request)?;
    let api_version = query_member(query, "api-version").filter(|version| !version.is_empty());
    let api_version = api_version.ok_or_else(|| Problem::bad_request("'api-version' is missing in the query."))?;
    if !is_api_version(&api_version) {
        return Err(Problem::bad_request("'api-version' must be YYYY-MM-DD or YYYY-MM-DD-preview."));
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
