use proptest::prelude::*;

use super::*;

/// Around every limit of a branch.
const LENGTHS: [usize; 26] =
    [0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 193, 2047, 2048, 5000];
/// Bytes in front of and behind what is written, which must stay as they are.
const MARGIN: usize = 80;

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 131 + index / 251) as u8).collect()
}

#[test]
fn copies_are_whole_and_nothing_else_is_touched() {
    for length in LENGTHS {
        for (source_offset, target_offset) in [(0, 0), (1, 0), (0, 3), (13, 7)] {
            let source = pattern(length + source_offset);
            let mut target = vec![0xaa; MARGIN + target_offset + length + MARGIN];
            let begin = MARGIN + target_offset;
            // SAFETY: both vectors have `length` bytes from there on, and are two.
            unsafe { copy(target.as_mut_ptr().add(begin), source.as_ptr().add(source_offset), length) };
            assert_eq!(&target[begin..begin + length], &source[source_offset..], "{length}");
            assert!(target[..begin].iter().chain(&target[begin + length..]).all(|byte| *byte == 0xaa), "{length}");
        }
    }
}

#[test]
fn regions_that_overlap_are_moved_as_if_through_another() {
    for length in LENGTHS {
        for distance in [0usize, 1, 7, 8, 15, 16, 17, 63, 64, 65, 100, 2000] {
            for upwards in [true, false] {
                let (from, to) = if upwards { (0, distance) } else { (distance, 0) };
                let mut memory = pattern(length + distance);
                let mut expected = memory.clone();
                expected.copy_within(from..from + length, to);
                let start = memory.as_mut_ptr();
                // SAFETY: the vector has `length` bytes from both places on.
                unsafe { shift(start.add(to), start.add(from), length) };
                assert_eq!(memory, expected, "{length} by {distance}, upwards: {upwards}");
            }
        }
    }
}

#[test]
fn the_first_difference_decides() {
    for length in LENGTHS {
        let a = pattern(length);
        // SAFETY: `length` bytes each, here and below.
        assert_eq!(unsafe { compare(a.as_ptr(), a.as_ptr(), length) }, 0, "{length}");
        for at in (0..length).filter(|at| length < 300 || at % 61 == 0 || at + 20 > length) {
            for (value, later) in [(0u8, 0xff), (0xff, 0)] {
                let (mut a, mut b) = (a.clone(), a.clone());
                (a[at], b[at]) = (0x80, value);
                // What comes later must not matter.
                if at + 1 < length {
                    (a[at + 1], b[at + 1]) = (0x80, later);
                }
                let got = unsafe { compare(a.as_ptr(), b.as_ptr(), length) };
                assert_eq!(got.signum(), i32::from(0x80u8 > value) - i32::from(0x80u8 < value), "{length} at {at}");
            }
        }
    }
}

proptest! {
    #[test]
    fn comparing_is_what_slices_do(a in proptest::collection::vec(0u8..3, 0..200), b in proptest::collection::vec(0u8..3, 0..200)) {
        let length = a.len().min(b.len());
        // SAFETY: both have as many bytes.
        let got = unsafe { compare(a.as_ptr(), b.as_ptr(), length) };
        prop_assert_eq!(got.signum(), a[..length].cmp(&b[..length]) as i32);
    }
}
