//! Lines of a diagram.

use squall_sim::diagram::wrap::wrap;

#[test]
fn lines_break_at_spaces_and_long_words_break_anywhere() {
    assert_eq!(wrap("CONNECT 5.0 client_id=alice", 12, 12), ["CONNECT 5.0", "client_id=", "alice"]);
    assert_eq!(wrap("CONNECT 5.0 client_id=alice", 12, 20), ["CONNECT 5.0", "client_id=alice"]);
    assert_eq!(wrap("PINGREQ", 12, 12), ["PINGREQ"]);
    assert!(wrap("", 12, 12).is_empty());
    assert_eq!(wrap("a abcdef b", 3, 3), ["a", "abc", "def", "b"]);
}
