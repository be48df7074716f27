//! Where connections come from.

use std::{future::Future, io};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use crate::core::effect::PeerInfo;

/// Accepts Network Connections: TCP, and whatever is layered over it.
pub trait Listener {
    /// One connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, PeerInfo)>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, PeerInfo)> {
        let (stream, address) = TcpListener::accept(self).await?;
        // An acknowledgement is small and must not wait for the one before it to be acknowledged by TCP.
        stream.set_nodelay(true)?;
        Ok((stream, PeerInfo { address: Some(address), ..PeerInfo::default() }))
    }
}
