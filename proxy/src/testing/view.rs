//! A request as rules see it, without a connection.

use tulle_core::route::RequestView;

/// A GET with a query that no log may show.
pub(crate) struct Request<'a> {
    pub(crate) path: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
}

impl RequestView for Request<'_> {
    fn method(&self) -> &str {
        "GET"
    }

    fn path(&self) -> &str {
        self.path
    }

    fn query(&self) -> Option<&str> {
        Some("token=planted-secret")
    }

    fn authority(&self) -> Option<&str> {
        Some("web.shop")
    }

    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_bytes())
    }
}
