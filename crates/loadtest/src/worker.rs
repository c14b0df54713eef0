//! One sender: a thread with its own connections, which send the requests that are due.
//!
//! The time of a request counts from the instant at which it was due, and it waits only for a free
//! connection. So if a server does not answer for a second, every request of that second is slow,
//! not only those that the server had.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::answer_counts::AnswerCounts;
use crate::pacer::SendPacer;
use crate::scenario::{AnswerVerdict, SenderBook};
use crate::schedule::DueTimes;
use crate::wire::{HttpConnection, ServerAddress};

/// The work of one sender.
pub(crate) struct SenderWork {
    pub(crate) target: Arc<ServerAddress>,
    pub(crate) book: SenderBook,
    pub(crate) connections: usize,
    pub(crate) pace: SendPace,
    pub(crate) begin: Instant,
    pub(crate) end: Instant,
    /// The longest wait for an answer.
    pub(crate) patience: Duration,
    pub(crate) counts: AnswerCounts,
}

/// When a request is sent.
pub(crate) enum SendPace {
    /// At the instant when it is due.
    Open(DueTimes),
    /// After the answer to the request before it on the connection.
    Closed,
}

/// The report.
pub(crate) struct SenderResult {
    pub(crate) counts: AnswerCounts,
    pub(crate) book: SenderBook,
}

/// What the tasks of a sender share.
struct SenderState {
    book: RefCell<SenderBook>,
    counts: RefCell<AnswerCounts>,
    due: RefCell<VecDeque<Instant>>,
    idle: RefCell<Vec<Rc<Notify>>>,
    /// Whether no more requests will be due.
    is_over: Cell<bool>,
    patience: Duration,
    end: Instant,
}

/// Works until the end, and until every request due by then has an answer or was given up.
///
/// # Errors
/// No runtime, no timer, or nobody listens.
pub(crate) fn work(work: SenderWork) -> io::Result<SenderResult> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let desk = Rc::new(SenderState {
        book: RefCell::new(work.book),
        counts: RefCell::new(work.counts),
        due: RefCell::default(),
        idle: RefCell::default(),
        is_over: Cell::new(false),
        patience: work.patience,
        end: work.end,
    });
    let of_tasks = Rc::clone(&desk);
    LocalSet::new().block_on(&runtime, async move {
        let mut connections = Vec::new();
        for _ in 0..work.connections {
            let mut connection = HttpConnection::new(Arc::clone(&work.target));
            connection.open().await?;
            connections.push(connection);
        }
        tokio::time::sleep_until(work.begin.into()).await;
        let is_open = matches!(work.pace, SendPace::Open(_));
        let tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| {
                let desk = Rc::clone(&of_tasks);
                tokio::task::spawn_local(async move {
                    match is_open {
                        true => desk.take_what_is_due(connection).await,
                        false => desk.one_after_the_other(connection).await,
                    }
                })
            })
            .collect();
        if let SendPace::Open(times) = work.pace {
            of_tasks.call(times, work.begin).await?;
        }
        for task in tasks {
            task.await.map_err(io::Error::other)?;
        }
        io::Result::Ok(())
    })?;
    let SenderState { book, counts, .. } =
        Rc::into_inner(desk).ok_or_else(|| io::Error::other("a task goes on"))?;
    Ok(SenderResult { counts: counts.into_inner(), book: book.into_inner() })
}

impl SenderState {
    /// Puts each request into the queue when it is due.
    async fn call(&self, times: DueTimes, begin: Instant) -> io::Result<()> {
        let pacer = SendPacer::new()?;
        for time in times {
            if self.is_over.get() {
                break;
            }
            let due = begin + time;
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                pacer.sleep(left).await?;
            }
            self.due.borrow_mut().push_back(due);
            if let Some(idle) = self.idle.borrow_mut().pop() {
                self.counts.borrow_mut().called_late(due.elapsed());
                idle.notify_one();
            }
        }
        self.close();
        Ok(())
    }

    fn close(&self) {
        self.is_over.set(true);
        for idle in self.idle.borrow_mut().drain(..) {
            idle.notify_one();
        }
    }

    async fn take_what_is_due(&self, mut connection: HttpConnection) {
        let wake = Rc::new(Notify::new());
        let mut request = Vec::with_capacity(1_024);
        loop {
            let next = self.due.borrow_mut().pop_front();
            match next {
                Some(due) if due + self.patience < Instant::now() => {
                    self.counts.borrow_mut().never_sent(due);
                }
                Some(due) => {
                    if !self.one(&mut connection, &mut request, due).await {
                        self.due.borrow_mut().clear();
                        self.close();
                    }
                }
                None if self.is_over.get() => return,
                None => {
                    self.idle.borrow_mut().push(Rc::clone(&wake));
                    wake.notified().await;
                }
            }
        }
    }

    async fn one_after_the_other(&self, mut connection: HttpConnection) {
        let mut request = Vec::with_capacity(1_024);
        loop {
            let now = Instant::now();
            if now >= self.end || !self.one(&mut connection, &mut request, now).await {
                return;
            }
        }
    }

    /// Sends one request and records its answer. Returns whether any request was left.
    async fn one(
        &self,
        connection: &mut HttpConnection,
        request: &mut Vec<u8>,
        due: Instant,
    ) -> bool {
        let Some(ask) = self.book.borrow_mut().choose() else {
            self.counts.borrow_mut().ran_out = true;
            return false;
        };
        self.book.borrow().write(&ask, request);
        let answered = tokio::time::timeout(self.patience, connection.ask(request)).await;
        let now = Instant::now();
        let verdict = match answered {
            Ok(Ok(answer)) => self.book.borrow_mut().judge(&ask, answer),
            Ok(Err(error)) => {
                self.book.borrow_mut().unanswered(&ask);
                AnswerVerdict::Refused(format!("connection: {}", error.kind()))
            }
            Err(_) => {
                connection.drop_stream();
                self.book.borrow_mut().unanswered(&ask);
                AnswerVerdict::Refused("no answer in time".to_owned())
            }
        };
        self.counts.borrow_mut().note(ask.kind, due, now, verdict);
        true
    }
}
