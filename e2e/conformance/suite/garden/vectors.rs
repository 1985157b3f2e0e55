//! Vectors: read from their files, unfolded and mutated; each has a name.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use tulle_conformance::draw::Draw;

/// In a file: where the number of a vector and the letter of a run stand.
const MARK: &[u8] = b"NNNNNR";
/// Mutated vectors of HTTP/1 beside those of the file.
const MUTANTS: usize = 800;
/// What lines of HTTP/2 end with: a byte that no vector has, because their values have line feeds.
pub(super) const END: u8 = 0xfe;
/// Longest vector that is mutated: in longer ones, most places are the same.
const SEED_BYTES_MAX: usize = 1024;

/// What must become of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// So many requests are carried.
    Carried(usize),
    /// So many are carried, and then the mesh refuses.
    Refused(usize),
    /// What the back end sees is what the mesh judged.
    Either,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Vector {
    /// Name in its file and number among those that it unfolds to.
    pub(super) name: String,
    pub(super) verdict: Verdict,
    /// What is sent; of HTTP/2, lines that describe it.
    template: Vec<u8>,
}

impl Vector {
    /// The bytes of the vector with this number in this run.
    pub(super) fn bytes(&self, number: usize, run: char) -> Vec<u8> {
        let mark = format!("{number:05}{run}");
        let mut bytes = self.template.clone();
        for at in places(&self.template) {
            bytes[at..at + MARK.len()].copy_from_slice(mark.as_bytes());
        }
        bytes
    }
}

/// Those of HTTP/1, mutants last.
pub(super) fn http1() -> Result<Vec<Vector>> {
    let mut vectors = read(include_str!("http1.txt"), "\\r\\n")?;
    let carried =
        |vector: &&Vector| matches!(vector.verdict, Verdict::Carried(_)) && vector.template.len() <= SEED_BYTES_MAX;
    let seeds: Vec<Vector> = vectors.iter().filter(carried).cloned().collect();
    let mut known: BTreeSet<Vec<u8>> = vectors.iter().map(|vector| vector.template.clone()).collect();
    let (mut draw, mut mutants) = (Draw(1), 0);
    while mutants < MUTANTS {
        let seed = &seeds[draw.below(seeds.len())];
        let (what, template) = mutate(&seed.template, &mut draw);
        if !places(&template).is_empty() && known.insert(template.clone()) {
            mutants += 1;
            let name = format!("{}, {what} (mutant {mutants})", seed.name);
            vectors.push(Vector { name, verdict: Verdict::Either, template });
        }
    }
    Ok(vectors)
}

/// Those of HTTP/2.
pub(super) fn http2() -> Result<Vec<Vector>> {
    read(include_str!("http2.txt"), "\\xfe")
}

/// The vectors of a file, as it says itself. `end` is what each line ends with.
fn read(file: &str, end: &str) -> Result<Vec<Vector>> {
    let mut vectors: Vec<Vector> = Vec::new();
    let mut known = BTreeSet::new();
    let file = file.strip_suffix('\n').unwrap_or(file);
    for block in file.split("\n== ").skip(1) {
        let (title, lines) = block.split_once('\n').context("a vector without lines")?;
        let (name, verdict) = title.split_once(' ').with_context(|| format!("no verdict: {title}"))?;
        let verdict = match verdict.split_once(' ') {
            Some(("ok", count)) => Verdict::Carried(count.parse()?),
            Some(("no", count)) => Verdict::Refused(count.parse()?),
            None if verdict == "any" => Verdict::Either,
            _ => bail!("no verdict: {title}"),
        };
        let lines = lines.split("\n# ----").next().unwrap_or_default();
        let mut text = String::new();
        for line in lines.split('\n') {
            match line.strip_suffix('\\') {
                Some(line) if !line.ends_with('\\') => text.push_str(line),
                _ => text.extend([line, end]),
            }
        }
        for (number, text) in unfold(&text)?.into_iter().enumerate() {
            let template = unescape(&text)?;
            if known.insert(template.clone()) {
                vectors.push(Vector { name: format!("{name}/{}", number + 1), verdict, template });
            }
        }
    }
    Ok(vectors)
}

/// Every choice of one part of each pair of braces.
fn unfold(text: &str) -> Result<Vec<String>> {
    let mut texts = vec![String::new()];
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (parts, behind) = after.split_once('}').with_context(|| format!("a brace without end: {after}"))?;
        let parts: Vec<String> = parts.split('|').map(|part| format!("{before}{}", repeat(part))).collect();
        texts = texts.iter().flat_map(|text| parts.iter().map(move |part| format!("{text}{part}"))).collect();
        rest = behind;
    }
    texts.iter_mut().for_each(|text| text.push_str(rest));
    Ok(texts)
}

