//! `memcpy`, `memmove`, `memcmp` and `bcmp` of the shipped programs, in place of musl's.
//!
//! musl copies by `rep movsq` whatever the length, which costs 20 to 30 ns before the first byte, and compares byte by byte. A request
//! moves some two hundred small structures and strings, a gRPC call five hundred: without this, a quarter of what the pair of sidecars
//! costs at its ceiling is spent starting `rep` ([ADR 0016](../../docs/adr/0016-own-memcpy.md)).
//!
//! Up to 128 bytes everything is loaded before anything is stored, in registers that overlap in the middle; so there is one branch on
//! the length and no loop, and overlapping regions need no care. Above, 64 bytes a turn; from [`STRING_BYTES`] on, `rep movsq`
//! again, which processors do well for long copies.
//!
//! Linking a program with this crate is all that is needed: its symbols are found before those of libc.

// Or the compiler would find that these functions look like memcpy, and call it.
#![cfg_attr(not(test), no_builtins)]
#![expect(unsafe_code, reason = "these functions are about raw memory; see each proof and ADR 0016")]

#[cfg(target_arch = "x86_64")]
mod x86_64;
#[cfg(target_arch = "x86_64")]
pub use x86_64::{STRING_BYTES, compare, copy, shift};

/// What the linker gives to everything that asks libc for it, C and Rust alike. Only where libc is musl.
#[cfg(all(target_env = "musl", target_arch = "x86_64"))]
mod symbols {
    use core::ffi::c_int;

    // SAFETY (all four): the contract of the C standard (C17 7.24) is the contract of the function that is called, and the name is
    // given to no other item of the program: musl's own is not linked, because its symbol is found here first.

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        unsafe { super::copy(to, from, count) };
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
        unsafe { super::shift(to, from, count) };
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> c_int {
        unsafe { super::compare(a, b, count) }
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> c_int {
        unsafe { super::compare(a, b, count) }
    }
}

#[cfg(test)]
mod tests;
