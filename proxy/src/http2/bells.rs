//! Two wakers of one task that say which part of it is meant.
//!
//! While the task runs they wake nobody: the part is simply polled before the task rests. A connection and its streams wake each other
//! all the time; without this, each batch of frames would schedule the task once more to find nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Turns of both parts before other tasks get theirs.
const TURNS_MAX: u32 = 32;

/// A part of the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    Streams = 1,
    Connection = 2,
}

/// See the module.
pub(super) struct Bells {
    tower: Arc<Tower>,
    streams: Waker,
    connection: Waker,
}

/// What the two bells share.
struct Tower {
    rung: AtomicU8,
    /// Whether the task runs and will look at `rung` itself.
    attended: AtomicBool,
    task: AtomicWaker,
}

struct Bell(Arc<Tower>, Part);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let Bell(tower, part) = &**self;
        tower.rung.fetch_or(*part as u8, SeqCst);
        // In this order on both sides: either the task sees the bit, or this sees that the task rests.
        if !tower.attended.load(SeqCst) {
            tower.task.wake();
        }
    }
}

impl Bells {
    /// Both parts begin as woken.
    pub(super) fn new() -> Self {
        let rung = AtomicU8::new(Part::Streams as u8 | Part::Connection as u8);
        let tower = Arc::new(Tower { rung, attended: AtomicBool::new(false), task: AtomicWaker::new() });
        let bell = |part| Waker::from(Arc::new(Bell(Arc::clone(&tower), part)));
        Self { streams: bell(Part::Streams), connection: bell(Part::Connection), tower }
    }

    /// Marks a part as woken, from within [`poll`](Self::poll).
    pub(super) fn ring(&self, part: Part) {
        self.tower.rung.fetch_or(part as u8, SeqCst);
    }

    /// Polls each part that was woken, until none is.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut part: impl FnMut(Part, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.tower.task.register(cx.waker());
        self.tower.attended.store(true, SeqCst);
        for _ in 0..TURNS_MAX {
            for (which, waker) in [(Part::Streams, &self.streams), (Part::Connection, &self.connection)] {
                if self.tower.rung.load(SeqCst) & which as u8 == 0 {
                    continue;
                }
                self.tower.rung.fetch_and(!(which as u8), SeqCst);
                if let Poll::Ready(over) = part(which, &mut Context::from_waker(waker)) {
                    return Poll::Ready(over);
                }
            }
            if self.tower.rung.load(SeqCst) == 0 {
                self.tower.attended.store(false, SeqCst);
                if self.tower.rung.load(SeqCst) == 0 {
                    return Poll::Pending;
                }
                self.tower.attended.store(true, SeqCst);
            }
        }
        self.tower.attended.store(false, SeqCst);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
