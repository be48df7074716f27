//! Time and the end of a play in the events world.

use std::{future::pending, time::Duration};

use squall_sim::{
    events::{EventsOptions, run},
    run::RunError,
};

#[test]
fn time_jumps_to_the_next_sleeper() {
    let run = run(EventsOptions::new(1), |world| {
        Box::pin(async move {
            world.sleep_until(Duration::from_secs(3600)).await;
            world.sleep_until(Duration::from_secs(1)).await;
            world.now()
        })
    });
    assert_eq!(run.outcome, Ok(Duration::from_secs(3600)));
    assert_eq!(run.elapsed, Duration::from_secs(3600));
}

#[test]
fn a_play_that_waits_for_nothing_is_reported_as_stuck() {
    let run = run(EventsOptions::new(1), |world| {
        Box::pin(async move {
            world.sleep_until(Duration::from_secs(2)).await;
            pending::<()>().await;
        })
    });
    assert_eq!(run.outcome, Err(RunError::Stuck { at: Duration::from_secs(2) }));
}

#[test]
fn a_play_that_never_ends_is_stopped() {
    let options = EventsOptions { event_limit: 1_000, ..EventsOptions::new(1) };
    let run = run::<()>(options, |world| {
        Box::pin(async move {
            loop {
                world.sleep_until(world.now() + Duration::from_millis(1)).await;
            }
        })
    });
    assert!(matches!(run.outcome, Err(RunError::TooManyEvents { limit: 1_000, .. })), "{:?}", run.outcome);
}

#[test]
fn a_play_that_takes_too_long_is_stopped() {
    let options = EventsOptions { time_limit: Duration::from_secs(10), ..EventsOptions::new(1) };
    let run = run(options, |world| Box::pin(async move { world.sleep_until(Duration::from_secs(11)).await }));
    assert_eq!(run.outcome, Err(RunError::TooLong { limit: Duration::from_secs(10) }));
}

#[test]
fn a_panic_of_the_play_is_an_error_of_the_run() {
    let run = run::<()>(EventsOptions::new(1), |_| Box::pin(async { panic!("the play broke") }));
    assert_eq!(run.outcome, Err(RunError::Panicked("the play broke".to_owned())));
}
