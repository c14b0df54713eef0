//! Nodes that somebody else started: those of ScyllaDB in `deploy/scylla-check`, for example.

use std::process::Command;

/// The addresses of such nodes, in the order of their numbers, as [`addresses`](crate::TestCluster::addresses).
pub(crate) const GIVEN_NODES: &str = "COUPONRY_CLUSTER_NODES";

/// A program that gets `VERB NODE`, as `tests/engines/cassandra` does. Without it no suite can kill
/// a node.
const CONTROL: &str = "COUPONRY_CLUSTER_CONTROL";

/// Who obeys commands for given nodes.
#[derive(Debug)]
pub(crate) struct GivenControl {
    program: Option<String>,
}

/// The addresses for a suite that wants so many nodes, if there are given nodes: all of them, or one
/// of them.
pub(crate) fn given(
    addresses: Option<String>,
    program: Option<String>,
    nodes: usize,
) -> Option<Result<(String, GivenControl), String>> {
    let addresses = addresses.filter(|it| !it.is_empty())?;
    let all: Vec<&str> = addresses.split(',').collect();
    let Some(wanted) = all.get(..nodes) else {
        return Some(Err(format!("{GIVEN_NODES} names {} nodes, want {nodes}", all.len())));
    };
    Some(Ok((wanted.join(","), GivenControl { program })))
}

pub(crate) fn from_environment(nodes: usize) -> Option<Result<(String, GivenControl), String>> {
    given(std::env::var(GIVEN_NODES).ok(), std::env::var(CONTROL).ok(), nodes)
}

impl GivenControl {
    /// What the program says.
    pub(crate) fn ask(&self, verb: &str, node: usize) -> Result<String, String> {
        let program = self.program.as_ref().ok_or_else(|| format!("{CONTROL} is not set"))?;
        let mut command = Command::new(program);
        let ran = command.args([verb, &node.to_string()]).output();
        let ran = ran.map_err(|error| format!("{program}: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if ran.status.success() { Ok(text(&ran.stdout)) } else { Err(text(&ran.stderr)) }
    }
}

#[cfg(test)]
mod tests {
    use super::given;

    #[test]
    fn nodes() {
        let three = "10.0.0.1:9042,10.0.0.2:9042,10.0.0.3:9042";
        let too_few = "COUPONRY_CLUSTER_NODES names 1 nodes, want 3";
        let rows = [
            ("nothing", None, 1, None),
            ("empty", Some(""), 1, None),
            ("one of three", Some(three), 1, Some(Ok("10.0.0.1:9042"))),
            ("all three", Some(three), 3, Some(Ok(three))),
            ("too few", Some("10.0.0.1:9042"), 3, Some(Err(too_few))),
        ];
        for (name, addresses, nodes, want) in rows {
            let found = given(addresses.map(str::to_owned), None, nodes);
            let found = found.map(|it| it.map(|(addresses, _)| addresses));
            let want =
                want.map(|it: Result<&str, &str>| it.map(str::to_owned).map_err(str::to_owned));
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn commands() {
        let three = "127.0.0.1:1,127.0.0.2:1,127.0.0.3:1".to_owned();
        let rows = [
            ("it says", Some("echo"), Ok("kill 2")),
            ("it fails", Some("false"), Err("")),
            ("nobody obeys", None, Err("COUPONRY_CLUSTER_CONTROL is not set")),
        ];
        for (name, program, want) in rows {
            let (_, control) = given(Some(three.clone()), program.map(str::to_owned), 3)
                .expect("given")
                .expect("3");
            let want = want.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(control.ask("kill", 2), want, "{name}");
        }
    }
}
