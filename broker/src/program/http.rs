//! The listener for metrics and health, apart from MQTT: GET /metrics and GET /health, and nothing else.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use squall_broker::net::server::ServerHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use super::metrics;

/// Connections open at once; one more closes the oldest, so that those who say nothing keep nobody out.
const CONNECTIONS: usize = 64;
/// How long one connection may take for its question and our answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the core may take to answer before it is called unhealthy.
const HEALTHY: Duration = Duration::from_secs(2);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// The pause after an accept that failed for want of something (file descriptors, memory).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves for ever.
pub(super) async fn serve(listener: TcpListener, server: ServerHandle) {
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection for metrics");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|one| !one.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let conversation = tokio::time::timeout(PATIENCE, converse(stream, server.clone()));
        open.push_back(tokio::spawn(conversation).abort_handle());
    }
}

/// One connection, one question.
async fn converse(stream: TcpStream, server: ServerHandle) {
    let service = service_fn(|request| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(answer(&request, &server).await) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(HEAD_BYTES).timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection for metrics failed");
    }
}

async fn answer(request: &Request<Incoming>, server: &ServerHandle) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match (request.uri().path(), is_read) {
        ("/metrics" | "/health", false) => {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
        ("/metrics", true) => match look(server).await.map(metrics::page) {
            Ok(Ok(page)) => with_type(StatusCode::OK, METRICS_TYPE, page),
            Ok(Err(_)) => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n"),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
        },
        ("/health", true) => match look(server).await {
            Ok(statistics) => {
                let (connections, sessions) = (statistics.connections, statistics.sessions);
                let body = format!("{{\"status\":\"ok\",\"connections\":{connections},\"sessions\":{sessions}}}\n");
                with_type(StatusCode::OK, "application/json", body)
            }
            Err(reason) => {
                let body = format!("{{\"status\":\"unavailable\",\"reason\":\"{reason}\"}}\n");
                with_type(StatusCode::SERVICE_UNAVAILABLE, "application/json", body)
            }
        },
        _ => text(StatusCode::NOT_FOUND, "there are /metrics and /health\n"),
    }
}

/// The numbers, or why there are none.
async fn look(server: &ServerHandle) -> Result<squall_broker::core::statistics::Statistics, &'static str> {
    match tokio::time::timeout(HEALTHY, server.statistics()).await {
        Ok(Some(statistics)) => Ok(statistics),
        Ok(None) => Err("the broker has ended"),
        Err(_) => Err("the broker does not answer in time"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    with_type(status, "text/plain; charset=utf-8", body)
}

fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use squall_broker::{
        core::HashKey,
        net::server::{Server, ServerOptions},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_core_that_does_not_answer_and_one_that_has_ended_are_not_healthy() {
        let server = Server::new(ServerOptions::new(HashKey([1, 2]), Duration::ZERO));
        let handle = server.handle();
        assert_eq!(look(&handle).await, Err("the broker does not answer in time"));
        drop(server);
        assert_eq!(look(&handle).await, Err("the broker has ended"));
    }
}
