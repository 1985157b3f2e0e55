//! Chunked bodies: however the input is cut, the decoder reads what a reference reads that sees all of it at once.
#![no_main]

use tulle_fuzz::take;
use tulle_proxy::parsers::Dechunker;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut input = input;
    let step = usize::from(take(&mut input)) + 1;
    let whole = decode(input, input.len().max(1));
    assert_eq!(decode(input, step), whole, "cut every {step} bytes it reads differently");
    match (&whole, reference(input)) {
        (Read::Done { data, used }, Some((expected, length))) => {
            assert_eq!(data, &expected);
            assert_eq!(*used, length, "the message ends elsewhere");
        }
        (Read::Done { .. }, None) => panic!("accepted what the reference refuses"),
        (Read::Open | Read::Refused, Some(_)) => panic!("did not read what the reference reads"),
        (Read::Open | Read::Refused, None) => {}
    }
});

#[derive(Debug, PartialEq, Eq)]
enum Read {
    Done { data: Vec<u8>, used: usize },
    Open,
    Refused,
}

/// Decodes input that arrives so many bytes at a time.
fn decode(input: &[u8], step: usize) -> Read {
    let (mut decoder, mut data, mut used, mut arrived) = (Dechunker::default(), Vec::new(), 0, 0);
    loop {
        match decoder.next(&input[used..arrived]) {
            Err(_) => return Read::Refused,
            Ok((skip, piece)) => {
                used += skip;
                match piece {
                    Some((count, false)) => {
                        data.extend_from_slice(&input[used..used + count]);
                        used += count;
                    }
                    Some((count, true)) => return Read::Done { data, used: used + count },
                    None if arrived == input.len() => return Read::Open,
                    None => arrived = (arrived + step).min(input.len()),
                }
            }
        }
    }
}

/// RFC 9112 section 7.1 for a message that is there as a whole: the data, and where it ends.
fn reference(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let end = at + input[at..].windows(2).position(|window| window == b"\r\n")?;
        let line = &input[at..end];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok().filter(|_| digits <= 16)?;
        // Blanks, and then an extension or nothing: a second number would be another size to some readers.
        let extension = line[digits..].trim_ascii_start();
        let sound = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
        if !(extension.is_empty() || extension[0] == b';') || !line[digits..].iter().all(sound) {
            return None;
        }
        at = end + 2;
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        data.extend_from_slice(input.get(at..end)?);
        at = end.checked_add(2)?;
        if input.get(end..at)? != b"\r\n" {
            return None;
        }
    }
    let rest = &input[at..];
    if rest.starts_with(b"\r\n") {
        return Some((data, at + 2));
    }
    if rest.starts_with(b"\n") {
        return None;
    }
    let trailers = rest.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((data, at + trailers + 4))
}
