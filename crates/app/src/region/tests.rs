use std::{
    sync::Mutex as StdMutex,
    time::{Duration, Instant},
};

use super::*;

const TIMEOUT: Duration = Duration::from_secs(15);
const STARTED: UnixTime = UnixTime::from_secs(1_790_000_000);

/// Regions and the events they told, in virtual time.
struct World {
    regions: Regions,
    told: Arc<Told>,
    now: Now,
}

#[derive(Debug, Default)]
struct Told(StdMutex<Vec<String>>);

impl EventSink for Told {
    fn emit(&self, _at: UnixTime, _project: ProjectId, event: DomainEvent) {
        if let DomainEvent::RegionChanged { region, is_online, is_operational } = event {
            self.0.lock().expect("whole").push(format!("{region} {is_online} {is_operational}"));
        }
    }
}

/// Where every address is.
struct Everywhere(Place);

impl Locator for Everywhere {
    fn locate(&self, _ip: IpAddr) -> Option<Place> {
        Some(self.0.clone())
    }
}

fn site(slug: &str, country: &str, latitude: f64, longitude: f64, networks: &[&str]) -> RegionSite {
    let networks = networks.iter().map(|text| text.parse().expect("a network")).collect();
    RegionSite { country: country.to_owned(), latitude, longitude, networks, ..RegionSite::nameless(slug) }
}

fn sites() -> Vec<RegionSite> {
    vec![
        site("us-east", "US", 39.0, -77.5, &["198.51.100.0/24"]),
        site("eu-central", "DE", 50.11, 8.68, &["203.0.113.0/24", "2001:db8::/32"]),
        site("singapore", "SG", 1.35, 103.8, &["203.0.113.128/25"]),
    ]
}

fn urls_of(name: &str) -> IceUrls {
    IceUrls::sorted([format!("stun:{name}:3478"), format!("turn:{name}:3478?transport=udp")]).expect("good URLs")
}

fn node(name: &str, region: &str, at: Now) -> NodeReport {
    NodeReport::serving(name, region, urls_of(name), at.unix)
}

impl World {
    /// This server is `here`, of `eu-central`.
    fn of(sites: Vec<RegionSite>, locator: Option<Place>) -> Self {
        let now = Now { mono: Instant::now(), unix: STARTED };
        let board = RegionBoard::new(BoardSettings { sites, node_timeout: TIMEOUT }, node("here", "eu-central", now));
        let told = Arc::new(Told::default());
        let locator = locator.map(|place| Arc::new(Everywhere(place)) as Arc<dyn Locator>);
        Self { regions: Regions::new(board, locator, Arc::<Told>::clone(&told), now), told, now }
    }

    fn listed() -> Self {
        Self::of(sites(), None)
    }

    fn advance(&mut self, secs: u64) {
        let by = Duration::from_secs(secs);
        self.now = Now { mono: self.now.mono + by, unix: self.now.unix.saturating_add(by) };
    }

    /// The store tells of these nodes; each has just told of itself.
    fn hear(&self, nodes: &[(&str, &str)]) {
        let reports = nodes.iter().map(|(name, region)| node(name, region, self.now)).collect();
        self.hear_reports(reports);
    }

    fn hear_reports(&self, reports: Vec<NodeReport>) {
        self.regions.update(self.now, |board| board.handle_nodes(self.now, reports, BTreeSet::new()));
    }

    fn drain(&self, region: &str, node: Option<&str>, is_drained: bool) {
        let drain = Drain { region: region.to_owned(), node: node.map(str::to_owned) };
        self.regions.update(self.now, |board| board.handle_drain(drain, is_drained));
    }

    /// Slugs of regions that take new allocations.
    fn serving(&self) -> Vec<String> {
        let snapshot = self.regions.snapshot();
        snapshot.regions.iter().filter(|view| view.is_operational).map(|view| view.site.slug.to_string()).collect()
    }

    fn choose(&self, wish: RegionWish) -> Result<String, RegionRefusal> {
        self.regions.choose(&wish, None).map(|chosen| chosen.slug.to_string())
    }

    fn near(&self, client: &str) -> String {
        let client = Some(client.parse().expect("an address"));
        self.choose(RegionWish { client, ..RegionWish::default() }).expect("one serves")
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.0.lock().expect("whole"))
    }
}

fn fixed(slug: &str) -> RegionWish {
    RegionWish { fixed: Some(slug.to_owned()), ..RegionWish::default() }
}

