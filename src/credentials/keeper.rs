//! Keeps fetched keys for as long as they are good, and fetches others ahead of their end.
//!
//! At most one fetch is under way for an account. Who comes meanwhile is served what is still valid, or waits for it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Credentials, CredentialsError, Kind,
    answer::Issued,
    metadata,
    plan::{Fetch, Plan, Recipe},
    role,
    sts::{self, Http},
    uri,
};
use crate::{
    clock, events,
    model::{backoff, task::AccountName},
};

/// Keys are replaced this long before their end, as the official Python SDK has it. One round of throttling or an
/// outage of STS shorter than this goes unnoticed.
const AHEAD_MAX: Duration = Duration::from_secs(15 * 60);
/// Keys with a short life are replaced in its last quarter, or those of 15 minutes would never be good.
const AHEAD_PART: u32 = 4;
/// The metadata service hands out keys of hours, and may be asked often: so that a role that was changed is noticed.
const ECS_EVERY: Duration = Duration::from_secs(3600);
/// A fetch that failed while the old keys are still good is tried again after a delay between these two.
const AGAIN_BASE: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// What became of fetched keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The keys in use end then; none for those whose end nobody knows.
    Expires(Option<Timestamp>),
    /// Others could not be fetched.
    Failed,
}

/// Told of every change.
pub type Observer = Arc<dyn Fn(Change) + Send + Sync>;

/// What is kept of one account.
pub(super) struct Keeper {
    account: AccountName,
    http: Http,
    observer: Mutex<Option<Observer>>,
    kept: Mutex<Option<Kept>>,
    /// Held by who fetches.
    turn: tokio::sync::Mutex<()>,
    told: Mutex<Option<Option<Timestamp>>>,
}

#[derive(Clone)]
struct Kept {
    fingerprint: [u8; 32],
    /// Which of the recipes brought them: no other is tried while this one is kept, since that could be another account.
    recipe: usize,
    keys: Credentials,
    /// By our own monotonic clock, which nobody sets: from here on they are replaced, and from there on they are no use.
    replace_at: Instant,
    ends_at: Instant,
    /// The service refused them.
    is_doubted: bool,
    failures: u32,
}

/// What is kept for a recipe.
enum Look {
    Good(Credentials),
    /// Still valid, but due.
    Due(Credentials),
    None,
}

impl Keeper {
    pub(super) fn new(account: AccountName, http: Http) -> Self {
        Self {
            account,
            http,
            observer: Mutex::default(),
            kept: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            told: Mutex::default(),
        }
    }

    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    pub(super) fn observe(&self, observer: Observer) {
        *lock(&self.observer) = Some(observer);
    }

