//! PROXY protocol 2: what a proxy in front of the listener says of the client behind it, before anything else.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use ppp::v2::{Addresses, Command, Header, PROTOCOL_PREFIX};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The part that tells how long the rest is.
const FIXED_PART: usize = 16;
/// Addresses and what else a proxy has to tell. Beyond: close.
const LONGEST_REST: usize = 4096;

/// Reads the header and not a byte more: the address that it names, or `None` where the proxy speaks for itself.
pub(super) async fn read_header(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut header = vec![0; FIXED_PART];
    io.read_exact(&mut header).await?;
    if !header.starts_with(PROTOCOL_PREFIX) {
        return Err(invalid("the connection does not begin with a PROXY protocol 2 header".to_owned()));
    }
    let rest = usize::from(u16::from_be_bytes([header[FIXED_PART - 2], header[FIXED_PART - 1]]));
    if rest > LONGEST_REST {
        return Err(invalid(format!("the PROXY header has {rest} bytes, more than {LONGEST_REST}")));
    }
    header.resize(FIXED_PART + rest, 0);
    io.read_exact(&mut header[FIXED_PART..]).await?;
    let header = Header::try_from(header.as_slice()).map_err(|error| invalid(format!("the PROXY header: {error}")))?;
    // LOCAL: a health check of the proxy's own.
    if header.command == Command::Local {
        return Ok(None);
    }
    Ok(match header.addresses {
        Addresses::IPv4(ip) => Some((IpAddr::V4(ip.source_address), ip.source_port).into()),
        Addresses::IPv6(ip) => Some((IpAddr::V6(ip.source_address), ip.source_port).into()),
        Addresses::Unix(_) | Addresses::Unspecified => None,
    })
}

fn invalid(sentence: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `family` and what it says of the client, as a proxy would write it for the connection to 127.0.0.1:1883.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
        [PROTOCOL_PREFIX, &[0x20 | command, family], &length, rest].concat()
    }

    const V4: &[u8] = &[192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x34, 0x07, 0x5B];

    async fn check(bytes: &[u8], expected: Result<Option<&str>, &str>) {
        let mut rest = bytes;
        let got = read_header(&mut rest).await;
        let got = got.map(|address| address.map(|address| address.to_string())).map_err(|error| error.to_string());
        match expected {
            Ok(address) => assert_eq!(got, Ok(address.map(str::to_owned))),
            Err(words) => assert!(got.as_ref().is_err_and(|error| error.contains(words)), "{got:?} has no '{words}'"),
        }
    }

    #[tokio::test]
    async fn the_address_in_the_header_is_the_clients() {
        check(&header(1, 0x11, V4), Ok(Some("192.0.2.7:4660"))).await;
        let mut v6 = vec![0; 36];
        (v6[0], v6[1], v6[15], v6[33]) = (0x20, 0x01, 9, 80);
        check(&header(1, 0x21, &v6), Ok(Some("[2001::9]:80"))).await;
        check(&header(1, 0x11, &[V4, &[4, 0, 1, 0]].concat()), Ok(Some("192.0.2.7:4660"))).await;
    }

    #[tokio::test]
    async fn a_proxy_that_speaks_for_itself_names_nobody() {
        check(&header(0, 0x00, &[]), Ok(None)).await;
        check(&header(0, 0x11, V4), Ok(None)).await;
        check(&header(1, 0x31, &[b'x'; 216]), Ok(None)).await;
    }

    #[tokio::test]
    async fn what_comes_behind_the_header_stays_in_the_stream() {
        let bytes = [header(1, 0x11, V4), vec![0x10, 0x0C]].concat();
        let mut rest = bytes.as_slice();
        read_header(&mut rest).await.expect("a header");
        assert_eq!(rest, [0x10, 0x0C]);
    }

    #[tokio::test]
    async fn anything_else_is_an_error() {
        check(&[0x10; 40], Err("does not begin with")).await;
        check(b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n", Err("does not begin with")).await;
        check(&header(1, 0x11, &V4[..11]), Err("PROXY header")).await;
        check(&header(7, 0x11, V4), Err("PROXY header")).await;
        check(&header(1, 0x11, &vec![0; 5000]), Err("5000 bytes")).await;
        check(&header(1, 0x11, V4)[..20], Err("")).await;
        let mut version_3 = header(1, 0x11, V4);
        version_3[12] = 0x31;
        check(&version_3, Err("PROXY header")).await;
    }
}
