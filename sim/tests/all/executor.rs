//! The one task of the events world and its sleepers.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use squall_sim::events::executor::{Play, Sleepers, Turn};

#[test]
fn a_play_runs_only_when_it_was_woken() {
    let mut polled = 0;
    let waker = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&waker);
    let mut play = Play::new(Box::pin(std::future::poll_fn(move |context| {
        polled += 1;
        kept.replace(Some(context.waker().clone()));
        if polled == 2 {
            context.waker().wake_by_ref();
        }
        if polled == 3 { Poll::Ready(polled) } else { Poll::Pending }
    })));
    assert!(matches!(play.turn(), Turn::Ran));
    assert!(matches!(play.turn(), Turn::Idle));
    waker.take().expect("it was polled").wake();
    assert!(matches!(play.turn(), Turn::Ran));
    assert!(matches!(play.turn(), Turn::Done(3)));
}

#[test]
fn sleepers_wake_in_the_order_of_their_times() {
    let mut sleepers = Sleepers::default();
    let late = sleepers.add(Duration::from_secs(3), Waker::noop().clone());
    sleepers.add(Duration::from_secs(1), Waker::noop().clone());
    sleepers.add(Duration::from_secs(2), Waker::noop().clone());
    assert_eq!(sleepers.next(), Some(Duration::from_secs(1)));
    sleepers.wake_due(Duration::from_secs(2));
    assert_eq!(sleepers.next(), Some(Duration::from_secs(3)));
    sleepers.remove(late);
    assert_eq!(sleepers.next(), None);
}
