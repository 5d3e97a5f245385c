//! The publisher against a real Redis.

use std::{path::Path, sync::Arc, time::Duration};

use causeway_app::{Cursor, DomainEvent, EventSink, ProjectId, SessionStart};
use causeway_events::{
    EventBus,
    redis::{RedisPublisher, RedisSettings, RedisStatus},
};
use parking_lot::Mutex;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use tempfile::TempDir;

use crate::{
    fixtures::{LIFETIME, NOW, ended, refreshed, session, traffic},
    redis_server::{PATIENCE, RedisServer, free_port, until},
};

/// A bus with a publisher.
struct World {
    bus: EventBus,
    publisher: RedisPublisher,
    live: Arc<Mutex<Vec<Arc<SessionStart>>>>,
}

impl World {
    async fn publishing_to(target: &str) -> Self {
        Self::with(target, "node-a", 65_536).await
    }

    async fn with(target: &str, node: &str, waiting_max: usize) -> Self {
        let bus = EventBus::new(Cursor(1), 200_000);
        let live: Arc<Mutex<Vec<Arc<SessionStart>>>> = Arc::default();
        let listed = Arc::clone(&live);
        let settings = RedisSettings {
            target: target.parse().expect("a good target"),
            node: node.to_owned(),
            waiting_max,
            live: Arc::new(move || listed.lock().iter().map(|s| (Arc::clone(s), s.five_tuple)).collect()),
        };
        let publisher = RedisPublisher::start(settings, &bus).await;
        Self { bus, publisher, live }
    }

    fn emit(&self, event: DomainEvent) {
        self.bus.emit(NOW, ProjectId::DEFAULT, event);
    }

    fn begin(&self, number: u64, name: &str) -> Arc<SessionStart> {
        let session = session(number, name);
        self.emit(DomainEvent::SessionStarted(Arc::clone(&session)));
        session
    }

    fn status(&self) -> RedisStatus {
        self.publisher.status()
    }

    async fn well(&self) {
        until("a good state", || self.status().is_well).await;
    }

    async fn fault(&self, part: &str) -> String {
        until(part, || self.status().fault.is_some_and(|fault| fault.contains(part))).await;
        assert!(!self.status().is_well);
        self.status().fault.unwrap_or_default()
    }

    async fn finish(&self) -> bool {
        self.publisher.finish(&self.bus, PATIENCE).await
    }
}

const WHOLE_LIFE: [&str; 10] = [
    "alice 1/status: new lifetime=600",
    "alice 1/status: refreshed lifetime=777",
    "alice 1/traffic: rcvp=1024, rcvb=14336, sentp=1024, sentb=14336",
    "alice 1/traffic/peer: rcvp=1024, rcvb=10240, sentp=1024, sentb=10240",
    "alice 1/status: refreshed lifetime=0",
    "alice 1/traffic: rcvp=1, rcvb=14, sentp=1, sentb=14",
    "alice 1/traffic/peer: rcvp=1, rcvb=10, sentp=1, sentb=10",
    "alice 1/status: deleted",
    "alice 1/total_traffic: rcvp=1025, rcvb=14350, sentp=1025, sentb=14350",
    "alice 1/total_traffic/peer: rcvp=1025, rcvb=10250, sentp=1025, sentb=10250",
];

fn live_a_whole_life(world: &World) {
    let alice = world.begin(1, "alice");
    world.emit(refreshed(&alice, 777));
    world.emit(traffic(&alice, 1024));
    world.emit(refreshed(&alice, 0));
    world.emit(ended(&alice, 1025));
}

/// A session's life arrives whole and in order under this server configuration and target.
async fn check_whole_life(configuration: &str, login: &str, target: impl Fn(&RedisServer) -> String) {
    let redis = RedisServer::start(configuration);
    let listener = redis.listen(login).await;
    let world = World::publishing_to(&target(&redis)).await;
    world.well().await;
    live_a_whole_life(&world);
    assert_eq!(listener.wait_for(10).await, WHOLE_LIFE);
    assert!(world.finish().await);
    assert_eq!(listener.heard().len(), 10);
}

#[tokio::test]
async fn a_session_is_published_whole_and_in_order() {
    check_whole_life("", "", |redis| format!("ip=127.0.0.1 port={}", redis.port)).await;
}

#[tokio::test]
async fn a_password_alone_logs_in() {
    check_whole_life("requirepass s3cret", ":s3cret@", |redis| format!("port={} password=s3cret", redis.port)).await;
}

