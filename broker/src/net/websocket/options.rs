//! What a listener for WebSocket accepts.

/// The default takes every path, and pages from everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebsocketOptions {
    /// The path in the request; `None` is any.
    pub path: Option<String>,
    /// Pages that may connect, as `https://example.org`. A request without an Origin is no browser's and comes in.
    /// `None`: all may.
    pub origins: Option<Vec<String>>,
}
