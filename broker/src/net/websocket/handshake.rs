//! The request that opens a WebSocket, judged; whoever wanted something else is told what is here.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tungstenite::{
    error::{Error, ProtocolError},
    handshake::{
        machine::TryParse,
        server::{Request, Response, create_response, write_response},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
};

use super::options::WebsocketOptions;

/// Bytes of the request with all its headers. Beyond: refused.
const LONGEST_REQUEST: usize = 16 * 1024;
/// [MQTT-6.0.0-4] What we answer, and the name under which 3.1 was known.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Why there will be no WebSocket.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    sentence: String,
}

impl Refusal {
    fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Refusal { status, sentence: sentence.into() }
    }
}

/// Reads the request and answers it: bytes that came behind it.
///
/// # Errors
/// A connection that ends, or a request that was refused.
pub(in crate::net) async fn open(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    options: &WebsocketOptions,
) -> io::Result<Vec<u8>> {
    let (verdict, rest) = match read_request(io).await? {
        Ok((request, rest)) => (judge(&request, options), rest),
        Err(refusal) => (Err(refusal), Vec::new()),
    };
    let mut answer = Vec::new();
    match verdict {
        Ok(response) => {
            write_response(&mut answer, &response).map_err(io::Error::other)?;
            io.write_all(&answer).await?;
            io.flush().await?;
            Ok(rest)
        }
        Err(Refusal { status, sentence }) => {
            let response = refusal(status, &sentence).map_err(io::Error::other)?;
            write_response(&mut answer, &response).map_err(io::Error::other)?;
            answer.extend_from_slice(sentence.as_bytes());
            answer.extend_from_slice(b"\n");
            io.write_all(&answer).await?;
            io.shutdown().await?;
            Err(io::Error::new(io::ErrorKind::InvalidData, format!("{status}: {sentence}")))
        }
    }
}

/// The request, and what came behind it.
async fn read_request(io: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<(Request, Vec<u8>), Refusal>> {
    let mut head = Vec::new();
    loop {
        if head.len() >= LONGEST_REQUEST {
            let sentence = format!("the request has more than {LONGEST_REQUEST} bytes");
            return Ok(Err(Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, sentence)));
        }
        let searched = head.len().saturating_sub(3);
        if (&mut *io).take((LONGEST_REQUEST - head.len()) as u64).read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // What is clearly no HTTP, MQTT say, is not waited for.
        let is_over = head[searched..].windows(4).any(|window| window == b"\r\n\r\n");
        if !is_over && head.first().is_some_and(u8::is_ascii_uppercase) {
            continue;
        }
        return Ok(match Request::try_parse(&head) {
            Ok(Some((length, request))) => Ok((request, head.split_off(length))),
            Err(Error::Protocol(ProtocolError::WrongHttpMethod)) => {
                Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "a WebSocket is opened by GET"))
            }
            Ok(None) | Err(_) => Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "this is no HTTP request; MQTT over WebSocket is served here",
            )),
        });
    }
}

fn judge(request: &Request, options: &WebsocketOptions) -> Result<Response, Refusal> {
    let path = request.uri().path();
    if let Some(wanted) = options.path.as_ref().filter(|wanted| *wanted != path) {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("MQTT over WebSocket is served at {wanted}, not {path}"),
        ));
    }
    let mut response = create_response(request).map_err(|error| {
        let status = match error {
            Error::Protocol(ProtocolError::InvalidSecWebSocketKey | ProtocolError::MissingSecWebSocketKey) => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::UPGRADE_REQUIRED,
        };
        Refusal::new(status, format!("MQTT over WebSocket is served here, and this opens none: {error}"))
    })?;
    let origin = request.headers().get(header::ORIGIN);
    if let (Some(origins), Some(origin)) = (&options.origins, origin)
        && !origins.iter().any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()))
    {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "pages of this origin may not connect"));
    }
    let subprotocol = choose_subprotocol(request.headers())?;
    response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    Ok(response)
}

/// [MQTT-6.0.0-3] [MQTT-6.0.0-4]; 3.1.1 [MQTT-6.0.0-3], 3.1.1 [MQTT-6.0.0-4]
fn choose_subprotocol(headers: &HeaderMap) -> Result<&'static str, Refusal> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let asked: Vec<&str> = values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    SUBPROTOCOLS.into_iter().find(|ours| asked.contains(ours)).ok_or_else(|| {
        let sentence = match asked.join(", ") {
            none if none.is_empty() => "no subprotocol is asked for; it has to be 'mqtt'".to_owned(),
            others => format!("of the subprotocols '{others}' none is served here; ask for 'mqtt'"),
        };
        Refusal::new(StatusCode::BAD_REQUEST, sentence)
    })
}

fn refusal(status: StatusCode, sentence: &str) -> Result<Response, tungstenite::http::Error> {
    let mut builder = Response::builder()
        .status(status)
        .header(header::CONNECTION, "close")
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CONTENT_LENGTH, sentence.len() + 1);
    match status {
        StatusCode::UPGRADE_REQUIRED => {
            builder = builder
                .header(header::UPGRADE, "websocket")
                .header(header::SEC_WEBSOCKET_VERSION, "13")
                .header(header::SEC_WEBSOCKET_PROTOCOL, "mqtt");
        }
        StatusCode::METHOD_NOT_ALLOWED => builder = builder.header(header::ALLOW, "GET"),
        _ => {}
    }
    builder.body(())
}
