use std::os::unix::fs::symlink;

use super::*;
use crate::model::task::{AccountName, Export, ListingKey, TaskId};

fn area() -> (tempfile::TempDir, Area) {
    let dir = tempfile::tempdir().unwrap();
    let area = Area::open(dir.path().join("exports")).unwrap();
    (dir, area)
}

fn task(id: &str) -> TaskKey {
    let listing = ListingKey { account: AccountName::parse("main").unwrap(), export: Export::Usage };
    TaskKey { listing, id: TaskId::parse(id).unwrap() }
}

fn unfinished(area: &Area, id: &str, bytes: &[u8]) -> PathBuf {
    let path = area.partial(&task(id));
    fs::write(&path, bytes).unwrap();
    path
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_published_file_is_there_whole_with_the_promised_modes() {
    let (_dir, area) = area();
    let partial = unfinished(&area, "1", b"hello world");
    fs::set_permissions(&partial, Permissions::from_mode(0o600)).unwrap();
    area.seal(&partial).unwrap();
    area.place(&partial, "main/usage/a_b_1.txt").unwrap();

    assert!(!partial.exists());
    let published = area.root().join("main/usage/a_b_1.txt");
    assert_eq!(fs::read(&published).unwrap(), b"hello world");
    assert_eq!(mode(&published), 0o640);
    for folder in ["", "main", "main/usage", ".incoming"] {
        assert_eq!(mode(&area.root().join(folder)), 0o750, "{folder}");
    }
    assert!(area.size("main/usage/a_b_1.txt").unwrap().is_some());
    let digests = area.hash("main/usage/a_b_1.txt").unwrap().unwrap();
    assert_eq!((digests.bytes, digests.crc64), (11, 5_981_764_153_023_615_706));
}

#[test]
fn a_taken_name_is_left_alone() {
    let (_dir, area) = area();
    let first = unfinished(&area, "1", b"first");
    area.place(&first, "main/usage/x.txt").unwrap();
    let second = unfinished(&area, "2", b"second");
    assert!(matches!(area.place(&second, "main/usage/x.txt"), Err(PlaceError::Exists { .. })));
    assert_eq!(fs::read(area.root().join("main/usage/x.txt")).unwrap(), b"first");
    assert_eq!(fs::read(&second).unwrap(), b"second");
}

#[test]
fn where_a_rename_cannot_keep_from_replacing_a_link_does_it() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let there = |path: &Path| fs::read_to_string(path).ok();
    let move_after = |error| {
        or_link(
            Err(error),
            || rustix::fs::linkat(CWD, &old, CWD, &new, AtFlags::empty()),
            || rustix::fs::unlinkat(CWD, &old, AtFlags::empty()),
        )
    };
    for error in [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP] {
        fs::write(&old, "whole").unwrap();
        move_after(error).unwrap();
        assert_eq!((there(&old), there(&new)), (None, Some("whole".to_owned())));
        fs::write(&old, "another").unwrap();
        assert_eq!(move_after(error), Err(Errno::EXIST));
        assert_eq!((there(&old).unwrap(), there(&new).unwrap()), ("another".to_owned(), "whole".to_owned()));
        fs::remove_file(&new).unwrap();
    }
    assert_eq!(move_after(Errno::NOSPC), Err(Errno::NOSPC));
    assert!(there(&old).is_some() && there(&new).is_none(), "any other refusal is one");
}

#[test]
fn only_plain_names_below_the_root_are_written() {
    let (dir, area) = area();
    let partial = unfinished(&area, "1", b"x");
    for path in ["", "/etc/x", "../x", "main/../../x", "main//x", "main/./x", "main/", ".incoming/x", ".x", "a\0b"] {
        assert!(matches!(area.place(&partial, path), Err(PlaceError::Path { .. })), "{path:?}");
    }
    assert!(partial.exists());
    let entries: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(entries, ["exports"]);
}

#[test]
fn a_symbolic_link_in_a_folders_place_is_not_followed() {
    let (dir, area) = area();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("usage")).unwrap();
    fs::write(elsewhere.join("usage/y.txt"), "y").unwrap();
    symlink(&elsewhere, area.root().join("main")).unwrap();
    let partial = unfinished(&area, "1", b"x");
    assert!(matches!(area.place(&partial, "main/usage/x.txt"), Err(PlaceError::Io { .. })));
    assert!(area.size("main/usage/y.txt").is_err());
    assert!(partial.exists() && !elsewhere.join("usage/x.txt").exists());
}

