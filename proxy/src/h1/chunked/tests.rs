use proptest::prelude::*;

use super::*;

/// Decodes `input` given in pieces of `step` bytes: data and trailer section.
fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>, usize), BadMessage> {
    let mut chunked = Chunked::new();
    let (mut data, mut at, mut end) = (Vec::new(), 0, 0);
    loop {
        let (skip, piece) = chunked.next(&input[at..end])?;
        at += skip;
        match piece {
            Piece::Data(count) => {
                data.extend_from_slice(&input[at..at + count]);
                at += count;
            }
            Piece::End(trailers) => return Ok((data, input[at..at + trailers].to_vec(), at + trailers)),
            Piece::More if end == input.len() => return Err(BadMessage::new("incomplete")),
            Piece::More => end = (end + step).min(input.len()),
        }
    }
}

#[test]
fn chunks_are_joined_and_extensions_dropped() {
    let input = b"5\r\nhello\r\n6 \t;a=b;c=\"d\"\r\n world\r\n0 \r\n\r\nGET / HTTP/1.1";
    for step in 1..input.len() {
        let (data, trailers, used) = decode(input, step).expect("valid");
        assert_eq!(
            (&data[..], &trailers[..], &input[used..]),
            (&b"hello world"[..], &b"\r\n"[..], &b"GET / HTTP/1.1"[..])
        );
    }
}

#[test]
fn a_trailer_section_is_found_whole() {
    let (data, trailers, _) = decode(b"1\r\nx\r\n00\r\nchecksum: 1\r\nb: 2\r\n\r\n", 1).expect("valid");
    assert_eq!((&data[..], &trailers[..]), (&b"x"[..], &b"checksum: 1\r\nb: 2\r\n\r\n"[..]));
}

#[test]
fn what_two_readers_may_read_differently_is_refused() {
    for input in [
        &b"\r\n"[..],
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\nx\r\n",
        b"0x1\r\nx\r\n",
        b" 1\r\nx\r\n",
        b"1\nx\r\n",
        b"1\r\nxy\r\n",
        b"1\r\nx\n",
        b"1\rx",
        b"1 1\r\nx\r\n",
        b"1 a;b\r\nx\r\n",
        b"1;a\n\r\nx\r\n",
        b"1;\0\r\nx\r\n",
        b"00000000000000001\r\nx\r\n",
        b"1\r\nx\r\n0\r\n\n",
        b";a=b\r\nx\r\n",
    ] {
        let refused = decode(input, 1);
        assert!(refused.is_err_and(|bad| bad.rule != "incomplete"), "{:?}", input.escape_ascii().to_string());
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let mut input = b"1;".to_vec();
    input.extend(std::iter::repeat_n(b'a', 17 * 1024));
    assert_eq!(decode(&input, 512), Err(BadMessage::new("chunk extensions are longer than 16 KiB")));
    let mut input = b"0\r\n".to_vec();
    input.extend(std::iter::repeat_n(b'a', 17 * 1024));
    assert_eq!(decode(&input, 512), Err(BadMessage::new("the trailer section is longer than 16 KiB")));
}

proptest! {
    #[test]
    fn any_chunking_of_any_data_is_decoded(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..10),
        step in 1usize..40,
    ) {
        let mut input = Vec::new();
        for chunk in &chunks {
            input.extend(format!("{:X}\r\n", chunk.len()).bytes());
            input.extend(chunk);
            input.extend(b"\r\n");
        }
        input.extend(b"0\r\n\r\n");
        let (data, _, used) = decode(&input, step).expect("valid");
        prop_assert_eq!(data, chunks.concat());
        prop_assert_eq!(used, input.len());
    }

    #[test]
    fn no_bytes_make_it_panic(input in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..20) {
        let _ = decode(&input, step);
    }
}
