use proptest::prelude::*;

use super::*;

fn parsed(text: &str) -> RedisTarget {
    text.parse().expect("a good string")
}

fn fault(text: &str) -> String {
    text.parse::<RedisTarget>().expect_err("a bad string").to_string()
}

/// Everything of a target as text, the password too.
fn shown(target: &RedisTarget) -> String {
    let password = target.password.as_ref().map(|password| password.expose().clone());
    let RedisTarget { host, port, database, username, connect_timeout, tls, .. } = target;
    format!("{host} {port} {database} {username:?} {password:?} {connect_timeout:?} {tls:?}")
}

#[test]
fn an_empty_string_is_coturns_default() {
    assert_eq!(shown(&parsed("")), "127.0.0.1 6379 0 None None None None");
}

#[test]
fn every_alias_of_coturn_means_what_it_means_there() {
    for (aliases, value, expected) in [
        (&["host", "ip", "addr", "ipaddr", "hostaddr"][..], "r.example", "r.example 6379 0 None None None None"),
        (&["port", "p"], "7000", "127.0.0.1 7000 0 None None None None"),
        (&["dbname", "db", "database"], "3", "127.0.0.1 6379 3 None None None None"),
        (&["user", "uname", "name", "username"], "bob", "127.0.0.1 6379 0 Some(\"bob\") None None None"),
        (&["password", "pwd", "passwd", "secret"], "a=b", "127.0.0.1 6379 0 None Some(\"a=b\") None None"),
        (&["connect_timeout", "timeout"], "9", "127.0.0.1 6379 0 None None Some(9s) None"),
    ] {
        for alias in aliases {
            assert_eq!(shown(&parsed(&format!("{alias}={value}"))), expected, "{alias}");
        }
    }
    for (aliases, value, read) in [
        (&["tls-ca", "ca", "cacert"][..], "/x", (|t| t.ca_file == Some("/x".into())) as fn(RedisTls) -> bool),
        (&["tls-capath", "capath"], "/x", |t| t.ca_directory == Some("/x".into())),
        (&["tls-sni", "sni", "servername"], "n", |t| t.server_name.as_deref() == Some("n")),
        (&["tls-verify", "verify"], "none", |t| !t.verify),
        (&["tls-verify", "verify"], "0", |t| !t.verify),
        (&["tls-verify", "verify"], "false", |t| !t.verify),
        (&["tls-verify", "verify"], "peer", |t| t.verify),
    ] {
        for alias in aliases {
            assert!(read(parsed(&format!("ssl=yes {alias}={value}")).tls.expect("TLS is on")), "{alias}");
        }
    }
    for (certificate, key) in [("tls-cert", "tls-key"), ("cert", "clientkey")] {
        let tls = parsed(&format!("tls=on {certificate}=/c {key}=/k")).tls.expect("TLS is on");
        assert_eq!((tls.certificate, tls.key), (Some("/c".into()), Some("/k".into())));
    }
}

#[test]
fn coturns_own_example_with_its_quotes_is_read() {
    let target = parsed("\"ip=127.0.0.1 dbname=2  password=turn port=6380 connect_timeout=30\"");
    assert_eq!(shown(&target), "127.0.0.1 6380 2 None Some(\"turn\") Some(30s) None");
}

#[test]
fn a_later_token_wins_over_an_earlier_one() {
    assert_eq!(parsed("ip=a host=b p=1 port=2").address(), "b:2");
}

#[test]
fn a_password_may_look_like_a_url() {
    assert_eq!(shown(&parsed("password=a://b@c")), "127.0.0.1 6379 0 None Some(\"a://b@c\") None None");
}

#[test]
fn tls_words_count_only_when_tls_is_on() {
    assert_eq!(parsed("tls-ca=/x").tls, None);
    assert_eq!(parsed("tls=0 tls-ca=/x").tls, None);
}

#[test]
fn faults_name_the_token_and_never_a_value() {
    assert!(fault("ip=a my secret").starts_with("token 2 has no \"=\""));
    assert!(!fault("ip=a my secret").contains("my"));
    assert_eq!(fault("ip=a passwort=x"), "token 2: unknown key \"passwort\"");
    assert_eq!(fault("Host=a"), "token 1: unknown key \"Host\"; did you mean \"host\"?");
    assert_eq!(fault("hosts=a"), "token 1: unknown key \"hosts\"; did you mean \"host\"?");
    assert_eq!(fault("port=0"), "port: write a port, 1 to 65535");
    assert_eq!(fault("p=65536"), "p: write a port, 1 to 65535");
    assert_eq!(fault("db=-1"), "db: write a database number, e.g. 0");
    assert_eq!(fault("tls=enabled"), "tls: write 1, true, on or yes; or 0, false, off or no");
    assert_eq!(fault("ip="), "ip: write a host name or an IP address");
    assert_eq!(fault("tls=1 cert=/c"), "tls-cert and tls-key go together: give both or neither");
}

#[test]
fn urls_are_read() {
    for (url, expected) in [
        ("redis://", "127.0.0.1 6379 0 None None None None"),
        ("redis://r.example", "r.example 6379 0 None None None None"),
        ("redis://r.example:7000/4", "r.example 7000 4 None None None None"),
        ("redis://:p%20w%2F@[::1]:7000", "::1 7000 0 None Some(\"p w/\") None None"),
        ("redis://bob:a@b@r.example/", "r.example 6379 0 Some(\"bob\") Some(\"a@b\") None None"),
        ("redis://bob@r?timeout=4&db=2", "r 6379 2 Some(\"bob\") None Some(4s) None"),
    ] {
        assert_eq!(shown(&parsed(url)), expected, "{url}");
    }
    let tls = parsed("rediss://r?tls-ca=%2Fca.pem&verify=none").tls.expect("rediss has TLS");
    assert_eq!((tls.ca_file, tls.verify), (Some("/ca.pem".into()), false));
}

#[test]
fn faults_of_urls_are_told() {
    assert_eq!(fault("unix:///run/redis.sock"), "the scheme is redis:// or, with TLS, rediss://");
    assert_eq!(fault("redis://:%4@r"), "a % is not followed by two hexadecimal digits");
    assert_eq!(fault("redis://::1"), "an IPv6 address needs brackets: redis://[::1]:6379");
    assert_eq!(fault("redis://[::1"), "a [ before the host has no ]");
    assert_eq!(fault("redis://r/x"), "db: write a database number, e.g. 0");
}

#[test]
fn debug_output_has_no_password_and_no_name() {
    let text = format!("{:?}", parsed("redis://bob:hunter2@r"));
    assert!(!text.contains("hunter2") && !text.contains("bob"), "{text}");
}

proptest! {
    #[test]
    fn both_forms_say_the_same(
        host in "[a-z][a-z0-9.-]{0,20}",
        port in 1_u16..,
        database in 0_u32..1000,
        user in "[a-z]{1,8}",
        password in "[!-~]{1,30}",
    ) {
        let tokens = format!("host={host} port={port} db={database} user={user} password={password}");
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = format!("redis://{user}:{encoded}@{host}:{port}/{database}");
        prop_assert_eq!(shown(&parsed(&tokens)), shown(&parsed(&url)));
    }

    #[test]
    fn no_input_makes_the_parser_panic_or_tell_a_value(text in "\\PC{0,80}", secret in "[A-Z]{12}") {
        // Only that it returns.
        drop(text.parse::<RedisTarget>());
        let told = format!("password={secret} {text}").parse::<RedisTarget>().err().map(|error| error.to_string());
        prop_assert!(!told.unwrap_or_default().contains(&secret));
    }
}
