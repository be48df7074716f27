//! Time and the end of a play in turmoil.

use std::{future::pending, time::Duration};

use squall_sim::{
    run::RunError,
    turmoil::{TurmoilOptions, run},
};

#[test]
fn time_passes_step_by_step() {
    let run = run(TurmoilOptions::new(1), |world| {
        Box::pin(async move {
            world.sleep_until(Duration::from_millis(1_500)).await;
            world.now()
        })
    });
    assert_eq!(run.outcome, Ok(Duration::from_millis(1_500)));
}

#[test]
fn a_play_that_takes_too_long_is_stopped() {
    let options = TurmoilOptions { time_limit: Duration::from_secs(2), ..TurmoilOptions::new(1) };
    let run = run::<()>(options, |_| Box::pin(pending()));
    assert_eq!(run.outcome, Err(RunError::TooLong { limit: Duration::from_secs(2) }));
}

#[test]
fn a_panic_of_the_play_is_an_error_of_the_run() {
    let run = run::<()>(TurmoilOptions::new(1), |_| Box::pin(async { panic!("the play broke") }));
    let Err(RunError::Panicked(message)) = run.outcome else { panic!("no panic was seen: {:?}", run.outcome) };
    assert!(message.starts_with("the play broke"), "{message}");
}

#[test]
fn a_panic_in_a_task_that_nobody_joins_is_an_error_of_the_run() {
    let run = run(TurmoilOptions::new(1), |world| {
        Box::pin(async move {
            tokio::spawn(async { panic!("nobody joins this") });
            world.sleep_until(Duration::from_millis(10)).await;
        })
    });
    assert!(matches!(run.outcome, Err(RunError::Panicked(_))), "{:?}", run.outcome);
}
