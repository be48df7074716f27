//! The audit as a library: what the command line does, for programs and for the tests of a broker.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use squall_codec::version::Version;
use tokio::task::LocalSet;

use crate::{
    baseline::Baseline,
    dial::Access,
    event::Listener,
    preflight::probe,
    profile::Profile,
    report::model::{Header, Report, Spoken},
    run::{Audience, Audit, Bounds, DEFAULT_VERSIONS},
    select::{Filter, Grade, Selection},
    stop::Stop,
    target::Target,
};

/// Which tests to run, and how. Without a word it is what `conformance --target …` does.
pub struct Suite {
    selection: Selection,
    access: Access,
    jobs: Option<usize>,
    bounds: Bounds,
    profile: Option<Profile>,
    baseline: Option<Baseline>,
    strict: bool,
    fail_fast: bool,
    stop: Stop,
    listeners: Vec<Box<dyn Listener>>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The choice of tests makes no sense.
    #[error("{0}")]
    Choice(String),
    /// The text names no address.
    #[error("{0}")]
    Target(String),
    /// Nothing can be audited there.
    #[error("{0}")]
    Unreachable(String),
    /// A listener could not write.
    #[error("failed to write a report: {0}")]
    Io(#[from] std::io::Error),
}

impl Default for Suite {
    fn default() -> Self {
        Suite::new()
    }
}

impl Suite {
    /// Every test of MQTT 3.1.1 and 5.0 that a healthy broker answers quickly.
    pub fn new() -> Self {
        Suite {
            selection: Selection { versions: DEFAULT_VERSIONS.to_vec(), ..Selection::default() },
            access: Access::default(),
            jobs: None,
            bounds: Bounds::default(),
            profile: None,
            baseline: None,
            strict: false,
            fail_fast: false,
            stop: Stop::default(),
            listeners: Vec::new(),
        }
    }

    /// Only these versions.
    #[must_use]
    pub fn versions(mut self, versions: impl IntoIterator<Item = Version>) -> Self {
        self.selection.versions = versions.into_iter().collect();
        self
    }

    /// Also tests that this word takes: the beginning of an id, or words of a name. Without any, all.
    #[must_use]
    pub fn filter(mut self, word: &str) -> Self {
        let filter: Result<Filter, std::convert::Infallible> = word.parse();
        self.selection.filters.extend(filter);
        self
    }

    /// Only tests of rules of this weight, or of another that was named.
    #[must_use]
    pub fn grade(mut self, grade: Grade) -> Self {
        self.selection.grades.push(grade);
        self
    }

    /// Also tests that need more than 5 s on a healthy broker.
    #[must_use]
    pub fn slow(mut self) -> Self {
        self.selection.slow = true;
        self
    }

    /// How to get in at the address: credentials, certificates.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// So many tests at a time: else as many as the profile says.
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = Some(jobs);
        self
    }

    /// How long an answer may take.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.bounds.patience = patience;
        self
    }

    /// What is known of the subject.
    #[must_use]
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Deviations that are accepted.
    #[must_use]
    pub fn baseline(mut self, baseline: Baseline) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// Warnings count as failures.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    /// The run ends at the first failure that nobody accepted.
    #[must_use]
    pub fn fail_fast(mut self) -> Self {
        self.fail_fast = true;
        self
    }

    /// Somebody who hears of everything as it happens.
    #[must_use]
    pub fn listener(mut self, listener: impl Listener + 'static) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Ends the run before its time.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Audits the broker at this address, `HOST:PORT` or with a scheme, and waits for the end. Must not be called
    /// inside an async runtime.
    ///
    /// # Errors
    /// No test is left by the choice, nothing can be audited at the address, or a listener cannot write.
    pub fn run(self, target: &str) -> Result<Report, SuiteError> {
        let target: Target = target.parse().map_err(|error| SuiteError::Target(format!("{error}")))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = LocalSet::new().block_on(&runtime, self.play(&target));
        // A look-up of a name may still be waiting for an answer, and nobody waits for it any more.
        runtime.shutdown_background();
        outcome
    }

    async fn play(mut self, target: &Target) -> Result<Report, SuiteError> {
        let subject = probe(target, &self.access, &self.selection.versions)
            .await
            .map_err(|error| SuiteError::Unreachable(error.to_string()))?;
        let mut audience = Audience::new(std::mem::take(&mut self.listeners));
        let spoken = |(version, spoken): &(Version, Result<(), String>)| Spoken {
            version: version.to_string(),
            spoken: spoken.is_ok(),
            reason: spoken.as_ref().err().cloned(),
        };
        let header = Header {
            world: "live".to_owned(),
            target: subject.target.to_string(),
            subject: Profile::subject(self.profile.as_ref(), subject.identity.as_deref()),
            mqtt: subject.spoken.iter().map(spoken).collect(),
            ..self.header()
        };
        let known = subject.profile();
        Ok(self.audit(header)?.knowing(known.as_ref()).live(&subject, None, &mut audience).await?)
    }

    /// Audits our own broker in virtual time.
    ///
    /// # Errors
    /// No test is left by the choice, or a listener cannot write.
    #[cfg(feature = "own-broker")]
    pub fn run_on_own_broker(mut self) -> Result<Report, SuiteError> {
        let mut audience = Audience::new(std::mem::take(&mut self.listeners));
        let header = self.header();
        Ok(crate::own::audit(self.audit(header)?, &mut audience)?)
    }

    fn header(&self) -> Header {
        Header {
            tool: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("SQUALL_COMMIT").unwrap_or("unknown").to_owned(),
            command: "as a library".to_owned(),
            started_unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            world: "events".to_owned(),
            target: "squall-broker".to_owned(),
            subject: Some(format!("squall-broker {}", env!("CARGO_PKG_VERSION"))),
            mqtt: self
                .selection
                .versions
                .iter()
                .map(|version| Spoken { version: version.to_string(), spoken: true, reason: None })
                .collect(),
            strict: self.strict,
            notes: Vec::new(),
        }
    }

    fn audit(&self, header: Header) -> Result<Audit<'_>, SuiteError> {
        Ok(Audit {
            selection: &self.selection,
            tests: self.selection.tests().map_err(SuiteError::Choice)?,
            jobs: Profile::jobs(self.profile.as_ref(), self.jobs),
            bounds: Bounds {
                tolerance: self.profile.as_ref().map_or(self.bounds.tolerance, Profile::tolerance),
                ..self.bounds
            },
            header,
            profile: self.profile.as_ref(),
            baseline: self.baseline.as_ref(),
            fail_fast: self.fail_fast,
            stop: self.stop.clone(),
        })
    }
}
