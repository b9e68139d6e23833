//! What goes wrong all the time.

use std::time::Duration;

use cloudsim::{ApiError, CloudSim, ErrorFormat, GatewayFault, GatewayMatch, OssFault, OssMatch};
use rand::{RngExt as _, rngs::StdRng};

/// Lets a few things go wrong, once each.
pub fn happen(cloud: &CloudSim, random: &mut StdRng) {
    for _ in 0..random.random_range(0..=3) {
        cloud.script_gateway(GatewayMatch::Any, of_gateway(random), 1);
    }
    for _ in 0..random.random_range(0..=3) {
        cloud.script_oss(OssMatch::Any, of_store(random), 1);
    }
    // An outage now and then, of a second or so.
    cloud.settings().set_gateway_down(random.random_bool(0.02));
    cloud.settings().set_oss_down(random.random_bool(0.02));
}

/// From now on all is well.
pub fn end(cloud: &CloudSim) {
    cloud.clear_scripts();
    cloud.settings().set_gateway_down(false);
    cloud.settings().set_oss_down(false);
    cloud.settings().set_throttle_every(None);
}

fn of_gateway(random: &mut StdRng) -> GatewayFault {
    match random.random_range(0..14) {
        0 => GatewayFault::Reset,
        1 => GatewayFault::ResetAfter(200),
        2 => GatewayFault::Truncated,
        3 => GatewayFault::EmptyBody,
        4 => GatewayFault::Error(ApiError::new("InternalError", 500)),
        5 => GatewayFault::Error(ApiError::new("ServiceUnavailable", 503).with_format(ErrorFormat::Html)),
        6 => GatewayFault::Error(ApiError::throttling()),
        7 => GatewayFault::Error(ApiError::new("SignatureNonceUsed", 400)),
        8 => GatewayFault::EmptyPage,
        9 => GatewayFault::DropRows(3),
        10 => GatewayFault::RepeatRows,
        11 => GatewayFault::ExtraRows(vec!["{\"TaskId\":null}".to_owned(), "7".to_owned()]),
        12 => GatewayFault::Total(None),
        _ => GatewayFault::Delay(Duration::from_millis(700)),
    }
}

fn of_store(random: &mut StdRng) -> OssFault {
    let at = random.random_range(0..20_000);
    match random.random_range(0..12) {
        0 => OssFault::Reset,
        1 => OssFault::ResetAt(at),
        2 => OssFault::TruncateAt(at),
        3 => OssFault::StallAt(at),
        4 => OssFault::FlipBit(at),
        5 => OssFault::HtmlPage,
        6 => OssFault::WrongCrc,
        7 => OssFault::NoLength,
        8 => OssFault::IgnoreRange,
        9 => OssFault::HiddenError { status: 403, code: "AccessDenied".to_owned() },
        10 => OssFault::HiddenError { status: 503, code: "ServiceUnavailable".to_owned() },
        _ => OssFault::Delay(Duration::from_millis(400)),
    }
}
