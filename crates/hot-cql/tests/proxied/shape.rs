//! A proxy between the driver and a node of Apache Cassandra, through which the node looks like one of ScyllaDB.
//!
//! - It announces three shards, without a port for each, and the code of the error of a rate limit.
//! - A conditional write is answered with `[applied]` and all columns of the table, also when it was applied. ScyllaDB
//!   does so for `IF EXISTS` and `IF NOT EXISTS`, and for other conditions with the columns in them; Cassandra answers
//!   with `[applied]` alone when it was applied. Values that Cassandra does not send are null here.
//! - While faults are on, some answers are errors, of statements that the node has executed and of others that it
//!   never got.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::frames::{
    ColumnShape, EXECUTE, EngineError, Frame, RATE_LIMIT_CODE, RESULT, RowsShape, SUPPORTED,
    supported,
};

/// Shards of a node.
pub(crate) const SHARDS: usize = 3;

/// While faults are on, each so many answers to conditional writes are errors, and so on. Primes, so that they do not
/// meet the same step of a protocol each time.
const UNCERTAIN_EVERY: usize = 13;
const READ_TIMEOUT_EVERY: usize = 101;
const OVERLOADED_EVERY: usize = 53;

/// One of so many statements never gets to the node.
const UNSENT_EVERY: usize = 97;

/// A result without rows: of a plain write.
const VOID: [u8; 4] = [0, 0, 0, 1];

/// What the proxy does with frames.
struct FrameShaper {
    node: SocketAddr,
    keyspace: String,
    columns: Mutex<HashMap<String, Vec<ColumnShape>>>,
    connections: AtomicUsize,
    is_faulty: AtomicBool,
    /// Answers by what they answer, to choose among.
    answers: [AtomicUsize; 3],
    executed: AtomicUsize,
    unsent: AtomicUsize,
    faults: Mutex<BTreeMap<&'static str, usize>>,
    /// Conditional writes that were applied, whose answers got more columns.
    widened: AtomicUsize,
}

impl FrameShaper {
    fn count(&self, fault: &'static str) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default() += 1;
    }

    fn announced(&self, mut frame: Frame) -> Frame {
        let shard = self.connections.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let more = [
            ("SCYLLA_SHARD", shard.to_string()),
            ("SCYLLA_NR_SHARDS", SHARDS.to_string()),
            ("SCYLLA_SHARDING_IGNORE_MSB", "12".to_owned()),
            ("SCYLLA_SHARDING_ALGORITHM", "biased-token-round-robin".to_owned()),
            ("SCYLLA_PARTITIONER", "org.apache.cassandra.dht.Murmur3Partitioner".to_owned()),
            ("SCYLLA_RATE_LIMIT_ERROR", format!("ERROR_CODE={RATE_LIMIT_CODE}")),
        ];
        frame.body = supported(&frame.body, &more).expect("what the node supports");
        frame
    }

    fn result(&self, frame: Frame) -> Frame {
        // Warnings and the like would come first.
        if frame.flags != 0 {
            return frame;
        }
        let rows = RowsShape::read(&frame.body).filter(|rows| rows.keyspace == self.keyspace);
        let is_conditional = rows
            .as_ref()
            .is_some_and(|rows| rows.columns.first().is_some_and(|it| it.name == "[applied]"));
        let (nth, every, error) = match (&rows, is_conditional) {
            (_, true) => (0, UNCERTAIN_EVERY, EngineError::Uncertain),
            (Some(_), false) => (1, READ_TIMEOUT_EVERY, EngineError::ReadTimeout),
            (None, _) if frame.body[..] == VOID => (2, OVERLOADED_EVERY, EngineError::Overloaded),
            (None, _) => return frame,
        };
        if self.is_faulty.load(Ordering::Relaxed)
            && self.answers[nth].fetch_add(1, Ordering::Relaxed) % every == every - 1
        {
            self.count(["uncertain and done", "read timeout", "overloaded and done"][nth]);
            return error.in_place_of(&frame);
        }
        match rows {
            Some(rows) if is_conditional => self.widened(frame, rows),
            _ => frame,
        }
    }

    /// With all columns of the table.
    fn widened(&self, mut frame: Frame, rows: RowsShape) -> Frame {
        let RowsShape { keyspace, table, columns: narrow, rows } = rows;
        if narrow.len() == 1 {
            self.widened.fetch_add(1, Ordering::Relaxed);
        }
        let mut columns = vec![narrow[0].clone()];
        columns.extend(self.columns(&table));
        let place = |name: &str| narrow.iter().position(|it| it.name == name);
        let places: Vec<Option<usize>> = columns.iter().map(|it| place(&it.name)).collect();
        let wide = |row: Vec<Option<Bytes>>| {
            places.iter().map(|place| place.and_then(|nth| row[nth].clone())).collect()
        };
        let rows = rows.into_iter().map(wide).collect();
        frame.body = RowsShape { keyspace, table, columns, rows }.body();
        frame
    }

    /// The columns of a table, in the order of the schema.
    fn columns(&self, table: &str) -> Vec<ColumnShape> {
        let mut known = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let columns = known.entry(table.to_owned());
        columns.or_insert_with(|| columns_of(self.node, &self.keyspace, table)).clone()
    }

