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
use crate::scenario::{AnswerVerdict, LoadRequest, SenderBook};
use crate::schedule::DueTimes;
use crate::wire::{HttpConnection, ServerAddress};

/// The work of one sender.
pub(crate) struct SenderWork {
    pub(crate) target: Arc<ServerAddress>,
    pub(crate) book: SenderBook,
    /// Changes in one request.
    pub(crate) batch: usize,
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
    batch: usize,
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
        batch: work.batch.max(1),
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
        let asks = self.chosen();
        if asks.is_empty() {
            self.counts.borrow_mut().ran_out = true;
            return false;
        }
        let is_batch = self.batch > 1;
        match is_batch {
            true => self.book.borrow().write_batch(&asks, request),
            false => self.book.borrow().write(&asks[0], request),
        }
        let answered = tokio::time::timeout(self.patience, connection.ask(request)).await;
        let now = Instant::now();
        let mut book = self.book.borrow_mut();
        let lost = match answered {
            Ok(Ok(answer)) => {
                let verdicts = match is_batch {
                    true => book.judge_batch(&asks, answer),
                    false => vec![book.judge(&asks[0], answer)],
                };
                for (ask, verdict) in asks.iter().zip(verdicts) {
                    self.counts.borrow_mut().note(ask.kind, due, now, verdict);
                }
                return true;
            }
            Ok(Err(error)) => format!("connection: {}", error.kind()),
            Err(_) => {
                connection.drop_stream();
                "no answer in time".to_owned()
            }
        };
        for ask in &asks {
            book.unanswered(ask);
            let refused = AnswerVerdict::Refused(lost.clone());
            self.counts.borrow_mut().note(ask.kind, due, now, refused);
        }
        true
    }

    /// The changes of the next request, fewer if no more are left.
    fn chosen(&self) -> Vec<LoadRequest> {
        let mut book = self.book.borrow_mut();
        (0..self.batch).map_while(|_| book.choose()).collect()
    }
}
