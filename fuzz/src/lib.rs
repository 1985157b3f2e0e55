//! What the targets share. A target is one file in `targets/`: it reads its input with a parser of ours and asserts what must hold of
//! the answer, because "does not panic" is little to ask of a parser.

/// Takes a byte that steers the target from the front of its input; 0 where there is none.
pub fn take(input: &mut &[u8]) -> u8 {
    let Some((first, rest)) = input.split_first() else { return 0 };
    *input = rest;
    *first
}