    /// The answer to a request that the node never gets.
    fn unsent(&self, frame: &Frame) -> Option<Frame> {
        let is_chosen = frame.opcode == EXECUTE
            && self.is_faulty.load(Ordering::Relaxed)
            && self.executed.fetch_add(1, Ordering::Relaxed) % UNSENT_EVERY == UNSENT_EVERY - 1;
        if !is_chosen {
            return None;
        }
        let kinds = [
            ("overloaded", EngineError::Overloaded),
            ("rate limit", EngineError::RateLimit),
            ("uncertain", EngineError::Uncertain),
        ];
        let (name, error) = kinds[self.unsent.fetch_add(1, Ordering::Relaxed) % kinds.len()];
        self.count(name);
        Some(error.in_place_of(frame))
    }

    /// A connection of the driver, with one of its own to the node. Both end together.
    async fn connect(&self, driver: tokio::net::TcpStream) -> io::Result<()> {
        let node = tokio::net::TcpStream::connect(self.node).await?;
        node.set_nodelay(true)?;
        driver.set_nodelay(true)?;
        let (from_driver, to_driver) = driver.into_split();
        let (from_node, to_node) = node.into_split();
        let to_driver = tokio::sync::Mutex::new(to_driver);
        tokio::select! {
            ended = self.requests(from_driver, to_node, &to_driver) => ended,
            ended = self.answers(from_node, &to_driver) => ended,
        }
    }

    async fn requests(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        back: &tokio::sync::Mutex<OwnedWriteHalf>,
    ) -> io::Result<()> {
        loop {
            let frame = Frame::read(&mut from).await?;
            match self.unsent(&frame) {
                Some(answer) => answer.write(&mut *back.lock().await).await?,
                None => frame.write(&mut to).await?,
            }
        }
    }

    async fn answers(
        &self,
        mut from: OwnedReadHalf,
        to: &tokio::sync::Mutex<OwnedWriteHalf>,
    ) -> io::Result<()> {
        loop {
            let frame = Frame::read(&mut from).await?;
            let frame = match frame.opcode {
                SUPPORTED => self.announced(frame),
                RESULT => self.result(frame),
                _ => frame,
            };
            frame.write(&mut *to.lock().await).await?;
        }
    }
}

/// Asks a node for the columns of a table.
fn columns_of(node: SocketAddr, keyspace: &str, table: &str) -> Vec<ColumnShape> {
    let mut connection = TcpStream::connect(node).expect("a connection");
    let mut ask = |opcode: u8, body: &[u8]| -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("a short body").to_be_bytes();
        let frame = [&[4, 0, 0, 0, opcode][..], &length, body].concat();
        connection.write_all(&frame).expect("it is sent");
        let mut header = [0; 9];
        connection.read_exact(&mut header).expect("an answer");
        let length = u32::from_be_bytes(header[5..].try_into().expect("four bytes"));
        let mut body = vec![0; length as usize];
        connection.read_exact(&mut body).expect("its body");
        body
    };
    ask(1, b"\0\x01\0\x0bCQL_VERSION\0\x053.0.0");
    let cql = format!("SELECT * FROM {keyspace}.{table} LIMIT 1");
    let length = u32::try_from(cql.len()).expect("a short text").to_be_bytes();
    // Consistency ONE, no flags.
    let body = ask(7, &[&length[..], cql.as_bytes(), &[0, 1, 0]].concat());
    RowsShape::read(&body).unwrap_or_else(|| panic!("{cql}: {body:?}")).columns
}

/// A node as ScyllaDB would be.
pub(crate) struct ScyllaShape {
    /// For clients, `host:port`.
    pub(crate) address: String,
    shaper: Arc<FrameShaper>,
}

impl ScyllaShape {
    /// In front of a node, for the tables of a keyspace. The proxy ends with the runtime.
    pub(crate) async fn of(node: &str, keyspace: &str) -> ScyllaShape {
        let node: SocketAddr = node.parse().expect("an address");
        // The driver looks for the node under the IP address that the node names, and this port.
        let free = SocketAddr::new(node.ip(), 0);
        let listener = tokio::net::TcpListener::bind(free).await.expect("a free port");
        let address = listener.local_addr().expect("it has one").to_string();
        let shaper = Arc::new(FrameShaper {
            node,
            keyspace: keyspace.to_owned(),
            columns: Mutex::default(),
            connections: AtomicUsize::new(0),
            is_faulty: AtomicBool::new(false),
            answers: Default::default(),
            executed: AtomicUsize::new(0),
            unsent: AtomicUsize::new(0),
            faults: Mutex::default(),
            widened: AtomicUsize::new(0),
        });
        let proxy = Arc::clone(&shaper);
        tokio::spawn(async move {
            loop {
                let (driver, _) = listener.accept().await.expect("a connection");
                let proxy = Arc::clone(&proxy);
                // It ends with an error: the driver closes its connections.
                tokio::spawn(async move { proxy.connect(driver).await });
            }
        });
        ScyllaShape { address, shaper }
    }

    /// Begins or ends the faults.
    pub(crate) fn set_faults(&self, is_faulty: bool) {
        self.shaper.is_faulty.store(is_faulty, Ordering::Relaxed);
    }

    /// How many faults of each kind there were.
    pub(crate) fn faults(&self) -> BTreeMap<&'static str, usize> {
        self.shaper.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many conditional writes were applied and answered with more columns than Cassandra's.
    pub(crate) fn widened(&self) -> usize {
        self.shaper.widened.load(Ordering::Relaxed)
    }
}
