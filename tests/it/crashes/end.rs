//! What must be the same at the end, whatever happened on the way.

use std::{collections::BTreeSet, fs};

use crate::common::{TABLES, World};

/// Columns that may differ from one way to another: ids of requests, the ports of the simulated cloud, and what counts
/// attempts that were cut off or failed.
const FREE: [&str; 6] = ["request_id", "endpoint", "link_host", "attempt", "from_byte", "to_byte"];

/// Times that are the service's, and so the same on every way. Of all others only counts whether they are there.
const SERVICE_TIMES: [&str; 6] =
    ["created_at", "updated_at", "range_start", "range_end", "remote_updated_at", "fetched_updated_at"];

/// The state directory of a process that has ended well.
const AT_REST: [&str; 3] = ["exports", "lock", "usage.db"];

/// Everything that must be the same at the end: every row of every table but for [`FREE`] and for attempts that brought
/// nothing, and the published files with their bytes. Of tables that are filled task by task the row numbers do not count.
pub async fn end_of(world: &World) -> Vec<String> {
    let mut end = Vec::new();
    for table in TABLES {
        let columns: Vec<_> = world.columns(table).await;
        let kept = columns.iter().filter(|c| !FREE.contains(&c.as_str()) && (*c != "id" || table == "transitions"));
        let shown: Vec<String> = kept
            .map(|c| {
                let is_ours = c.ends_with("_at") || c.ends_with("_since") || c == "not_before" || c == "queued_for";
                if is_ours && !SERVICE_TIMES.contains(&c.as_str()) { format!("{c} IS NOT NULL") } else { c.clone() }
            })
            .collect();
        let shown = format!("json_array({})", shown.join(", "));
        let which = if table == "attempts" { "WHERE result IN ('stored', 'unchanged')" } else { "" };
        let sql = format!("SELECT '{table} ' || {shown} FROM {table} {which} ORDER BY {shown}");
        end.extend(world.texts(&sql).await);
    }
    for path in world.published() {
        end.push(format!("{path} {}", String::from_utf8_lossy(&fs::read(world.file(&path)).unwrap())));
    }
    end
}

/// Asserts what holds at every end: nothing is stuck, left over or damaged, and every attempt is on record once.
pub async fn assert_clean(world: &World, way: &str) {
    world.assert_sound().await;
    assert_eq!(world.texts("PRAGMA integrity_check").await, ["ok"], "{way}");
    assert_eq!(
        world.texts("SELECT json_array(\"table\", rowid) FROM pragma_foreign_key_check").await,
        [""; 0],
        "{way}"
    );
    let stuck = "SELECT task_id FROM downloads WHERE state <> 'stored' OR intent IS NOT NULL OR link IS NOT NULL
        OR wanted_at IS NOT NULL OR partial_etag IS NOT NULL OR recheck OR failures > 0";
    assert_eq!(world.texts(stuck).await, [""; 0], "{way}");
    // Every run of `once` counts from one.
    let numbers = "SELECT task_id FROM (SELECT task_id, attempt, lag(attempt, 1, 0) OVER own AS last
            FROM attempts WINDOW own AS (PARTITION BY account, export, task_id ORDER BY id))
            WHERE attempt NOT IN (1, last + 1)
        UNION ALL SELECT task_id FROM downloads AS d WHERE attempt <> (SELECT a.attempt FROM attempts AS a
            WHERE (a.account, a.export, a.task_id) = (d.account, d.export, d.task_id) ORDER BY a.id DESC LIMIT 1)";
    assert_eq!(world.texts(numbers).await, [""; 0], "an attempt is not on record once: {way}");
    assert!(world.partials().is_empty(), "{way}: {:?}", world.partials());
    assert!(is_at_rest(world), "{way}");
    assert!(!world.file(".damaged").exists(), "{way}");
}

/// Whether the state directory is as a process leaves it that has ended well, and could put everything away: the database out
/// of WAL mode, and nothing beside it.
pub fn is_at_rest(world: &World) -> bool {
    let entries = fs::read_dir(world.state_dir()).unwrap();
    let names: BTreeSet<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    // The file's header says which mode it is in.
    names == AT_REST.map(str::to_owned).into() && fs::read(world.database()).unwrap()[18] == 1
}
