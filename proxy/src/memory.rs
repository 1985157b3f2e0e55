//! Gives back what only start-up needed: pages of the program that were read once.
//!
//! A static program of 17 MB runs through most of its code while it starts (TLS, JSON, Kubernetes client, command line) and through
//! little of it afterwards. The kernel maps 64 KiB around each first touch, so a fresh proxy shows 9 MB resident of which it uses
//! a part again. Dropping the mappings of clean pages lets the kernel count, and reclaim, only what is in use; a page that is
//! needed again is mapped from the page cache within microseconds.

use std::fs;
use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// Drops the resident pages of this program's own code and constants. Failure is harmless and only logged.
pub(crate) fn release_start_up() {
    let (Ok(program), Ok(maps)) = (fs::read_link("/proc/self/exe"), fs::read_to_string("/proc/self/smaps")) else {
        return;
    };
    for range in clean_mappings(&maps, &program.to_string_lossy()) {
        drop_pages(range);
    }
}

/// Address ranges of `/proc/self/smaps` that map `program` without the right to write and hold no page that differs from the file.
/// The part that start-up relocates and then protects (RELRO) does hold such pages, and is left alone.
fn clean_mappings(smaps: &str, program: &str) -> Vec<Range<usize>> {
    let mut clean = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("Anonymous:") => clean.extend(candidate.take().filter(|_| words.next() == Some("0"))),
            Some(first) if !first.ends_with(':') => {
                let readable = words.next().is_some_and(|rights| matches!(rights, "r-xp" | "r--p"));
                candidate = range(first).filter(|_| readable && words.nth(3) == Some(program));
            }
            _ => {}
        }
    }
    clean
}

/// `start-end`, hexadecimal.
fn range(text: &str) -> Option<Range<usize>> {
    let (start, end) = text.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[expect(unsafe_code, reason = "madvise takes a raw range; see the proof")]
fn drop_pages(range: Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the range comes from the kernel's own list: it is mapped and page-aligned, private, backed by the program's file, not
    // writable, and none of its pages is anonymous, so each equals the file. On such pages MADV_DONTNEED only unmaps (madvise(2));
    // the next access, from whatever thread, reads the same bytes from the file. Nothing in this process makes mappings of the
    // program writable after start-up, so none of its pages can have come to differ since the list was read.
    let dropped = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
    if let Err(error) = dropped {
        tracing::debug!(%error, "pages of start-up stay resident");
    }
}

#[cfg(test)]
mod tests;
