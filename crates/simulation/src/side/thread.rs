//! One side thread: how the simulated thread and it hand over to each other.

use std::cell::{Cell, OnceCell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, Waker};
use std::thread;

use tokio::runtime::Handle;

/// What the simulated thread tells a side thread before it waits for its answer.
pub(super) enum ThreadOrder {
    Begin { work: Box<dyn FnOnce() + Send>, runtime: Handle, waker: Waker },
    Resume(Waker),
}

/// Why a side thread gives the turn back.
enum ThreadAnswer {
    /// It waits for a future.
    Waits,
    Ended(thread::Result<()>),
}

/// The end of the simulated thread.
pub(super) struct SideThread {
    orders: Sender<ThreadOrder>,
    answers: Receiver<ThreadAnswer>,
}

struct SideThreadEnd {
    orders: Receiver<ThreadOrder>,
    answers: Sender<ThreadAnswer>,
    waker: RefCell<Waker>,
    /// How often the thread was resumed.
    resumed: Cell<u64>,
}

thread_local! {
    static SIDE: OnceCell<SideThreadEnd> = const { OnceCell::new() };
}

impl SideThread {
    pub(super) fn start() -> SideThread {
        let ((orders, received), (said, answers)) = (channel(), channel());
        thread::Builder::new()
            .name("side".to_owned())
            .spawn(move || serve(received, said))
            .expect("a thread can be started");
        SideThread { orders, answers }
    }

    /// Lets the side thread run until it waits for a future or has ended its work.
    pub(super) fn go_on(&mut self, order: ThreadOrder) -> Poll<thread::Result<()>> {
        let gone = "a side thread ends after the simulated one";
        assert!(self.orders.send(order).is_ok(), "{gone}");
        match self.answers.recv().expect(gone) {
            ThreadAnswer::Waits => Poll::Pending,
            ThreadAnswer::Ended(ended) => Poll::Ready(ended),
        }
    }
}

fn serve(orders: Receiver<ThreadOrder>, answers: Sender<ThreadAnswer>) {
    // Nothing happens before the first order: until then the simulated thread runs too.
    let mut next = orders.recv().ok();
    crate::system::adopt_thread();
    SIDE.with(|side| {
        let waker = RefCell::new(Waker::noop().clone());
        let side =
            side.get_or_init(|| SideThreadEnd { orders, answers, waker, resumed: Cell::new(0) });
        while let Some(ThreadOrder::Begin { work, runtime, waker }) = next {
            side.waker.replace(waker);
            let ended = {
                let _in_the_runtime = runtime.enter();
                catch_unwind(AssertUnwindSafe(work))
            };
            drop(runtime);
            let _ = side.answers.send(ThreadAnswer::Ended(ended));
            next = side.orders.recv().ok();
        }
    });
}

/// Blocks the side thread that calls it until `future` is ready.
pub(super) fn wait(mut future: Pin<&mut dyn Future<Output = ()>>) {
    SIDE.with(|side| {
        let side = side.get().expect("only work on a side thread waits");
        loop {
            let (waker, resumed) = (side.waker.borrow().clone(), side.resumed.get());
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                return;
            }
            // A poll that waited itself may have swallowed the wake of this future.
            if side.resumed.get() == resumed {
                side.sleep();
            }
        }
    });
}

impl SideThreadEnd {
    /// Gives the turn to the simulated thread, until the task of this thread is polled again.
    fn sleep(&self) {
        let _ = self.answers.send(ThreadAnswer::Waits);
        match self.orders.recv() {
            Ok(ThreadOrder::Resume(waker)) => {
                self.waker.replace(waker);
                self.resumed.set(self.resumed.get() + 1);
            }
            // The task was dropped.
            Ok(ThreadOrder::Begin { .. }) | Err(_) => loop {
                thread::park();
            },
        }
    }
}
