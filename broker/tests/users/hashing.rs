//! The pool that hashes: a few at a time, and those who were wrong of late never take all of it.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
    time::Duration,
};

use squall_broker::{
    core::{access::Answer, effect::AuthenticationOutcome},
    net::hashing::HashingPool,
    users::workshop::{Job, Workshop},
};
use squall_codec::reason::ReasonCode;

use crate::{server::soon, support::text};

type Later = Pin<Box<dyn Future<Output = AuthenticationOutcome> + Send>>;

const ALLOWED: AuthenticationOutcome = AuthenticationOutcome::Allowed { user: None, data: None };

fn later(answer: Answer) -> Later {
    match answer {
        Answer::Later(future) => future,
        Answer::Now(outcome) => panic!("answered at once: {outcome:?}"),
    }
}

fn job(suspect: bool, run: impl FnOnce() + Send + 'static) -> Job {
    let run = move || {
        run();
        (ALLOWED, Duration::ZERO)
    };
    Job { name: text("alice"), is_suspect: Box::new(move || suspect), run: Box::new(run) }
}

/// Lets it begin, and nothing more.
async fn begin(future: &mut Later) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// A job that says when it has begun and waits to be let go.
fn held(suspect: bool) -> (Job, tokio::sync::oneshot::Receiver<()>, mpsc::Sender<()>) {
    let (begun, began) = tokio::sync::oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let run = move || {
        begun.send(()).expect("the test waits");
        // Let go, or the test is over.
        let _ = released.recv();
    };
    (job(suspect, run), began, release)
}

#[tokio::test]
async fn those_who_were_wrong_leave_room_for_the_others() {
    let pool = HashingPool::new(2);
    let (first, began, release_first) = held(true);
    let (second, mut second_began, release_second) = held(true);
    let (mut first, mut second) = (later(pool.work(first)), later(pool.work(second)));
    begin(&mut first).await;
    begin(&mut second).await;
    soon("the first suspect", began).await.expect("it runs");
    // Two turns and two suspects: one of the turns is left.
    soon("somebody else", later(pool.work(job(false, || {})))).await;
    assert!(second_began.try_recv().is_err());
    drop(release_first);
    soon("the first suspect", first).await;
    drop(release_second);
    soon("the second suspect", second).await;
}

#[tokio::test]
async fn who_becomes_a_suspect_while_waiting_is_one() {
    let pool = HashingPool::new(2);
    let wrong = Arc::new(AtomicBool::new(false));
    let (begun, mut began) = tokio::sync::mpsc::unbounded_channel();
    let mut waiting = Vec::new();
    for number in 0..5 {
        let (begun, suspect) = (begun.clone(), Arc::clone(&wrong));
        let run = move || {
            let (release, released) = mpsc::channel::<()>();
            begun.send(release).expect("the test waits");
            let _ = released.recv();
        };
        let is_suspect = Box::new(move || suspect.load(Ordering::Relaxed));
        let name = text(&format!("user{number}"));
        let future = later(pool.work(Job { name, is_suspect, ..job(false, run) }));
        waiting.push(tokio::spawn(future));
    }
    // Both turns are taken before anybody was wrong; then somebody is.
    let first = soon("the first", began.recv()).await.expect("it runs");
    let second = soon("the second", began.recv()).await.expect("it runs");
    wrong.store(true, Ordering::Relaxed);
    drop((first, second));
    // The three that are left take one turn at a time: somebody else finds the other one.
    for _ in 0..3 {
        let release = soon("one more", began.recv()).await.expect("it runs");
        soon("somebody else", later(pool.work(job(false, || {})))).await;
        assert!(began.try_recv().is_err());
        drop(release);
    }
    for future in waiting {
        soon("all of them", future).await.expect("no panic");
    }
}

