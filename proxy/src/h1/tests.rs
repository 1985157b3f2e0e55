//! HTTP/1 between a caller and an application of the test, through both proxies of a call.

mod bodies;
mod messages;
mod refused;
mod switching;
