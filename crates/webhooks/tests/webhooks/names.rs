//! Name servers that say nothing stop nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use webhooks::{ENDPOINTS_MAX, NameResolver, Options};

use crate::receiver::Receiver;
use crate::world::{World, endpoint, quick};

/// Longest wait for something to happen: a busy machine stalls for some seconds.
const WAIT: Duration = Duration::from_secs(60);

/// Reads questions until so many names were asked for.
async fn asks_for(server: &UdpSocket, count: usize) {
    let mut names = BTreeSet::new();
    while names.len() < count {
        let mut packet = [0; 512];
        let length = timeout(WAIT, server.recv(&mut packet)).await.expect("a question").unwrap();
        let end = packet[12..length].iter().position(|byte| *byte == 0).unwrap();
        names.insert(packet[12..12 + end].to_vec());
    }
}

#[test]
fn an_outage_of_name_servers_stops_nothing_else() {
    // Two threads for all that blocks: a thread for each look-up would not leave one.
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).max_blocking_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let names = NameResolver::asking(server.local_addr().unwrap());
        let good = Receiver::good().await;
        let world = World::new(Options { names: names.clone(), ..quick() });
        let webhooks = world.open();
        for nth in 1..ENDPOINTS_MAX {
            let url = format!("http://hooks{nth}.example/");
            webhooks.create(endpoint(&format!("lost{nth}"), &url)).await.unwrap();
        }
        webhooks.create(endpoint("good", &good.url())).await.unwrap();
        let running = world.run(&webhooks);
        world.feed.push_many(8);
        asks_for(&server, 64).await;
        // Hundreds of names more, of whoever else shares the resolver.
        let others = (0..300).map(|nth| {
            let names = names.clone();
            tokio::spawn(async move { names.resolve(&format!("others{nth}.example")).await })
        });
        let others: Vec<_> = others.collect();
        timeout(WAIT, spawn_blocking(|| ())).await.expect("a thread is free").unwrap();
        let list = timeout(WAIT, webhooks.list(None, 1_000)).await.expect("a list");
        assert_eq!(list.unwrap().len(), ENDPOINTS_MAX);
        good.accepts(8).await;
        others.iter().for_each(tokio::task::JoinHandle::abort);
        running.abort().await;
    });
}
