//! A request for tests of filters.

use crate::route::RequestView;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) query: Option<&'static str>,
    pub(super) authority: Option<&'static str>,
    pub(super) headers: Vec<(&'static str, &'static str)>,
}

impl RequestView for Asked {
    fn method(&self) -> &str {
        self.method
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        self.query
    }

    fn authority(&self) -> Option<&str> {
        self.authority
    }

    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(key, _)| *key == name).map(|(_, value)| value.as_bytes())
    }
}
