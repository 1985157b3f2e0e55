//! A request head as routing and authorization see it.

use tulle_core::route::RequestView;

use crate::exchange::Head;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeadView<'a>(pub(crate) &'a Head);

impl RequestView for HeadView<'_> {
    fn method(&self) -> &str {
        self.0.method.as_str()
    }

    fn path(&self) -> &str {
        self.0.uri.path()
    }

    fn query(&self) -> Option<&str> {
        self.0.uri.query()
    }

    fn authority(&self) -> Option<&str> {
        let host = || self.0.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        self.0.uri.authority().map(|authority| authority.as_str()).or_else(host)
    }

    fn header<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0.headers.get_all(name).iter().map(|value| value.as_bytes())
    }
}
