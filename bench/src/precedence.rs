//! (shell) Precedence over other work of this machine while we measure, where the kernel has it and lets us.

use std::fs;

/// Weight of the session against others (sched(7), "The autogroup feature"); the range is -20 to 19.
const NICE: i32 = -15;
/// The kernel's knob for the session of this process; absent where the feature is not compiled in.
const FILE: &str = "/proc/self/autogroup";

/// Held while it lasts.
pub(crate) struct Precedence {
    before: Option<i32>,
}

impl Precedence {
    /// Takes it. Nothing happens where that is not possible: what others use is measured anyway.
    pub(crate) fn take() -> Self {
        let before = fs::read_to_string(FILE).ok().and_then(|text| nice_in(&text));
        let before = before.filter(|_| fs::write(FILE, NICE.to_string()).is_ok());
        Self { before }
    }
}

impl Drop for Precedence {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = fs::write(FILE, before.to_string());
        }
    }
}

/// `/autogroup-12 nice 0`.
fn nice_in(text: &str) -> Option<i32> {
    text.trim().rsplit_once("nice ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read() {
        assert_eq!(nice_in("/autogroup-12 nice -3\n"), Some(-3));
        assert_eq!(nice_in(""), None);
    }
}
