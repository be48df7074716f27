//! Who is to be looked at, and when.

use std::time::Duration;

use squall_sim::events::agenda::Agenda;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn of(count: usize) -> Agenda {
    let mut agenda = Agenda::default();
    (0..count).for_each(|_| agenda.add());
    while agenda.pop().is_some() {}
    agenda
}

#[test]
fn a_round_goes_by_number_and_what_comes_up_behind_it_waits_for_the_next() {
    let mut agenda = of(5);
    agenda.touch(3);
    agenda.touch(1);
    assert_eq!(agenda.pop(), Some(1));
    agenda.touch(4);
    agenda.touch(1);
    agenda.touch(0);
    assert_eq!([agenda.pop(), agenda.pop(), agenda.pop()], [Some(3), Some(4), None]);
    assert!(!agenda.is_empty());
    assert_eq!([agenda.pop(), agenda.pop(), agenda.pop()], [Some(0), Some(1), None]);
    assert!(agenda.is_empty());
}

#[test]
fn a_time_that_was_put_off_is_asked_for_again() {
    let mut agenda = of(2);
    agenda.note(0, Some(ms(5)));
    agenda.note(1, Some(ms(7)));
    // The first one has moved to 9 ms without a word.
    let times = [Some(ms(9)), Some(ms(7))];
    assert_eq!(agenda.next(None, |index| times[index]), Some(ms(7)));
    agenda.list_due(ms(7));
    assert_eq!(agenda.pop(), Some(1));
    assert_eq!(agenda.next(None, |index| [Some(ms(9)), None][index]), Some(ms(9)));
}

#[test]
fn an_earlier_time_counts_and_the_later_one_is_forgotten() {
    let mut agenda = of(1);
    agenda.note(0, Some(ms(9)));
    agenda.note(0, Some(ms(3)));
    assert_eq!(agenda.next(None, |_| Some(ms(3))), Some(ms(3)));
    assert_eq!(agenda.next(Some(ms(3)), |_| panic!("nobody is asked")), Some(ms(3)));
    assert_eq!(agenda.next(Some(ms(4)), |_| Some(ms(3))), Some(ms(3)));
    agenda.list_due(ms(3));
    assert_eq!([agenda.pop(), agenda.pop()], [Some(0), None]);
    agenda.list_due(ms(9));
    assert!(agenda.is_empty());
    assert_eq!(agenda.next(None, |_| None), None);
}
