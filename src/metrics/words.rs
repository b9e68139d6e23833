//! Words that may be labels. Whatever else comes from the network is `other`: a label is a time series that is kept
//! for ever, so nobody outside may make new ones.

use crate::model::download::DownloadState;

/// What a word that is not known is labelled.
pub(super) const OTHER: &str = "other";

/// `to` of a transition.
pub(super) const TRANSITIONS: [&str; 5] = ["created", "success", "failed", "unlisted", OTHER];

/// `status` of a task.
pub(super) const STATUSES: [&str; 4] = ["created", "success", "failed", OTHER];

/// `state` of a download.
pub(super) const STATES: [&str; 4] = ["pending", "active", "stored", "abandoned"];

/// `state` of an undelivered task's download.
pub(super) const UNDELIVERED: [DownloadState; 3] =
    [DownloadState::Pending, DownloadState::Active, DownloadState::Abandoned];

/// `code` of a call: our own two words, then those of the gateway and of the operations. Unknown members of a family
/// are `other` as well: what follows the full stop is the service's free choice.
pub(super) const CODES: [&str; 61] = [
    "OK",
    "transport",
    "Throttling",
    "Throttling.User",
    "Throttling.Api",
    "Rejected.Throttling",
    "FlowControlError",
    "ServiceBusy",
    "ServiceUnavailable",
    "InternalError",
    "UnknownError",
    "SignatureNonceUsed",
    "InvalidTimeStamp.Expired",
    "InvalidTimeStamp.Format",
    "IllegalTimestamp",
    "SignatureDoesNotMatch",
    "IncompleteSignature",
    "InvalidSignatureMethod",
    "UnsupportedHTTPMethod",
    "InvalidAccessKeyId",
    "InvalidAccessKeyId.NotFound",
    "InvalidAccessKeyId.Inactive",
    "InvalidSecurityToken",
    "InvalidSecurityToken.Expired",
    "InvalidSecurityToken.Malformed",
    "InvalidSecurityToken.MismatchWithAccessKey",
    "MissingSecurityToken",
    "MalformedSecurityToken",
    "Forbidden",
    "Forbidden.RAM",
    "Forbidden.RiskControl",
    "NoPermission",
    "AccessDenied",
    "OperationDenied",
    "IllegalOperation",
    "InvalidApi.NotFound",
    "InvalidProduct.NotFound",
    "InvalidProtocol.NeedSsl",
    "NoSuchVersion",
    "UnsupportedOperation",
    "InvalidAction",
    "InvalidAction.NotFound",
    "InvalidVersion",
    "InvalidParameter",
    "InvalidParameterValue",
    "InvalidPageNumber",
    "InvalidPageSize",
    "InvalidStartTime",
    "InvalidStartTime.Malformed",
    "InvalidStartTime.ValueNotSupported",
    "InvalidEndTime",
    "InvalidEndTime.Malformed",
    "InvalidTaskId.Malformed",
    "MissingParameter",
    "MissingAction",
    "MissingVersion",
    "MissingAccessKeyId",
    "MissingSignature",
    "MissingTimestamp",
    "MissingSignatureNonce",
    OTHER,
];

/// The label of a word from a closed list. Case aside, because the service's own tables spell some codes in two ways;
/// the label is the list's spelling.
pub(super) fn known(list: &[&'static str], word: &str) -> &'static str {
    list.iter().find(|known| known.eq_ignore_ascii_case(word)).copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_is_its_own_label_and_any_other_is_other() {
        for code in CODES {
            assert_eq!(known(&CODES, code), code);
        }
        assert_eq!(known(&CODES, "InvalidTimestamp.Expired"), "InvalidTimeStamp.Expired");
        for unknown in ["", "Throttling.Moon", "OK\n", "x\"} 1\n", "刷新"] {
            assert_eq!(known(&CODES, unknown), OTHER, "{unknown:?}");
        }
    }

    #[test]
    fn no_word_is_listed_twice() {
        for list in [CODES.as_slice(), &TRANSITIONS, &STATUSES, &STATES] {
            let distinct: std::collections::BTreeSet<String> = list.iter().map(|w| w.to_ascii_lowercase()).collect();
            assert_eq!(distinct.len(), list.len());
        }
    }
}
