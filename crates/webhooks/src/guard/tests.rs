use super::*;

#[test]
fn addresses() {
    let cases = [
        ("a public one", "93.184.215.14", true),
        ("this network", "0.0.0.0", false),
        ("this network, the last", "0.255.255.255", false),
        ("behind it", "1.0.0.0", true),
        ("private, 10", "10.0.0.1", false),
        ("in front of 10", "9.255.255.255", true),
        ("behind 10", "11.0.0.0", true),
        ("in front of the carrier's NAT", "100.63.255.255", true),
        ("the carrier's NAT", "100.64.0.0", false),
        ("the metadata of Alibaba", "100.100.100.200", false),
        ("the carrier's NAT, the last", "100.127.255.255", false),
        ("behind the carrier's NAT", "100.128.0.0", true),
        ("loopback", "127.0.0.1", false),
        ("loopback, the last", "127.255.255.255", false),
        ("in front of link-local", "169.253.255.255", true),
        ("link-local", "169.254.0.1", false),
        ("the metadata of most clouds", "169.254.169.254", false),
        ("the metadata of ECS", "169.254.170.2", false),
        ("behind link-local", "169.255.0.0", true),
        ("the metadata of Azure", "168.63.129.16", false),
        ("beside it", "168.63.129.17", true),
        ("in front of private, 172", "172.15.255.255", true),
        ("private, 172", "172.16.0.0", false),
        ("private, 172, the last", "172.31.255.255", false),
        ("behind private, 172", "172.32.0.0", true),
        ("the metadata of Oracle", "192.0.0.192", false),
        ("documents 1", "192.0.2.7", false),
        ("documents 2", "198.51.100.7", false),
        ("documents 3", "203.0.113.7", false),
        ("a relay of 6to4", "192.88.99.1", false),
        ("private, 192", "192.168.255.255", false),
        ("behind private, 192", "192.169.0.0", true),
        ("measurements", "198.19.255.255", false),
        ("behind measurements", "198.20.0.0", true),
        ("in front of multicast", "223.255.255.255", true),
        ("multicast", "224.0.0.1", false),
        ("reserved", "240.0.0.1", false),
        ("broadcast", "255.255.255.255", false),
        ("public, version 6", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", true),
        ("unspecified", "::", false),
        ("loopback, version 6", "::1", false),
        ("private, version 6", "fd12:3456::1", false),
        ("the metadata of AWS, version 6", "fd00:ec2::254", false),
        ("link-local, version 6", "fe80::1", false),
        ("site-local", "fec0::1", false),
        ("multicast, version 6", "ff02::1", false),
        ("discard only", "100::1", false),
        ("segment routing", "5f00::1", false),
        ("documents, version 6", "2001:db8::1", false),
        ("documents, version 6, the new ones", "3fff::1", false),
        ("Teredo", "2001:0:4136:e378:8000:63bf:3fff:fdd2", false),
        ("ORCHID", "2001:20::1", false),
        ("behind those for protocols", "2001:200::1", true),
        ("mapped loopback", "::ffff:127.0.0.1", false),
        ("mapped metadata", "::ffff:169.254.169.254", false),
        ("mapped public", "::ffff:93.184.215.14", true),
        ("translated", "::ffff:0:10.0.0.1", false),
        ("compatible", "::10.0.0.1", false),
        ("compatible public", "::93.184.215.14", false),
        ("NAT64 to private", "64:ff9b::10.0.0.1", false),
        ("NAT64 to metadata", "64:ff9b::a9fe:a9fe", false),
        ("NAT64 to public", "64:ff9b::93.184.215.14", true),
        ("NAT64 of a network", "64:ff9b:1::93.184.215.14", false),
        ("6to4 of private", "2002:a00:1::1", false),
        ("6to4 of public", "2002:5db8:d70e::1", false),
    ];
    for (name, address, public) in cases {
        assert_eq!(is_public(address.parse().unwrap()), public, "{name}: {address}");
    }
}

#[test]
fn urls() {
    let private = |address: &str| Err(BadUrl::Private { address: address.to_owned() });
    let scheme = |found: &str| Err(BadUrl::Scheme { found: found.to_owned() });
    let long = |length: usize| format!("https://a.example/{}", "x".repeat(length - 18));
    let (longest, longer) = (long(URL_LEN_MAX), long(URL_LEN_MAX + 1));
    let expands = format!("{}é", long(URL_LEN_MAX - 5));
    let cases = [
        ("https", "https://hooks.example/in?key=1", Ok(())),
        ("with a port", "https://hooks.example:8443/", Ok(())),
        ("a public address", "https://93.184.215.14/", Ok(())),
        ("the longest", &longest, Ok(())),
        ("one byte more", &longer, Err(BadUrl::Length { found: URL_LEN_MAX + 1 })),
        ("longer when it is sent", &expands, Err(BadUrl::Length { found: URL_LEN_MAX + 1 })),
        ("http", "http://hooks.example/", scheme("http")),
        ("a file", "file:///etc/passwd", scheme("file")),
        ("another scheme", "gopher://hooks.example/", scheme("gopher")),
        ("a user", "https://ann@hooks.example/", Err(BadUrl::Password)),
        ("a password", "https://ann:secret@hooks.example/", Err(BadUrl::Password)),
        ("a host that looks like a user", "https://hooks.example@10.0.0.1/", Err(BadUrl::Password)),
        ("loopback", "https://127.0.0.1/", private("127.0.0.1")),
        ("with a dot", "https://127.0.0.1./", private("127.0.0.1")),
        ("short", "https://127.1/", private("127.0.0.1")),
        ("decimal", "https://2130706433/", private("127.0.0.1")),
        ("octal", "https://0177.0.0.01/", private("127.0.0.1")),
        ("hexadecimal", "https://0x7f.0.0.1/", private("127.0.0.1")),
        ("hexadecimal, one number", "https://0xa9fea9fe/", private("169.254.169.254")),
        ("full-width digits", "https://１２７.0.0.1/", private("127.0.0.1")),
        ("with escapes", "https://%31%32%37.0.0.1/", private("127.0.0.1")),
        ("zero", "https://0/", private("0.0.0.0")),
        ("version 6", "https://[::1]/", private("[::1]")),
        ("mapped", "https://[::ffff:169.254.169.254]/", private("[::ffff:a9fe:a9fe]")),
        ("NAT64", "https://[64:ff9b::10.0.0.1]/", private("[64:ff9b::a00:1]")),
        ("localhost", "https://localhost/", private("localhost")),
        ("with a capital", "https://LocalHost/", private("localhost")),
        ("localhost with a dot", "https://localhost./", private("localhost.")),
        ("below localhost", "https://a.localhost:99/", private("a.localhost")),
        ("only called so", "https://127.0.0.1.hooks.example/", Ok(())),
        ("only begins so", "https://localhost.example/", Ok(())),
    ];
    for (name, url, want) in cases {
        assert_eq!(checked(url, false).map(|_| ()), want, "{name}");
    }
    for (name, url) in [("not a URL", "hooks.example"), ("nothing", ""), ("no host", "https://")] {
        assert!(matches!(checked(url, false), Err(BadUrl::Form { .. })), "{name}");
        assert!(matches!(checked(url, true), Err(BadUrl::Form { .. })), "{name}");
    }
}

#[test]
fn urls_if_private_ones_are_allowed() {
    let cases = [
        ("https", "https://hooks.example/", true),
        ("http", "http://127.0.0.1:9/", true),
        ("localhost", "http://localhost/", true),
        ("a password", "http://ann:secret@127.0.0.1/", false),
        ("a file", "file:///etc/passwd", false),
    ];
    for (name, url, good) in cases {
        assert_eq!(checked(url, true).is_ok(), good, "{name}");
    }
}

#[test]
fn names_lose_their_private_addresses() {
    let [inside, outside] = ["10.0.0.1", "93.184.215.14"].map(|it| it.parse().unwrap());
    let cases = [
        ("public", vec![outside], false, Ok(vec![outside])),
        ("private", vec![inside], false, Err(BadUrl::Private { address: "10.0.0.1".to_owned() })),
        ("both", vec![inside, outside], false, Ok(vec![outside])),
        ("private, allowed", vec![inside], true, Ok(vec![inside])),
        ("none", vec![], false, Ok(vec![])),
    ];
    for (name, found, allow_private, want) in cases {
        assert_eq!(left(found, allow_private), want, "{name}");
    }
}

#[tokio::test]
async fn names_of_this_machine_are_not_resolved() {
    let resolve = |allow_private| async move {
        GuardedResolver { names: NameResolver::default(), allow_private }
            .resolve("localhost".parse().unwrap())
            .await
            .map(Iterator::count)
    };
    assert!(resolve(false).await.unwrap_err().to_string().contains("not a public address"));
    assert!(resolve(true).await.unwrap() > 0);
}
