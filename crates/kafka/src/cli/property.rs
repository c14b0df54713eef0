//! Properties of librdkafka on the command line.

/// Properties that `--property` may not set: what this program promises depends on them.
const RESERVED: [&str; 15] = [
    "acks",
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "isolation.level",
    "max.in.flight.requests.per.connection",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
    "statistics.interval.ms",
    "transactional.id",
];

/// The name and the value of one `--property NAME=VALUE`.
pub(super) fn property(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("want NAME=VALUE")?;
    if RESERVED.contains(&name) {
        return Err(format!("{name} cannot be changed: what is promised depends on it"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties() {
        let good = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        let cases = [
            ("plain", "linger.ms=5", good("linger.ms", "5")),
            ("a value with =", "sasl.password=a=b", good("sasl.password", "a=b")),
            ("empty value", "ssl.ca.location=", good("ssl.ca.location", "")),
            ("no =", "linger.ms", Err("want NAME=VALUE".to_owned())),
        ];
        for (name, text, want) in cases {
            assert_eq!(property(text), want, "{name}");
        }
        for name in RESERVED {
            assert!(property(&format!("{name}=x")).is_err(), "{name}");
        }
    }
}
