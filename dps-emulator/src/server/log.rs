//! One line of the log for each exchange. What a client sent is quoted, so that it cannot reach a terminal raw.

use crate::exchanges::Exchange;
use crate::fault::RetryAfter;

pub(super) fn exchange(over: &'static str, exchange: &Exchange) {
    let Exchange { device, call, status, .. } = exchange;
    tracing::info!(
        over,
        device = (!device.is_empty()).then_some(tracing::field::debug(device)),
        ?call,
        status,
        code = exchange.code,
        wait_s = exchange.wait.map(|wait| match wait {
            RetryAfter::Seconds(seconds) => i64::from(seconds),
            RetryAfter::Date(offset) => offset,
        }),
        reason = exchange.reason.as_ref().map(tracing::field::debug),
        "exchange"
    );
}
