use std::{collections::BTreeMap, io::Write};

use super::{load::Fault, *};

fn sources(
    flags: &[(&'static str, &str)],
    environment: &[(&str, &str)],
    file: Option<&tempfile::NamedTempFile>,
) -> Sources {
    Sources {
        flags: flags.iter().map(|(k, v)| (*k, vec![(*v).to_owned()])).collect::<BTreeMap<_, _>>(),
        environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        file: file.map(|f| f.path().to_owned()),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn faults(sources: Sources) -> Vec<String> {
    let Faults(faults) = load(sources).expect_err("faults");
    faults.iter().map(Fault::to_string).collect()
}

#[test]
fn the_defaults_are_those_promised() {
    let settings = load(Sources::default()).unwrap();
    assert_eq!(settings.http_listen.to_string(), "127.0.0.1:8080");
    let listen: Vec<String> = settings.turn_listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["0.0.0.0:3478", "[::]:3478"]);
    assert_eq!((settings.realm.as_str(), settings.relay_ports), ("causeway", 49152..=65535));
    assert_eq!(settings.drain_timeout, Duration::from_secs(30));
}

#[test]
fn a_flag_beats_the_environment_and_the_environment_beats_the_file() {
    let file = file("realm = \"from-file\"\nregion = \"from-file\"\nsoftware = \"from-file\"\n");
    let environment = [("CAUSEWAY_REALM", "from-environment"), ("CAUSEWAY_REGION", "from-environment")];
    let settings = load(sources(&[("realm", "from-flag")], &environment, Some(&file))).unwrap();
    assert_eq!(settings.realm, "from-flag");
    assert_eq!(settings.region, "from-environment");
    assert_eq!(settings.software.as_deref(), Some("from-file"));
}

#[test]
fn every_fault_is_told_at_once_with_its_line_and_the_nearest_key() {
    let file = file(
        "realm = \"x\"\nrelay_ports = \"65535-49152\"\nrealy_ports = \"1-2\"\nhttp_listen = \"nowhere\"\n[[turn.user]]\nname = \"alice\"\n",
    );
    let faults = faults(sources(&[], &[("CAUSEWAY_TURN_SECRETS", "x")], Some(&file)));
    assert_eq!(faults.len(), 5, "{faults:#?}");
    let all = faults.join("\n");
    assert!(
        all.contains("error[config.relay_ports]: `relay_ports` (") && all.contains("line 2) is \"65535-49152\""),
        "{all}"
    );
    assert!(
        all.contains("`realy_ports` (")
            && all.contains("line 3) is no key")
            && all.contains("did you mean `relay_ports`?"),
        "{all}"
    );
    assert!(all.contains("write it as IP:PORT"), "{all}");
    assert!(all.contains("did you mean CAUSEWAY_TURN_SECRET?"), "{all}");
}

#[test]
fn secrets_come_from_the_environment_and_are_never_shown() {
    let settings =
        load(sources(&[], &[("CAUSEWAY_TURN_SECRET", "first, second"), ("CAUSEWAY_API_TOKEN", "t")], None)).unwrap();
    assert_eq!(settings.turn_secret.iter().map(|s| s.expose().as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert!(!format!("{settings:?}").contains("second"));
    assert!(KEYS.iter().filter(|key| key.secret).count() >= 3);
}

#[test]
fn static_users_and_certificates_are_tables_of_the_file() {
    let file = file(
        "[[turn.user]]\nname = \"alice\"\npassword = \"pw\"\n[[tls.certificate]]\ncert = \"a.pem\"\nkey = \"a.key\"\n",
    );
    let settings = load(sources(&[], &[], Some(&file))).unwrap();
    assert_eq!(settings.users.first().map(|u| u.name.as_str()), Some("alice"));
    assert_eq!(settings.more_certificates.len(), 1);
}

#[test]
fn a_public_ip_may_map_to_a_private_one_of_its_family_only() {
    let settings = load(sources(&[("public_ip", "203.0.113.7/10.0.0.5")], &[], None)).unwrap();
    assert_eq!(settings.public_ip.first().map(|ip| ip.private.to_string()).as_deref(), Some("10.0.0.5"));
    assert_eq!(faults(sources(&[("public_ip", "203.0.113.7/::1")], &[], None)).len(), 1);
}

#[test]
fn the_example_file_is_the_one_in_the_repository() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../causeway.example.toml");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, example(), "run: cargo run -- explain --example > causeway.example.toml");
}

#[test]
fn the_example_file_changes_nothing_with_its_defaults_taken_out_of_their_comments() {
    let is_default = |line: &str| {
        let name = line.trim_start_matches('#').split(" = ").next().unwrap_or_default();
        KEYS.iter().any(|key| key.name == name && !key.default.is_empty())
    };
    let text = example();
    // Tables come last, and have keys of the same names.
    let (keys, tables) = text.split_once("\n#[").expect("tables");
    let taken_out = keys.lines().map(|line| if is_default(line) { line.trim_start_matches('#') } else { line });
    let taken_out = taken_out.fold(String::new(), |text, line| text + line + "\n") + "#[" + tables;
    let keys = taken_out.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    assert_eq!(keys, KEYS.iter().filter(|key| !key.default.is_empty()).count());
    for text in [example(), taken_out] {
        let given = load(sources(&[], &[], Some(&file(&text)))).unwrap();
        let plain = load(Sources::default()).unwrap();
        let without_sources =
            |settings: Settings| format!("{:?}", Settings { sources: Sources::default(), ..settings });
        assert_eq!(without_sources(given), without_sources(plain));
    }
}

#[test]
fn the_reference_page_is_the_one_in_the_repository() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, reference(), "run: cargo run -- explain > docs/configuration.md");
}

#[test]
fn the_example_file_has_every_table_of_the_file_with_defaults_that_change_nothing() {
    let text = example();
    let sections = text.split_once("\n#[kvs]").expect("a table").1.split_once("\n#[[").expect("lists follow").0;
    let is_default = |line: &str| line.starts_with('#') && line.contains(" = ") && !line.starts_with("# ");
    let taken_out = format!("#[kvs]{sections}").lines().fold(String::new(), |text, line| {
        let is_said = is_default(line) && !line.ends_with("\"N\"") && !line.ends_with("\"DURATION\"");
        let line = if is_said || line.starts_with("#[") { line.trim_start_matches('#') } else { line };
        text + line + "\n"
    });
    assert!(taken_out.contains("\n[calls]\n") && taken_out.contains("\nring = \"by-domain\"\n"), "{taken_out}");
    let given = load(sources(&[], &[], Some(&file(&taken_out)))).unwrap();
    let plain = load(Sources::default()).unwrap();
    assert_eq!(format!("{:?} {:?}", given.kvs, given.calls), format!("{:?} {:?}", plain.kvs, plain.calls));
}

#[test]
fn whatever_an_error_or_a_page_names_can_be_explained() {
    for name in ["relay_ports", "config.relay_ports", "--relay-ports", "CAUSEWAY_RELAY_PORTS"] {
        assert!(page(name).is_some_and(|page| page.starts_with("relay_ports\n")), "{name}");
    }
    for name in ["turn.user", "regions", "kvs", "calls", "kvs.ice_ttl", "kvs.access_key", "calls.user", "mint_queue"] {
        assert!(page(name).is_some_and(|page| page.starts_with(&format!("{name}\n"))), "{name}");
    }
    assert!(page("kvs.ice_ttl").is_some_and(|page| page.contains("300s")));
    assert_eq!((page("relay_port"), most_like("relay_port").as_str()), (None, "relay_ports"));
    assert_eq!((page("kvs.ice_tl"), most_like("kvs.ice_tl").as_str()), (None, "kvs.ice_ttl"));
}

#[test]
fn a_fault_leads_to_a_page_only_where_there_is_one_and_names_file_and_table() {
    let file = file("threads = \"two\"\nthread = 2\n[kvs]\nice_tl = \"60s\"\n[turn]\nusers = 1\n");
    let faults = faults(sources(&[], &[("CAUSEWAY_RELAM", "x")], Some(&file)));
    let [threads, kvs, thread, turn, environment] = faults.as_slice() else { panic!("{faults:#?}") };
    assert!(threads.ends_with("more: causeway explain config.threads"), "{threads}");
    let name = file.path().file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    for (fault, key, line, meant) in
        [(thread, "thread", 2, "threads"), (kvs, "kvs.ice_tl", 4, "kvs.ice_ttl"), (turn, "turn.users", 6, "turn.user")]
    {
        let expected =
            format!("error[config.{key}]: `{key}` ({name} line {line}) is no key\n  did you mean `{meant}`?");
        assert_eq!(*fault, expected);
    }
    assert!(environment.ends_with("did you mean CAUSEWAY_REALM?"), "{environment}");
}

#[test]
fn what_was_meant_is_said_only_where_it_can_be_told() {
    for (written, said) in [
        ("user = 1", "did you mean `turn.user`?"),
        ("secret = 1", "did you mean `turn_secret`?"),
        ("auth_secret = 1", "did you mean `turn_secret`?"),
        ("users = 1", "`causeway explain` lists every key"),
        ("foo = 1", "`causeway explain` lists every key"),
    ] {
        let file = file(&format!("{written}\n"));
        let faults = faults(sources(&[], &[], Some(&file)));
        assert!(faults.len() == 1 && faults[0].ends_with(said), "{written}: {faults:#?}");
    }
    let faults = faults(sources(&[], &[("CAUSEWAY_FOO", "x"), ("CAUSEWAY_LISTEN", "x")], None));
    let [foo, listen] = faults.as_slice() else { panic!("{faults:#?}") };
    assert!(foo.ends_with("`causeway explain` lists every key"), "{foo}");
    assert!(listen.contains("_LISTEN?"), "{listen}");
}

#[test]
fn a_table_is_found_in_its_line_and_a_bad_value_is_told_once() {
    let file = file("turn_listen = \"0.0.0.0\"\n\n[[usres]]\nname = \"a\"\n");
    let faults = faults(sources(&[], &[], Some(&file)));
    let [listen, users] = faults.as_slice() else { panic!("{faults:#?}") };
    assert!(listen.starts_with("error[config.turn_listen]") && users.contains(" line 3) is no key"), "{faults:#?}");
}

#[test]
fn the_address_that_the_guides_export_is_no_misspelt_key() {
    assert!(load(sources(&[], &[("CAUSEWAY_URL", "http://127.0.0.1:8080")], None)).is_ok());
}

#[test]
fn a_filter_of_the_log_is_judged_before_the_start() {
    for good in ["info", "off", "causeway_relay=debug,info"] {
        assert!(load(sources(&[("log", good)], &[], None)).is_ok(), "{good}");
    }
    let [fault] = faults(sources(&[("log", "causeway_relay=loud")], &[], None)).try_into().unwrap();
    assert!(fault.contains("(flag --log) is \"causeway_relay=loud\"") && fault.contains("debug"), "{fault}");
}

#[test]
fn a_collector_needs_a_base_url_and_a_ratio_between_0_and_1() {
    for ratio in ["0", "0.25", "1"] {
        let settings = load(sources(&[("otlp_sampling_ratio", ratio)], &[], None)).unwrap();
        assert_eq!(settings.otlp_sampling_ratio, ratio.parse::<f64>().unwrap());
    }
    for ratio in ["-0.1", "1.1", "NaN", "half"] {
        let [fault] = faults(sources(&[("otlp_sampling_ratio", ratio)], &[], None)).try_into().unwrap();
        assert!(fault.contains("write a number from 0 to 1"), "{fault}");
    }
    assert_eq!(load(Sources::default()).unwrap().otlp_endpoint, None);
    let [fault] = faults(sources(&[("otlp_endpoint", "127.0.0.1:4318")], &[], None)).try_into().unwrap();
    assert!(fault.contains("http://127.0.0.1:4318"), "{fault}");
}

#[test]
fn regions_are_a_list_of_the_file() {
    let file = file(
        "region = \"eu\"\n[[regions]]\nslug = \"eu\"\nnat2 = \"DE\"\ncity = \"Frankfurt\"\nlat = 50.11\nlon = 8\n\
         cidrs = [\"192.0.2.0/24\", \"2001:db8::1\"]\n[[regions]]\nslug = \"us\"\nnat2 = \"US\"\nlat = 39.0\nlon = -77.5\n\
         urls = [\"turn:us.example.com:3478\", \"stun:us.example.com:3478\"]\n",
    );
    let settings = load(sources(&[], &[], Some(&file))).unwrap();
    let [eu, us] = settings.regions.as_slice() else { panic!("{:?}", settings.regions) };
    assert_eq!((&*eu.slug, eu.city.as_str(), eu.name.as_str(), eu.longitude), ("eu", "Frankfurt", "eu", 8.0));
    assert_eq!((eu.networks.len(), &eu.urls), (2, &None));
    let urls = us.urls.as_ref().expect("given");
    assert_eq!((urls.stun.len(), urls.turn.len(), us.country.as_str()), (1, 1, "US"));
}

#[test]
fn every_fault_of_a_region_is_told_with_its_line() {
    let file = file(
        "[[regions]]\nslug = \"eu\"\nnat2 = \"DE\"\nlat = 50.11\nlon = 8.68\n\n[[ regions ]]\nslug = \"a b\"\nnat2 = \"de\"\n\
         lat = 91\nlon = \"8\"\ncidrs = [\"10.0.0.0/33\"]\nurls = \"turn:h\"\ncidr = []\n\n\
         [[regions]]\nslug = \"eu\"\nnat2 = \"DE\"\nlat = 50.11\nlon = 8.68\n",
    );
    let faults = faults(sources(&[], &[], Some(&file)));
    let all = faults.join("\n");
    for field in ["slug", "nat2", "lat", "lon", "cidrs", "urls", "cidr"] {
        assert!(all.contains(&format!("`{field}` of the [[regions]] in line 7 is ")), "{field}: {all}");
    }
    assert!(all.contains("did you mean `cidrs`?"), "{all}");
    assert!(all.contains("`slug` of the [[regions]] in line 16 is that of another region"), "{all}");
    assert!(
        all.contains("error[config.region]: this server's region is \"local\"") && all.contains("one of: eu"),
        "{all}"
    );
    assert_eq!(faults.len(), 9, "{all}");
}

#[test]
fn a_list_under_the_name_of_the_key_is_told_apart() {
    let all = faults(sources(&[], &[], Some(&file("[[region]]\nslug = \"eu\"\n")))).join("\n");
    assert!(all.contains("the list of all of them is [[regions]]"), "{all}");
    let all = faults(sources(&[], &[], Some(&file("regions = \"eu\"\n")))).join("\n");
    assert!(all.contains("begin each region with a line [[regions]]"), "{all}");
}
