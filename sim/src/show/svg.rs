//! The diagram as an SVG that stands alone, light and dark.

use std::fmt::Write as _;

use squall_scenarios::{escaped::escaped, verdict::Verdict};

use super::picture::{Head, LONG_PAUSE_US, Mark, Picture, Row, Shape, Stroke, Way, seconds};
use crate::{diagram::wrap::wrap, trace::model::Trace};

/// Before the first lane: the times.
const LEFT: usize = 150;
/// Between two lanes.
const GAP: usize = 330;
const RIGHT: usize = 120;
/// A line of a label.
const LINE: usize = 16;
/// Above and below a row.
const SPACE: usize = 14;
/// A letter of the labels.
const LETTER: f64 = 7.25;

const STYLE: &str = "\
svg{--ground:#fdfdfc;--ink:#1c1f23;--faint:#6a727b;--line:#c3c9d0;--bad:#b3201b;--good:#1d7a3e;--told:#1d6f5c;background:var(--ground);\
font:12px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}\
@media(prefers-color-scheme:dark){svg{--ground:#14171a;--ink:#e6e8ea;--faint:#9aa3ad;--line:#3b424a;--bad:#f0655d;--good:#3fa765;--told:#63c2ab}}\
text{fill:var(--ink)}.title{font-size:16px;font-weight:700}.faint{fill:var(--faint)}.who{font-weight:700;font-size:13px;text-anchor:middle}\
.lane{stroke:var(--line);stroke-width:2}.gone{stroke-dasharray:2 5}.broker{stroke-width:4}\
.arrow{stroke:var(--ink);stroke-width:1.4;fill:none}.head{fill:var(--ink)}.beginning{stroke:var(--faint);stroke-dasharray:2 4}\
.end{stroke:var(--faint);stroke-dasharray:9 3}.cross{stroke:var(--bad);stroke-width:2.2}.stuck{stroke:var(--bad);stroke-dasharray:1 4}\
.bad{fill:var(--bad);font-weight:700}.good{fill:var(--good);font-weight:700}.told{fill:var(--told)}";

/// The whole picture.
pub fn draw(trace: &Trace) -> String {
    let picture = Picture::of(trace);
    let header = &trace.header;
    let lanes = picture.actors.len() + 1;
    let width = LEFT + (lanes - 1) * GAP + RIGHT;
    let mut canvas = Canvas { picture: &picture, body: String::new(), y: 24, open: vec![Vec::new(); lanes - 1] };
    canvas.prose(&header.title, "title", width);
    let play = format!("MQTT {} in the {} world, seed {}", header.mqtt, header.world, header.seed);
    canvas.prose(&play, "faint", width);
    canvas.names();
    let mut before = None;
    for row in &picture.rows {
        let pause = before.map_or(0, |before| row.at_us.saturating_sub(before));
        if pause >= LONG_PAUSE_US {
            canvas.pause(pause);
        }
        canvas.row(row, before != Some(row.at_us));
        before = Some(row.at_us);
    }
    canvas.space(SPACE);
    canvas.names();
    let end = &trace.end;
    match end.verdict {
        Verdict::Pass => canvas.prose("✔ pass", "good", width),
        verdict => canvas.prose(&format!("✘ {verdict}: {}", trace.shown(&end.reason)), "bad", width),
    }
    let height = canvas.y + 8;
    let body = canvas.body;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\"><title>{}</title><style>{STYLE}</style>\n{body}</svg>\n",
        escaped(&header.title)
    )
}

struct Canvas<'a> {
    picture: &'a Picture,
    body: String,
    y: usize,
    /// The connections of each actor that are open.
    open: Vec<Vec<u32>>,
}

