//! Certificates: whom the gateway and the object store may be.

use cloudsim::Object;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use super::front::{Front, Secure, fixture};
use crate::common::{World, csv_path, finish};

/// Certificates that are refused, and what is said of them.
const REFUSED: [(&str, &[&str]); 4] = [
    ("wrong-name.pem", &["is for files.example.com, not for localhost"]),
    ("expired.pem", &["expired on 2021-01-01", "clock"]),
    ("future.pem", &["not valid before 2100-01-01", "clock"]),
    ("unknown.pem", &["an authority that is not known here", "SSL_CERT_FILE"]),
];

/// What must be in none of these errors.
#[track_caller]
fn assert_says(text: &str, said: &[&str], certificate: &str) {
    for part in said.iter().chain(&["localhost"]) {
        assert!(text.contains(part), "{certificate}: {part:?} is not in {text}");
    }
    for never in ["Signature", "OSSAccessKeyId", "Expires", "(UNIX)", "UnknownIssuer"] {
        assert!(!text.contains(never), "{certificate}: {never:?} is in {text}");
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_by_gateway_and_object_store_alike() {
    let secure = Secure::start("good.pem", "good.pem").await;
    secure.world.add("1", Object::csv(40));
    let run = finish(&mut secure.command(&["check", "--online"])).await.expect(0);
    assert!(run.stdout.contains("main/usage-detail: 1 task"), "{run}");
    secure.once(0).await;
    assert_eq!(secure.world.published(), [csv_path("1")]);
    assert!(secure.world.cloud.oss_calls().len() == 1 && secure.world.cloud.gateway_call_count() > 0);
}

#[tokio::test]
async fn a_gateway_with_a_wrong_certificate_is_told_nothing_and_the_error_says_what_is_wrong() {
    let secure = Secure::start("good.pem", "good.pem").await;
    secure.world.add("1", Object::csv(40));
    for (certificate, said) in REFUSED {
        secure.gateway.show(certificate);
        let run = secure.once(1).await;
        let failed = run.event("poll.failed");
        assert_says(failed["error"].as_str().unwrap(), said, certificate);
        let run = finish(&mut secure.command(&["check", "--online"])).await.expect(1);
        assert_says(&run.stdout, said, certificate);
        // The signed call never left.
        assert_eq!(secure.world.cloud.gateway_call_count(), 0, "{certificate}");
    }
    secure.gateway.show("good.pem");
    secure.once(0).await;
    assert_eq!(secure.world.published(), [csv_path("1")]);
}

#[tokio::test]
async fn an_object_store_with_a_wrong_certificate_publishes_nothing_until_it_is_right() {
    let secure = Secure::start("good.pem", "good.pem").await;
    secure.world.add("1", Object::csv(40));
    for (certificate, said) in REFUSED {
        secure.store.show(certificate);
        let run = secure.once(1).await;
        let given_up = run.event("download.abandoned");
        assert_eq!(given_up["reason"], "network", "{certificate}");
        assert_says(given_up["error"].as_str().unwrap(), said, certificate);
        assert_eq!(secure.world.published(), Vec::<String>::new(), "{certificate}");
        // The signed link never left.
        assert_eq!(secure.world.cloud.oss_calls().len(), 0, "{certificate}");
    }
    secure.store.show("good.pem");
    secure.once(0).await;
    assert_eq!(secure.world.published(), [csv_path("1")]);
    secure.world.assert_sound().await;
}

#[tokio::test]
async fn certificates_that_are_renewed_while_the_daemon_runs_are_enough() {
    let secure = Secure::start("expired.pem", "expired.pem").await;
    secure.world.add("1", Object::csv(40));
    let daemon = crate::common::Running::start(&mut secure.command(&["run"]));
    daemon.await_events("poll.failed", 1).await;
    secure.gateway.show("good.pem");
    daemon.await_events("download.retrying", 1).await;
    secure.store.show("good.pem");
    secure.world.until_stored(&daemon, 1).await;
    daemon.stop().await;
    assert_eq!(secure.world.published(), [csv_path("1")]);
}

#[tokio::test]
async fn trust_roots_that_are_not_there_end_the_start_with_a_word_on_them() {
    let world = World::start().await;
    std::fs::write(world.path().join("empty.pem"), "").unwrap();
    for roots in [world.path().join("missing.pem"), world.path().join("empty.pem")] {
        let run = finish(world.command(["once"]).env("SSL_CERT_FILE", roots)).await.expect(1);
        assert!(run.complaint().contains("SSL_CERT_FILE"), "{run}");
        assert_eq!(world.cloud.gateway_call_count(), 0);
    }
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_named_as_such() {
    let mut world = World::start().await;
    // A web server says so in its own words; one from before TLS 1.2 sends an alert.
    for (answer, said) in
        [(b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), "does not speak TLS"), (&[21, 3, 1, 0, 2, 2, 70], "TLS 1.2")]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let mut server = JoinSet::new();
        server.spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                let _ = connection.read(&mut [0; 4096]).await;
                let _ = connection.write_all(answer).await;
            }
        });
        world.set_endpoint(&endpoint);
        let mut command = world.command(["once"]);
        let run = finish(command.env("SSL_CERT_FILE", fixture("ca.pem"))).await.expect(1);
        let failed = run.event("poll.failed");
        let error = failed["error"].as_str().unwrap();
        assert!(error.contains(said) && error.contains(&endpoint), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_leads_to_no_host_whose_certificate_is_wrong() {
    let secure = Secure::start("good.pem", "good.pem").await;
    let elsewhere = Front::before(secure.world.cloud.oss_address(), "unknown.pem").await;
    secure.world.add("1", Object::csv(40));
    let location = format!("{}/x?Signature=MARK", elsewhere.base());
    let redirect = cloudsim::OssFault::Redirect { status: 307, location };
    secure.world.cloud.script_oss(cloudsim::OssMatch::Any, redirect, u32::MAX);
    let run = secure.once(1).await;
    let given_up = run.event("download.abandoned");
    assert_says(given_up["error"].as_str().unwrap(), &["SSL_CERT_FILE"], "unknown.pem");
    assert!(secure.world.cloud.oss_calls().iter().all(|c| c.task_id.is_some()));
}

#[tokio::test]
async fn a_configured_authority_is_trusted_beside_those_of_the_system() {
    let mut secure = Secure::start("good.pem", "good.pem").await;
    // What the system knows, and what is configured: neither replaces the other.
    for (n, (system, configured)) in [("unknown.pem", "ca.pem"), ("ca.pem", "unknown.pem")].into_iter().enumerate() {
        secure.world.add(&n.to_string(), Object::csv(40));
        secure.world.set("tls.ca_file", &format!("{:?}", fixture(configured)));
        let mut command = secure.world.command(["once"]);
        finish(command.env("SSL_CERT_FILE", fixture(system))).await.expect(0);
        assert_eq!(secure.world.published().len(), n + 1);
    }
    secure.world.unset("tls.ca_file");
    let mut command = secure.world.command(["once"]);
    let run = finish(command.env("SSL_CERT_FILE", fixture("unknown.pem"))).await.expect(1);
    assert!(run.event("poll.failed")["error"].as_str().unwrap().contains("tls.ca_file"), "{run}");
}

#[tokio::test]
async fn a_file_of_authorities_that_is_none_ends_the_start_and_is_named() {
    let mut world = World::start().await;
    for file in [fixture("server.key"), world.path().join("missing.pem")] {
        world.set("tls.ca_file", &format!("{file:?}"));
        for words in [["once"].as_slice(), &["run"], &["check"]] {
            let run = world.run(words).await.expect(78);
            assert!(run.complaint().contains(&format!("tls.ca_file: {}", file.display())), "{run}");
        }
    }
    assert_eq!(world.cloud.gateway_call_count(), 0);
}

#[tokio::test]
async fn a_reload_takes_another_file_of_authorities() {
    let mut secure = Secure::start("good.pem", "good.pem").await;
    secure.world.add("1", Object::csv(40));
    let mut command = secure.world.command(["run"]);
    let daemon = crate::common::Running::start(command.env("SSL_CERT_FILE", fixture("unknown.pem")));
    daemon.await_events("poll.failed", 1).await;
    secure.world.set("tls.ca_file", &format!("{:?}", fixture("ca.pem")));
    secure.world.write_config();
    daemon.signal(rustix::process::Signal::HUP);
    let said = daemon.await_events("config.reloaded", 1).await;
    assert_eq!(said[0]["changed"], "tls.ca_file");
    secure.world.until_stored(&daemon, 1).await;
    daemon.stop().await;
}
