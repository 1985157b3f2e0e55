//! With the sixteen-byte registers that every x86-64 has.

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_storeu_si128};

/// From this length on, copies that do not overlap are left to `rep movsq`.
pub const STRING_BYTES: usize = 2048;

/// A number anywhere in memory. Read and written as a field, it is one instruction and never a call.
#[repr(C, packed)]
struct Anywhere<T>(T);

/// Copies `count` bytes.
///
/// # Safety
/// `from` may be read and `to` written for `count` bytes, and the two do not overlap.
#[inline(always)]
pub unsafe fn copy(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the caller's promise covers every access: those of `short` and `forward` lie within the first `count` bytes.
    unsafe {
        if count <= 128 {
            short(to, from, count);
        } else if count < STRING_BYTES {
            forward(to, from, count);
        } else {
            string(to, from, count);
        }
    }
}

/// Copies `count` bytes between regions that may overlap.
///
/// # Safety
/// `from` may be read and `to` written for `count` bytes.
#[inline(always)]
pub unsafe fn shift(to: *mut u8, from: *const u8, count: usize) {
    let ahead = (to as usize).wrapping_sub(from as usize);
    let behind = (from as usize).wrapping_sub(to as usize);
    // SAFETY: as in `copy`. `short` has loaded everything before it stores. `forward` is right where `to` is not within the source
    // behind its start, `backward` where `from` is not within the target behind its start; `string` where they do not overlap.
    unsafe {
        if count <= 128 {
            short(to, from, count);
        } else if ahead >= count {
            if behind >= count && count >= STRING_BYTES {
                string(to, from, count);
            } else {
                forward(to, from, count);
            }
        } else {
            backward(to, from, count);
        }
    }
}

/// Compares as C's `memcmp` does: the sign tells which is smaller where they differ first.
///
/// # Safety
/// Both may be read for `count` bytes.
#[inline(always)]
pub unsafe fn compare(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: every access lies within the first `count` bytes: the last one of each loop ends with them, and is taken only where
    // there are as many.
    unsafe {
        if count >= 16 {
            let mut at = 0;
            while at + 16 <= count {
                if let Some(order) = differ16(a.add(at), b.add(at)) {
                    return order;
                }
                at += 16;
            }
            return if at < count { differ16(a.add(count - 16), b.add(count - 16)).unwrap_or(0) } else { 0 };
        }
        if count >= 8 {
            return match order(word(a).to_be(), word(b).to_be()) {
                0 => order(word(a.add(count - 8)).to_be(), word(b.add(count - 8)).to_be()),
                first => first,
            };
        }
        if count >= 4 {
            return match order(half(a).to_be(), half(b).to_be()) {
                0 => order(half(a.add(count - 4)).to_be(), half(b.add(count - 4)).to_be()),
                first => first,
            };
        }
        let mut at = 0;
        while at < count {
            let (left, right) = (*a.add(at), *b.add(at));
            if left != right {
                return i32::from(left) - i32::from(right);
            }
            at += 1;
        }
        0
    }
}

/// At most 128 bytes; all are loaded before any is stored.
#[inline(always)]
unsafe fn short(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: each branch reads and writes the first and the last so many bytes, of which there are that many at least.
    unsafe {
        if count <= 16 {
            tiny(to, from, count);
        } else if count <= 32 {
            let (first, last) = (load(from), load(from.add(count - 16)));
            store(to, first);
            store(to.add(count - 16), last);
        } else if count <= 64 {
            let first = [load(from), load(from.add(16))];
            let last = [load(from.add(count - 32)), load(from.add(count - 16))];
            store(to, first[0]);
            store(to.add(16), first[1]);
            store(to.add(count - 32), last[0]);
            store(to.add(count - 16), last[1]);
        } else {
            let (first, last) = (load64(from), load64(from.add(count - 64)));
            store64(to, first);
            store64(to.add(count - 64), last);
        }
    }
}