fn preferred(slug: &str) -> RegionWish {
    RegionWish { preferred: Some(slug.to_owned()), ..RegionWish::default() }
}

#[test]
fn without_a_list_there_is_this_servers_region_and_no_other_node_serves_it() {
    let world = World::of(Vec::new(), None);
    world.hear(&[("elsewhere", "eu-central"), ("far", "us-east")]);
    let snapshot = world.regions.snapshot();
    assert_eq!(snapshot.regions.len(), 1);
    assert_eq!(snapshot.regions.first().map(|view| (view.site.country.as_str(), view.nodes.len())), Some(("ZZ", 1)));
    for _ in 0..3 {
        let chosen = world.regions.choose(&preferred("us-east"), None).expect("it serves");
        assert_eq!((&*chosen.slug, chosen.urls), ("eu-central", urls_of("here")));
    }
    assert_eq!(world.choose(fixed("us-east")), Err(RegionRefusal::Unknown));
}

#[test]
fn a_node_counts_until_it_was_silent_for_the_timeout_whatever_its_clock_says() {
    let mut world = World::listed();
    assert_eq!(world.serving(), ["eu-central"]);
    // Its clock is an hour behind: it is believed once it moves.
    let mut behind = node("nyc", "us-east", world.now);
    behind.seen_at = UnixTime::from_secs(behind.seen_at.as_secs() - 3600);
    world.hear_reports(vec![behind.clone()]);
    assert_eq!(world.serving(), ["eu-central"]);
    behind.seen_at = behind.seen_at.saturating_add(Duration::from_secs(5));
    world.hear_reports(vec![behind.clone()]);
    assert_eq!(world.serving(), ["eu-central", "us-east"]);
    world.advance(14);
    world.hear_reports(vec![behind.clone()]);
    assert_eq!(world.serving(), ["eu-central", "us-east"]);
    world.advance(1);
    world.hear_reports(vec![behind.clone()]);
    assert_eq!(world.serving(), ["eu-central"]);
    assert_eq!(world.told(), ["us-east true true", "us-east false false"]);
    behind.seen_at = behind.seen_at.saturating_add(Duration::from_secs(5));
    world.hear_reports(vec![behind]);
    assert_eq!(world.told(), ["us-east true true"]);
}

#[test]
fn a_store_that_is_away_says_nothing_against_nodes() {
    let mut world = World::listed();
    let report = node("nyc", "us-east", world.now);
    world.hear_reports(vec![report.clone()]);
    for _ in 0..100 {
        world.advance(1);
        world.regions.update(world.now, |board| board.handle_silence(world.now));
    }
    assert_eq!(world.serving(), ["eu-central", "us-east"]);
    // It could not write either; from here on it can.
    world.advance(1);
    world.hear_reports(vec![report.clone()]);
    assert_eq!(world.serving(), ["eu-central", "us-east"]);
    world.advance(15);
    world.hear_reports(vec![report]);
    assert_eq!(world.serving(), ["eu-central"]);
}

#[test]
fn a_full_draining_or_stopped_node_takes_no_clients_and_the_last_one_takes_its_region_with_it() {
    let world = World::listed();
    for (state, online) in [(NodeState::Full, true), (NodeState::Draining, true), (NodeState::Stopped, false)] {
        let report = NodeReport { state, ..node("nyc", "us-east", world.now) };
        world.hear_reports(vec![report.clone()]);
        let snapshot = world.regions.snapshot();
        let view = snapshot.find("us-east").expect("listed");
        assert_eq!((view.is_online, view.is_operational), (online, false), "{state:?}");
        world.hear_reports(vec![report, node("bos", "us-east", world.now)]);
        assert_eq!(world.regions.choose(&fixed("us-east"), None).map(|chosen| chosen.urls), Ok(urls_of("bos")));
    }
}

#[test]
fn the_nodes_of_a_region_serve_in_turn() {
    let world = World::listed();
    world.hear(&[("a", "us-east"), ("b", "us-east"), ("c", "singapore")]);
    let mut served: Vec<IceUrls> =
        (0..4).map(|_| world.regions.choose(&fixed("us-east"), None).expect("it serves").urls).collect();
    served.sort_by(|a, b| a.turn.cmp(&b.turn));
    assert_eq!(served, [urls_of("a"), urls_of("a"), urls_of("b"), urls_of("b")]);
}