#[test]
fn what_is_not_there_is_not_there_and_what_is_no_file_is_an_error() {
    let (_dir, area) = area();
    assert_eq!(area.hash("main/usage/x.txt").unwrap(), None);
    assert!(area.size("main/usage/x.txt").unwrap().is_none());
    fs::create_dir_all(area.root().join("main/usage/x.txt")).unwrap();
    assert!(area.size("main/usage/x.txt").is_err());
    assert!(area.hash("../x").is_err());
}

#[test]
fn damaged_files_are_moved_aside_and_never_replaced() {
    let (_dir, area) = area();
    let mut places = Vec::new();
    for bytes in [&b"one"[..], b"two", b"three"] {
        let partial = unfinished(&area, "1", bytes);
        area.place(&partial, "main/usage/x.txt").unwrap();
        places.push(area.move_damaged("main/usage/x.txt").unwrap().unwrap());
    }
    assert_eq!(places, [".damaged/main/usage/x.txt", ".damaged/main/usage/x.txt.2", ".damaged/main/usage/x.txt.3"]);
    assert_eq!(fs::read(area.root().join(&places[0])).unwrap(), b"one");
    assert_eq!(fs::read(area.root().join(&places[2])).unwrap(), b"three");
    assert!(area.size("main/usage/x.txt").unwrap().is_none());
    assert_eq!(area.move_damaged("main/usage/x.txt").unwrap(), None);
}

#[test]
fn unfinished_files_are_listed_and_removed() {
    let (_dir, area) = area();
    let (a, b) = (unfinished(&area, "1", b"x"), unfinished(&area, "2", b"y"));
    assert_eq!(area.list_partials().unwrap(), [a, b.clone()]);
    area.remove_partial(&task("1")).unwrap();
    area.remove_partial(&task("1")).unwrap();
    assert_eq!(area.list_partials().unwrap(), [b]);
    assert!(area.free_bytes().unwrap() > 0);
}

#[test]
fn opening_again_changes_nothing() {
    let (_dir, area) = area();
    let partial = unfinished(&area, "1", b"x");
    fs::set_permissions(area.root(), Permissions::from_mode(0o755)).unwrap();
    let again = Area::open(area.root()).unwrap();
    assert_eq!(again.list_partials().unwrap(), [partial]);
    assert_eq!(mode(area.root()), 0o755);
}

#[tokio::test]
async fn a_published_file_is_whole_damaged_or_missing_beside_what_was_recorded() {
    let (_dir, area) = area();
    let path = "main/usage/x.txt";
    let sha256 = hex::encode(digest_reader(&b"hello"[..], false, || true).unwrap().sha256());
    assert_eq!(area.condition(path, 5, &sha256).await, Condition::Missing);
    area.place(&unfinished(&area, "1", b"hello"), path).unwrap();
    assert_eq!(area.condition(path, 5, &sha256).await, Condition::Whole);
    let Condition::Damaged(text) = area.condition(path, 6, &sha256).await else { panic!("another length") };
    assert_eq!(text, "it has 5 bytes, not 6");
    fs::write(area.root().join(path), "hellO").unwrap();
    let Condition::Damaged(text) = area.condition(path, 5, &sha256).await else { panic!("other bytes") };
    assert_eq!(text, "its SHA-256 is another");
}

#[test]
fn a_file_that_has_its_name_already_is_taken_over_and_the_unfinished_one_goes() {
    let (_dir, area) = area();
    area.place(&unfinished(&area, "1", b"hello"), "main/usage/x.txt").unwrap();
    let again = unfinished(&area, "1", b"hello");
    area.adopt("main/usage/x.txt", &again).unwrap();
    assert!(!again.exists());
    assert_eq!(fs::read(area.root().join("main/usage/x.txt")).unwrap(), b"hello");
    assert!(area.adopt("../x", &again).is_err());
}

#[test]
fn a_symbolic_link_in_a_files_place_is_no_published_file() {
    let (dir, area) = area();
    area.place(&unfinished(&area, "1", b"hello"), "main/usage/x.txt").unwrap();
    let elsewhere = dir.path().join("secret");
    fs::write(&elsewhere, "hello").unwrap();
    symlink(&elsewhere, area.root().join("main/usage/y.txt")).unwrap();
    assert!(area.hash("main/usage/y.txt").is_err() && area.size("main/usage/y.txt").is_err());
}
