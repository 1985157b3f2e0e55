//! Numbers that seem to be drawn and are the same in every run.

/// A linear congruential generator (Knuth, MMIX), which begins at a number.
#[derive(Clone, Debug)]
pub struct Draw(pub u64);

impl Draw {
    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }

    /// The next number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next_u64() >> 33).expect("31 bits") % limit
    }
}