#[tokio::test]
async fn many_guesses_at_one_name_take_one_place_among_those_who_wait() {
    let pool = HashingPool::new(2);
    let (begun, mut began) = tokio::sync::mpsc::unbounded_channel();
    let mut waiting = Vec::new();
    for name in ["alice", "alice", "alice", "alice", "bob"] {
        let begun = begun.clone();
        let run = move || {
            let (release, released) = mpsc::channel::<()>();
            begun.send((name, release)).expect("the test waits");
            let _ = released.recv();
        };
        let mut future = later(pool.work(Job { name: text(name), ..job(true, run) }));
        begin(&mut future).await;
        waiting.push(tokio::spawn(future));
    }
    let mut order = Vec::new();
    for _ in 0..5 {
        let (name, release) = soon("the next", began.recv()).await.expect("it runs");
        order.push(name);
        drop(release);
    }
    assert_eq!(order, ["alice", "bob", "alice", "alice", "alice"]);
    for future in waiting {
        soon("all of them", future).await.expect("no panic");
    }
    assert_eq!(format!("{pool:?}"), "HashingPool { turns: 2, lanes: 0, .. }");
}

#[tokio::test]
async fn who_gives_up_waiting_leaves_nothing_behind() {
    let pool = HashingPool::new(2);
    let (first, began, release) = held(true);
    let mut first = later(pool.work(first));
    begin(&mut first).await;
    soon("the first", began).await.expect("it runs");
    for name in ["alice", "bob", "carol"] {
        let mut future = later(pool.work(Job { name: text(name), ..job(true, || {}) }));
        begin(&mut future).await;
    }
    assert_eq!(format!("{pool:?}"), "HashingPool { turns: 1, lanes: 1, .. }");
    drop(release);
    soon("the first", first).await;
    assert_eq!(format!("{pool:?}"), "HashingPool { turns: 2, lanes: 0, .. }");
}

#[tokio::test]
async fn never_more_at_once_than_there_are_turns_even_if_they_hang_up() {
    let pool = HashingPool::new(3);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut waiting = Vec::new();
    for number in 0..60 {
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        let run = move || {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
        };
        let mut future = later(pool.work(job(false, run)));
        begin(&mut future).await;
        // Two of three hang up: the hash that has begun ends all the same, and holds its turn until then.
        if number % 3 == 0 {
            waiting.push(future);
        }
    }
    for future in waiting {
        soon("those who stayed", future).await;
    }
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
}

#[tokio::test]
async fn a_hash_that_was_hung_up_on_holds_its_turn_until_it_ends() {
    let pool = HashingPool::new(2);
    let has_ended = Arc::new(AtomicBool::new(false));
    let (Job { run, .. }, began_first, release_first) = held(false);
    let ended = Arc::clone(&has_ended);
    let first = job(false, move || {
        run();
        ended.store(true, Ordering::SeqCst);
    });
    let (second, began_second, _release_second) = held(false);
    let (mut first, mut second) = (later(pool.work(first)), later(pool.work(second)));
    begin(&mut first).await;
    begin(&mut second).await;
    soon("the first", began_first).await.expect("it runs");
    soon("the second", began_second).await.expect("it runs");
    drop(first);
    let mut third = later(pool.work(job(false, move || assert!(has_ended.load(Ordering::SeqCst), "three at once"))));
    begin(&mut third).await;
    // Threads take up in order: had the third begun, it would have done so before this one.
    tokio::task::spawn_blocking(|| {}).await.expect("no panic");
    drop(release_first);
    assert!(matches!(soon("the third", third).await, AuthenticationOutcome::Allowed { .. }));
}

#[tokio::test]
async fn a_job_that_fails_is_a_refusal() {
    let pool = HashingPool::new(2);
    let outcome = soon("an answer", later(pool.work(job(false, || panic!("on purpose"))))).await;
    assert!(matches!(outcome, AuthenticationOutcome::Refused(ReasonCode::ServerUnavailable)));
    // And takes nobody's turn with it.
    for _ in 0..4 {
        soon("the others", later(pool.work(job(false, || {})))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_said_late() {
    let pool = HashingPool::new(2);
    let before = pool.now();
    let refused = || AuthenticationOutcome::Refused(ReasonCode::NotAuthorized);
    later(pool.after(Duration::from_secs(4), refused())).await;
    let waited = pool.now() - before;
    assert!((Duration::from_secs(4)..Duration::from_millis(4010)).contains(&waited), "{waited:?}");
    assert!(matches!(pool.after(Duration::ZERO, refused()), Answer::Now(_)));
}