/// At most 16 bytes.
#[inline(always)]
unsafe fn tiny(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: as in `short`.
    unsafe {
        if count >= 8 {
            let (first, last) = (word(from), word(from.add(count - 8)));
            (*to.cast::<Anywhere<u64>>()).0 = first;
            (*to.add(count - 8).cast::<Anywhere<u64>>()).0 = last;
        } else if count >= 4 {
            let (first, last) = (half(from), half(from.add(count - 4)));
            (*to.cast::<Anywhere<u32>>()).0 = first;
            (*to.add(count - 4).cast::<Anywhere<u32>>()).0 = last;
        } else if count > 0 {
            // One to three: the first, the middle and the last, some of them the same.
            let bytes = [*from, *from.add(count / 2), *from.add(count - 1)];
            *to = bytes[0];
            *to.add(count / 2) = bytes[1];
            *to.add(count - 1) = bytes[2];
        }
    }
}

/// More than 64 bytes, from the front. The end is loaded first, because a target in front of its source writes over it.
#[inline(always)]
unsafe fn forward(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: `at` stays below `count - 64`, so that each turn and the last 64 bytes lie within.
    unsafe {
        let last = load64(from.add(count - 64));
        let mut at = 0;
        while at < count - 64 {
            store64(to.add(at), load64(from.add(at)));
            at += 64;
        }
        store64(to.add(count - 64), last);
    }
}

/// More than 64 bytes, from the end, for a target that begins within its source.
#[inline(never)]
unsafe fn backward(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: `at` is above 64 at each turn, so that it and the first 64 bytes lie within.
    unsafe {
        let first = load64(from);
        let mut at = count;
        while at > 64 {
            store64(to.add(at - 64), load64(from.add(at - 64)));
            at -= 64;
        }
        store64(to, first);
    }
}

/// Eight bytes or more that do not overlap, by the processor's own copying.
#[inline(always)]
unsafe fn string(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: `rep movsq` moves `count / 8` words upwards (the direction flag is clear by the ABI) and leaves its registers behind them;
    // the last eight bytes are within, because there are eight.
    unsafe {
        let last = word(from.add(count - 8));
        asm!(
            "rep movsq",
            inout("rcx") count / 8 => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
        (*to.add(count - 8).cast::<Anywhere<u64>>()).0 = last;
    }
}

/// The order of sixteen bytes, if they differ.
#[inline(always)]
unsafe fn differ16(a: *const u8, b: *const u8) -> Option<i32> {
    // SAFETY: the caller's: sixteen bytes of both.
    unsafe {
        let equal = _mm_movemask_epi8(_mm_cmpeq_epi8(load(a), load(b))) as u32;
        if equal == 0xffff {
            return None;
        }
        let at = equal.trailing_ones() as usize;
        Some(i32::from(*a.add(at)) - i32::from(*b.add(at)))
    }
}

#[inline(always)]
fn order<T: Ord>(a: T, b: T) -> i32 {
    i32::from(a > b) - i32::from(a < b)
}

#[inline(always)]
unsafe fn word(from: *const u8) -> u64 {
    // SAFETY: the caller's: eight bytes.
    unsafe { (*from.cast::<Anywhere<u64>>()).0 }
}

#[inline(always)]
unsafe fn half(from: *const u8) -> u32 {
    // SAFETY: the caller's: four bytes.
    unsafe { (*from.cast::<Anywhere<u32>>()).0 }
}

#[inline(always)]
unsafe fn load(from: *const u8) -> __m128i {
    // SAFETY: the caller's: sixteen bytes, of any alignment.
    unsafe { _mm_loadu_si128(from.cast()) }
}

#[inline(always)]
unsafe fn store(to: *mut u8, value: __m128i) {
    // SAFETY: the caller's: sixteen bytes, of any alignment.
    unsafe { _mm_storeu_si128(to.cast(), value) }
}

#[inline(always)]
unsafe fn load64(from: *const u8) -> [__m128i; 4] {
    // SAFETY: the caller's: 64 bytes.
    unsafe { [load(from), load(from.add(16)), load(from.add(32)), load(from.add(48))] }
}

#[inline(always)]
unsafe fn store64(to: *mut u8, value: [__m128i; 4]) {
    // SAFETY: the caller's: 64 bytes.
    unsafe {
        store(to, value[0]);
        store(to.add(16), value[1]);
        store(to.add(32), value[2]);
        store(to.add(48), value[3]);
    }
}