#[tokio::test]
async fn an_acl_user_logs_in_and_needs_no_more_rights_than_coturn_has() {
    let configuration = "user bob on >pw ~turn/*/allocation/* &turn/* +set +publish +del +select";
    check_whole_life(configuration, "", |redis| format!("port={} user=bob password=pw db=2", redis.port)).await;
    check_whole_life(configuration, "", |redis| redis.url("bob:pw@", 2)).await;
}

#[tokio::test]
async fn a_status_key_stands_in_its_database_and_expires_after_the_allocation() {
    let redis = RedisServer::start("");
    let listener = redis.listen("").await;
    let world = World::publishing_to(&format!("port={} db=3", redis.port)).await;
    let alice = world.begin(1, "alice");
    listener.wait_for(1).await;
    let mut third = redis.connect("", 3).await;
    let key = "turn/realm/example.test/user/alice/allocation/000000000000000001/status";
    let value: String = ask(&mut third, &["GET", key]).await;
    assert_eq!(value, "new lifetime=600, type=UDP, local=127.0.0.1:3478, remote=127.0.0.1:5000, ssl=NONE, cipher=NONE");
    let left: u64 = ask(&mut third, &["TTL", key]).await;
    assert!(left > LIFETIME.as_secs() && left <= LIFETIME.as_secs() + 30, "{left}");
    let elsewhere: u64 = ask(&mut redis.connect("", 0).await, &["EXISTS", key]).await;
    assert_eq!(elsewhere, 0);
    world.emit(ended(&alice, 1));
    listener.wait_for(6).await;
    assert!(world.finish().await);
    let left: u64 = ask(&mut third, &["DBSIZE"]).await;
    assert_eq!(left, 0, "no key of ours is left, not even the list of own keys");
}

#[tokio::test]
async fn a_wrong_password_is_told_and_mending_it_is_enough() {
    let redis = RedisServer::start("requirepass right");
    let listener = redis.listen(":right@").await;
    let world = World::publishing_to(&format!("port={} password=wrong", redis.port)).await;
    assert!(world.fault("WRONGPASS").await.contains("refuses the log-in"));
    live_a_whole_life(&world);
    assert!(listener.heard().is_empty());
    let _: () = ask(&mut redis.connect(":right@", 0).await, &["CONFIG", "SET", "requirepass", "wrong"]).await;
    assert_eq!(listener.wait_for(10).await, WHOLE_LIFE);
}

#[tokio::test]
async fn a_missing_password_and_a_database_out_of_range_are_told() {
    let redis = RedisServer::start("requirepass right");
    redis.listen(":right@").await;
    World::publishing_to(&format!("port={}", redis.port)).await.fault("NOAUTH").await;
    World::publishing_to(&format!("port={} password=right db=999", redis.port)).await.fault("DB index").await;
}

#[tokio::test]
async fn a_full_server_is_told_and_tried_again() {
    let redis = RedisServer::start("");
    let listener = redis.listen("").await;
    let mut control = redis.connect("", 0).await;
    let _: () = ask(&mut control, &["CONFIG", "SET", "maxclients", "1"]).await;
    let world = World::publishing_to(&format!("port={}", redis.port)).await;
    world.fault("max number of clients reached").await;
    live_a_whole_life(&world);
    let _: () = ask(&mut control, &["CONFIG", "SET", "maxclients", "100"]).await;
    assert_eq!(listener.wait_for(10).await, WHOLE_LIFE);
    world.well().await;
}

