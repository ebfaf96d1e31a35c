#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;
use hyper::Uri;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};

fn rules(policy: Policy) -> Rules {
    Rules::new(policy).unwrap()
}

fn with_http() -> Rules {
    rules(Policy { plain_http: true, ..Policy::default() })
}

fn refused(rules: &Rules, written: &str) -> Refused {
    let refused = rules.check(written).expect_err(written);
    assert_eq!(refused.code(), "url_not_allowed");
    refused
}

#[test]
fn public_urls_pass_and_are_normalised() {
    let rules = with_http();
    for (written, normal) in [
        ("https://cdn.example/a.png", "https://cdn.example/a.png"),
        ("  https://CDN.Example  ", "https://cdn.example/"),
        ("http://cdn.example:8443/a?b=c%20d#part", "http://cdn.example:8443/a?b=c%20d"),
        ("https://cdn.example.:443/", "https://cdn.example./"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700:4700:0::1111]:443/", "https://[2606:4700:4700::1111]/"),
        ("https://localhost.example/", "https://localhost.example/"),
        ("https://not-svc.example/", "https://not-svc.example/"),
        (
            "https://cdn.example/http://127.0.0.1/?u=http://10.0.0.1",
            "https://cdn.example/http://127.0.0.1/?u=http://10.0.0.1",
        ),
    ] {
        assert_eq!(rules.check(written).map(|url| url.as_str().to_owned()), Ok(normal.to_owned()), "{written}");
    }
}

#[test]
fn https_alone_unless_the_deployment_says_otherwise() {
    let rules = rules(Policy::default());
    assert!(rules.check("https://cdn.example/").is_ok());
    assert_eq!(refused(&rules, "http://cdn.example/"), Refused::PlainHttp);
    let from = rules.check("https://cdn.example/").unwrap();
    assert_eq!(rules.check_redirect(&from, "http://cdn.example/a"), Err(Refused::PlainHttp));
    assert_eq!(rules.check_redirect(&from, "//169.254.169.254/"), Err(Refused::Address));
    assert_eq!(rules.check_redirect(&from, "/a").unwrap().as_str(), "https://cdn.example/a");
}

#[test]
fn ports_credentials_and_lengths() {
    let rules = with_http();
    for written in ["http://cdn.example:6379/", "https://cdn.example:22", "https://cdn.example:0/", "http://cdn.example:81/"]
    {
        assert_eq!(refused(&rules, written), Refused::Port, "{written}");
    }
    for written in ["https://user@cdn.example/", "https://user:word@cdn.example/", "https://:word@cdn.example/"] {
        assert_eq!(refused(&rules, written), Refused::Credentials, "{written}");
    }
    // What looks like the host is a user name.
    assert_eq!(refused(&rules, "https://cdn.example@127.0.0.1/"), Refused::Credentials);
    let long = format!("https://cdn.example/{}", "a".repeat(2_028));
    assert!(rules.check(&long).is_ok());
    assert_eq!(refused(&rules, &format!("{long}a")), Refused::TooLong);
    // Short as written, long as sent.
    assert_eq!(refused(&rules, &format!("https://cdn.example/{}", "ä".repeat(700))), Refused::TooLong);
}

#[test]
fn what_is_no_url_with_a_host() {
    let rules = with_http();
    for written in [
        "",
        " ",
        "cdn.example",
        "/a",
        "https://",
        "https:///",
        "https://?",
        "https://a b.example/",
        "https://[::1",
        "https://[v1.a]/",
        "https://1.2.3.4.5/",
        "https://256.1.1.1/",
        "https://1.2.3.0x100/",
        "https://cdn..example/",
        "https://.example/",
        "https://cdn.example../",
        "https://127.0.0.1../",
        "https://cdn.example:99999/",
        "https://cdn.example:a/",
        "https://a%00b.example/",
        "https://a%2fb.example/",
        "https://[fe80::1%25eth0]/",
        "https://a<b.example",
    ] {
        assert_eq!(refused(&rules, written), Refused::Malformed, "{written}");
    }
}

#[test]
fn internal_names_in_any_case_and_with_the_root_dot() {
    let rules = with_http();
    for name in [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "redis",
        "kubernetes.default.svc",
        "api.default.svc.cluster.local",
        "printer.local",
        "Printer.LOCAL.",
        "metadata.google.internal",
        "metadata.goog",
        "db.corp.internal",
        "instance-data",
        "router.home.arpa",
        "a.localdomain",
        "ｌｏｃａｌｈｏｓｔ",
        "local%68ost",
        "metadata.tencentyun.com",
        "internal",
        "local",
    ] {
        assert_eq!(refused(&rules, &format!("http://{name}/")), Refused::InternalName, "{name}");
    }
}

