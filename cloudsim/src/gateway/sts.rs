//! STS, version 2015-04-01: who one is, and roles. It speaks JSON alone.

use std::time::Duration;

use super::{
    auth,
    envelope::Envelope,
    refusal::{Refusal, refuse},
};
use crate::{
    account::AccountSpec,
    cloud::Cloud,
    history::GatewayCall,
    http::{Answer, Reply, Request},
    role::{RoleSpec, StsCall, StsFault},
    text::{iso_seconds, lookup, parse_query},
};

const VERSION: &str = "2015-04-01";
const WITH_TOKEN: &str = "AssumeRoleWithOIDC";
const ACTIONS: [&str; 3] = ["GetCallerIdentity", "AssumeRole", WITH_TOKEN];
/// What STS allows for a session, in seconds; a role may allow less.
const SESSION_SECONDS: std::ops::RangeInclusive<u64> = 900..=43_200;
/// Parameters that the protocol brings along.
const COMMON: [&str; 9] = [
    "Action",
    "Version",
    "Format",
    "Timestamp",
    "SignatureNonce",
    "SignatureMethod",
    "SignatureVersion",
    "Signature",
    "AccessKeyId",
];

pub(super) fn knows(action: &str) -> bool {
    ACTIONS.contains(&action)
}

/// Does what is asked.
pub(super) fn answer(
    cloud: &Cloud,
    request: &Request,
    envelope: &Envelope,
    call: &mut GatewayCall,
) -> Result<Answer, Refusal> {
    if envelope.version.as_deref() != Some(VERSION) {
        return Err(refuse("InvalidVersion", 400, "Specified parameter Version is not valid."));
    }
    if !envelope.json {
        return Err(refuse("UnsupportedFormat", 400, "This simulator of STS speaks JSON alone."));
    }
    let caller =
        if call.action == WITH_TOKEN { None } else { Some(auth::authenticate_caller(cloud, request, envelope)?) };
    match cloud.sts(|sts| sts.fault(&call.action)) {
        Some(StsFault::Error(error)) => return Err(error),
        Some(StsFault::Reset) => return Ok(named(call, "reset", Answer::Reset)),
        Some(StsFault::Hang) => return Ok(named(call, "hang", Answer::Hang)),
        Some(StsFault::Body(status, body)) => {
            let reply = Reply::new(status, body).with("Content-Type", "application/json;charset=utf-8");
            return Ok(named(call, "body", Answer::Reply(reply)));
        }
        None => {}
    }
    let json = match caller {
        None => with_token(cloud, request, envelope, call)?,
        Some(keys) if call.action == "GetCallerIdentity" => {
            known(&envelope.params, &[])?;
            identity(cloud, &keys.spec.access_key_id, keys.account)
        }
        Some(keys) => assume(cloud, envelope, keys.account, call)?,
    };
    let text = json.replace("\"RequestId\":\"\"", &format!("\"RequestId\":\"{}\"", call.request_id));
    Ok(Answer::Reply(Reply::new(200, text).with("Content-Type", "application/json;charset=utf-8")))
}

fn named(call: &mut GatewayCall, name: &str, answer: Answer) -> Answer {
    name.clone_into(&mut call.outcome);
    answer
}

/// Remembers a call, but for its tokens.
pub(super) fn record(cloud: &Cloud, request: &Request, envelope: &Envelope, call: GatewayCall) {
    let mut parameters = envelope.params.clone();
    if call.action == WITH_TOKEN {
        parameters.extend(parse_query(&String::from_utf8_lossy(&request.body)));
    }
    parameters.retain(|(name, _)| !COMMON.contains(&name.as_str()) && name != "OIDCToken" && name != "SecurityToken");
    cloud.sts(|sts| {
        let issued = if call.outcome == "OK" { sts.sessions.last().map(|(id, _)| id.clone()) } else { None };
        let issued = issued.filter(|_| call.action != "GetCallerIdentity");
        sts.calls.push(StsCall {
            action: call.action,
            access_key_id: call.access_key_id,
            outcome: call.outcome,
            parameters,
            issued,
        });
    });
}

fn account_id(account: usize) -> String {
    (1_000_000_000_000_000 + account).to_string()
}

fn identity(cloud: &Cloud, id: &str, account: usize) -> String {
    let session = cloud.sts(|sts| sts.sessions.iter().find(|(known, _)| known == id).map(|(_, arn)| arn.clone()));
    let owner = account_id(account);
    let (kind, arn) = match session {
        Some(arn) => ("AssumedRoleUser", arn),
        None => ("RAMUser", format!("acs:ram::{owner}:user/collector")),
    };
    format!(
        "{{\"RequestId\":\"\",\"IdentityType\":\"{kind}\",\"AccountId\":\"{owner}\",\"PrincipalId\":\"20000000000000000\",\
         \"UserId\":\"20000000000000000\",\"Arn\":\"{arn}\"}}"
    )
}

fn assume(cloud: &Cloud, envelope: &Envelope, account: usize, call: &GatewayCall) -> Result<String, Refusal> {
    let params = &envelope.params;
    known(params, &["RoleArn", "RoleSessionName", "DurationSeconds", "Policy", "ExternalId", "SecurityToken"])?;
    let (role, session, lifetime) = wanted(cloud, params)?;
    let refused = || {
        let text = "You are not authorized to do this action. You should be authorized by RAM.";
        refuse("NoPermission", 403, text)
    };
    // A role of another account is assumed by whoever knows the external id; one of the same by its users.
    if role.external_id.as_deref() != lookup(params, "ExternalId") || role.oidc.is_some() {
        return Err(refused());
    }
    if role.external_id.is_none() && cloud.owner(&role.owner) != account && call.access_key_id.starts_with("LTAI") {
        return Err(refused());
    }
    Ok(hand_out(cloud, &role, &session, lifetime))
}