#[tokio::test]
async fn what_happens_while_redis_is_away_comes_when_it_is_back() {
    let mut redis = RedisServer::start("");
    let listener = redis.listen("").await;
    let world = World::publishing_to(&format!("port={}", redis.port)).await;
    let alice = world.begin(1, "alice");
    let bob = world.begin(2, "bob");
    listener.wait_for(2).await;
    redis.stop();
    until("the loss to be noticed", || !world.status().is_well).await;
    world.emit(refreshed(&alice, 777));
    world.emit(ended(&bob, 5));
    let away = world.status();
    assert!(away.failures > 0 && away.events_dropped == 0, "{away:?}");
    redis.run();
    let listener = redis.listen("").await;
    world.well().await;
    let mut control = redis.connect("", 0).await;
    let key = "turn/realm/example.test/user/alice/allocation/000000000000000001/status";
    let mut value: Option<String> = None;
    for _ in 0..1000 {
        value = ask(&mut control, &["GET", key]).await;
        if value.as_ref().is_some_and(|value| value.starts_with("refreshed lifetime=777")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(value.is_some_and(|value| value.starts_with("refreshed lifetime=777")), "the state key is back");
    // The consumer may have come back after the server did: only its later messages are certain.
    world.emit(ended(&alice, 9));
    until("the end", || listener.heard().iter().any(|line| line.starts_with("alice 1/total_traffic/peer"))).await;
    let left: u64 = ask(&mut control, &["EXISTS", key]).await;
    assert_eq!(left, 0);
}

#[tokio::test]
async fn keys_that_redis_forgot_are_written_again_without_any_event() {
    let mut redis = RedisServer::start("");
    let listener = redis.listen("").await;
    let world = World::publishing_to(&format!("port={}", redis.port)).await;
    world.begin(1, "alice");
    listener.wait_for(1).await;
    redis.stop();
    redis.run();
    let mut control = redis.connect("", 0).await;
    let key = "turn/realm/example.test/user/alice/allocation/000000000000000001/status";
    key_appears(&mut control, key).await;
}

#[tokio::test]
async fn a_redis_that_does_not_answer_holds_nobody_up() {
    let redis = RedisServer::start("");
    let listener = redis.listen("").await;
    let world = World::publishing_to(&format!("port={}", redis.port)).await;
    world.well().await;
    let mut control = redis.connect("", 0).await;
    let _: () = ask(&mut control, &["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let alice = world.begin(1, "alice");
    // `emit` is not async and holds no lock of the publisher: that this loop ends while Redis is paused is the test.
    for packets in 1..100_000 {
        world.emit(traffic(&alice, packets));
    }
    world.emit(ended(&alice, 100_000));
    until("the queue to fill", || world.status().events_waiting > 1000).await;
    let held = connections_held(&mut control).await;
    assert_eq!(held.len(), 1, "the publisher's");
    // What was sent is given up after a while, and sent again: that is where it could be lost, or told twice.
    world.fault("timed out").await;
    // Redis may learn of that after it is released, and would do what it holds back: whoever is behind is told twice.
    let mut left = held.clone();
    for _ in 0..4000 {
        left = connections_held(&mut control).await;
        if !left.iter().any(|id| held.contains(id)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!left.iter().any(|id| held.contains(id)), "{held:?} is still held");
    assert!(listener.heard().is_empty());
    let _: () = ask(&mut control, &["CLIENT", "UNPAUSE"]).await;
    let total = "alice 1/total_traffic: rcvp=100000, rcvb=1400000, sentp=100000, sentb=1400000";
    listener.hears(total).await;
    assert_eq!(world.status().events_dropped, 0, "traffic reports are folded together, not lost");
    let intervals: u64 =
        listener.heard().iter().filter_map(|line| line.strip_prefix("alice 1/traffic: rcvp=")).map(leading).sum();
    assert_eq!(intervals, 100_000);
}

#[tokio::test]
async fn more_events_than_may_wait_are_dropped_and_counted_and_the_keys_come_right() {
    let mut redis = RedisServer::start("");
    redis.stop();
    let world = World::with(&format!("port={}", redis.port), "node-a", 10).await;
    world.fault("no connection").await;
    let alice = world.begin(9, "alice");
    world.live.lock().push(alice);
    for number in 1..=8 {
        let gone = world.begin(number, "gone");
        world.emit(ended(&gone, 1));
    }
    until("drops", || world.status().events_dropped == 7).await;
    redis.run();
    world.well().await;
    let key = "turn/realm/example.test/user/alice/allocation/000000000000000009/status";
    let mut control = redis.connect("", 0).await;
    key_appears(&mut control, key).await;
    assert_eq!(world.status().events_dropped, 7);
}

#[tokio::test]
async fn keys_of_a_crashed_process_go_and_those_of_others_stay() {
    let redis = RedisServer::start("");
    let listener = redis.listen("").await;
    let target = format!("port={}", redis.port);
    let crashed = World::publishing_to(&target).await;
    crashed.begin(1, "alice");
    let other = World::with(&target, "node-b", 100).await;
    other.begin(2, "bob");
    let mut control = redis.connect("", 0).await;
    let coturns = "turn/realm/example.test/user/eve/allocation/000000000000000003/status";
    let _: () = ask(&mut control, &["SET", coturns, "new lifetime=600"]).await;
    listener.wait_for(2).await;
    drop(crashed);
    let again = World::publishing_to(&target).await;
    again.well().await;
    let heard = listener.wait_for(3).await;
    assert_eq!(heard[2..], ["alice 1/status: deleted"]);
    let keys: Vec<String> = ask(&mut control, &["KEYS", "turn/*/allocation/*/status"]).await;
    let mut users: Vec<&str> = keys.iter().filter_map(|key| key.split('/').nth(4)).collect();
    users.sort_unstable();
    assert_eq!(users, ["bob", "eve"]);
    assert!(again.finish().await && other.finish().await);
    let keys: Vec<String> = ask(&mut control, &["KEYS", "*"]).await;
    assert_eq!(keys, [coturns], "an orderly end removes own keys only");
}

#[tokio::test]
async fn an_end_without_redis_does_not_hang() {
    let world = World::publishing_to(&format!("port={}", free_port())).await;
    world.begin(1, "alice");
    assert!(!world.publisher.finish(&world.bus, Duration::from_millis(300)).await);
}

#[tokio::test]
async fn the_addresses_of_the_host_name_are_known_from_the_start() {
    let world = World::publishing_to("host=localhost port=1").await;
    assert!(world.publisher.addresses().contains(&"127.0.0.1:1".parse().expect("an address")));
}

#[tokio::test]
async fn tls_is_spoken_and_verified() {
    let directory = TempDir::new().expect("a directory");
    write_certificates(directory.path());
    let path = directory.path().display().to_string();
    let redis = RedisServer::start_in(
        directory,
        "tls-port TLS_PORT\ntls-cert-file DIR/redis.pem\ntls-key-file DIR/redis.key\ntls-ca-cert-file DIR/ca.pem",
    );
    let listener = redis.listen("").await;
    let target = format!("host=localhost port={} tls=1", redis.tls_port);
    let client = format!("{target} ca={path}/ca.pem cert={path}/client.pem clientkey={path}/client.key");
    let world = World::publishing_to(&client).await;
    world.well().await;
    live_a_whole_life(&world);
    assert_eq!(listener.wait_for(10).await, WHOLE_LIFE);
    let url = format!(
        "rediss://localhost:{}/1?capath={path}&verify=1&tls-cert={path}/client.pem&tls-key={path}/client.key",
        redis.tls_port
    );
    World::publishing_to(&url).await.well().await;
    World::publishing_to(&format!("{client} verify=none ca= sni=other.example")).await.well().await;
    World::publishing_to(&format!("{client} servername=other.example")).await.fault("TLS: ").await;
    World::publishing_to(&format!("{target} ca={path}/other.pem")).await.fault("TLS: ").await;
    World::publishing_to(&format!("{target} ca={path}/missing.pem")).await.fault("missing.pem").await;
    let plain = format!("host=localhost port={} timeout=1 tls=1 ca={path}/ca.pem", redis.port);
    World::publishing_to(&plain).await.fault("does this port speak TLS?").await;
    World::publishing_to(&format!("port={} timeout=1", redis.tls_port)).await.fault("").await;
}

/// A certificate authority, a server and a client certificate of it, and another authority.
fn write_certificates(directory: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate")
    };
    let write = |name: &str, text: String| std::fs::write(directory.join(name), text).expect("a writable directory");
    let ca = authority("ca");
    write("ca.pem", ca.pem());
    write("other.pem", authority("other").pem());
    for (name, host) in [("redis", "localhost"), ("client", "client.example")] {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("a name");
        write(&format!("{name}.pem"), params.signed_by(&key, &ca).expect("a certificate").pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

async fn ask<T: redis::FromRedisValue>(connection: &mut redis::aio::MultiplexedConnection, words: &[&str]) -> T {
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| {
        command.arg(word);
    });
    command.query_async(connection).await.expect("an answer")
}

/// Connections whose commands the server holds back, by their ids.
async fn connections_held(control: &mut redis::aio::MultiplexedConnection) -> Vec<String> {
    let list: String = ask(control, &["CLIENT", "LIST"]).await;
    let field = |line: &str, name: &str| {
        line.split(' ').find_map(|field| Some(field.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    };
    // Flag b: waits, here for the end of the pause.
    let is_held = |line: &&str| field(line, "flags").is_some_and(|flags| flags.contains('b'));
    list.lines().filter(is_held).filter_map(|line| field(line, "id")).collect()
}

async fn key_appears(control: &mut redis::aio::MultiplexedConnection, key: &str) {
    for _ in 0..2000 {
        if ask::<u64>(control, &["EXISTS", key]).await == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no key {key}");
}

/// The number a text begins with.
fn leading(text: &str) -> u64 {
    text.split(',').next().and_then(|digits| digits.parse().ok()).expect("a number")
}
