//! `peer`: the servers that couponry is compared with, behind the same HTTP front on the same
//! machine.
//!
//! `front` is the only place that knows requests and answers. `postgres` and `redis` store coupons.
//! `constant` stores nothing and shows the highest possible speed.

mod child;
mod constant;
mod front;
mod postgres;
mod redis;
mod terms;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Why a peer could not start or continue.
type Failure = Box<dyn Error + Send + Sync>;

/// A server to compare couponry with. Ends on SIGINT and SIGTERM, with all its processes
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    peer: Peer,
}

#[derive(Subcommand)]
enum Peer {
    /// Answers every call at once with the same coupon
    Constant(Front),
    /// A new PostgreSQL
    Postgres(PostgresArguments),
    /// A new Redis
    Redis(RedisArguments),
}

#[derive(Args)]
struct Front {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))]
    listen: SocketAddr,
}

#[derive(Args)]
struct PostgresArguments {
    #[command(flatten)]
    front: Front,
    /// Issued coupons of campaign `load` before it listens
    #[arg(long, default_value_t = 0)]
    coupons: u64,
    /// How a campaign is issued from
    #[arg(long, value_enum, default_value_t = Issue::Counter)]
    issue: Issue,
    /// Connections between the front and PostgreSQL
    #[arg(long, default_value_t = postgres::CONNECTIONS)]
    connections: usize,
    /// A folder that is kept, and served as it is when it has a database; without it a temporary
    /// one
    #[arg(long)]
    data: Option<PathBuf>,
    /// How statements are sent
    #[arg(long, value_enum, default_value_t = Statement::Prepared)]
    statement: Statement,
}

#[derive(Args)]
struct RedisArguments {
    #[command(flatten)]
    front: Front,
    /// When an answered write is on the disk
    #[arg(long, value_enum, default_value_t = Fsync::Always)]
    fsync: Fsync,
    /// A folder to keep [default: a temporary one]
    #[arg(long)]
    data: Option<PathBuf>,
}

/// How a first-come campaign is kept in PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Issue {
    /// One row counts what was issued
    Counter,
    /// Each coupon is a row from the start; a request takes one that is not locked
    Pool,
}

/// How statements are sent to PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Statement {
    /// Parsed and planned once a connection
    Prepared,
}

/// What Redis promises about an answered write.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Fsync {
    /// It is on the disk
    Always,
    /// It may be lost within a second
    Everysec,
}

// The main thread starts every child: Linux signals a child when the thread of its parent ends.
#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let ended = async {
        let (mut int, mut term) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            ended = run(arguments.peer) => ended,
            _ = int.recv() => Ok(()),
            _ = term.recv() => Ok(()),
        }
    };
    match ended.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("peer: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(peer: Peer) -> Result<(), Failure> {
    match peer {
        Peer::Constant(front) => {
            front::serve(bound(&front).await?, constant::router(), std::future::pending()).await
        }
        Peer::Postgres(arguments) => {
            let Statement::Prepared = arguments.statement;
            let listener = bound(&arguments.front).await?;
            let mut server = postgres::Server::start(arguments.data, arguments.connections)?;
            let store = server.store(arguments.issue, arguments.coupons).await?;
            front::serve(listener, front::router(Arc::new(store)), server.child().ended()).await
        }
        Peer::Redis(arguments) => {
            let listener = bound(&arguments.front).await?;
            let mut server = redis::Server::start(arguments.data, arguments.fsync)?;
            let store = server.store().await?;
            front::serve(listener, front::singles(Arc::new(store)), server.child().ended()).await
        }
    }
}

/// Bound first, so that a port in use fails before the coupons are loaded.
async fn bound(front: &Front) -> Result<TcpListener, Failure> {
    TcpListener::bind(front.listen).await.map_err(|e| format!("{}: {e}", front.listen).into())
}
