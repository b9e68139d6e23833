//! What STS knows, and what it is told to get wrong.

use std::time::Duration;

use crate::fault::ApiError;

/// A role that can be assumed.
#[derive(Debug, Clone)]
pub struct RoleSpec {
    /// `acs:ram::ACCOUNT:role/NAME`
    pub arn: String,
    /// An access key id of the account whose tasks its keys see.
    pub owner: String,
    /// What its trust policy asks for.
    pub external_id: Option<String>,
    /// The identity provider that it trusts, and the token that this one stands for.
    pub oidc: Option<(String, String)>,
    /// How long its keys last, instead of what is asked for.
    pub lifetime: Option<Duration>,
    /// The longest session.
    pub max_session: Duration,
}

impl RoleSpec {
    /// A role of the account of `owner`, which that account's users may assume.
    #[must_use]
    pub fn new(arn: impl Into<String>, owner: impl Into<String>) -> Self {
        Self {
            arn: arn.into(),
            owner: owner.into(),
            external_id: None,
            oidc: None,
            lifetime: None,
            max_session: Duration::from_secs(3600),
        }
    }

    /// The same, asking for an external id.
    #[must_use]
    pub fn with_external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// The same, for the token of an identity provider.
    #[must_use]
    pub fn with_oidc(mut self, provider_arn: impl Into<String>, token: impl Into<String>) -> Self {
        self.oidc = Some((provider_arn.into(), token.into()));
        self
    }

    /// The same with keys that last so long, whatever is asked for.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// The same with sessions up to that.
    #[must_use]
    pub fn with_max_session(mut self, longest: Duration) -> Self {
        self.max_session = longest;
        self
    }
}

/// What STS gets wrong.
#[derive(Debug, Clone)]
pub enum StsFault {
    /// It refuses.
    Error(ApiError),
    /// The connection is reset.
    Reset,
    /// It never answers.
    Hang,
    /// It answers with this.
    Body(u16, String),
}

/// A call of STS.
#[derive(Debug, Clone)]
pub struct StsCall {
    /// The operation.
    pub action: String,
    /// Who signed it; empty for a call that is not signed.
    pub access_key_id: String,
    /// `OK`, the error's code, or the name of a fault.
    pub outcome: String,
    /// The parameters, but for tokens.
    pub parameters: Vec<(String, String)>,
    /// The id of the keys that were handed out.
    pub issued: Option<String>,
}

impl StsCall {
    /// A parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The state of STS.
#[derive(Debug, Default)]
pub(crate) struct Sts {
    pub(crate) roles: Vec<RoleSpec>,
    pub(crate) script: Vec<(String, StsFault, u32)>,
    pub(crate) calls: Vec<StsCall>,
    /// Whose keys were handed out: id and ARN.
    pub(crate) sessions: Vec<(String, String)>,
}

impl Sts {
    /// The next fault of an operation.
    pub(crate) fn fault(&mut self, action: &str) -> Option<StsFault> {
        let at = self.script.iter().position(|(known, _, _)| known == action)?;
        let (_, fault, times) = &mut self.script[at];
        let fault = fault.clone();
        if *times != u32::MAX {
            *times = times.saturating_sub(1);
            if *times == 0 {
                self.script.remove(at);
            }
        }
        Some(fault)
    }
}
