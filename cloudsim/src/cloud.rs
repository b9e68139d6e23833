//! The state of the simulated cloud, and the door through which tests change it.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    account::{AccountSpec, Accounts, Keys},
    body::DigestCell,
    clock::SimClock,
    fault::{GatewayFault, GatewayMatch, OssFault, OssMatch},
    history::{GatewayCall, History, OssCall},
    limits::Limits,
    listing::{Listing, Task},
    lock,
    object::Object,
    oss::link,
    role::{RoleSpec, Sts, StsCall, StsFault},
    script::{CallFacts, GetFacts, Script},
    settings::Settings,
    task::{Export, LinkStyle, TaskSpec},
};

/// The state of the simulated cloud. Clones share it.
#[derive(Clone)]
pub struct Cloud(Arc<Inner>);

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("oss", &self.0.oss_address).finish_non_exhaustive()
    }
}

type Hook = Arc<dyn Fn(&Cloud, &GatewayCall) + Send + Sync>;

struct Inner {
    clock: SimClock,
    settings: Settings,
    oss_address: SocketAddr,
    accounts: Mutex<Accounts>,
    listings: Mutex<HashMap<(usize, Export), Listing>>,
    objects: Mutex<HashMap<String, StoredObject>>,
    gateway_script: Mutex<Script<GatewayMatch, GatewayFault>>,
    oss_script: Mutex<Script<OssMatch, OssFault>>,
    limits: Limits,
    history: History,
    hook: Mutex<Option<Hook>>,
    sts: Mutex<Sts>,
}

/// An object that was put.
#[derive(Debug, Clone)]
pub(crate) struct StoredObject {
    pub(crate) object: Object,
    pub(crate) digests: DigestCell,
    pub(crate) modified: Timestamp,
}

impl Cloud {
    pub(crate) fn new(oss_address: SocketAddr) -> Self {
        Self(Arc::new(Inner {
            clock: SimClock::new(),
            settings: Settings::default(),
            oss_address,
            accounts: Mutex::default(),
            listings: Mutex::default(),
            objects: Mutex::default(),
            gateway_script: Mutex::default(),
            oss_script: Mutex::default(),
            limits: Limits::default(),
            history: History::default(),
            hook: Mutex::default(),
            sts: Mutex::default(),
        }))
    }

    /// The simulated time.
    #[must_use]
    pub fn clock(&self) -> &SimClock {
        &self.0.clock
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Where the object store listens.
    #[must_use]
    pub fn oss_address(&self) -> SocketAddr {
        self.0.oss_address
    }

    /// Adds an account with its keys. Keys whose id was there before come back to their account.
    pub fn add_account(&self, account: AccountSpec) {
        lock(&self.0.accounts).add(account);
    }

    /// Adds another set of keys to the account of `access_key_id`: both see the same tasks.
    pub fn add_account_keys(&self, access_key_id: &str, keys: AccountSpec) {
        let mut accounts = lock(&self.0.accounts);
        let account = accounts.owner_or_new(access_key_id);
        accounts.put(keys, account);
    }

    /// Rotation: the keys of `access_key_id` go, the new ones come, the tasks stay.
    pub fn set_account_keys(&self, access_key_id: &str, keys: AccountSpec) {
        let mut accounts = lock(&self.0.accounts);
        let account = accounts.owner_or_new(access_key_id);
        accounts.remove(access_key_id);
        accounts.put(keys, account);
    }

    /// Forgets a set of keys; the tasks stay, and come back with the keys.
    pub fn remove_account(&self, access_key_id: &str) {
        lock(&self.0.accounts).remove(access_key_id);
    }

    /// Disables or enables a set of keys.
    pub fn set_account_active(&self, access_key_id: &str, active: bool) {
        lock(&self.0.accounts).set_active(access_key_id, active);
    }

    pub(crate) fn keys(&self, access_key_id: &str) -> Option<Keys> {
        lock(&self.0.accounts).find(access_key_id).cloned()
    }

    /// Temporary keys of an account, good for so long from now.
    pub(crate) fn issue(&self, account: usize, lifetime: Duration) -> AccountSpec {
        let lifetime = SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX);
        let end = self.0.clock.now().checked_add(lifetime).unwrap_or(Timestamp::MAX);
        let keys = AccountSpec::new(
            format!("STS.Nissued{:012x}", rand::random::<u64>() & 0xffff_ffff_ffff),
            format!("issued-secret-{:032x}", rand::random::<u128>()),
        )
        .with_token(format!("CAISissued/{:032x}+{:032x}==", rand::random::<u128>(), rand::random::<u128>()))
        .with_token_expiry(end);
        lock(&self.0.accounts).put(keys.clone(), account);
        keys
    }

