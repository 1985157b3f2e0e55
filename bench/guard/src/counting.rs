//! The allocator of what is shipped, counting what it is asked.

#[cfg(not(target_env = "musl"))]
use std::alloc::System as Inner;
use std::alloc::{GlobalAlloc, Layout};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[cfg(target_env = "musl")]
use tikv_jemallocator::Jemalloc as Inner;

/// See the module.
pub(crate) struct Counting {
    allocations: AtomicU64,
}

impl Counting {
    /// Nothing counted yet.
    pub(crate) const fn new() -> Self {
        Self { allocations: AtomicU64::new(0) }
    }

    /// Allocations and reallocations so far.
    pub(crate) fn allocations(&self) -> u64 {
        self.allocations.load(Relaxed)
    }

    fn count(&self) {
        self.allocations.store(self.allocations.load(Relaxed) + 1, Relaxed);
    }
}

#[expect(unsafe_code, reason = "an allocator is an unsafe trait; this one only counts and forwards")]
// SAFETY: every call is forwarded unchanged to an allocator that upholds the contract; counting touches no allocated memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: the caller's promise is passed on.
        unsafe { Inner.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on; the pointer came from the same allocator.
        unsafe { Inner.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.count();
        // SAFETY: the caller's promise is passed on.
        unsafe { Inner.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.count();
        // SAFETY: the caller's promise is passed on; the pointer came from the same allocator.
        unsafe { Inner.realloc(pointer, layout, size) }
    }
}