impl Canvas<'_> {
    /// The column of an actor, or of the broker.
    fn column(&self, lane: Option<usize>) -> usize {
        let broker = self.picture.on_the_left();
        let index = match lane {
            None => broker,
            Some(lane) if lane < broker => lane,
            Some(lane) => lane + 1,
        };
        LEFT + index * GAP
    }

    fn prose(&mut self, text: &str, class: &str, width: usize) {
        for line in wrap(text, (width as f64 / 9.8) as usize, (width as f64 / 9.8) as usize) {
            let _ = writeln!(self.body, "<text class=\"{class}\" x=\"16\" y=\"{}\">{}</text>", self.y, escaped(&line));
            self.y += 20;
        }
    }

    fn names(&mut self) {
        self.y += 16;
        let lanes = (0..self.picture.actors.len()).map(Some).chain([None]);
        for lane in lanes {
            let name = lane.map_or("broker", |lane| &self.picture.actors[lane]);
            let (x, y) = (self.column(lane), self.y);
            let _ = writeln!(self.body, "<text class=\"who\" x=\"{x}\" y=\"{y}\">{}</text>", escaped(name));
        }
        self.y += 10;
    }

    /// The lanes go on for so much.
    fn space(&mut self, height: usize) {
        let (top, bottom) = (self.y, self.y + height);
        for lane in (0..self.picture.actors.len()).map(Some).chain([None]) {
            let x = self.column(lane);
            let class = match lane {
                None => "lane broker",
                Some(lane) if self.open[lane].is_empty() => "lane gone",
                Some(_) => "lane",
            };
            let _ = writeln!(self.body, "<line class=\"{class}\" x1=\"{x}\" y1=\"{top}\" x2=\"{x}\" y2=\"{bottom}\"/>");
        }
        self.y = bottom;
    }

    fn pause(&mut self, pause: u64) {
        let text = format!("⋮ {} s", seconds(pause).trim_end_matches(".000"));
        let _ = writeln!(self.body, "<text class=\"faint\" x=\"16\" y=\"{}\">{text}</text>", self.y + 16);
        self.space(24);
    }

    fn row(&mut self, row: &Row, is_later: bool) {
        if let (Some(lane), Some(change)) = (row.lane, row.change) {
            self.open[lane].retain(|connection| *connection != change.connection);
            if change.opens {
                self.open[lane].push(change.connection);
            }
        }
        let (actor, broker) = (self.column(row.lane), self.column(None));
        let distance = actor.abs_diff(broker).max(GAP);
        let room = ((distance - 34) as f64 / LETTER) as usize;
        let lines = wrap(&row.label, room, room);
        let height = SPACE + LINE * lines.len().max(1);
        let top = self.y;
        self.space(height);
        if is_later {
            let at = seconds(row.at_us);
            let _ = writeln!(self.body, "<text class=\"faint\" x=\"16\" y=\"{}\">{at} s</text>", top + LINE);
        }
        let (left, class) = match row.shape {
            Shape::Arrow { .. } => (actor.min(broker), ""),
            Shape::Mark(Mark::Told) => (actor, "told"),
            Shape::Mark(Mark::Turn) => (actor, "faint"),
            Shape::Mark(Mark::Fault | Mark::Breach) => (actor, "bad"),
        };
        let sign = match row.shape {
            Shape::Arrow { .. } => "",
            Shape::Mark(Mark::Told) => "● ",
            Shape::Mark(Mark::Turn) => "○ ",
            Shape::Mark(Mark::Fault) => "⚡ ",
            Shape::Mark(Mark::Breach) => "✘ ",
        };
        for (index, line) in lines.iter().enumerate() {
            let (x, y) = (left + 14, top + LINE * (index + 1) - 2);
            let sign = if index == 0 { sign } else { "" };
            let _ = writeln!(self.body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{sign}{}</text>", escaped(line));
        }
        if let Shape::Arrow { way, stroke, head } = row.shape {
            let (from, to) = if way == Way::ToBroker { (actor, broker) } else { (broker, actor) };
            self.arrow(from, to, top + LINE * lines.len().max(1) + 4, stroke, head);
        }
    }

    fn arrow(&mut self, from: usize, to: usize, y: usize, stroke: Stroke, head: Head) {
        let class = match stroke {
            Stroke::Packet => "arrow",
            Stroke::Beginning => "arrow beginning",
            Stroke::End => "arrow end",
        };
        let inward = |by: usize| if to > from { to - by } else { to + by };
        let tip = match head {
            Head::Arrives => inward(2),
            Head::Lost => inward(40),
            Head::Stuck => inward(70),
        };
        let _ = write!(self.body, "<line class=\"{class}\" x1=\"{from}\" y1=\"{y}\" x2=\"{tip}\" y2=\"{y}\"/>");
        let _ = match head {
            Head::Arrives => {
                let (back, top, bottom) = (inward(11), y - 4, y + 4);
                writeln!(self.body, "<path class=\"head\" d=\"M{tip} {y} L{back} {top} L{back} {bottom} Z\"/>")
            }
            Head::Lost => {
                let (a, b, top, bottom) = (tip - 5, tip + 5, y - 5, y + 5);
                writeln!(self.body, "<path class=\"cross\" d=\"M{a} {top} L{b} {bottom} M{a} {bottom} L{b} {top}\"/>")
            }
            Head::Stuck => {
                writeln!(
                    self.body,
                    "<line class=\"arrow stuck\" x1=\"{tip}\" y1=\"{y}\" x2=\"{}\" y2=\"{y}\"/>",
                    inward(4)
                )
            }
        };
    }
}
