//! The page of a trace in a real browser: its lanes stand, a key moves it, nothing is complained about, and what a broker or a
//! script says stays text. Where there is no browser the trials are ignored, with the reason.

mod told;

use std::{env, fs, path::PathBuf, process::Command, rc::Rc};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use squall_codec::version::Version;
use squall_scenarios::script::Script;
use squall_sim::{
    show::html,
    trace::model::{Line, Trace},
};
use told::{never_came, played, script, twice};

fn main() {
    let arguments = Arguments::from_args();
    let trials = vec![
        Trial::ignorable_test("a_story_has_its_lanes_and_rows", a_story_has_its_lanes_and_rows),
        Trial::ignorable_test("a_fragment_chooses_an_event", a_fragment_chooses_an_event),
        Trial::ignorable_test("keys_move_search_zoom_and_help", keys_move_search_zoom_and_help),
        Trial::ignorable_test("a_broken_promise_comes_first", a_broken_promise_comes_first),
        Trial::ignorable_test(
            "a_message_that_never_came_is_told_from_its_beginning",
            a_message_that_never_came_is_told_from_its_beginning,
        ),
        Trial::ignorable_test("what_is_said_stays_text", what_is_said_stays_text),
        Trial::ignorable_test("five_thousand_events_are_not_slow", five_thousand_events_are_not_slow),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

/// What the browser made of a page.
struct Seen {
    dom: String,
    complaints: String,
}

fn browser() -> Result<PathBuf, String> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|path| path.exists());
    found.ok_or_else(|| "there is no Chromium; CHROMIUM names one".to_owned())
}

