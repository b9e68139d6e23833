//! What the simulated cloud holds: two accounts, three listings, tasks that move, and what goes wrong on the way.

use std::{path::Path, time::Duration};

use cloudsim::{
    AccountSpec, ApiError, CloudSim, Export, GatewayFault, GatewayMatch, Generated, Object, OssFault, OssMatch,
    TaskSpec,
};
use jiff::{Timestamp, ToSpan as _};

/// Key files and what they hold. The second account has temporary keys.
pub(super) const KEYS: [(&str, &str); 5] = [
    ("main-id", "LTAI5tDEMOmain"),
    ("main-secret", "demo-secret-of-main"),
    ("branch-id", "STS.DEMObranch"),
    ("branch-secret", "demo-secret-of-branch"),
    ("branch-token", "demo-token/of+branch=="),
];

const MIB: u64 = 1024 * 1024;

/// Sets the scene; says how many tasks there are.
pub(super) fn set(cloud: &CloudSim) -> usize {
    let [main, main_secret, branch, branch_secret, token] = KEYS.map(|(_, secret)| secret);
    cloud.add_account(AccountSpec::new(main, main_secret));
    cloud.add_account(AccountSpec::new(branch, branch_secret).with_token(token));
    // Months as the service has them: from midnight to midnight in Beijing.
    let month = |n: i8| -> Option<(Timestamp, Timestamp)> {
        let first = jiff::civil::date(2026, n, 1).in_tz("Asia/Shanghai").ok()?;
        let last = first.checked_add(1.month()).ok()?.checked_sub(1.second()).ok()?;
        Some((first.timestamp(), last.timestamp()))
    };
    let mut tasks = 0;
    let mut add = |account: &str, export, id: &str, name: &str, n: i8, object: Object, schedule: &[(u64, &str)]| {
        let schedule = schedule.iter().map(|&(ms, word)| (Duration::from_millis(ms), word.to_owned()));
        let mut task = TaskSpec::default().with_id(id).with_name(name).with_object(object).with_schedule(schedule);
        if let Some((start, end)) = month(n) {
            task = task.with_range(start, end);
        }
        cloud.add_task(account, export, task);
        tasks += 1;
    };
    let (detail, usage) = (Export::UsageDetail, Export::Usage);
    let large = |seed, mib: u64| Object::generated(seed, mib * MIB, Generated::Csv);
    add(main, detail, "1001", "traffic, July", 7, large(1, 24), &[(0, "success")]);
    add(main, detail, "1002", "traffic, August", 8, large(2, 16), &[(0, "created"), (1_500, "success")]);
    add(main, detail, "1003", "requests, August", 8, Object::csv(4_000), &[(0, "created"), (3_000, "success")]);
    add(main, detail, "1004", "刷新", 8, Object::xlsx("refresh"), &[(0, "created"), (4_000, "success")]);
    add(main, detail, "1005", "traffic, June", 6, Object::csv(10), &[(0, "created"), (2_500, "failed")]);
    add(main, usage, "11", "bill, July", 7, Object::pdf("July"), &[(0, "success")]);
    add(main, usage, "12", "bill, August", 8, Object::pdf("August"), &[(0, "created"), (5_000, "success")]);
    add(branch, detail, "11", "all domains", 8, large(3, 8), &[(0, "created"), (2_000, "success")]);
    go_wrong(cloud);
    tasks
}

/// A bad day: a throttled call, a connection that breaks in the middle of a file, and one that is slow.
fn go_wrong(cloud: &CloudSim) {
    let throttled = ApiError::throttling().with_header("x-acs-retry-after", "300");
    cloud.script_gateway(GatewayMatch::Export(Export::Usage), GatewayFault::Error(throttled), 1);
    cloud.script_oss(OssMatch::Task("1002".to_owned()), OssFault::ResetAt(9 * MIB), 1);
    let slow = OssFault::Slow { bytes: 64 * 1024, every: Duration::from_millis(10) };
    cloud.script_oss(OssMatch::Task("1001".to_owned()), slow, 1);
}

/// The configuration of the demonstration.
pub(super) fn config(dir: &Path, endpoint: &str) -> String {
    let dir = dir.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        r#"# Made by `cdn-usaged demo`. The cloud that it names is gone; the inspecting commands work.
[storage]
state_dir = "{dir}/state"
min_free = "16MiB"

[retry]
base = "200ms"
max = "2s"

[download]
allowed_networks = ["127.0.0.0/8"]
allow_http = true

[[account]]
name = "main"
endpoint = "{endpoint}"
exports = ["usage-detail", "usage"]
[account.credentials]
source = "files"
access_key_id_file = "{dir}/keys/main-id"
access_key_secret_file = "{dir}/keys/main-secret"
[[account.expect]]
name = "traffic*"
type = "flow"
from = "2026-06"
[[account.expect]]
export = "usage"
from = "2026-07"

[[account]]
name = "branch"
endpoint = "{endpoint}"
[account.credentials]
source = "files"
access_key_id_file = "{dir}/keys/branch-id"
access_key_secret_file = "{dir}/keys/branch-secret"
security_token_file = "{dir}/keys/branch-token"
[[account.expect]]
window = "day"
from = "2026-08-01"
"#
    )
}