    /// The keys of a recipe, kept or fetched.
    pub(super) async fn get(&self, fetch: &Fetch) -> Result<Credentials, CredentialsError> {
        let fingerprint = fetch.fingerprint();
        let _turn = match self.look(&fingerprint) {
            Look::Good(keys) => return Ok(keys),
            Look::Due(keys) => match self.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(keys),
            },
            Look::None => self.turn.lock().await,
        };
        // Whoever had the turn before may have brought them.
        let valid = match self.look(&fingerprint) {
            Look::Good(keys) => return Ok(keys),
            Look::Due(keys) => Some(keys),
            Look::None => None,
        };
        let only = lock(&self.kept).as_ref().filter(|kept| kept.fingerprint == fingerprint).map(|kept| kept.recipe);
        match try_recipes(fetch, only, &self.http).await {
            Ok((recipe, keys, date)) => self.keep(fingerprint, recipe, keys, date, is_ecs(fetch, recipe)),
            Err(error) => self.failed(valid, error),
        }
    }

    /// The service refused these keys: they are fetched anew before they are handed out again.
    pub(super) fn doubt(&self, keys: &Credentials) {
        if let Some(kept) = lock(&self.kept).as_mut().filter(|kept| kept.keys.access_key_id == keys.access_key_id) {
            kept.is_doubted = true;
        }
    }

    /// The keys in use are none that are fetched.
    pub(super) fn not_needed(&self) {
        *lock(&self.kept) = None;
        self.tell_end(None);
    }

    fn look(&self, fingerprint: &[u8; 32]) -> Look {
        let now = clock::instant();
        let kept = lock(&self.kept);
        let Some(kept) = kept.as_ref().filter(|k| k.fingerprint == *fingerprint && !k.is_doubted && now < k.ends_at)
        else {
            return Look::None;
        };
        if now < kept.replace_at { Look::Good(kept.keys.clone()) } else { Look::Due(kept.keys.clone()) }
    }

    fn keep(
        &self,
        fingerprint: [u8; 32],
        recipe: usize,
        keys: Credentials,
        date: Option<Timestamp>,
        is_ecs: bool,
    ) -> Result<Credentials, CredentialsError> {
        let expires_at = keys.expires_at.unwrap_or(Timestamp::MAX);
        // Their clock measures their life; ours may be off.
        let left = expires_at.duration_since(date.unwrap_or_else(clock::now));
        let Ok(left) = Duration::try_from(left) else {
            let text =
                format!("the keys of {} ended already when they were handed out, on {expires_at:.0}", keys.origin);
            return self.failed(None, CredentialsError::new(Kind::Refused, text));
        };
        let now = clock::instant();
        let kept = Kept {
            fingerprint,
            recipe,
            keys: keys.clone(),
            replace_at: now + good_for(left, is_ecs),
            ends_at: now + left,
            is_doubted: false,
            failures: 0,
        };
        let before = lock(&self.kept).replace(kept);
        // The metadata service gives the same keys for hours.
        if before.is_none_or(|before| before.keys.access_key_id != keys.access_key_id) {
            events::credentials_refreshed(&self.account, &keys.origin, &clock::rfc3339(expires_at));
        }
        self.tell_end(keys.expires_at);
        Ok(keys)
    }

    /// Serves what is still valid, and says so; else it is the caller's failure.
    fn failed(&self, valid: Option<Credentials>, error: CredentialsError) -> Result<Credentials, CredentialsError> {
        self.tell(Change::Failed);
        let Some(keys) = valid else { return Err(error) };
        if let Some(kept) = lock(&self.kept).as_mut() {
            kept.failures = kept.failures.saturating_add(1);
            let pause = backoff::delay(AGAIN_BASE, AGAIN_MAX, kept.failures, None, rand::random());
            kept.replace_at = clock::instant() + pause;
        }
        let until = keys.expires_at.map(clock::rfc3339);
        events::credentials_refresh_failed(&self.account, &error.to_string(), until.as_deref());
        Ok(keys)
    }

    fn tell_end(&self, at: Option<Timestamp>) {
        let before = lock(&self.told).replace(at);
        if before != Some(at) {
            self.tell(Change::Expires(at));
        }
    }

    fn tell(&self, change: Change) {
        let observer = lock(&self.observer).clone();
        if let Some(observer) = observer {
            observer(change);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_ecs(fetch: &Fetch, recipe: usize) -> bool {
    matches!(fetch.recipes.get(recipe), Some(Recipe::Ecs { .. }))
}

/// How long keys with such a life are handed out without a thought.
fn good_for(left: Duration, is_ecs: bool) -> Duration {
    let good = left.saturating_sub(AHEAD_MAX.min(left / AHEAD_PART));
    if is_ecs { good.min(ECS_EVERY) } else { good }
}

/// The recipe that worked, what it brought, and when by the other side's clock.
type Brought = (usize, Credentials, Option<Timestamp>);

/// Tries the recipes in their order; `only` where one has worked before.
async fn try_recipes(fetch: &Fetch, only: Option<usize>, http: &Http) -> Result<Brought, CredentialsError> {
    let mut failed = Vec::new();
    for (at, recipe) in fetch.recipes.iter().enumerate().filter(|(at, _)| only.is_none_or(|only| only == *at)) {
        match cook(recipe, http).await {
            Ok((keys, date)) => return Ok((at, keys, date)),
            // Whether this machine has a role at all can only be told by asking.
            Err(e) if fetch.is_chain() && only.is_none() && is_absent(recipe, &e) => failed.push(e.to_string()),
            Err(e) => return Err(e),
        }
    }
    Err(fetch.nothing_found(&failed))
}

fn is_absent(recipe: &Recipe, error: &CredentialsError) -> bool {
    matches!(recipe, Recipe::Ecs { .. }) && matches!(error.kind(), Kind::Unreachable | Kind::NotFound)
}

async fn cook(recipe: &Recipe, http: &Http) -> Result<(Credentials, Option<Timestamp>), CredentialsError> {
    let (issued, origin) = match recipe {
        Recipe::Ecs { role_name, allows_v1 } => {
            let (issued, name) = metadata::fetch(role_name.as_deref(), *allows_v1, http).await?;
            (issued, Recipe::Ecs { role_name: Some(name), allows_v1: *allows_v1 }.origin())
        }
        Recipe::Oidc { role, provider_arn, token_file } => {
            let file = token_file.clone();
            let token = tokio::task::spawn_blocking(move || role::read_token(&file)).await.unwrap_or_else(|e| {
                Err(CredentialsError::new(Kind::Unreadable, format!("reading the OIDC token did not end: {e}")))
            })?;
            (sts::assume_with_token(role, provider_arn, &token, http).await?, recipe.origin())
        }
        Recipe::Role { role, base } => {
            let base = match base.as_ref() {
                Plan::Keys(keys) => keys.clone(),
                // A role is assumed once an hour: what it is assumed with is not worth keeping.
                Plan::Fetch(fetch) => Box::pin(try_recipes(fetch, None, http)).await?.1,
            };
            let issued = sts::assume(role, &base, http).await?;
            (issued, format!("the role {} (assumed with {})", role.arn, base.origin))
        }
        Recipe::Uri(address) => (uri::fetch(address, http).await?, recipe.origin()),
    };
    let Issued { access_key_id, access_key_secret, security_token, expires_at, date } = issued;
    let keys = Credentials {
        access_key_id,
        access_key_secret,
        security_token: Some(security_token),
        origin,
        expires_at: Some(expires_at),
    };
    Ok((keys, date))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_15_minutes_ahead_or_in_the_last_quarter_of_a_short_life() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!(good_for(minutes(720), false), minutes(705));
        assert_eq!(good_for(minutes(60), false), minutes(45));
        assert_eq!(good_for(minutes(16), false), minutes(12));
        assert_eq!(good_for(Duration::ZERO, false), Duration::ZERO);
        assert_eq!(good_for(minutes(360), true), minutes(60));
        assert_eq!(good_for(minutes(20), true), minutes(15));
    }
}
