//! Which test notices a planted defect: the first, in the order of the sections, that fails or warns behind it. Feature
//! `own-broker`.

use serde::Serialize;
use squall_codec::version::Version;
use squall_scenarios::verdict::Verdict;

use crate::{
    own::{in_events, side_by_side_of},
    planted::{self, Planted},
    select::Planned,
    setup::Setup,
};

/// A defect, and who noticed it.
#[derive(Clone, Debug, Serialize)]
pub struct Noticed {
    /// In which it was planted.
    pub version: String,
    /// What "the server" does.
    pub defect: String,
    /// A test; nothing where none does.
    pub by: Option<String>,
}

/// The first of these tests that fails or warns behind this defect. A panic is no verdict.
pub fn by(defect: &Planted, version: Version, tests: &[Planned]) -> Option<&'static str> {
    let through_a_proxy = |planned: &&Planned| planned.version == version && planned.test.setup != Setup::WebSocket;
    tests.iter().filter(through_a_proxy).find_map(|planned| {
        let entry = in_events(planned, Some((defect.liar)()));
        (matches!(entry.verdict, Verdict::Fail | Verdict::Warn) && !entry.internal_error).then_some(planned.test.name)
    })
}

/// All defects, on every core.
pub fn all(tests: &[Planned]) -> Vec<Noticed> {
    let defects: Vec<_> =
        planted::all().flat_map(|defect| defect.versions.iter().map(move |version| (defect, *version))).collect();
    side_by_side_of(&defects, |(defect, version)| Noticed {
        version: version.to_string(),
        defect: defect.name.to_owned(),
        by: by(defect, *version, tests).map(str::to_owned),
    })
}
