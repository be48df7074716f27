//! Each test passes on our honest broker: in the events world, in turmoil, and over TCP.

mod served;

use std::{net::SocketAddr, process::ExitCode, rc::Rc, time::Duration};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use squall_broker::{
    core::HashKey,
    net::{
        listener::ListenerOptions,
        server::{Server, ServerOptions},
        websocket::options::WebsocketOptions,
    },
};
use squall_client::net::tls::TlsOptions;
use squall_codec::version::Version;
use squall_conformance::{
    dial::Dialer,
    live::Live,
    own,
    report::{human::transcript_line, model::TestEntry},
    run::{Bounds, keep_panics_of_tests_quiet, play},
    select::{Planned, all},
    setup::Setup,
    test::Isolation,
};
use squall_scenarios::{
    stage::{Need, Stage, World},
    verdict::Verdict,
};
use tokio::task::LocalSet;

use served::served;

/// Tests over TCP wait for the network and for clocks: many run beside each other.
const TRIALS_AT_A_TIME: usize = 12;

fn main() -> ExitCode {
    keep_panics_of_tests_quiet();
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TRIALS_AT_A_TIME);
    // Brokers end with the process: a trial that runs alone looks at what all clients share, so it gets its own.
    let shared = (!arguments.list).then(|| start_broker(Setup::Plain));
    let trials = all().into_iter().flat_map(|planned| trials(planned, shared)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn name(world: &str, planned: &Planned) -> String {
    format!("{world}::{}::{}", planned.version, planned.test.name)
}

fn trials(planned: Planned, broker: Option<SocketAddr>) -> [Trial; 3] {
    [
        Trial::ignorable_test(name("events", &planned), move || {
            if planned.test.setup == Setup::WebSocket {
                return Ok(Completion::ignored_with("the events world has no WebSocket"));
            }
            passes(&own::in_events(&planned, None))
        }),
        Trial::ignorable_test(name("turmoil", &planned), move || {
            if planned.test.needs.contains(&Need::Jump) {
                return Ok(Completion::ignored_with("turmoil cannot skip idle time"));
            }
            passes(&own::in_turmoil(&planned))
        }),
        Trial::ignorable_test(name("tcp", &planned), move || {
            if planned.test.slow {
                return Ok(Completion::ignored_with("slow: real time"));
            }
            let setup = planned.test.setup;
            let own_broker = planned.test.isolation != Isolation::Shared || setup != Setup::Plain;
            let address = broker.filter(|_| !own_broker).unwrap_or_else(|| start_broker(setup));
            over_tcp(&planned, address)
        }),
    ]
}

fn passes(entry: &TestEntry) -> Result<Completion, Failed> {
    if entry.verdict == Verdict::Pass {
        return if entry.evidence.is_empty() {
            Err("passed without evidence".into())
        } else {
            Ok(Completion::Completed)
        };
    }
    let lines: Vec<_> = entry.transcript.iter().map(transcript_line).collect();
    let reason = entry.reason.as_deref().unwrap_or_default();
    Err(format!("{}: {reason}\n{}", entry.verdict, lines.join("\n")).into())
}

/// Our broker on a free loopback port, for as long as this process lives.
fn start_broker(setup: Setup) -> SocketAddr {
    served(move |listener| async move {
        let subject = own::subject(setup);
        let options = ServerOptions::new(HashKey([1, 2]), Duration::from_secs(1_800_000_000));
        let options = ServerOptions { authenticator: subject.authenticator, ..options.with_config(subject.config) };
        let mut server = Server::new(options);
        let websocket = (setup == Setup::WebSocket).then(WebsocketOptions::default);
        server.listen(listener, ListenerOptions { websocket, ..ListenerOptions::named("tcp") });
        server.run(std::future::pending()).await.expect("the listener accepts");
    })
}

fn over_tcp(planned: &Planned, address: SocketAddr) -> Result<Completion, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let bounds = Bounds::default();
        let dialer = match planned.test.setup {
            Setup::WebSocket => {
                let target = format!("ws://{address}/mqtt").parse().expect("it is a URL");
                Dialer::new(&target, address, &TlsOptions::default()).expect("there is no TLS")
            }
            _ => Dialer::tcp(address),
        };
        let world = Rc::new(Live::new(dialer));
        if let Some(reason) = planned.test.needs.iter().find_map(|need| world.offers(*need).err()) {
            return Ok(Completion::ignored_with(reason));
        }
        let version = match planned.version {
            Version::V3_1 => "31",
            Version::V3_1_1 => "311",
            Version::V5_0 => "5",
        };
        let stage = Stage::new(world, planned.version, &format!("tcp{}n{version}", planned.number), bounds.patience)
            .with_credentials(planned.test.setup.credentials());
        passes(&play(&stage, planned, bounds).await)
    })
}
