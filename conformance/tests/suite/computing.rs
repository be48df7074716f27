//! What takes long to work out holds nobody up at a real address.

use std::{rc::Rc, sync::mpsc, time::Duration};

use squall_codec::version::Version;
use squall_conformance::{dial::Dialer, live::Live};
use squall_scenarios::stage::Stage;
use tokio::task::{LocalSet, spawn_local};

#[tokio::test]
async fn others_go_on_while_something_is_worked_out() {
    let address = "127.0.0.1:1".parse().expect("an address");
    let stage = Stage::new(Rc::new(Live::new(Dialer::tcp(address))), Version::V5_0, "beside", Duration::from_secs(1));
    let (sender, receiver) = mpsc::channel();
    let heard = async {
        // It gets its turn only while the computation waits for it.
        spawn_local(async move { sender.send("a word from beside") });
        stage.computed(move || receiver.recv_timeout(Duration::from_secs(10)).ok()).await
    };
    assert_eq!(LocalSet::new().run_until(heard).await, Some(Some("a word from beside")));
}