fn with_token(cloud: &Cloud, request: &Request, envelope: &Envelope, call: &GatewayCall) -> Result<String, Refusal> {
    let form = "application/x-www-form-urlencoded";
    let is_form = request.header("content-type").is_some_and(|kind| kind.starts_with(form));
    if request.method != "POST" || !is_form {
        return Err(refuse("InvalidParameter", 400, "The parameters must be a form in the body of a POST."));
    }
    if request.header("authorization").is_some() || !call.access_key_id.is_empty() {
        return Err(refuse("IncompleteSignature", 400, "This action is not signed."));
    }
    known(&envelope.params, &[])?;
    auth::check_date(cloud, auth::required(&envelope.date, "Timestamp")?)?;
    let params = parse_query(&String::from_utf8_lossy(&request.body));
    known(&params, &["RoleArn", "RoleSessionName", "DurationSeconds", "Policy", "OIDCProviderArn", "OIDCToken"])?;
    let (role, session, lifetime) = wanted(cloud, &params)?;
    let (Some(provider), Some(token)) = (lookup(&params, "OIDCProviderArn"), lookup(&params, "OIDCToken")) else {
        return Err(refuse("MissingParameter", 400, "OIDCProviderArn and OIDCToken are mandatory for this action."));
    };
    match &role.oidc {
        Some((known, _)) if known != provider => {
            Err(refuse("EntityNotExist.OIDCProvider", 404, "The OIDC provider does not exist."))
        }
        Some((_, right)) if right == token => Ok(hand_out(cloud, &role, &session, lifetime)),
        // The real one repeats more than it should in some of its messages.
        Some(_) => {
            let text = format!("The OIDC token {token} is not valid: this token has expired.");
            Err(refuse("AuthenticationFail.OIDCToken.Expired", 400, text))
        }
        None => Err(refuse("AuthenticationFail.NoPermission", 403, "The role does not trust this provider.")),
    }
}

/// The role, the session's name and its length, checked.
fn wanted(cloud: &Cloud, params: &[(String, String)]) -> Result<(RoleSpec, String, Duration), Refusal> {
    let get = |name: &str| {
        let missing = || refuse(format!("Missing{name}"), 400, format!("{name} is mandatory for this action."));
        lookup(params, name).filter(|text| !text.is_empty()).ok_or_else(missing)
    };
    let (arn, session) = (get("RoleArn")?, get("RoleSessionName")?);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'@' | b'-' | b'_');
    if !(2..=64).contains(&session.len()) || !session.bytes().all(plain) {
        return Err(refuse("InvalidParameter.RoleSessionName", 400, "The specified RoleSessionName is not valid."));
    }
    if let Some(policy) = lookup(params, "Policy") {
        let json = serde_json::from_str::<serde_json::Value>(policy);
        if policy.len() > 2048 || !json.is_ok_and(|json| json.is_object()) {
            return Err(refuse("InvalidParameter.PolicyGrammar", 400, "The specified Policy has a grammar error."));
        }
    }
    let role = cloud.sts(|sts| sts.roles.iter().find(|role| role.arn == arn).cloned());
    let Some(role) = role else {
        return Err(refuse("EntityNotExist.Role", 404, format!("The role not exists: {arn}.")));
    };
    let seconds = match lookup(params, "DurationSeconds") {
        None => 3600,
        Some(text) => text.parse().unwrap_or(0),
    };
    if !SESSION_SECONDS.contains(&seconds) || Duration::from_secs(seconds) > role.max_session {
        let text = "The Min/Max value of DurationSeconds is 15min/1hr, or the role's own.";
        return Err(refuse("InvalidParameter.DurationSeconds", 400, text));
    }
    let lifetime = role.lifetime.unwrap_or(Duration::from_secs(seconds));
    Ok((role, session.to_owned(), lifetime))
}

/// A parameter that nobody knows is a mistake of the client, which the real service may pass over.
fn known(params: &[(String, String)], names: &[&str]) -> Result<(), Refusal> {
    let unknown = params.iter().find(|(name, _)| !COMMON.contains(&name.as_str()) && !names.contains(&name.as_str()));
    match unknown {
        Some((name, _)) => Err(refuse("InvalidParameter", 400, format!("The parameter {name} is not known here."))),
        None => Ok(()),
    }
}

fn hand_out(cloud: &Cloud, role: &RoleSpec, session: &str, lifetime: Duration) -> String {
    let keys = cloud.issue(cloud.owner(&role.owner), lifetime);
    let arn = format!("{}/{session}", role.arn.replace(":role/", ":assumed-role/"));
    cloud.sts(|sts| sts.sessions.push((keys.access_key_id.clone(), arn.clone())));
    let AccountSpec { access_key_id, access_key_secret, security_token, token_expires_at } = keys;
    let end = token_expires_at.map(iso_seconds).unwrap_or_default();
    let token = security_token.unwrap_or_default();
    format!(
        "{{\"RequestId\":\"\",\"AssumedRoleUser\":{{\"AssumedRoleId\":\"3000:{session}\",\"Arn\":\"{arn}\"}},\
         \"Credentials\":{{\"SecurityToken\":\"{token}\",\"Expiration\":\"{end}\",\"AccessKeySecret\":\
         \"{access_key_secret}\",\"AccessKeyId\":\"{access_key_id}\"}}}}"
    )
}
