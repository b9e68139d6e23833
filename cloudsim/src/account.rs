//! Accounts and their keys.

use std::{collections::HashMap, fmt};

use jiff::Timestamp;

/// A set of keys.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountSpec {
    /// The access key id.
    pub access_key_id: String,
    /// The access key secret.
    pub access_key_secret: String,
    /// The token, for temporary keys.
    pub security_token: Option<String>,
    /// When the token dies.
    pub token_expires_at: Option<Timestamp>,
}

impl AccountSpec {
    /// Lasting keys.
    #[must_use]
    pub fn new(access_key_id: impl Into<String>, access_key_secret: impl Into<String>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            access_key_secret: access_key_secret.into(),
            security_token: None,
            token_expires_at: None,
        }
    }

    /// The same as temporary keys.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.security_token = Some(token.into());
        self
    }

    /// The same, the token good until then.
    #[must_use]
    pub fn with_token_expiry(mut self, at: Timestamp) -> Self {
        self.token_expires_at = Some(at);
        self
    }
}

impl fmt::Debug for AccountSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { access_key_id, security_token, .. } = self;
        let kind = if security_token.is_some() { "temporary" } else { "lasting" };
        write!(f, "AccountSpec({access_key_id}, {kind})")
    }
}

/// One set of keys and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) spec: AccountSpec,
    /// The number of the account.
    pub(crate) account: usize,
    pub(crate) active: bool,
}

/// All keys that are known.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    keys: HashMap<String, Keys>,
    /// Which account an access key id belonged to last, known or not.
    owners: HashMap<String, usize>,
    count: usize,
}

impl Accounts {
    pub(crate) fn add(&mut self, spec: AccountSpec) {
        let account = self.owner_or_new(&spec.access_key_id);
        self.put(spec, account);
    }

    pub(crate) fn put(&mut self, spec: AccountSpec, account: usize) {
        self.owners.insert(spec.access_key_id.clone(), account);
        self.keys.insert(spec.access_key_id.clone(), Keys { spec, account, active: true });
    }

    pub(crate) fn remove(&mut self, access_key_id: &str) {
        self.keys.remove(access_key_id);
    }

    pub(crate) fn set_active(&mut self, access_key_id: &str, active: bool) {
        if let Some(keys) = self.keys.get_mut(access_key_id) {
            keys.active = active;
        }
    }

    pub(crate) fn find(&self, access_key_id: &str) -> Option<&Keys> {
        self.keys.get(access_key_id)
    }

    /// The account of an access key id; an unknown id gets a new account.
    pub(crate) fn owner_or_new(&mut self, access_key_id: &str) -> usize {
        if let Some(account) = self.owners.get(access_key_id) {
            return *account;
        }
        self.count += 1;
        self.owners.insert(access_key_id.to_owned(), self.count);
        self.count
    }
}
