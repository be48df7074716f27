//! MQTT 3.1.1.

use crate::test::Section;

pub(crate) const SECTIONS: &[Section] = &[];