fn open(page: &str, fragment: &str) -> Result<Result<Seen, String>, Failed> {
    let browser = match browser() {
        Ok(browser) => browser,
        Err(reason) => return Ok(Err(reason)),
    };
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("page.html");
    fs::write(&file, page)?;
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1200,900"])
        .args(["--virtual-time-budget=4000", "--enable-logging=stderr", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("file://{}{fragment}", file.display()))
        .output()?;
    let complaints: Vec<String> = String::from_utf8_lossy(&output.stderr)
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .map(str::to_owned)
        .collect();
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || dom.is_empty() {
        return Err(format!("the browser failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(Ok(Seen { dom, complaints: complaints.join("\n") }))
}

impl Seen {
    /// An attribute of the page's root.
    fn root(&self, name: &str) -> Option<&str> {
        let start = self.dom.find("<html")?;
        let tag = &self.dom[start..start + self.dom[start..].find('>')?];
        let from = tag.find(&format!("data-{name}=\""))? + name.len() + 7;
        Some(&tag[from..from + tag[from..].find('"')?])
    }

    /// It is ready with so many rows, and nobody complained.
    fn is_well(&self, rows: usize) -> Result<(), Failed> {
        if !self.complaints.is_empty() {
            return Err(format!("the browser complains: {}", self.complaints).into());
        }
        if self.root("errors").is_some() || self.root("ready") != Some(rows.to_string().as_str()) {
            return Err(format!("ready {:?}, errors {:?}", self.root("ready"), self.root("errors")).into());
        }
        Ok(())
    }
}

macro_rules! opened {
    ($page:expr, $fragment:expr) => {
        match open($page, $fragment)? {
            Ok(seen) => seen,
            Err(reason) => return Ok(Completion::ignored_with(reason)),
        }
    };
}

fn check(holds: bool, what: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(what.to_owned().into()) }
}

fn lost() -> Trace {
    played(&script("scenarios/qos/2_delivery_pubrec_lost.yaml"), Version::V5_0)
}

fn a_story_has_its_lanes_and_rows() -> Result<Completion, Failed> {
    let trace = lost();
    let seen = opened!(&html::draw(&trace), "");
    seen.is_well(trace.lines.len())?;
    for lane in ["alice", "broker", "bob"] {
        check(seen.dom.contains(&format!(">{lane}</b>")), &format!("no lane of {lane}"))?;
    }
    check(seen.dom.matches("role=\"option\"").count() >= 10, "too few rows are drawn")?;
    check(seen.dom.contains("✔ pass"), "the verdict is missing")?;
    check(seen.root("chosen") == Some("0"), "the first event is chosen")?;
    Ok(Completion::Completed)
}

fn a_fragment_chooses_an_event() -> Result<Completion, Failed> {
    let trace = lost();
    let line =
        trace.lines.iter().find(|line| line.node == "bob" && line.text.starts_with("PUBREC")).ok_or("no PUBREC")?;
    let seen = opened!(&html::draw(&trace), &format!("#e={}", line.seq));
    seen.is_well(trace.lines.len())?;
    check(seen.root("chosen") == Some(line.seq.to_string().as_str()), "the fragment is not followed")?;
    check(seen.dom.contains("<h2>PUBREC</h2>"), "its packet is not explained")?;
    check(seen.dom.contains("Second step of QoS 2"), "its meaning is not said")?;
    check(seen.dom.contains("5.0/MQTT-4.3.3-8"), "its rules are not named")?;
    check(seen.dom.contains("It did not arrive"), "that it was lost is not said")?;
    check(seen.dom.contains("QoS 2, waits for PUBREL"), "the session at that moment is not shown")?;
    Ok(Completion::Completed)
}

/// The page with somebody at its keyboard: its policy would not let a foreign script in, so that is taken out.
fn with_keys(page: &str, keys: &[&str], then: &str) -> Result<String, Failed> {
    let from = page.find("<meta http-equiv").ok_or("the page has no policy")?;
    let to = from + page[from..].find('>').ok_or("the policy ends")? + 1;
    let keys = serde_json::to_string(keys)?;
    let hands = format!(
        "<script>for (const key of {keys}) document.dispatchEvent(new KeyboardEvent('keydown', {{ key, bubbles: true }}));\n{then}</script>"
    );
    Ok(format!("{}{}", &page[..from], &page[to..]).replace("</body>", &format!("{hands}</body>")))
}

fn keys_move_search_zoom_and_help() -> Result<Completion, Failed> {
    let trace = lost();
    let page = html::draw(&trace);
    let rows = trace.lines.len();
    let seq_of_row = |row: usize| {
        let mut order: Vec<&Line> = trace.lines.iter().collect();
        order.sort_by_key(|line| line.at_us);
        order[row].seq.to_string()
    };
    for (keys, row) in [
        (&["ArrowDown", "ArrowDown", "j"][..], 3),
        (&["End"], rows - 1),
        (&["End", "ArrowUp"], rows - 2),
        (&["End", "Home", "ArrowUp"], 0),
    ] {
        let seen = opened!(&with_keys(&page, keys, "")?, "");
        seen.is_well(rows)?;
        check(seen.root("chosen") == Some(&seq_of_row(row)), &format!("{keys:?} chose {:?}", seen.root("chosen")))?;
    }
    let seen = opened!(&with_keys(&page, &["n"], "")?, "");
    check(seen.dom.contains("<h2>A fault</h2>"), "n goes to the next fault")?;
    let seen = opened!(&with_keys(&page, &["?", "+"], "")?, "");
    check(seen.dom.contains("id=\"legend\" aria-label=\"Help\">"), "? opens the help")?;
    check(seen.root("zoom") == Some("2"), "+ zooms")?;
    let seen = opened!(&with_keys(&page, &["?", "Escape"], "")?, "");
    check(seen.dom.contains("id=\"legend\" aria-label=\"Help\" hidden"), "Esc closes the help")?;
    let types = "const words = document.getElementById('words'); words.value = 'bob pubrec'; words.dispatchEvent(new Event('input'));\
                 words.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));";
    let seen = opened!(&with_keys(&page, &["/"], types)?, "");
    check(seen.dom.contains("3 found"), "the search counts")?;
    check(seen.dom.contains("<h2>PUBREC</h2>"), "Enter goes to what was found")?;
    Ok(Completion::Completed)
}

fn a_broken_promise_comes_first() -> Result<Completion, Failed> {
    let trace = twice(Version::V5_0);
    let breach = trace.breaches.first().ok_or("the broker broke a promise")?;
    let seen = opened!(&html::draw(&trace), "");
    seen.is_well(trace.lines.len() + trace.breaches.len())?;
    check(seen.root("chosen") == Some(breach.seq.to_string().as_str()), "its event is not chosen")?;
    let place = |text: &str| seen.dom.find(text).ok_or_else(|| Failed::from(format!("'{text}' is missing")));
    let first = place("✘ Exactly once")?;
    check(first < place("id=\"rows\"")?, "it does not come first")?;
    place("What was promised")?;
    place("must reach each subscriber one time")?;
    place("5.0/MQTT-4.3.3-10")?;
    place("What was seen")?;
    place("came 2 times and was published for 1")?;
    place("How it came about")?;
    place("Show it in the diagram")?;
    Ok(Completion::Completed)
}

fn a_message_that_never_came_is_told_from_its_beginning() -> Result<Completion, Failed> {
    let trace = never_came();
    let seen = opened!(&html::draw(&trace), "");
    seen.is_well(trace.lines.len() + trace.breaches.len())?;
    let begin = seen.dom.find("How it came about").ok_or("nothing says how it came about")?;
    let end = begin + seen.dom[begin..].find("Show it in the diagram").ok_or("it has no end")?;
    let told = &seen.dom[begin..end];
    let mut from = 0;
    // In the order of time, and without what has nothing to do with it.
    for step in ["SUBSCRIBE", "a/+", "RST", "opens a connection", "PUBLISH", "lost", "PUBACK", "all has come to rest"] {
        from += told[from..].find(step).ok_or_else(|| Failed::from(format!("no '{step}' behind {from} in {told}")))?;
    }
    check(!told.contains("else"), "a filter that does not match is told")?;
    check(!seen.dom.contains("could not end"), "it is told twice")?;
    Ok(Completion::Completed)
}

const EVIL: &str = r#"<script>document.documentElement.dataset.evil=1</script><img src=x onerror="document.documentElement.dataset.evil=1"></script>"#;

fn what_is_said_stays_text() -> Result<Completion, Failed> {
    let yaml = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let topic = "a/<b>bold<b>/</script>";
    let story = format!(
        "title: {}\nabout: {}\nactors: {{ alice: peer }}\nsteps:\n  - alice: {{ connect: {{}} }}\n  - alice: {{ subscribe: {{ filter: {}, qos: 0 }} }}\n  - alice: {{ publish: {{ topic: {}, payload: {} }} }}\n  - alice: {{ expect: {{ publish: {{ payload: other }} }} }}\n",
        yaml(EVIL),
        yaml(EVIL),
        yaml(topic),
        yaml(topic),
        yaml(EVIL)
    );
    let script = Rc::new(Script::parse("evil.yaml", &story).map_err(|error| error.to_string())?);
    let trace = played(&script, Version::V5_0);
    let page = html::draw(&trace);
    check(page.matches("<script").count() == 2, "a script that is not ours")?;
    let line = trace.lines.iter().rev().find(|line| line.text.starts_with("PUBLISH")).ok_or("no PUBLISH")?;
    let seen = opened!(&page, &format!("#e={}", line.seq));
    seen.is_well(trace.lines.len())?;
    check(seen.root("evil").is_none(), "what was said was carried out")?;
    check(seen.dom.contains("&lt;img src=x"), "what was said is not shown")?;
    check(!seen.dom.contains("<img"), "what was said became markup")?;
    Ok(Completion::Completed)
}

/// The same exchanges again and again, as a long sweep has them.
fn long(entries: usize) -> Trace {
    let mut trace = lost();
    let pattern = trace.lines.clone();
    let period = pattern.iter().map(|line| line.at_us).max().unwrap_or(0) + 1_000;
    trace.lines = (0..entries)
        .map(|seq| {
            let line = &pattern[seq % pattern.len()];
            let at_us = line.at_us + period * (seq / pattern.len()) as u64;
            Line { seq, at_us, cause: None, ..line.clone() }
        })
        .collect();
    trace.header.entries = entries;
    trace
}

fn five_thousand_events_are_not_slow() -> Result<Completion, Failed> {
    let trace = long(5_000);
    let page = html::draw(&trace);
    check(page.len() < 16 << 20, &format!("the page has {} bytes", page.len()))?;
    let times = "const began = performance.now();\
                 for (let step = 0; step < 50; step += 1) document.dispatchEvent(new KeyboardEvent('keydown', { key: 'PageDown', bubbles: true }));\
                 document.documentElement.dataset.took = Math.round(performance.now() - began);";
    let seen = opened!(&with_keys(&page, &["Home"], times)?, "");
    seen.is_well(5_000)?;
    let rows = seen.dom.matches("role=\"option\"").count();
    check((5..200).contains(&rows), &format!("{rows} rows exist where a screen shows thirty"))?;
    Ok(Completion::Completed)
}
