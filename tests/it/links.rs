//! Links: which are followed, and what becomes of those that lead nowhere.

use cloudsim::{Cloud, GatewayCall, LinkMode, LinkStyle, Object, OssFault, OssMatch, TaskSpec};
use jiff::SignedDuration;

use crate::{
    common::{DETAIL, MAIN, USAGE, World, csv_path},
    downloads::{assert_published, pairs},
};

#[tokio::test]
async fn a_redirect_is_followed_and_one_to_a_refused_place_is_not() {
    let world = World::start().await;
    for id in ["followed", "metadata", "private", "scheme", "loop"] {
        world.add(id, Object::csv(5));
    }
    let redirect = |id: &str, location: &str| {
        let fault = OssFault::Redirect { status: 302, location: location.to_owned() };
        world.cloud.script_oss(OssMatch::Task(id.to_owned()), fault, u32::MAX);
    };
    // The file of a task that is not collected stands elsewhere in the store.
    world.cloud.add_task(MAIN, USAGE, TaskSpec::default().with_id("moved").with_object(Object::csv(9)));
    redirect("followed", &world.cloud.link(MAIN, USAGE, "moved", LinkStyle::V4).unwrap());
    redirect("metadata", "http://100.100.100.200/latest/meta-data/?Signature=MARK");
    redirect("private", "http://10.0.0.1/x?Signature=MARK");
    redirect("scheme", "file:///etc/passwd");
    redirect("loop", &world.cloud.link(MAIN, DETAIL, "loop", LinkStyle::V1).unwrap());
    let run = world.once(1).await;
    for (id, reason) in
        [("metadata", "refused_host"), ("private", "refused_host"), ("scheme", "refused_host"), ("loop", "http")]
    {
        let attempts = world.attempts(id).await;
        assert_eq!(pairs(&attempts).last(), Some(&("abandoned", reason)), "{id}: {run}");
    }
    assert!(!run.stderr.contains("MARK"), "{run}");
    assert_eq!(pairs(&world.attempts("followed").await), [("stored", "")]);
    assert_published(&world, &csv_path("followed"), &Object::csv(9));
    // The first request, and five redirects: three times.
    let looped = world.cloud.oss_calls().iter().filter(|c| c.task_id.as_deref() == Some("loop")).count();
    assert_eq!(looped, 3 * (1 + 5));
    assert_eq!((world.published(), world.partials().len()), (vec![csv_path("followed")], 0));

    world.cloud.clear_scripts();
    world.once(0).await;
    assert_eq!(world.published().len(), 5);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_link_into_a_network_that_is_not_allowed_is_never_asked_for() {
    let mut world = World::start().await;
    world.set("download.allowed_networks", "[]");
    world.add("1", Object::default());
    world.once(1).await;
    let attempts = world.attempts("1").await;
    assert_eq!(
        pairs(&attempts),
        [("failed", "refused_host"), ("failed", "refused_host"), ("abandoned", "refused_host")]
    );
    assert_eq!(world.cloud.oss_calls().len(), 0);

    world.set("download.allowed_networks", "[\"127.0.0.0/8\"]");
    world.set("download.allow_http", "false");
    world.once(1).await;
    assert_eq!(pairs(&world.attempts("1").await).last(), Some(&("abandoned", "refused_host")));
    assert_eq!(world.cloud.oss_calls().len(), 0);
}

#[tokio::test]
async fn a_link_that_has_expired_is_replaced_through_the_listing_in_the_same_run() {
    let world = World::start().await;
    let object = Object::csv(12);
    world.add("1", object.clone());
    let now = world.cloud.clock().now();
    world.cloud.clock().set(now.checked_sub(SignedDuration::from_hours(2)).unwrap());
    let expired = world.cloud.link(MAIN, DETAIL, "1", LinkStyle::V1).unwrap();
    world.cloud.clock().set(now);
    world.cloud.update_task(MAIN, DETAIL, "1", |task| task.link = LinkMode::Fixed(expired));
    // The listing shows a fresh link once the old one has been refused.
    world.cloud.on_listing(|cloud: &Cloud, _: &GatewayCall| {
        if cloud.oss_calls().iter().any(|c| c.status == 403) {
            cloud.update_task(MAIN, DETAIL, "1", |task| task.link = LinkMode::Default);
        }
    });
    let run = world.once(0).await;
    assert_eq!(run.event("link.refreshed")["task_id"], "1");
    assert_published(&world, &csv_path("1"), &object);
    assert_eq!(pairs(&world.attempts("1").await), [("failed", "expired"), ("stored", "")]);
    assert_eq!(world.cloud.oss_calls().len(), 2);
    assert!(world.partials().is_empty());
    world.assert_sound().await;
}

#[tokio::test]
async fn a_success_without_a_link_is_given_up_as_such_and_one_whose_link_comes_later_is_stored() {
    let world = World::start().await;
    let bare = |id: &str, link| TaskSpec::default().with_id(id).with_link(link);
    world.cloud.add_task(MAIN, DETAIL, bare("absent", LinkMode::Absent));
    world.cloud.add_task(MAIN, DETAIL, bare("null", LinkMode::Null));
    world.cloud.add_task(MAIN, DETAIL, bare("later", LinkMode::Empty));
    world.cloud.on_listing(|cloud: &Cloud, _: &GatewayCall| {
        if cloud.gateway_call_count() >= 1 {
            cloud.update_task(MAIN, DETAIL, "later", |task| task.link = LinkMode::Default);
        }
    });
    let run = world.once(1).await;
    for id in ["absent", "null"] {
        let attempts = world.attempts(id).await;
        assert_eq!(pairs(&attempts), [("failed", "no_link"), ("failed", "no_link"), ("abandoned", "no_link")], "{run}");
    }
    assert_eq!(world.published(), [csv_path("later")]);
    assert!(run.stdout.contains("2 tasks are listed as success and not stored"), "{run}");
}

#[tokio::test]
async fn links_of_every_style_are_followed_as_they_are() {
    let mut world = World::start().await;
    let styles = [
        ("v1", LinkStyle::V1),
        ("v1-token", LinkStyle::V1WithToken),
        ("v4", LinkStyle::V4),
        ("v4-token", LinkStyle::V4WithToken),
        ("plain", LinkStyle::Plain),
    ];
    for (id, style) in styles {
        let task = TaskSpec::default().with_id(id).with_link(LinkMode::Style(style));
        world.cloud.add_task(MAIN, DETAIL, task);
    }
    let run = world.once(0).await;
    for (id, _) in styles {
        assert_eq!(pairs(&world.attempts(id).await), [("stored", "")], "{id}: {run}");
    }

    // Without a scheme it is https, which the simulated store does not speak: it waits for the end of a line.
    world.set("download.idle_timeout", "\"200ms\"");
    let task = TaskSpec::default().with_id("bare").with_link(LinkMode::Style(LinkStyle::V1NoScheme));
    world.cloud.add_task(MAIN, DETAIL, task);
    let run = world.once(1).await;
    assert_eq!(pairs(&world.attempts("bare").await).last(), Some(&("abandoned", "network")), "{run}");
}