    pub(crate) fn owner(&self, access_key_id: &str) -> usize {
        lock(&self.0.accounts).owner_or_new(access_key_id)
    }

    pub(crate) fn sts<T>(&self, work: impl FnOnce(&mut Sts) -> T) -> T {
        work(&mut lock(&self.0.sts))
    }

    /// Adds a role that STS hands out keys for; one of the same name goes.
    pub fn add_role(&self, role: RoleSpec) {
        self.sts(|sts| {
            sts.roles.retain(|known| known.arn != role.arn);
            sts.roles.push(role);
        });
    }

    /// Scripts a fault for the next `times` calls of an operation of STS.
    pub fn script_sts(&self, action: &str, fault: StsFault, times: u32) {
        self.sts(|sts| sts.script.push((action.to_owned(), fault, times)));
    }

    /// Forgets the faults of STS that have not happened yet.
    pub fn clear_sts_script(&self) {
        self.sts(|sts| sts.script.clear());
    }

    /// The calls of STS, oldest first.
    #[must_use]
    pub fn sts_calls(&self) -> Vec<StsCall> {
        self.sts(|sts| sts.calls.clone())
    }

    fn with_listing<T>(&self, access_key_id: &str, export: Export, work: impl FnOnce(&mut Listing) -> T) -> T {
        let account = lock(&self.0.accounts).owner_or_new(access_key_id);
        self.with_listing_of(account, export, work)
    }

    pub(crate) fn with_listing_of<T>(&self, account: usize, export: Export, work: impl FnOnce(&mut Listing) -> T) -> T {
        work(lock(&self.0.listings).entry((account, export)).or_default())
    }

    /// Adds a task and says its id. A task of the same id is replaced in its place.
    pub fn add_task(&self, access_key_id: &str, export: Export, task: TaskSpec) -> String {
        let now = self.0.clock.now();
        self.with_listing(access_key_id, export, |listing| listing.add(task, now))
    }

    /// Adds many tasks.
    pub fn add_tasks(
        &self,
        access_key_id: &str,
        export: Export,
        tasks: impl IntoIterator<Item = TaskSpec>,
    ) -> Vec<String> {
        let now = self.0.clock.now();
        self.with_listing(access_key_id, export, |listing| {
            tasks.into_iter().map(|task| listing.add(task, now)).collect()
        })
    }

    /// Changes a task; its file counts as put again. False when there is none of that id.
    pub fn update_task(
        &self,
        access_key_id: &str,
        export: Export,
        id: &str,
        change: impl FnOnce(&mut TaskSpec),
    ) -> bool {
        let now = self.0.clock.now();
        self.with_listing(access_key_id, export, |listing| listing.update(id, now, change))
    }

    /// Removes a task and its file.
    pub fn remove_task(&self, access_key_id: &str, export: Export, id: &str) -> Option<TaskSpec> {
        self.with_listing(access_key_id, export, |listing| listing.remove(id))
    }

    /// All tasks in the order in which they were added, with their ids.
    #[must_use]
    pub fn tasks(&self, access_key_id: &str, export: Export) -> Vec<(String, TaskSpec)> {
        self.with_listing(access_key_id, export, |listing| {
            listing.iter().map(|task| (task.id.clone(), task.spec.clone())).collect()
        })
    }

    /// How many tasks there are.
    #[must_use]
    pub fn task_count(&self, access_key_id: &str, export: Export) -> usize {
        self.with_listing(access_key_id, export, |listing| listing.len())
    }