#[test]
fn a_region_whose_urls_are_written_down_serves_unless_its_nodes_say_otherwise() {
    let own_urls = urls_of("anycast");
    let mut list = sites();
    list.iter_mut().for_each(|site| site.urls = Some(own_urls.clone()));
    let world = World::of(list, None);
    assert_eq!(world.serving(), ["eu-central", "singapore", "us-east"]);
    assert_eq!(world.regions.choose(&fixed("singapore"), None).map(|chosen| chosen.urls), Ok(own_urls));
    world.hear_reports(vec![NodeReport { state: NodeState::Draining, ..node("sin", "singapore", world.now) }]);
    assert_eq!(world.serving(), ["eu-central", "us-east"]);
    assert!(world.regions.snapshot().find("singapore").expect("listed").is_online);
}

#[test]
fn a_drain_takes_a_node_or_a_region_out_and_putting_it_back_brings_it_back() {
    let world = World::listed();
    world.hear(&[("a", "us-east"), ("b", "us-east")]);
    world.told();
    world.drain("us-east", Some("a"), true);
    assert_eq!(world.regions.choose(&fixed("us-east"), None).map(|chosen| chosen.urls), Ok(urls_of("b")));
    world.drain("us-east", None, true);
    assert_eq!(world.choose(fixed("us-east")), Err(RegionRefusal::Unavailable));
    assert_eq!(world.told(), ["us-east true false"]);
    world.drain("us-east", None, false);
    world.drain("us-east", Some("b"), true);
    assert_eq!(world.choose(fixed("us-east")), Err(RegionRefusal::Unavailable));
    world.drain("us-east", Some("b"), false);
    assert_eq!(world.choose(fixed("us-east")).as_deref(), Ok("us-east"));
    assert!(!world.regions.is_own_drained());
    world.drain("eu-central", Some("here"), true);
    assert!(world.regions.is_own_drained());
    world.drain("eu-central", Some("here"), false);
    world.drain("eu-central", None, true);
    assert!(world.regions.is_own_drained());
}

#[test]
fn what_is_asked_for_decides_then_what_is_near() {
    let world = World::listed();
    world.hear(&[("nyc", "us-east")]);
    assert_eq!(world.choose(fixed("atlantis")), Err(RegionRefusal::Unknown));
    assert_eq!(world.choose(fixed("singapore")), Err(RegionRefusal::Unavailable));
    assert_eq!(world.choose(fixed("us-east")).as_deref(), Ok("us-east"));
    assert_eq!(world.choose(preferred("us-east")).as_deref(), Ok("us-east"));
    for gone in ["singapore", "atlantis"] {
        assert_eq!(world.choose(preferred(gone)).as_deref(), Ok("eu-central"), "{gone}");
    }
    let both = RegionWish { preferred: Some("us-east".to_owned()), ..fixed("eu-central") };
    assert_eq!(world.choose(both).as_deref(), Ok("eu-central"));
    let near = RegionWish { client: Some([198, 51, 100, 7].into()), ..preferred("singapore") };
    assert_eq!(world.choose(near).as_deref(), Ok("us-east"));
}

#[test]
fn an_allow_list_bounds_every_choice() {
    let world = World::listed();
    world.hear(&[("nyc", "us-east"), ("sin", "singapore")]);
    let only = BTreeSet::from(["singapore".to_owned()]);
    let choose = |wish: RegionWish| world.regions.choose(&wish, Some(&only)).map(|chosen| chosen.slug.to_string());
    assert_eq!(choose(RegionWish::default()).as_deref(), Ok("singapore"));
    assert_eq!(choose(preferred("us-east")).as_deref(), Ok("singapore"));
    assert_eq!(choose(fixed("us-east")), Err(RegionRefusal::Forbidden));
    assert_eq!(choose(fixed("atlantis")), Err(RegionRefusal::Unknown));
    world.drain("singapore", None, true);
    assert_eq!(choose(RegionWish::default()), Err(RegionRefusal::NoneServes));
}

