//! What the targets share. A target is one file in `targets/`: it reads its input with a parser of ours and asserts what must hold of
//! the answer, because "does not panic" is little to ask of a parser.

use tulle_core::route::RequestView;

/// Takes a byte that steers the target from the front of its input; 0 where there is none.
pub fn take(input: &mut &[u8]) -> u8 {
    let Some((first, rest)) = input.split_first() else { return 0 };
    *input = rest;
    *first
}

/// A request of which only this is looked at.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The query without `?`.
    pub query: Option<String>,
    /// Header lines.
    pub lines: Vec<(&'static str, Vec<u8>)>,
}

impl RequestView for Request {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/"
    }
    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }
    fn authority(&self) -> Option<&str> {
        None
    }
    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let name = name.to_owned();
        self.lines.iter().filter(move |(own, _)| *own == name).map(|(_, value)| &value[..])
    }
}
