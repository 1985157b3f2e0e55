//! Bytes between a read and a write, in blocks a data thread keeps for reuse: a connection without bytes holds no memory.
//!
//! Blocks come in three sizes. The smallest holds nearly every head, the middle one a TLS record, the largest what bulk transfer moves
//! at once: four records. A block that was given back is the next one taken, so a busy thread works on the same few warm pages.

use std::cell::RefCell;

/// Sizes of blocks.
const CLASSES: [usize; 3] = [4 * 1024, 20 * 1024, 68 * 1024];
/// Bytes of free blocks a thread keeps of each size; more is given back to the allocator.
const KEPT_BYTES: usize = 256 * 1024;

/// Room of the largest block: 64 KiB as four TLS records (65,624 bytes) and more.
pub(crate) const LARGEST: usize = CLASSES[2];
/// Bytes moved at once in bulk. As four TLS records they are just shorter than the longest segment the kernel hands down at once (64 KiB
/// less its heads, a whole number of Ethernet payloads: 65,160). Four full records leave a crumb of 464 bytes, which is sent, received
/// and woken for on its own.
pub(crate) const BULK: usize = 65_000;
/// Room of the middle block: a TLS record of the largest size (RFC 8446 §5.2: 16,645 bytes) and more.
pub(crate) const RECORD: usize = CLASSES[1];

thread_local! {
    static FREE: RefCell<[Vec<Vec<u8>>; 3]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

/// A window of filled bytes in a block; without a block while empty and released.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    /// Of one of the class sizes or larger, zeroed once; empty: none.
    block: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty one, without a block.
    pub(crate) const fn new() -> Self {
        Self { block: Vec::new(), start: 0, end: 0 }
    }

    /// The bytes.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.block[self.start..self.end]
    }

    /// The bytes, to be changed in place.
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.block[self.start..self.end]
    }

    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there are no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Removes `count` bytes from the front.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "more consumed than there is");
        self.start += count;
        if self.start >= self.end {
            self.clear();
        }
    }

    /// Forgets all bytes and keeps the block.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Free room behind the bytes, at least `room`; a block is taken, tidied or replaced by a larger one as needed.
    pub(crate) fn space(&mut self, room: usize) -> &mut [u8] {
        if self.block.len() - self.end < room {
            self.make_room(room);
        }
        &mut self.block[self.end..]
    }

    /// Counts `count` bytes that were written into [`space`](Self::space).
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(self.end + count <= self.block.len(), "more written than there was room");
        self.end += count;
    }

    /// Appends bytes.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.space(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Gives the block back if there are no bytes in it.
    pub(crate) fn release(&mut self) {
        if self.is_empty() && !self.block.is_empty() {
            self.clear();
            give(std::mem::take(&mut self.block));
        }
    }

    /// Whether it holds a block.
    #[cfg(test)]
    pub(crate) fn has_block(&self) -> bool {
        !self.block.is_empty()
    }

    fn make_room(&mut self, room: usize) {
        if self.block.is_empty() {
            self.block = take(room);
            return;
        }
        self.rearrange(room);
    }

    #[cold]
    fn rearrange(&mut self, room: usize) {
        let length = self.len();
        if length + room <= self.block.len() {
            self.block.copy_within(self.start..self.end, 0);
        } else {
            let mut larger = take(length + room);
            larger[..length].copy_from_slice(self.filled());
            give(std::mem::replace(&mut self.block, larger));
        }
        (self.start, self.end) = (0, length);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.block.is_empty() {
            return;
        }
        give(std::mem::take(&mut self.block));
    }
}

/// A block of at least `size` bytes.
fn take(size: usize) -> Vec<u8> {
    let class = match size {
        _ if size <= CLASSES[0] => 0,
        _ if size <= CLASSES[1] => 1,
        _ if size <= CLASSES[2] => 2,
        _ => return vec![0; size],
    };
    let kept = FREE.try_with(|free| free.borrow_mut()[class].pop());
    kept.ok().flatten().unwrap_or_else(|| vec![0; CLASSES[class]])
}

/// Keeps a block for reuse if it is of a class that has few.
fn give(block: Vec<u8>) {
    let class = match block.len() {
        length if length == CLASSES[0] => 0,
        length if length == CLASSES[1] => 1,
        length if length == CLASSES[2] => 2,
        _ => return,
    };
    // A thread that ends has no list any more; its last blocks are simply dropped.
    let _ = FREE.try_with(|free| {
        let free = &mut free.borrow_mut()[class];
        if free.len() < KEPT_BYTES / CLASSES[class] {
            free.push(block);
        }
    });
}

#[cfg(test)]
mod tests;
