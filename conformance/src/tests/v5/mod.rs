//! MQTT 5.0.

use crate::test::Section;

pub(crate) const SECTIONS: &[Section] = &[];
