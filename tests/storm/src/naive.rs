//! A fleet without backoff: every device repeats its request every ten seconds and ignores hints.
//!
//! All of them ask in the same millisecond. As soon as the service has refused one, it refuses all that follow in that
//! millisecond just so; these are counted and not asked one by one, for they would be thousands of millions.

use std::cell::RefCell;

use dps_core::credentials::{Resource, SasToken};
use dps_core::{Authorization, Call, Instant, Request, RequestId, Status, UnixSeconds};
use pair::world::SERVICE_EPOCH;

use crate::device::{id, identity, key};
use crate::front::Front;
use crate::series::Series;

const INTERVAL_MS: u64 = 10_000;

pub(crate) fn run(front: &RefCell<Front<'_>>, devices: u32, assignments: &mut Series) {
    let front = &mut *front.borrow_mut();
    let mut next = 0;
    let mut registered: Vec<(u32, String)> = Vec::new();
    while next < devices || !registered.is_empty() {
        let at = front.world.millis();
        registered.retain(|(index, operation_id)| {
            let assigned =
                ask(front, *index, Call::Status { operation_id: operation_id.as_str().into() }) == Answer::Assigned;
            assignments.add(at, u32::from(assigned));
            !assigned
        });
        while next < devices {
            match ask(front, next, Call::register(None)) {
                Answer::Assigning(operation_id) => registered.push((next, operation_id)),
                _ => {
                    front.refuse(devices - next - 1);
                    break;
                }
            }
            next += 1;
        }
        front.world.advance(INTERVAL_MS);
    }
}

#[derive(PartialEq, Eq)]
enum Answer {
    Assigning(String),
    Assigned,
    Refused,
}

fn ask(front: &mut Front<'_>, index: u32, call: Call<'_>) -> Answer {
    let id = id(index);
    let identity = identity(&id);
    let resource = Resource::registration(identity.id_scope, identity.registration_id);
    let mut token = vec![0; resource.token_max()];
    let expiry = UnixSeconds::new((SERVICE_EPOCH + front.world.millis()) / 1000 + 3600);
    let unsigned = SasToken::prepare(&resource, expiry, &mut token).expect("the token has its size");
    let signature = key(&identity).sign(unsigned.to_sign());
    let token = unsigned.finish(&signature);
    let respond_by = Instant::from_millis(front.world.millis() + INTERVAL_MS);
    let authorization = Some(Authorization::new(token.as_str(), 1));
    let request = Request::new(RequestId::new(1), call, identity, authorization, respond_by);
    let mut buffer = [0; 512];
    let reply = front.answer(&request, &mut buffer).expect("a reply");
    match (reply.body.status, reply.body.operation_id) {
        (Some(Status::Assigned), _) => Answer::Assigned,
        (Some(Status::Assigning), Some(operation_id)) => Answer::Assigning(operation_id.as_str().into()),
        _ => Answer::Refused,
    }
}