#[test]
fn networks_decide_by_their_longest_prefix_and_only_for_addresses_that_say_where_they_are() {
    let world = World::listed();
    world.hear(&[("nyc", "us-east"), ("sin", "singapore")]);
    for (client, region) in [
        ("198.51.100.1", "us-east"),
        ("203.0.113.1", "eu-central"),
        ("203.0.113.200", "singapore"),
        ("::ffff:198.51.100.1", "us-east"),
        ("2001:db8::1", "eu-central"),
        ("192.0.2.1", "eu-central"),
        ("10.0.0.1", "eu-central"),
    ] {
        assert_eq!(world.near(client), region, "{client}");
    }
    world.drain("singapore", None, true);
    assert_eq!(world.near("203.0.113.200"), "eu-central");
    let private =
        World::of(vec![site("eu-central", "DE", 0.0, 0.0, &[]), site("lab", "DE", 0.0, 0.0, &["10.0.0.0/8"])], None);
    private.hear(&[("lab-1", "lab")]);
    assert_eq!(private.near("10.0.0.1"), "eu-central");
}

#[test]
fn a_database_of_places_beats_networks_and_knows_the_nearest_over_the_date_line() {
    let place = |latitude, longitude| Some(Place { coordinates: Some((latitude, longitude)), country: None });
    for (locator, nearest) in [
        (place(48.2, 16.4), "eu-central"),
        (place(19.4, -99.1), "us-east"),
        (place(35.7, 139.7), "singapore"),
        // Fiji, beyond the date line seen from America.
        (place(-18.1, 178.4), "singapore"),
        (Some(Place { coordinates: None, country: Some("US".to_owned()) }), "us-east"),
        // A country without a region: the networks decide.
        (Some(Place { coordinates: None, country: Some("FR".to_owned()) }), "singapore"),
    ] {
        let world = World::of(sites(), locator.clone());
        world.hear(&[("nyc", "us-east"), ("sin", "singapore")]);
        assert_eq!(world.near("203.0.113.200"), nearest, "{locator:?}");
    }
}

#[test]
fn when_this_servers_region_is_down_the_one_nearest_to_it_takes_over() {
    let world = World::listed();
    world.hear(&[("nyc", "us-east"), ("sin", "singapore")]);
    world.drain("eu-central", None, true);
    assert_eq!(world.choose(RegionWish::default()).as_deref(), Ok("us-east"));
    world.drain("us-east", None, true);
    assert_eq!(world.choose(RegionWish::default()).as_deref(), Ok("singapore"));
    world.drain("singapore", None, true);
    assert_eq!(world.choose(RegionWish::default()), Err(RegionRefusal::NoneServes));
}

#[test]
fn urls_are_told_apart_by_their_scheme_and_anything_else_is_refused() {
    let good = ["turns:h:443?transport=tcp", "stun:h:3478", "turn:[2001:db8::1]:3478"].map(str::to_owned);
    let sorted = IceUrls::sorted(good).expect("good");
    assert_eq!((sorted.stun.len(), sorted.turn.len()), (1, 2));
    for bad in ["", "turn:", "http://h", "turn://h", "turn:h 1", "h:3478"] {
        assert_eq!(IceUrls::sorted([bad.to_owned()]), Err(bad.to_owned()));
    }
}

#[test]
fn a_relay_server_that_goes_while_another_serves_is_a_departure() {
    let mut world = World::listed();
    world.hear(&[("us-1", "us-east"), ("us-2", "us-east")]);
    assert_eq!(world.regions.departures(), 0, "those who come are none");
    let full = NodeReport { state: NodeState::Full, ..node("us-1", "us-east", world.now) };
    world.hear_reports(vec![full, node("us-2", "us-east", world.now)]);
    assert_eq!(world.regions.departures(), 0, "a full one holds whom it has");
    world.drain("us-east", Some("us-1"), true);
    assert_eq!(world.regions.departures(), 1);
    world.drain("us-east", Some("us-1"), false);
    assert_eq!(world.regions.departures(), 1, "one that is put back is none");
    let ending = NodeReport { state: NodeState::Draining, ..node("us-1", "us-east", world.now) };
    world.hear_reports(vec![ending, node("us-2", "us-east", world.now)]);
    assert_eq!(world.regions.departures(), 2);
    let stopped = NodeReport { state: NodeState::Stopped, ..node("us-1", "us-east", world.now) };
    world.hear_reports(vec![stopped, node("us-2", "us-east", world.now)]);
    assert_eq!(world.regions.departures(), 2, "it had gone before");
    world.advance(TIMEOUT.as_secs());
    world.regions.update(world.now, |_| ());
    assert_eq!(world.regions.departures(), 3, "the other fell silent");
    world.drain("eu-central", None, true);
    assert_eq!(world.regions.departures(), 3, "there is nobody to go to");
}
