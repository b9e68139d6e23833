//! What the answer's head leaves out, and what it says too much.

use cloudsim::{EtagMode, Object, OssFault, OssMatch};

use super::{Row, assert_gives_up, assert_mends, row};
use crate::{
    common::{RANGE, World},
    downloads::{assert_published, pairs},
};

/// What the newest file of each task was verified by, in the order of their ids.
async fn verified(world: &World) -> Vec<String> {
    world.texts("SELECT task_id || ' ' || verified_by FROM files ORDER BY task_id").await
}

/// A file that says nothing of its bytes.
fn silent(rows: u64) -> Object {
    Object::csv(rows).with_crc(false).with_etag(EtagMode::None)
}

#[tokio::test]
async fn without_a_length_a_tag_or_a_checksum_the_rest_has_to_show_that_a_file_is_whole() {
    let world = World::start().await;
    let multipart = Object::csv(60).with_crc(false).with_etag(EtagMode::Multipart(3));
    // 32 digits that are the MD5 of nothing: the object's type says so.
    let mut parts = Object::csv(70).with_crc(false).with_etag(EtagMode::Text(format!("\"{}\"", "A1".repeat(16))));
    parts = parts.with_object_type("Multipart");
    let rows = [
        row("a-chunked", Object::csv(10), [OssFault::Chunked], []),
        row("b-until-close", Object::csv(20), [OssFault::NoLength], []),
        row("c-no-etag", Object::csv(30), [OssFault::NoEtag], []),
        row("d-etag-md5", Object::csv(40).with_crc(false), [OssFault::FlipBit(50)], ["integrity"]),
        row("e-content-md5", silent(50).with_content_md5(true), [OssFault::FlipBit(50)], ["integrity"]),
        row("f-multipart", multipart, [OssFault::TruncateAt(500)], ["network"]),
        row("g-parts", parts, [], []),
        row("h-silent", silent(80), [OssFault::TruncateAt(500)], ["network"]),
        row("i-no-crc", Object::csv(90), [OssFault::NoCrc], []),
    ];
    assert_mends(&world, &rows).await;
    let wanted = [
        "a-chunked crc64",
        "b-until-close crc64",
        "c-no-etag crc64",
        "d-etag-md5 md5",
        "e-content-md5 md5",
        "f-multipart length",
        "g-parts length",
        "h-silent length",
        "i-no-crc md5",
    ];
    assert_eq!(verified(&world).await, wanted);
}

#[tokio::test]
async fn a_file_of_which_nothing_shows_that_it_is_whole_is_refused() {
    let world = World::start().await;
    let never = |id, fault: OssFault| Row { id, object: silent(9), faults: vec![fault], reasons: vec!["integrity"; 3] };
    assert_gives_up(&world, &[never("chunked", OssFault::Chunked), never("until-close", OssFault::NoLength)]).await;
}

#[tokio::test]
async fn a_body_compressed_on_the_way_is_refused_and_never_taken_for_the_file() {
    let world = World::start().await;
    let never = |id, object| Row { id, object, faults: vec![OssFault::Gzip], reasons: vec!["integrity"; 3] };
    let rows = [never("crc", Object::csv(9)), never("md5", Object::csv(9).with_crc(false)), never("silent", silent(9))];
    assert_gives_up(&world, &rows).await;
    for call in world.cloud.oss_calls() {
        assert_eq!(call.accept_encoding.as_deref(), Some("identity"), "{call:?}");
    }
}

#[tokio::test]
async fn a_file_that_the_store_keeps_compressed_is_published_as_it_is_kept() {
    let world = World::start().await;
    let object = Object::gz("time,domain\n1,a.example.com\n").with_content_encoding("gzip");
    world.add("1", object.clone());
    world.cloud.script_oss(OssMatch::Any, OssFault::TruncateAt(10), 1);
    world.once(0).await;
    assert_eq!(pairs(&world.attempts("1").await), [("failed", "network"), ("stored", "")]);
    assert_published(&world, &format!("main/usage-detail/{RANGE}_1.gz"), &object);
    assert_eq!(verified(&world).await, ["1 crc64"]);
}
