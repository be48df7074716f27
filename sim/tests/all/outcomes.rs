//! How the operations of a client ended, until somebody asks.

use squall_client::core::effect::{Outcome, Token};
use squall_codec::reason::ReasonCode;
use squall_sim::events::outcomes::Outcomes;

#[test]
fn an_outcome_is_there_once_for_whoever_asks_in_whatever_order() {
    let outcome = |filters: usize| Outcome::Subscribed { reasons: vec![ReasonCode::Success; filters] };
    let mut outcomes = Outcomes::default();
    for name in [3, 1, 2, 7] {
        outcomes.insert(Token(name), outcome(name as usize));
    }
    for name in [2, 1, 7, 3] {
        assert_eq!(outcomes.take(Token(name)), Some(outcome(name as usize)), "{name}");
        assert_eq!(outcomes.take(Token(name)), None, "{name} is taken");
    }
    assert!(outcomes.is_empty());
    outcomes.insert(Token(9), outcome(9));
    assert_eq!([8, 9].map(|name| outcomes.take(Token(name))), [None, Some(outcome(9))]);
}
