//! Whether librdkafka has lost all brokers for good.
//!
//! librdkafka drops each broker that a METADATA answer does not name, and a node that has just started can name none.
//! Then it connects to `bootstrap.servers` again, but the answer that made it drop the brokers may stop that
//! (librdkafka issue 5301, also in 2.15). Such a client does nothing any more and reports no error, so only another one
//! helps. Brokers that are merely away stay in its list: for them it waits.

use rdkafka::Statistics;
use tokio::sync::watch;

/// Where librdkafka says that it has a broker from. Others, such as `logical`, are names for one of these.
const SOURCES: [&str; 2] = ["configured", "learned"];

/// Becomes true when a client has no broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct BrokerLoss(watch::Sender<bool>);

impl BrokerLoss {
    /// Looks for a broker in what a client says of itself.
    pub(crate) fn look(&self, statistics: &Statistics) {
        let mut brokers = statistics.brokers.values();
        if !brokers.any(|broker| SOURCES.contains(&broker.source.as_str())) {
            self.0.send_replace(true);
        }
    }

    pub(crate) fn is_known(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for it.
    pub(crate) async fn known(&self) {
        let mut is_known = self.0.subscribe();
        // There is no error as long as this sender lives.
        let _known = is_known.wait_for(|it| *it).await;
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::Broker;

    use super::*;

    #[test]
    fn a_client_without_brokers() {
        let cases = [
            ("before the first answer", &["configured", "internal"][..], false),
            ("after it", &["learned", "internal", "logical"], false),
            ("only names", &["internal", "logical"], true),
            ("nothing", &[], true),
        ];
        for (name, sources, want) in cases {
            let broker = |it: &&str| Broker { source: (*it).to_owned(), ..Broker::default() };
            let brokers = sources.iter().map(|it| ((*it).to_owned(), broker(it)));
            let loss = BrokerLoss::default();
            loss.look(&Statistics { brokers: brokers.collect(), ..Statistics::default() });
            assert_eq!(loss.is_known(), want, "{name}");
        }
    }
}
