//! The clock and the random numbers of the system, as the threads of a seed see them.
//!
//! Libraries ask the system for both: hash maps for their keys, UUIDs, the write time of a file. The
//! two functions of libc are defined here, so the linker takes these. Threads that are not of a seed
//! get what the kernel says.
#![expect(unsafe_code, reason = "the two functions have the signatures of libc")]

use std::cell::Cell;
use std::panic::resume_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::rand::GetRandomFlags;
use rustix::time::ClockId;
use tokio::runtime::{Builder, Runtime};

use simulated_cluster::EPOCH_MS;
use simulated_cluster::rng::Rng;

/// Nanoseconds that the system has run when a seed begins: any number but 0.
const BOOTED_NS: u64 = 1_000_000_000_000;

/// Nanoseconds since the seed began.
static NOW_NS: AtomicU64 = AtomicU64::new(0);

static RANDOM: Mutex<Option<Rng>> = Mutex::new(None);

thread_local! {
    static IS_OF_SEED: Cell<bool> = const { Cell::new(false) };
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
    static BEGAN: Cell<Option<tokio::time::Instant>> = const { Cell::new(None) };
}

/// Makes this thread one of the seed: its clock is that of the paused runtime that this returns. Call
/// it once in a process.
///
/// # Panics
/// If the runtime cannot be made.
pub fn begin(seed: u64) -> Runtime {
    *RANDOM.lock().expect("nothing panics with it") = Some(Rng::new(seed).fork("system"));
    adopt_thread();
    BEGAN.set(Some(tokio::time::Instant::now()));
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime")
}

/// Runs `work` as a seed on a new thread, where no hash map has drawn its keys. Call it once in a
/// process.
///
/// # Panics
/// If `work` does, or the thread or its runtime cannot be made.
pub fn on_seed<F: Future<Output: Send>>(seed: u64, work: impl FnOnce() -> F + Send) -> F::Output {
    thread::scope(|scope| {
        let ended = scope.spawn(|| begin(seed).block_on(work())).join();
        ended.unwrap_or_else(|panicked| resume_unwind(panicked))
    })
}

/// Makes this thread one of the seed, too.
pub fn adopt_thread() {
    IS_OF_SEED.set(true);
}

/// Takes the time over from the runtime that this thread runs, for threads without a runtime.
pub fn tick() {
    let Some(began) = BEGAN.get() else { return };
    if IS_ASKING.replace(true) {
        return;
    }
    let elapsed = tokio::time::Instant::now().saturating_duration_since(began);
    let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
    NOW_NS.fetch_max(elapsed, Ordering::Relaxed);
    IS_ASKING.set(false);
}

/// `struct timespec`.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

fn timespec(since_s: i64, elapsed_ns: u64) -> Timespec {
    let elapsed = i64::try_from(elapsed_ns).unwrap_or(i64::MAX);
    let (seconds, nanoseconds) = (elapsed / 1_000_000_000, elapsed % 1_000_000_000);
    Timespec { seconds: since_s + seconds, nanoseconds }
}

fn simulated(clock: i32) -> Timespec {
    tick();
    let now = NOW_NS.load(Ordering::Relaxed);
    match clock {
        // CLOCK_REALTIME and its coarse variant.
        0 | 5 => timespec(EPOCH_MS / 1_000, now),
        _ => timespec(0, now + BOOTED_NS),
    }
}

fn real(clock: i32) -> Timespec {
    let id = match clock {
        0 => ClockId::Realtime,
        2 => ClockId::ProcessCPUTime,
        3 => ClockId::ThreadCPUTime,
        5 => ClockId::RealtimeCoarse,
        6 => ClockId::MonotonicCoarse,
        7 => ClockId::Boottime,
        _ => ClockId::Monotonic,
    };
    let now = rustix::time::clock_gettime(id);
    Timespec { seconds: now.tv_sec, nanoseconds: now.tv_nsec }
}

/// See `clock_gettime(2)`.
///
/// # Safety
/// `to` is null or may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: i32, to: *mut Timespec) -> i32 {
    let of_seed = IS_OF_SEED.try_with(Cell::get).unwrap_or(false);
    let now = if of_seed { simulated(clock) } else { real(clock) };
    if !to.is_null() {
        // SAFETY: the caller promises that it may be written.
        unsafe { to.write(now) };
    }
    0
}

/// See `getrandom(2)`.
///
/// # Safety
/// `length` bytes from `to` on may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(to: *mut u8, length: usize, flags: u32) -> isize {
    if to.is_null() || length == 0 {
        return 0;
    }
    // SAFETY: the caller promises that they may be written.
    let bytes = unsafe {
        to.write_bytes(0, length);
        std::slice::from_raw_parts_mut(to, length)
    };
    if IS_OF_SEED.try_with(Cell::get).unwrap_or(false)
        && let Ok(mut random) = RANDOM.lock()
        && let Some(random) = random.as_mut()
    {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&random.u64().to_le_bytes()[..chunk.len()]);
        }
        return isize::try_from(length).unwrap_or(isize::MAX);
    }
    match rustix::rand::getrandom(bytes, GetRandomFlags::from_bits_retain(flags)) {
        Ok(written) => isize::try_from(written).unwrap_or(isize::MAX),
        Err(_) => -1,
    }
}