#[test]
fn an_intranets_names_are_allowed_exactly_but_never_a_metadata_service() {
    let names = ["storage", "Files.Corp.Internal.", "metadata.google.internal"].map(str::to_owned).to_vec();
    let rules = rules(Policy { internal_names: names, ..Policy::default() });
    for name in ["storage", "STORAGE.", "files.corp.internal"] {
        assert!(rules.check(&format!("https://{name}/")).is_ok(), "{name}");
    }
    for name in ["a.storage.internal", "files2.corp.internal", "storage2", "metadata.google.internal"] {
        assert_eq!(refused(&rules, &format!("https://{name}/")), Refused::InternalName, "{name}");
    }
    // The name alone opens nothing.
    assert_eq!(rules.check_address("10.0.0.1".parse().unwrap()), Err(Refused::Address));
}

#[test]
fn own_hosts_as_names_and_addresses_in_each_form() {
    let own =
        ["api.warren.example", "Bücher.example.", "8.8.4.4", "2606:4700::7", "[2606:4700::8]"].map(str::to_owned).to_vec();
    let rules = rules(Policy { own_hosts: own, ..Policy::default() });
    for host in [
        "api.warren.example",
        "API.Warren.Example.",
        "xn--bcher-kva.example",
        "8.8.4.4",
        "0x08080404",
        "[::ffff:8.8.4.4]",
        "[64:ff9b::8.8.4.4]",
        "[2606:4700::7]",
        "[2606:4700:0::8]",
    ] {
        assert_eq!(refused(&rules, &format!("https://{host}/v1")), Refused::OwnHost, "{host}");
    }
    assert!(rules.check("https://warren.example/").is_ok());
    assert_eq!(rules.check_address("8.8.4.4".parse().unwrap()), Err(Refused::OwnHost));
    for wrong in ["", "a b", "http://a.example", "a.example:80"] {
        assert!(Rules::new(Policy { own_hosts: vec![wrong.to_owned()], ..Policy::default() }).is_none(), "{wrong}");
    }
}

#[test]
fn neither_a_refusal_nor_a_checked_url_repeats_it() {
    let rules = rules(Policy::default());
    let secret = "c4n4ry";
    let checked = rules.check(&format!("https://cdn.example/{secret}?token={secret}")).unwrap();
    assert!(!format!("{checked:?}").contains(secret));
    for written in
        [format!("https://{secret}:a@a.example/"), format!("{secret}://a"), format!("https://{secret}.local/{secret}")]
    {
        let refused = refused(&rules, &written);
        assert!(!format!("{refused} {refused:?}").contains(secret), "{refused}");
    }
}

/// Pieces that parsers are known to disagree on.
const PIECES: &[&str] = &[
    "http:",
    "https:",
    "HTTP:",
    "//",
    "/",
    "\\",
    "@",
    ":",
    ":80",
    ":443",
    ":0",
    ".",
    "..",
    "#",
    "?",
    "[",
    "]",
    "%",
    "%00",
    "%2f",
    "%40",
    "%2e",
    "%0d%0a",
    "%0A",
    "\r\n",
    "\t",
    "\u{0}",
    " ",
    "a.example",
    "cdn.example",
    "localhost",
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "0177.1",
    "2130706433",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "169.254.169.254",
    "10.0.0.1",
    "8.8.8.8",
    "[64:ff9b::a00:1]",
    "①②⑦.0.0.1",
    "。",
    "．",
    "xn--",
    "xn--a",
    "ß",
    "\u{ad}",
    "\u{200d}",
    "user",
    "x",
    "1",
    "0",
    "-",
    "_",
    "local",
    "internal",
    "svc",
    "1.1",
    "é",
    "İ",
    "☃",
];

/// The HTTP client reads the URL a second time, with another parser: both must mean the same place, whatever was written.
#[test]
fn what_passes_means_the_same_to_the_http_client() {
    let rules = with_http();
    let mut passed = 0;
    for seed in 0..40_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut written = if random.random_bool(0.7) { "http://".to_owned() } else { String::new() };
        for _ in 0..random.random_range(1..8) {
            written.push_str(PIECES.choose(&mut random).unwrap());
        }
        let Ok(checked) = rules.check(&written) else { continue };
        passed += 1;
        let url = checked.url();
        let uri: Uri = match checked.as_str().parse() {
            Ok(uri) => uri,
            // Refused by the client before it connects.
            Err(_) => continue,
        };
        assert_eq!(uri.host(), url.host_str(), "seed {seed}: {written:?}");
        assert_eq!(uri.port_u16().or(url.port_or_known_default()), url.port_or_known_default(), "seed {seed}: {written:?}");
        assert_eq!(uri.scheme_str(), Some(url.scheme()), "seed {seed}: {written:?}");
        assert!(!checked.as_str().contains(char::is_control), "seed {seed}: {written:?}");
        // The client takes for an address what the standard library takes for one, and then asks no resolver.
        let host = url.host_str().unwrap().trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>() {
            assert!(address::allowed(address, &[]), "seed {seed}: {written:?}");
        }
    }
    assert!(passed > 500, "only {passed} passed: the pieces test nothing");
}