    pub(crate) fn task_of(&self, account: usize, export: Export, id: &str) -> Option<Task> {
        self.with_listing_of(account, export, |listing| listing.get(id).cloned())
    }

    /// A link to a task's file as a listing would show it now, in any style and for any task that is there.
    #[must_use]
    pub fn link(&self, access_key_id: &str, export: Export, id: &str, style: LinkStyle) -> Option<String> {
        let account = lock(&self.0.accounts).owner_or_new(access_key_id);
        self.task_of(account, export, id)?;
        let knobs = self.0.settings.get();
        Some(link::make(self, &knobs, account, export, id, style))
    }

    /// Puts an object beside the tasks' files; `key` is `bucket/key`.
    pub fn put_object(&self, key: &str, object: Object) {
        let modified = self.0.clock.now();
        let stored = StoredObject { object, digests: DigestCell::default(), modified };
        lock(&self.0.objects).insert(key.to_owned(), stored);
    }

    pub(crate) fn object(&self, key: &str) -> Option<StoredObject> {
        lock(&self.0.objects).get(key).cloned()
    }

    pub(crate) fn remove_object(&self, key: &str) -> bool {
        lock(&self.0.objects).remove(key).is_some()
    }

    /// Scripts a fault for the next `times` calls that fit; `u32::MAX` is for ever. The oldest script that fits comes first.
    pub fn script_gateway(&self, matcher: GatewayMatch, fault: GatewayFault, times: u32) {
        lock(&self.0.gateway_script).push(matcher, fault, times);
    }

    /// Scripts a fault for the next `times` requests that fit; `u32::MAX` is for ever. The oldest script that fits comes
    /// first.
    pub fn script_oss(&self, matcher: OssMatch, fault: OssFault, times: u32) {
        lock(&self.0.oss_script).push(matcher, fault, times);
    }

    /// Forgets every fault that has not happened yet.
    pub fn clear_scripts(&self) {
        lock(&self.0.gateway_script).clear();
        lock(&self.0.oss_script).clear();
    }

    /// How many faults have not happened yet, of the gateway and of the object store.
    #[must_use]
    pub fn faults_left(&self) -> (u64, u64) {
        (lock(&self.0.gateway_script).left(), lock(&self.0.oss_script).left())
    }

    pub(crate) fn gateway_fault(&self, call: &CallFacts<'_>) -> Option<GatewayFault> {
        lock(&self.0.gateway_script).next(call)
    }

    pub(crate) fn oss_fault(&self, get: &GetFacts<'_>) -> Option<OssFault> {
        lock(&self.0.oss_script).next(get)
    }

    /// Runs before every listing is made, after its signature was found good: for changes between two pages.
    pub fn on_listing(&self, hook: impl Fn(&Cloud, &GatewayCall) + Send + Sync + 'static) {
        *lock(&self.0.hook) = Some(Arc::new(hook));
    }

    pub(crate) fn run_hook(&self, call: &GatewayCall) {
        let hook = lock(&self.0.hook).clone();
        if let Some(hook) = hook {
            hook(self, call);
        }
    }

    /// The calls of the gateway, oldest first; the last 200,000.
    #[must_use]
    pub fn gateway_calls(&self) -> Vec<GatewayCall> {
        self.0.history.gateway_calls()
    }

    /// How many calls of the gateway there were.
    #[must_use]
    pub fn gateway_call_count(&self) -> u64 {
        self.0.history.gateway_count()
    }

    /// The requests to the object store, oldest first; the last 200,000.
    #[must_use]
    pub fn oss_calls(&self) -> Vec<OssCall> {
        self.0.history.oss_calls()
    }

    /// Forgets the calls and requests so far.
    pub fn clear_history(&self) {
        self.0.history.clear();
    }

    /// The largest number of calls with this access key id that came within any half-open second.
    #[must_use]
    pub fn max_calls_in_a_second(&self, access_key_id: &str) -> usize {
        self.0.history.max_in_a_second(access_key_id)
    }

    pub(crate) fn history(&self) -> &History {
        &self.0.history
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }
}
