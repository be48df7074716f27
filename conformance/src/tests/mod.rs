//! The tests, one file for each section of the standard, one folder for each version.
//!
//! A rule that both versions share is one function in `both/`, listed in the tables of both.

pub(crate) mod asking;
pub(crate) mod both;
pub(crate) mod bytes;
pub(crate) mod clock;
pub(crate) mod granting;
pub(crate) mod judge;
pub(crate) mod many;
pub(crate) mod not_offered;
pub(crate) mod offer;
pub(crate) mod property_faults;
pub(crate) mod rows;
pub(crate) mod sharing;
pub(crate) mod v3;
pub(crate) mod v5;
pub(crate) mod watch;
pub(crate) mod web_socket;
pub(crate) mod without_qos_2;

use crate::test::Section;

/// Every section of every version, in the standard's order.
pub const SECTIONS: &[&[Section]] = &[v3::SECTIONS, v5::SECTIONS];