/// `x*3` is `xxx`, and `(ab)*2` is `abab`; a star that no number follows is a star.
fn repeat(part: &str) -> String {
    let mut out = String::new();
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('*') {
        let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
        let (count, behind) = after.split_at(digits);
        out.push_str(before);
        rest = behind;
        let Ok(count) = count.parse() else {
            out.push('*');
            continue;
        };
        let unit = match out.strip_suffix(')').and_then(|inner| inner.rsplit_once('(')) {
            Some((_, unit)) => {
                let unit = unit.to_owned();
                out.truncate(out.len() - unit.len() - 2);
                unit
            }
            None => out.pop().map(String::from).unwrap_or_default(),
        };
        out.push_str(&unit.repeat(count));
    }
    out + rest
}

fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [bytes.next(), bytes.next()].map(Option::unwrap_or_default);
                u8::from_str_radix(std::str::from_utf8(&digits)?, 16).with_context(|| format!("no byte: {text}"))?
            }
            _ => bail!("no escape: {text}"),
        });
    }
    Ok(out)
}

/// Where the marks are.
fn places(template: &[u8]) -> Vec<usize> {
    let at = |(at, window)| (window == MARK).then_some(at);
    template.windows(MARK.len()).enumerate().filter_map(at).collect()
}

/// One change at one place that is no mark, and its name.
fn mutate(seed: &[u8], draw: &mut Draw) -> (&'static str, Vec<u8>) {
    const BYTES: &[u8] = b"\0\t\n\r \x0b\x0c,:;0159+-_/\\\"'=?#*%&@.\x7f\x80\xa0\xff";
    const TEXTS: [&[u8]; 16] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b"\r\n ",
        b"\r\nContent-Length: 5",
        b"\r\nContent-Length: 0",
        b"\r\nTransfer-Encoding: chunked",
        b"\r\nTransfer-Encoding : chunked",
        b"\r\nHost: other",
        b"\r\nConnection: close",
        b", chunked",
        b"0\r\n\r\n",
        b"HTTP/1.1\r\n",
    ];
    let marks = places(seed);
    let free = |at: &usize| !marks.iter().any(|mark| (mark.saturating_sub(1)..mark + MARK.len()).contains(at));
    let at = std::iter::repeat_with(|| draw.below(seed.len())).find(free).expect("most bytes are no marks");
    let mut out = seed.to_vec();
    let (mut draw, byte) = (Draw(draw.next_u64()), BYTES[at % BYTES.len()]);
    let what = match draw.below(6) {
        0 => {
            out[at] = BYTES[draw.below(BYTES.len())];
            "a byte changed"
        }
        1 => {
            out.insert(at, byte);
            "a byte put in"
        }
        2 => {
            out.remove(at);
            "a byte left out"
        }
        3 => {
            out.splice(at..at, TEXTS[draw.below(TEXTS.len())].iter().copied());
            "a text put in"
        }
        4 => {
            let mut lines = lines(seed);
            let line = lines[draw.below(lines.len())];
            lines.insert(draw.below(lines.len() + 1), line);
            out = lines.concat();
            "a line doubled"
        }
        _ => {
            let mut lines = lines(seed);
            let (one, other) = (draw.below(lines.len()), draw.below(lines.len()));
            lines.swap(one, other);
            out = lines.concat();
            "two lines exchanged"
        }
    };
    (what, out)
}

/// Lines with their ends.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_unfold_as_they_say() {
        let file = "# words\n\n== a ok 1\nGET {b|c*2|(de)*2|*} x\n\n== b any\n{\\x7b|\\0}\\\n";
        let vectors = read(file, "\\r\\n").expect("a good file");
        let texts: Vec<_> = vectors.iter().map(|vector| vector.template.escape_ascii().to_string()).collect();
        let get = |path: &str| format!("GET {path} x\\r\\n\\r\\n");
        assert_eq!(texts, [get("b"), get("cc"), get("dede"), get("*"), "{".to_owned(), "\\x00".to_owned()]);
    }

    #[test]
    fn there_are_as_many_as_promised_and_each_says_who_it_is() {
        let (one, two) = (http1().expect("a good file"), http2().expect("a good file"));
        assert!(one.len() + two.len() >= 2000, "{} and {}", one.len(), two.len());
        for vector in one.iter().chain(&two) {
            let bytes = vector.bytes(7, 'a');
            assert!(bytes.windows(6).any(|window| window == b"00007a"), "{}: {}", vector.name, bytes.escape_ascii());
        }
    }
}
